//! The spans of the service, in terms of the OpenTelemetry API: sampling, W3C trace context, and futures that run within
//! a span.
//!
//! Tracing is off until [`enable`] is called. While it is off, every function of this crate returns at once, after one
//! atomic read. A request that is not sampled has no current span, so none of the functions called for it creates one.
//!
//! The crate contains no exporter. The program passes a tracer to [`enable`], whose spans it exports.

mod outgoing;
mod parent;
mod sampling;
mod span;
mod traced;

pub use opentelemetry::KeyValue;
pub use opentelemetry::trace::{SpanKind, TraceId};
pub use outgoing::{TRACE_PARENT, TRACE_STATE, TraceHeaders};
pub use parent::Parent;
pub use sampling::{Sampling, enable, is_enabled};
pub use span::{Attached, Description, OpenSpan, child, child_or_root, root};
pub use traced::{Carried, Traced, carry, traced};

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::Once;
    use std::time::Duration;

    use opentelemetry::Context;
    use opentelemetry::trace::{Status, TracerProvider};
    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, Span, SpanData, SpanProcessor};

    use super::*;

    /// The ended spans of all tests of this process.
    static ENDED: Mutex<Vec<SpanData>> = Mutex::new(Vec::new());

    #[derive(Debug)]
    struct Collector;

    impl SpanProcessor for Collector {
        fn on_start(&self, _: &mut Span, _: &Context) {}

        fn on_end(&self, span: SpanData) {
            ENDED.lock().unwrap().push(span);
        }

        fn force_flush(&self) -> OTelSdkResult {
            Ok(())
        }

        fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
            Ok(())
        }
    }

    /// Enables tracing for all tests of this process.
    fn begin() {
        static BEGUN: Once = Once::new();
        BEGUN.call_once(|| {
            assert!(root(SpanKind::Server, None, || ("before".into(), Vec::new())).is_none());
            let provider = SdkTracerProvider::builder().with_span_processor(Collector);
            let provider = provider.with_sampler(Sampler::AlwaysOn).build();
            enable(provider.tracer("test"), Sampling { ratio: 0.0, trusts_parents: true });
        });
    }

    fn spans_of(trace: TraceId) -> Vec<SpanData> {
        let spans = ENDED.lock().unwrap();
        spans.iter().filter(|span| span.span_context.trace_id() == trace).cloned().collect()
    }

    fn parent(trace: u128, flags: &str) -> Parent {
        Parent::parse(&format!("00-{trace:032x}-00000000000000aa-{flags}"), Some("vendor=1")).unwrap()
    }

    #[tokio::test]
    async fn the_spans_of_a_sampled_request_form_a_tree() {
        begin();
        let parent = parent(1, "01");
        let request = root(SpanKind::Server, Some(&parent), || ("request".into(), Vec::new())).unwrap();
        let outcome = {
            let _attached = request.attach();
            let inner = async {
                let inner =
                    traced(child("inner", SpanKind::Client, Vec::new), async { Err::<(), _>("x") }, |outcome| {
                        outcome.err().map(Into::into)
                    });
                inner.await
            };
            let outer = traced(child("outer", SpanKind::Internal, Vec::new), inner, |_| None);
            // The task that polls the future has another current span, or none.
            tokio::spawn(outer)
        }
        .await;
        assert_eq!(outcome.unwrap(), Err("x"));
        drop(request);
        let spans = spans_of(parent.trace_id());
        let [inner, outer, request] = spans.as_slice() else { panic!("{spans:?}") };
        assert_eq!([&*inner.name, &*outer.name, &*request.name], ["inner", "outer", "request"]);
        assert_eq!(inner.parent_span_id, outer.span_context.span_id());
        assert_eq!(outer.parent_span_id, request.span_context.span_id());
        assert_eq!(format!("{:016x}", request.parent_span_id), "00000000000000aa");
        assert_eq!(inner.span_context.trace_state().header(), "vendor=1");
        assert!(matches!(inner.status, Status::Error { .. }) && outer.status == Status::Unset);
        assert!(inner.attributes.contains(&KeyValue::new("error.type", "x")));
    }

    #[tokio::test]
    async fn a_request_that_is_not_sampled_has_no_spans() {
        begin();
        let parent = parent(2, "00");
        assert!(root(SpanKind::Server, Some(&parent), || ("request".into(), Vec::new())).is_none());
        // The ratio is zero.
        assert!(root(SpanKind::Server, None, || ("request".into(), Vec::new())).is_none());
        assert!(child("child", SpanKind::Internal, Vec::new).is_none());
        assert!(child_or_root("fetch", SpanKind::Client, Vec::new).is_none());
        assert_eq!(traced(None, async { 1 }, |_| Some("failed".into())).await, 1);
        assert_eq!(spans_of(parent.trace_id()), []);
    }

    #[tokio::test]
    async fn a_carried_future_creates_children_of_the_span_in_which_it_was_made() {
        begin();
        let parent = parent(3, "01");
        let request = root(SpanKind::Server, Some(&parent), || ("request".into(), Vec::new())).unwrap();
        let work = {
            let _attached = request.attach();
            carry(async { drop(child("in a task", SpanKind::Internal, Vec::new)) })
        };
        tokio::spawn(work).await.unwrap();
        drop(request);
        let names: Vec<_> = spans_of(parent.trace_id()).into_iter().map(|span| span.name).collect();
        assert_eq!(names, ["in a task", "request"]);
    }

    #[test]
    fn the_headers_of_a_span_identify_it() {
        begin();
        let parent = parent(4, "01");
        let span = root(SpanKind::Client, Some(&parent), || ("fetch".into(), Vec::new())).unwrap();
        let TraceHeaders { parent: header, state } = span.headers();
        drop(span);
        let spans = spans_of(parent.trace_id());
        assert_eq!(header, format!("00-{:032x}-{:016x}-01", 4, spans[0].span_context.span_id()));
        assert_eq!(state.as_deref(), Some("vendor=1"));
        assert_eq!(Parent::parse(&header, None).unwrap().trace_id(), parent.trace_id());
    }
}
