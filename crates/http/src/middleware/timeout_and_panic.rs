//! Applies a timeout to every request, bounds the number of requests that wait, and converts a panic into an error
//! response.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_service::forward_ready;
use actix_web::dev::{Service, ServiceRequest};
use actix_web::{Error, HttpMessage};
use futures_util::FutureExt;
use futures_util::future::CatchUnwind;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

use super::request_span::RequestSpan;
use crate::in_flight::InFlight;
use crate::respond::ApiError;

/// The prefixes of the routes whose requests are exempt from the bounds of the work in flight.
const EXEMPT: [&str; 3] = ["/livez", "/readyz", "/health"];

/// A middleware that responds with 503 if a request exceeds the timeout or if too much work is in flight, and with 500 if
/// its handler panics.
pub(crate) struct TimeoutAndPanic<S> {
    service: S,
    limit: Duration,
    in_flight: Arc<InFlight>,
}

impl<S> TimeoutAndPanic<S> {
    /// Wraps `service`, with the timeout `limit` for each request.
    pub(super) const fn new(service: S, limit: Duration, in_flight: Arc<InFlight>) -> Self {
        Self { service, limit, in_flight }
    }
}

impl<S: Service<ServiceRequest, Error = Error>> Service<ServiceRequest> for TimeoutAndPanic<S> {
    type Response = S::Response;
    type Error = Error;
    type Future = Limited<S::Future>;

    forward_ready!(service);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let is_exempt = EXEMPT.iter().any(|prefix| request.path().starts_with(prefix));
        let span = request.extensions().get::<RequestSpan>().filter(|_| !is_exempt).cloned();
        let refused = span.as_ref().and_then(|_| self.in_flight.has_room().err());
        // This is unwind-safe: requests share state only through locks, and a panic cannot leave that state
        // inconsistent.
        let response = refused.is_none().then(|| AssertUnwindSafe(self.service.call(request)).catch_unwind());
        Limited { response, refused, timer: None, limit: self.limit, span, in_flight: Arc::clone(&self.in_flight) }
    }
}

pin_project! {
    /// The future of a response, with a timeout. When the inner future first returns `Poll::Pending`, the timer starts,
    /// and the request counts as waiting. Most requests complete at the first poll and need neither.
    pub(crate) struct Limited<F> {
        // `None` if the request is refused.
        #[pin]
        response: Option<CatchUnwind<AssertUnwindSafe<F>>>,
        refused: Option<ApiError>,
        #[pin]
        timer: Option<Sleep>,
        limit: Duration,
        span: Option<RequestSpan>,
        in_flight: Arc<InFlight>,
    }
}

impl<T, F: Future<Output = Result<T, Error>>> Future for Limited<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        match this.response.as_pin_mut().map(|response| response.poll(cx)) {
            Some(Poll::Ready(Ok(response))) => return Poll::Ready(response),
            Some(Poll::Ready(Err(_panic))) => {
                return Poll::Ready(Err(ApiError::internal("the request handler panicked").into()));
            }
            Some(Poll::Pending) => {}
            None => {
                let error = this.refused.take().unwrap_or_else(|| ApiError::unavailable("the request was refused"));
                return Poll::Ready(Err(error.into()));
            }
        }
        if this.timer.is_none() {
            this.timer.set(Some(sleep(*this.limit)));
            // A request that has begun a change has been counted before the change began, so it is not refused here.
            if let Some(span) = this.span.as_ref().filter(|span| !span.is_waiting()) {
                span.enter(this.in_flight, None)?;
            }
        }
        if let Some(timer) = this.timer.as_pin_mut() {
            ready!(timer.poll(cx));
        }
        Poll::Ready(Err(ApiError::unavailable(format!("the request exceeded the timeout of {:?}", this.limit)).into()))
    }
}
