//! Observes every request: assigns its id and span, adds common headers to the response, and records metrics, failures
//! and access log.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use actix_cors::CorsError;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{ConnectionType, Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use actix_web::{Error, HttpMessage, HttpResponse, ResponseError};

use super::connection::ConnectionState;
use super::request_id::{REQUEST_ID, RequestId};
use super::request_metrics::count;
use super::request_span::RequestSpan;
use crate::respond::{ApiError, Code};

/// The outermost middleware: assigns the request id and the span, handles HEAD like GET, adds common headers, logs
/// failures, and records metrics and the access log. The access log is at debug level. No line contains the query or
/// headers, which may contain secrets.
pub(crate) async fn observe(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let started = Instant::now();
    let route = request.match_pattern().unwrap_or_else(|| "none".to_owned());
    let span = RequestSpan::new(RequestId::of(&request), route);
    request.extensions_mut().insert(span.clone());
    let method = request.method().clone();
    if method == Method::HEAD {
        // The response to HEAD is that of GET without the body.
        request.head_mut().method = Method::GET;
    }
    let is_documentation = request.path() == "/docs" || request.path().starts_with("/docs/");
    // Absent if another server mounts the API.
    let connection = request.conn_data::<ConnectionState>().cloned();
    let _running = connection.as_ref().map(ConnectionState::request_runs);

    let mut answer = next.call(request);
    let answer = poll_fn(|cx| span.in_scope(|| answer.as_mut().poll(cx))).await;
    let answer = answer.map(ServiceResponse::map_into_boxed_body);
    let failure = match &answer {
        Ok(response) => response.response().error(),
        Err(error) => Some(error),
    };
    if let Some(failure) = failure.and_then(|error| error.as_error::<ApiError>()) {
        span.in_scope(|| failure.log());
    }
    let (status, answer) = match answer {
        Ok(response) => {
            let mut response = in_standard_form(response, is_documentation);
            if method == Method::HEAD {
                response = response.map_body(|_, body| head_of(&body));
            }
            add_headers(response.response_mut(), span.id(), is_documentation, connection.as_ref());
            (response.status(), Ok(response))
        }
        Err(error) => {
            let mut response = error.error_response();
            if method == Method::HEAD {
                response = response.map_body(|_, body| head_of(&body));
            }
            add_headers(&mut response, span.id(), is_documentation, connection.as_ref());
            (response.status(), Err(InternalError::from_response(error, response).into()))
        }
    };

    let elapsed = started.elapsed();
    count(&method, span.route(), status, elapsed);
    span.in_scope(|| tracing::debug!(%method, status = status.as_u16(), ?elapsed, "request"));
    answer
}

/// A body whose size is announced but which is not sent.
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

/// Returns the body for the response to a HEAD request.
fn head_of(body: &BoxBody) -> BoxBody {
    BoxBody::new(Unsent(body.size()))
}

/// Converts two errors of other libraries into [`ApiError`]: a rejected CORS preflight, which has a plain-text body,
/// and a missing file of the documentation, which has no body.
fn in_standard_form(response: ServiceResponse<BoxBody>, is_documentation: bool) -> ServiceResponse<BoxBody> {
    let refusal = response.response().error().and_then(|error| error.as_error::<CorsError>()).map(ToString::to_string);
    let error = match refusal {
        Some(refusal) => ApiError::new(Code::Invalid, refusal),
        None if is_documentation && response.status() == StatusCode::NOT_FOUND => ApiError::no_such_route(),
        None => return response,
    };
    response.into_response(error.error_response())
}

/// Adds the request id and the security headers. Makes the response close the connection while the server drains.
fn add_headers<B>(
    response: &mut HttpResponse<B>,
    id: &RequestId,
    is_documentation: bool,
    connection: Option<&ConnectionState>,
) {
    if connection.is_some_and(ConnectionState::is_ending) {
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id.0) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(content_policy(is_documentation)));
}

/// Returns the content security policy. Responses of the API load nothing. The documentation loads its own files and
/// uses inline styles.
const fn content_policy(is_documentation: bool) -> &'static str {
    if is_documentation {
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
    } else {
        "default-src 'none'; frame-ancestors 'none'"
    }
}
