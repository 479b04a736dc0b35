//! The task that exports ended spans.

use std::error::Error;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use prost::Message;
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval};

use super::collector::{Collector, SendError};
use super::queue::EndedSpans;
use super::span_counts;

/// Exports the spans of a queue. While the collector is unreachable, one batch is kept and sent again. So the memory is
/// bounded by the length of the queue.
pub(super) struct Exporter {
    collector: Collector,
    ended: EndedSpans,
    resource: ResourceAttributesWithSchema,
    /// The encoded batch that the collector has not accepted yet, and the number of its spans.
    pending: Option<(Vec<u8>, u64)>,
    /// `true` if the latest batch was not accepted. Only the first of several failures is logged.
    is_failing: bool,
    /// The number of spans that were lost since the last batch was accepted.
    lost: u64,
}

impl Exporter {
    pub(super) fn new(collector: Collector, ended: EndedSpans, resource: &Resource) -> Self {
        Self { collector, ended, resource: resource.into(), pending: None, is_failing: false, lost: 0 }
    }

    /// Exports spans at every interval, and as soon as a whole batch waits. Exports the remaining spans when `stopped`
    /// completes.
    pub(super) async fn run(mut self, every: Duration, mut stopped: oneshot::Receiver<()>) {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = &mut stopped => break,
                _ = ticks.tick() => {}
                // While the collector is unreachable, it is asked at every interval, not for every batch.
                () = self.ended.batch(), if !self.is_failing => {}
            }
            self.export_all().await;
        }
        self.export_all().await;
    }

    /// Exports all spans that have ended, until the collector does not accept a batch.
    async fn export_all(&mut self) {
        while let Some((batch, count)) = self.pending.take().or_else(|| self.next()) {
            match self.collector.send(batch.clone()).await {
                Ok(rejected) => self.accepted(count, rejected.min(count)),
                Err(error) => {
                    self.failed(&error);
                    if error.is_transient() {
                        self.pending = Some((batch, count));
                    } else {
                        self.lose(count);
                    }
                    break;
                }
            }
        }
        self.report_dropped();
    }

    /// Encodes the next batch. Returns `None` if no span has ended.
    fn next(&mut self) -> Option<(Vec<u8>, u64)> {
        let spans = self.ended.take();
        let count = u64::try_from(spans.len()).ok().filter(|count| *count > 0)?;
        let resource_spans = group_spans_by_resource_and_scope(spans, &self.resource);
        Some((ExportTraceServiceRequest { resource_spans }.encode_to_vec(), count))
    }

    fn failed(&mut self, error: &SendError) {
        if !std::mem::replace(&mut self.is_failing, true) {
            tracing::warn!(error = error as &dyn Error, "traces cannot be exported");
        }
    }

    /// Counts the spans of an accepted batch.
    fn accepted(&mut self, count: u64, rejected: u64) {
        span_counts::exported(count - rejected);
        if std::mem::replace(&mut self.is_failing, false) {
            let dropped = self.ended.dropped();
            self.lose(dropped);
            tracing::info!(lost = std::mem::take(&mut self.lost), "traces are exported again");
        }
        if rejected > 0 {
            span_counts::lost(rejected);
            tracing::warn!(rejected, "the collector rejected spans");
        }
    }

    /// Counts spans that were lost while the collector did not accept batches.
    fn lose(&mut self, count: u64) {
        span_counts::lost(count);
        self.lost += count;
    }

    /// Logs that spans were dropped although the collector accepts spans.
    fn report_dropped(&mut self) {
        let dropped = self.ended.dropped();
        if self.is_failing {
            self.lose(dropped);
        } else if dropped > 0 {
            span_counts::lost(dropped);
            tracing::warn!(dropped, "the queue of traces was full, so spans were dropped");
        }
    }
}
