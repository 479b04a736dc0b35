//! The metrics of this crate: their descriptions, and their series from the start of the process.

use crate::Budget;

/// Describes the metrics of the use cases, and creates their series, so that they are exported from the start of the
/// process. Call this function once, after the metrics recorder is installed.
pub fn describe_metrics() {
    metrics::describe_counter!("iam_refused_total", "Requests that were denied with status 403");
    metrics::counter!("iam_refused_total").increment(0);
    metrics::describe_counter!("iam_rate_limited_total", "Requests that an exhausted budget refused with status 429");
    for budget in [Budget::Caller, Budget::Company, Budget::Loads, Budget::AuditBytes] {
        metrics::counter!("iam_rate_limited_total", "budget" => budget.name()).increment(0);
    }
}
