//! Observes every request: assigns a request id and a tracing span, adds common response headers, and records metrics,
//! failures and the access log.

use std::cell::{Cell, OnceCell};
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::ops::RangeInclusive;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix_cors::{Cors, CorsError};
use actix_service::forward_ready;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ResponseHead, Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::error::InternalError;
use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{ConnectionType, Method, StatusCode};
use actix_web::web::{Bytes, Data};
use actix_web::{Error, HttpMessage, HttpResponse, ResponseError};
use futures_util::future::LocalBoxFuture;
use iam_application::{RequestAccount, with_reads};
use tokio::time::sleep;

use super::connection::{ConnectionState, RunningRequest};
use super::cors::cors;
use super::held_body::HeldBody;
use super::request_id::{REQUEST_ID, RequestId};
use super::request_metrics::count;
use super::request_span::RequestSpan;
use super::request_trace::RequestTrace;
use super::routes::Routes;
use super::timeout_and_panic::TimeoutAndPanic;
use crate::Api;
use crate::extract::consistency::reads;
use crate::in_flight::FREE_BYTES;
use crate::page_account::Account;
use crate::page_body::limited;
use crate::respond::{ApiError, Code, RateLimitState};

/// The outermost middleware of all requests. It assigns the request id and the tracing span, routes HEAD requests as
/// GET requests, adds common response headers, logs failures, and records metrics and the access log. Inside it,
/// requests with an `Origin` header pass through [`Cors`], and all requests pass through [`TimeoutAndPanic`].
///
/// The lines of the access log have the level `info` if [`HttpOptions::log_requests`] is set, and `debug` otherwise.
/// They contain neither query strings nor headers, since both may contain secrets.
pub(crate) struct Observe {
    api: Data<Api>,
    cors: Cors,
}

impl Observe {
    /// Creates the middleware for an API.
    pub(crate) fn new(api: &Data<Api>) -> Self {
        Self { api: Data::clone(api), cors: cors(&api.options().cors_origins) }
    }
}

/// The API, wrapped in its middleware.
pub(crate) struct Observed<P, C> {
    routes: Routes,
    /// The service for requests without an `Origin` header.
    plain: Rc<P>,
    /// The service for requests with an `Origin` header, which browsers send with cross-origin requests. It wraps
    /// `plain`.
    with_cors: C,
    api: Data<Api>,
}

/// The time for which a response 429 is delayed. A client that sends the next request at once after a refusal could
/// otherwise use much of the processor time with requests that are refused. The delays differ, so that clients that were
/// refused together do not return together.
const REFUSAL_DELAY: RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_millis(150);

type Shared<S> = Rc<TimeoutAndPanic<S>>;

impl<S, B> Transform<S, ServiceRequest> for Observe
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<BoxBody>;
    type Error = Error;
    type Transform = Observed<TimeoutAndPanic<S>, <Cors as Transform<Shared<S>, ServiceRequest>>::Transform>;
    type InitError = ();
    type Future = LocalBoxFuture<'static, Result<Self::Transform, Self::InitError>>;

    fn new_transform(&self, service: S) -> Self::Future {
        let api = Data::clone(&self.api);
        let plain = Rc::new(TimeoutAndPanic::new(service, Data::clone(&api)));
        let with_cors = self.cors.new_transform(Rc::clone(&plain));
        Box::pin(async move { Ok(Observed { routes: Routes::default(), plain, with_cors: with_cors.await?, api }) })
    }
}

impl<P, C, B, D> Service<ServiceRequest> for Observed<P, C>
where
    P: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    P::Future: 'static,
    C: Service<ServiceRequest, Response = ServiceResponse<D>, Error = Error>,
    C::Future: 'static,
    B: MessageBody + 'static,
    D: MessageBody + 'static,
{
    type Response = ServiceResponse<BoxBody>;
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<ServiceResponse<BoxBody>, Error>>;

    forward_ready!(plain);

    fn call(&self, mut request: ServiceRequest) -> Self::Future {
        let route = self.routes.of(&request);
        let needs_trace = iam_traces::is_enabled() || self.api.options().log_requests;
        let trace = if needs_trace { RequestTrace::begin(&request, &route) } else { RequestTrace::default() };
        let span = RequestSpan::new(RequestId::of(&request), route, trace);
        let observation = Observation::begin(&mut request, span, Data::clone(&self.api));
        let span = &observation.span;
        let reads = reads(request.method(), request.headers());
        if observation.has_origin {
            let response = span.in_scope(|| self.with_cors.call(request));
            Box::pin(with_reads(reads, observation.end(response)))
        } else {
            let response = span.in_scope(|| self.plain.call(request));
            Box::pin(with_reads(reads, observation.end(response)))
        }
    }
}

/// The kind of content that a request asks for, which determines the headers and the errors of its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    /// JSON of the API.
    Data,
    /// A page of the API documentation.
    Documentation,
    /// One of the mounted [`Pages`](crate::Pages), which set their own security headers.
    Page,
}

impl Content {
    fn of(path: &str, api: &Api) -> Self {
        if api.options().pages.as_ref().is_some_and(|pages| pages.contain(path)) {
            Self::Page
        } else if path == "/docs" || path.starts_with("/docs/") {
            Self::Documentation
        } else {
            Self::Data
        }
    }
}

/// The state that the middleware keeps for a request until the response is complete.
struct Observation {
    started: Instant,
    span: RequestSpan,
    method: Method,
    content: Content,
    has_origin: bool,
    api: Data<Api>,
    /// The state of the connection. `None` if the API is embedded in an application that has its own server.
    connection: Option<ConnectionState>,
    _running: Option<RunningRequest>,
    /// `true` once the request is recorded.
    is_recorded: Cell<bool>,
}

impl Observation {
    fn begin(request: &mut ServiceRequest, span: RequestSpan, api: Data<Api>) -> Self {
        let started = Instant::now();
        request.extensions_mut().insert(span.clone());
        let method = request.method().clone();
        if method == Method::HEAD {
            // A HEAD request is routed as a GET request, because the response has the same headers. The body is removed
            // later.
            request.head_mut().method = Method::GET;
        }
        let content = Content::of(request.path(), &api);
        let connection = request.conn_data::<ConnectionState>().cloned();
        let has_body = !matches!(request.parts_mut().1, Payload::None);
        if content == Content::Page {
            let account = Rc::new(Account {
                api: Data::clone(&api),
                span: span.clone(),
                client: api.options().clients.of(request.request()),
                connection: connection.clone(),
                body: OnceCell::new(),
            });
            if has_body {
                let payload = request.take_payload();
                request.set_payload(limited(payload, Rc::clone(&account)));
            }
            request.extensions_mut().insert::<Rc<dyn RequestAccount>>(account);
        }
        Self {
            started,
            span,
            method,
            content,
            // Pages are only for their own origin.
            has_origin: content != Content::Page && request.headers().contains_key(header::ORIGIN),
            api,
            _running: connection.as_ref().map(|connection| connection.request_runs(has_body)),
            connection,
            is_recorded: Cell::new(false),
        }
    }

    /// Waits for the response, adds the common headers, and records metrics, failures and the access log.
    async fn end<B: MessageBody + 'static>(
        self,
        response: impl Future<Output = Result<ServiceResponse<B>, Error>>,
    ) -> Result<ServiceResponse<BoxBody>, Error> {
        let mut response = pin!(response);
        let outcome = poll_fn(|cx| self.span.in_scope(|| response.as_mut().poll(cx))).await;
        let outcome = outcome.map(ServiceResponse::map_into_boxed_body);
        let failure = match &outcome {
            Ok(response) => response.response().error(),
            Err(error) => Some(error),
        };
        if let Some(failure) = failure.and_then(|error| error.as_error::<ApiError>()) {
            self.span.in_scope(|| failure.log());
        }
        let (status, size, outcome) = match outcome {
            Ok(response) => {
                let response = self.admit(in_standard_form(response, self.content == Content::Documentation));
                let response = response.map_body(|head, body| self.complete(head, body));
                (response.status(), self.sent(response.response().body()), Ok(response))
            }
            Err(error) => {
                let response = self.error_response(&error).map_body(|head, body| self.complete(head, body));
                let (status, size) = (response.status(), self.sent(response.body()));
                (status, size, Err(InternalError::from_response(error, response).into()))
            }
        };
        self.record(status, size);
        if status == StatusCode::TOO_MANY_REQUESTS {
            self.span.leave();
            sleep(rand::random_range(REFUSAL_DELAY)).await;
        }
        outcome
    }

    /// Returns the response to a request that fails outside of its handler. For a page, it is a page, too.
    fn error_response(&self, error: &Error) -> HttpResponse {
        let pages = self.api.options().pages.as_ref().filter(|_| self.content == Content::Page);
        match (pages, error.as_error::<ApiError>()) {
            (Some(pages), Some(failure)) => pages.page_of(failure),
            _ => error.error_response(),
        }
    }

    /// Records the request in the metrics, in the access log and in its trace.
    fn record(&self, status: StatusCode, size: Option<u64>) {
        self.is_recorded.set(true);
        let elapsed = self.started.elapsed();
        count(&self.method, self.span.route(), status, elapsed);
        self.span.in_scope(|| self.log(status, size, elapsed));
        self.span.trace().end(status, size);
    }

    /// Writes the access log line of the request. Its span contains the other fields: request id, route, trace id,
    /// company and actor.
    fn log(&self, status: StatusCode, bytes: Option<u64>, elapsed: Duration) {
        let (method, status, duration_ms) = (self.method.as_str(), status.as_u16(), milliseconds(elapsed));
        if self.api.options().log_requests {
            tracing::info!(method, status, duration_ms, bytes, "request");
        } else {
            tracing::debug!(method, status, duration_ms, bytes, "request");
        }
    }

    /// Returns the number of bytes of a response body that are sent. `None` if it is unknown before the body is sent.
    fn sent(&self, body: &BoxBody) -> Option<u64> {
        match body.size() {
            BodySize::None => Some(0),
            BodySize::Sized(_) if self.method == Method::HEAD => Some(0),
            BodySize::Sized(size) => Some(size),
            BodySize::Stream => None,
        }
    }

    /// Adds the request id and the security headers, sets `Connection: close` if the server is draining or closing, and
    /// removes the body of a response to HEAD.
    fn complete(&self, head: &mut ResponseHead, body: BoxBody) -> BoxBody {
        if self.connection.as_ref().is_some_and(ConnectionState::is_ending) {
            head.set_connection_type(ConnectionType::Close);
        }
        let headers = &mut head.headers;
        if let Ok(id) = HeaderValue::from_str(&self.span.id().0) {
            headers.insert(REQUEST_ID, id);
        }
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        match self.content {
            Content::Page => {}
            Content::Data => {
                drop(headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(DATA_POLICY)))
            }
            Content::Documentation => {
                headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(DOCUMENTATION_POLICY));

                // JSON responses do not need these headers, since browsers neither render JSON in frames nor follow links
                // in it.
                headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
                headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
            }
        }
        let may_be_cached = headers.get(header::CACHE_CONTROL).is_none_or(|control| control != "no-store");
        if may_be_cached && !self.has_origin && self.content != Content::Page {
            // The response to a request with an `Origin` header has additional CORS headers. `Vary: Origin` makes
            // caches store the responses with and without these headers separately.
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
        }
        if let Some(remaining) = self.span.budget() {
            RateLimitState::of_caller(remaining).add_to(headers);
        }
        if self.method == Method::HEAD { BoxBody::new(Unsent(body.size())) } else { self.hold(body) }
    }
}

impl Drop for Observation {
    /// Records a request that ends without a response: the client reset the connection, or the server closed it at the end
    /// of a shutdown. A change that has begun is completed nevertheless.
    fn drop(&mut self) {
        if let (false, Ok(status)) = (self.is_recorded.get(), StatusCode::from_u16(CLIENT_GONE)) {
            self.record(status, Some(0));
        }
    }
}

/// The status in metrics and logs of a request that ends without a response. No response has this status.
const CLIENT_GONE: u16 = 499;

/// The number of bytes of a response that cost as much as a request.
const BYTES_PER_UNIT: usize = 64 * 1024;

/// Returns the size of a large body, which counts as in flight. Returns `None` for other bodies.
fn large(body: &BoxBody) -> Option<usize> {
    let BodySize::Sized(size) = body.size() else { return None };
    Some(usize::try_from(size).unwrap_or(usize::MAX)).filter(|size| *size > FREE_BYTES)
}

impl Observation {
    /// Replaces a large response if the caller, the company, or all clients that are not authenticated have used up their
    /// share of the bytes in flight. Clients that do not read their responses could otherwise occupy all memory. Only
    /// responses to GET requests are replaced, since other requests may have had an effect.
    fn admit(&self, response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
        if self.method != Method::GET || large(response.response().body()).is_none() {
            return response;
        }
        match self.api.in_flight().bytes.admit_response(self.span.standing()) {
            Ok(()) => response,
            Err(error) => {
                self.span.in_scope(|| error.log());
                response.into_response(error.error_response())
            }
        }
    }

    /// Counts the body of a large response as in flight, and charges its size to the budget of the caller.
    fn hold(&self, body: BoxBody) -> BoxBody {
        let Some(size) = large(&body) else { return body };
        let mut held = self.api.in_flight().bytes.hold_nothing(self.span.standing());
        held.add_used(size);
        if let Some(caller) = self.span.actor() {
            self.api.budgets().charge(caller, u32::try_from(size / BYTES_PER_UNIT).unwrap_or(u32::MAX));
        }
        match body.try_into_bytes() {
            Ok(bytes) => BoxBody::new(HeldBody { bytes, _held: held }),
            Err(body) => body,
        }
    }
}

/// Returns a duration in milliseconds, rounded to microseconds.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

/// The body of a response to HEAD: `Content-Length` is sent, but the content is not.
struct Unsent(BodySize);

impl MessageBody for Unsent {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        self.0
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(None)
    }
}

/// Converts the error responses of libraries to the format of [`ApiError`]. These are the plain-text response to a
/// rejected CORS preflight, and the response without a body for a missing documentation file.
fn in_standard_form(response: ServiceResponse<BoxBody>, is_documentation: bool) -> ServiceResponse<BoxBody> {
    let refusal = response.response().error().and_then(|error| error.as_error::<CorsError>()).map(ToString::to_string);
    let error = match refusal {
        Some(refusal) => ApiError::new(Code::Invalid, refusal),
        None if is_documentation && response.status() == StatusCode::NOT_FOUND => ApiError::no_such_route(),
        None => return response,
    };
    response.into_response(error.error_response())
}

/// The `Content-Security-Policy` of the API: its responses may load no resources.
const DATA_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// The `Content-Security-Policy` of the documentation: it may load its own files and use inline styles and `data:` images.
const DOCUMENTATION_POLICY: &str =
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'";
