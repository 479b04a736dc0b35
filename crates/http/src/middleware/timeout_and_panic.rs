//! Applies a timeout to every request, bounds the number of requests that wait, and converts a panic into an error
//! response.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_service::forward_ready;
use actix_web::dev::{Service, ServiceRequest};
use actix_web::web::Data;
use actix_web::{Error, HttpMessage};
use futures_util::FutureExt;
use futures_util::future::CatchUnwind;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

use super::request_span::RequestSpan;
use super::routes::HEALTH_CHECKS;
use crate::Api;
use crate::respond::ApiError;

/// A middleware that responds with 503 if a request exceeds the timeout or if too many requests wait, and with 500 if
/// its handler panics.
pub(crate) struct TimeoutAndPanic<S> {
    service: S,
    limit: Duration,
    api: Data<Api>,
}

impl<S> TimeoutAndPanic<S> {
    /// Wraps `service`, with the request timeout of the API.
    pub(super) fn new(service: S, api: Data<Api>) -> Self {
        Self { service, limit: api.options().request_timeout, api }
    }
}

impl<S: Service<ServiceRequest, Error = Error>> Service<ServiceRequest> for TimeoutAndPanic<S> {
    type Response = S::Response;
    type Error = Error;
    type Future = Limited<S::Future>;

    forward_ready!(service);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        // Health checks are exempt from the bounds of the work in flight.
        let is_exempt = HEALTH_CHECKS.iter().any(|prefix| request.path().starts_with(prefix));
        let span = request.extensions().get::<RequestSpan>().filter(|_| !is_exempt).cloned();
        // This is unwind-safe: requests share state only through locks, and a panic cannot leave that state
        // inconsistent.
        let response = AssertUnwindSafe(self.service.call(request)).catch_unwind();
        Limited { response, timer: None, limit: self.limit, span, api: Data::clone(&self.api) }
    }
}

pin_project! {
    /// The future of a response, with a timeout. When the inner future returns `Poll::Pending`, the timer starts, and the
    /// request counts as waiting unless it waits for its own body. Most requests complete at the first poll and need neither.
    pub(crate) struct Limited<F> {
        #[pin]
        response: CatchUnwind<AssertUnwindSafe<F>>,
        #[pin]
        timer: Option<Sleep>,
        limit: Duration,
        span: Option<RequestSpan>,
        api: Data<Api>,
    }
}

impl<T, F: Future<Output = Result<T, Error>>> Future for Limited<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        match this.response.poll(cx) {
            Poll::Ready(Ok(response)) => return Poll::Ready(response),
            Poll::Ready(Err(_panic)) => {
                return Poll::Ready(Err(ApiError::internal("the request handler panicked").into()));
            }
            Poll::Pending => {}
        }
        // A request that has begun a change has been counted before the change began, so it is not refused here.
        if let Some(span) = this.span.as_ref().filter(|span| !span.is_counted()) {
            span.enter(this.api.in_flight())?;
        }
        if this.timer.is_none() {
            this.timer.set(Some(sleep(*this.limit)));
        }
        if let Some(timer) = this.timer.as_pin_mut() {
            ready!(timer.poll(cx));
        }
        Poll::Ready(Err(ApiError::unavailable(format!("the request exceeded the timeout of {:?}", this.limit)).into()))
    }
}
