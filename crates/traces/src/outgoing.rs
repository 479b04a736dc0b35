//! The headers with which a request to another process continues a trace (W3C Trace Context).

use opentelemetry::trace::SpanContext;

/// The name of the header that identifies the parent span.
pub const TRACE_PARENT: &str = "traceparent";

/// The name of the header with the state that other participants of the trace have added.
pub const TRACE_STATE: &str = "tracestate";

/// The values of the headers of a request to another process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceHeaders {
    /// The value of [`TRACE_PARENT`].
    pub parent: String,
    /// The value of [`TRACE_STATE`], unless it is empty.
    pub state: Option<String>,
}

impl TraceHeaders {
    /// Returns the headers of a span.
    pub(crate) fn of(context: &SpanContext) -> Self {
        let (trace, span, flags) = (context.trace_id(), context.span_id(), context.trace_flags());
        let state = Some(context.trace_state().header()).filter(|state| !state.is_empty());
        Self { parent: format!("00-{trace:032x}-{span:016x}-{flags:02x}"), state }
    }
}
