//! Futures that run within a span.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::OpenSpan;
use crate::span::current;

pin_project! {
    /// A future that runs within a span. The span ends when the future completes or is dropped.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Traced<F, T> {
        #[pin]
        work: F,
        span: Option<OpenSpan>,
        failure: fn(&T) -> Option<Cow<'static, str>>,
    }
}

/// Runs a future within a span, if there is one. `failure` returns the type of the error if the output of the future is a
/// failure, which becomes the status of the span.
pub const fn traced<F: Future<Output = T>, T>(
    span: Option<OpenSpan>,
    work: F,
    failure: fn(&T) -> Option<Cow<'static, str>>,
) -> Traced<F, T> {
    Traced { work, span, failure }
}

impl<F: Future<Output = T>, T> Future for Traced<F, T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let this = self.project();
        let output = {
            let _attached = this.span.as_ref().map(OpenSpan::attach);
            ready!(this.work.poll(cx))
        };
        if let Some(span) = this.span.take()
            && let Some(error_type) = (this.failure)(&output)
        {
            span.fail(error_type);
        }
        Poll::Ready(output)
    }
}

pin_project! {
    /// A future that runs within the span in which it was made, whatever task polls it.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Carried<F> {
        #[pin]
        work: F,
        context: Option<opentelemetry::Context>,
    }
}

/// Makes the current span the current span of a future, also in another task.
pub fn carry<F: Future>(work: F) -> Carried<F> {
    Carried { work, context: current() }
}

impl<F: Future> Future for Carried<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _attached = this.context.clone().map(opentelemetry::Context::attach);
        this.work.poll(cx)
    }
}
