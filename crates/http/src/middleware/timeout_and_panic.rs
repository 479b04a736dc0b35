//! Applies a timeout to every request, and converts a panic into an error response.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_service::forward_ready;
use actix_web::Error;
use actix_web::dev::{Service, ServiceRequest};
use futures_util::FutureExt;
use futures_util::future::CatchUnwind;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

use crate::respond::ApiError;

/// A middleware that responds with 503 if a request exceeds the timeout, and with 500 if its handler panics.
pub(crate) struct TimeoutAndPanic<S> {
    service: S,
    limit: Duration,
}

impl<S> TimeoutAndPanic<S> {
    /// Wraps `service`, with the timeout `limit` for each request.
    pub(super) const fn new(service: S, limit: Duration) -> Self {
        Self { service, limit }
    }
}

impl<S: Service<ServiceRequest, Error = Error>> Service<ServiceRequest> for TimeoutAndPanic<S> {
    type Response = S::Response;
    type Error = Error;
    type Future = Limited<S::Future>;

    forward_ready!(service);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        // This is unwind-safe: requests share state only through locks, and a panic cannot leave that state
        // inconsistent.
        let response = AssertUnwindSafe(self.service.call(request)).catch_unwind();
        Limited { response, timer: None, limit: self.limit }
    }
}

pin_project! {
    /// The future of a response, with a timeout. The timer starts when the inner future first returns `Poll::Pending`.
    /// Most requests complete at the first poll and need no timer.
    pub(crate) struct Limited<F> {
        #[pin]
        response: CatchUnwind<AssertUnwindSafe<F>>,
        #[pin]
        timer: Option<Sleep>,
        limit: Duration,
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
        if this.timer.is_none() {
            this.timer.set(Some(sleep(*this.limit)));
        }
        if let Some(timer) = this.timer.as_pin_mut() {
            ready!(timer.poll(cx));
        }
        Poll::Ready(Err(ApiError::unavailable(format!("the request exceeded the timeout of {:?}", this.limit)).into()))
    }
}
