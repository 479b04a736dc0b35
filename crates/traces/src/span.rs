//! Spans that are in progress.

use std::borrow::Cow;

use opentelemetry::trace::{SpanBuilder, SpanKind, Status, TraceContextExt, TraceId, Tracer};
use opentelemetry::{Context, ContextGuard, KeyValue};

use crate::sampling::{Tracing, tracing};
use crate::{Parent, TraceHeaders};

/// A span in progress. Dropping this value ends the span.
#[derive(Debug)]
pub struct OpenSpan(Context);

/// A guard that exists while a span is the current span of this thread.
#[derive(Debug)]
pub struct Attached(#[expect(dead_code, reason = "dropping the guard detaches the span")] ContextGuard);

/// The name and the first attributes of a span.
pub type Description = (Cow<'static, str>, Vec<KeyValue>);

impl OpenSpan {
    /// Begins a span with this parent.
    fn begin(
        Tracing { tracer, .. }: &Tracing,
        parent: &Context,
        kind: SpanKind,
        (name, attributes): Description,
    ) -> Self {
        let builder = SpanBuilder::from_name(name).with_kind(kind).with_attributes(attributes);
        Self(parent.with_span(tracer.build_with_context(builder, parent)))
    }

    /// Returns the id of the trace to which the span belongs.
    #[must_use]
    pub fn trace_id(&self) -> TraceId {
        self.0.span().span_context().trace_id()
    }

    /// Makes the span the current span of this thread, until the returned guard is dropped.
    #[must_use]
    pub fn attach(&self) -> Attached {
        Attached(self.0.clone().attach())
    }

    /// Adds an attribute to the span, or replaces it.
    pub fn set(&self, attribute: KeyValue) {
        self.0.span().set_attribute(attribute);
    }

    /// Sets the status of the span to an error of this type. The description remains empty, since the messages of errors
    /// can contain values.
    pub fn fail(&self, error_type: Cow<'static, str>) {
        self.set(KeyValue::new("error.type", error_type));
        self.0.span().set_status(Status::error(""));
    }

    /// Ends the span now. Nothing that happens later is recorded.
    pub fn end(&self) {
        self.0.span().end();
    }

    /// Returns the headers with which a request to another process continues the trace.
    #[must_use]
    pub fn headers(&self) -> TraceHeaders {
        TraceHeaders::of(self.0.span().span_context())
    }
}

impl Drop for OpenSpan {
    fn drop(&mut self) {
        self.end();
    }
}

/// Begins the first span of this process in a trace, if the trace is sampled.
pub fn root(kind: SpanKind, parent: Option<&Parent>, describe: impl FnOnce() -> Description) -> Option<OpenSpan> {
    let tracing = tracing().filter(|tracing| tracing.sampling.decide(parent))?;
    let context = Context::new();
    let context = match parent {
        Some(parent) => context.with_remote_span_context(parent.context()),
        None => context,
    };
    Some(OpenSpan::begin(tracing, &context, kind, describe()))
}

/// Begins a child of the current span. Returns `None` if this thread has no current span.
pub fn child(name: &'static str, kind: SpanKind, attributes: impl FnOnce() -> Vec<KeyValue>) -> Option<OpenSpan> {
    let tracing = tracing()?;
    let parent = current()?;
    Some(OpenSpan::begin(tracing, &parent, kind, (name.into(), attributes())))
}

/// Begins a child of the current span. If this thread has no current span, begins a trace of its own, if it is sampled.
pub fn child_or_root(
    name: &'static str,
    kind: SpanKind,
    attributes: impl FnOnce() -> Vec<KeyValue>,
) -> Option<OpenSpan> {
    match current() {
        Some(_) => child(name, kind, attributes),
        None => root(kind, None, || (name.into(), attributes())),
    }
}

/// Returns the context of the current span, if there is one.
pub(crate) fn current() -> Option<Context> {
    // If tracing is off, the thread-local context is not read.
    tracing()?;
    Context::map_current(|context| context.has_active_span().then(|| context.clone()))
}
