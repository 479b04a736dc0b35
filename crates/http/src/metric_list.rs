//! The metrics of this crate: their descriptions, and their series from the start of the process.

use iam_identity::AuthenticationError;

use crate::decision_metrics;

/// Describes the metrics of the HTTP server, and creates their series, so that they are exported from the start of the
/// process. Call this function once, after the metrics recorder is installed.
pub fn describe_metrics() {
    const DURATIONS: &str = "iam_http_request_duration_seconds";
    const REQUESTS: &str = "iam_http_requests_total";

    // The series of the other routes and statuses appear with their first request.
    metrics::describe_counter!(REQUESTS, "Completed requests");
    metrics::describe_histogram!(DURATIONS, "Duration of requests until their response is ready, in seconds");
    for route in ["/api/iam/check", "/api/iam/checks"] {
        let labels = [("method", "POST"), ("route", route), ("status", "200")];
        metrics::counter!(REQUESTS, &labels).increment(0);
        let _ = metrics::histogram!(DURATIONS, &labels);
    }
    metrics::describe_gauge!("iam_http_connections", "Open connections");
    for server in ["http", "admin"] {
        metrics::gauge!("iam_http_connections", "server" => server).increment(0.0);
    }
    let connections_refused = "iam_http_connections_refused_total";
    metrics::describe_counter!(connections_refused, "Connections that were closed at once because of a limit");
    for limit in ["total", "address"] {
        metrics::counter!(connections_refused, "limit" => limit).increment(0);
    }
    let connections_closed = "iam_http_connections_closed_total";
    metrics::describe_counter!(connections_closed, "Connections that were closed because of the client");
    for reason in ["slow_head", "large_head", "slow_body", "slow_read", "idle"] {
        metrics::counter!(connections_closed, "reason" => reason).increment(0);
    }
    metrics::describe_counter!("iam_http_shed_total", "Requests that were refused with status 503 because of overload");
    metrics::counter!("iam_http_shed_total").increment(0);
    let share_exceeded = "iam_http_share_exceeded_total";
    metrics::describe_counter!(share_exceeded, "Requests that would exceed a share of the work in flight");
    for (pool, of) in [("requests", "caller"), ("requests", "company"), ("bytes", "caller"), ("bytes", "company")] {
        metrics::counter!(share_exceeded, "pool" => pool, "of" => of).increment(0);
    }
    metrics::describe_counter!("iam_authentication_failures_total", "Requests that were refused with status 401");
    for reason in AuthenticationError::REASONS {
        metrics::counter!("iam_authentication_failures_total", "reason" => reason).increment(0);
    }
    metrics::counter!("iam_rate_limited_total", "budget" => "address").increment(0);
    decision_metrics::describe();
}
