//! The queue of the ended spans that wait for their export.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use tokio::sync::{Notify, mpsc};

/// Maximum number of spans in one request to the collector.
pub(super) const BATCH: usize = 512;

/// The part of the queue that the requests and the exporter share.
#[derive(Debug, Default)]
struct Shared {
    /// Notified when the queue contains a whole batch, or is half full.
    is_batch: Notify,
    /// The number of spans that were dropped because the queue was full.
    dropped: AtomicU64,
}

/// The end of the queue to which spans are added. A request never waits for it: if the queue is full, spans are dropped.
#[derive(Debug)]
pub(super) struct SpanQueue {
    spans: mpsc::Sender<SpanData>,
    shared: Arc<Shared>,
}

/// The end of the queue from which spans are exported.
#[derive(Debug)]
pub(super) struct EndedSpans {
    spans: mpsc::Receiver<SpanData>,
    shared: Arc<Shared>,
}

/// Returns both ends of a queue with this maximum length.
pub(super) fn queue(length: NonZeroU32) -> (SpanQueue, EndedSpans) {
    let (sender, spans) = mpsc::channel(usize::try_from(length.get()).unwrap_or(BATCH));
    let shared = Arc::<Shared>::default();
    (SpanQueue { spans: sender, shared: Arc::clone(&shared) }, EndedSpans { spans, shared })
}

impl SpanProcessor for SpanQueue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if self.spans.try_send(span).is_err() {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
        let length = self.spans.max_capacity();
        if length - self.spans.capacity() >= BATCH.min(length.div_ceil(2)) {
            self.shared.is_batch.notify_one();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

impl EndedSpans {
    /// Waits until the queue contains a whole batch, or is half full.
    pub(super) async fn batch(&self) {
        self.shared.is_batch.notified().await;
    }

    /// Removes and returns the oldest spans, one batch at most.
    pub(super) fn take(&mut self) -> Vec<SpanData> {
        std::iter::from_fn(|| self.spans.try_recv().ok()).take(BATCH).collect()
    }

    /// Returns the number of spans that were dropped since the previous call.
    pub(super) fn dropped(&self) -> u64 {
        self.shared.dropped.swap(0, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use opentelemetry::InstrumentationScope;
    use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status};
    use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};

    use super::*;

    fn span() -> SpanData {
        SpanData {
            span_context: SpanContext::empty_context(),
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: "span".into(),
            start_time: std::time::UNIX_EPOCH,
            end_time: std::time::UNIX_EPOCH,
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: InstrumentationScope::default(),
        }
    }

    #[tokio::test]
    async fn a_full_queue_drops_and_counts_spans() {
        let (queue, mut ended) = queue(NonZeroU32::MIN.saturating_add(9));
        (0..25).for_each(|_| queue.on_end(span()));
        assert_eq!((ended.dropped(), ended.dropped()), (15, 0));
        assert_eq!((ended.take().len(), ended.take().len()), (10, 0));
        queue.on_end(span());
        assert_eq!((ended.take().len(), ended.dropped()), (1, 0));
    }

    #[tokio::test]
    async fn a_whole_batch_wakes_the_exporter() {
        let (queue, mut ended) = queue(NonZeroU32::MIN.saturating_add(4 * 512));
        (1..BATCH).for_each(|_| queue.on_end(span()));
        assert!(!is_woken(&ended));
        queue.on_end(span());
        assert!(is_woken(&ended));
        (0..100).for_each(|_| queue.on_end(span()));
        assert_eq!((ended.take().len(), ended.take().len()), (BATCH, 100));
    }

    fn is_woken(ended: &EndedSpans) -> bool {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        pin!(ended.batch()).poll(&mut context).is_ready()
    }
}
