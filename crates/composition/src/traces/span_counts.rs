//! Counts the spans of traces that were exported or lost.

/// The counter of spans.
const SPANS: &str = "iam_spans_total";

/// Describes the metric, and creates its series.
pub(crate) fn describe() {
    metrics::describe_counter!(SPANS, "Spans of traces that were exported or lost");
    exported(0);
    lost(0);
}

/// Counts spans that the collector accepted.
pub(super) fn exported(count: u64) {
    metrics::counter!(SPANS, "outcome" => "exported").increment(count);
}

/// Counts spans that were dropped, because the queue was full or because the collector did not accept them.
pub(super) fn lost(count: u64) {
    metrics::counter!(SPANS, "outcome" => "lost").increment(count);
}
