//! The metrics of this crate: their descriptions, and their series from the start of the process.

/// Describes the metrics of the verification of tokens. Call this function once, after the metrics recorder is
/// installed. The series of an issuer are created with its key ring.
pub fn describe_metrics() {
    metrics::describe_counter!("iam_jwks_refresh_total", "Refreshes of an issuer's keys, by outcome");
}
