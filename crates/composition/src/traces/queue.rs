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
    /// Notified when the queue contains a whole batch.
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
        if self.spans.max_capacity() - self.spans.capacity() >= BATCH {
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
    /// Waits until the queue contains a whole batch.
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
