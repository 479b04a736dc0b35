//! The metrics of this crate: their descriptions, and their series from the start of the process.

/// The name of the histogram of the time from a change until this replica has heard of it.
pub(crate) const REVOCATION_DELAY: &str = "iam_revocation_delay_seconds";

/// The name of the counter of deleted rows.
pub(crate) const SWEPT_ROWS: &str = "iam_swept_rows_total";
/// The table of the effective permissions of views.
pub(crate) const SWEPT_VIEWS: &str = "effective_view_permissions";
/// The table of the effective permissions of features.
pub(crate) const SWEPT_FEATURES: &str = "effective_feature_permissions";
/// The table of idempotency keys.
pub(crate) const SWEPT_KEYS: &str = "idempotency_keys";
/// The table of the sessions of the console.
pub(crate) const SWEPT_SESSIONS: &str = "console_sessions";

/// The name of the counter of the runs of background tasks. The composition root describes it.
pub(crate) const RUNS: &str = "iam_background_runs_total";
/// The task that deletes expired rows.
pub(crate) const SWEEP: &str = "sweep";

/// Describes the metrics of the cache, and creates their series, so that they are exported from the start of the
/// process. Call this function once, after the metrics recorder is installed.
pub fn describe_metrics() {
    let counters = [
        ("iam_cache_hits_total", "Requests that were served from the cache"),
        ("iam_cache_misses_total", "Requests that waited for a load or a poll"),
        ("iam_cache_confirmations_total", "Requests that waited for a poll to confirm cached data"),
        ("iam_cache_polls_total", "Polls for changes"),
        ("iam_cache_loads_total", "Loads of users, catalogs, menus and credentials, including failed loads"),
        ("iam_cache_failed_loads_total", "Loads that failed"),
        ("iam_cache_evictions_total", "Entries that were evicted because the cache was full"),
        ("iam_cache_invalidations_total", "Changes that invalidated cached data"),
        ("iam_cache_channel_lost_total", "Failures of the connection that listens for wake-ups"),
        ("iam_cache_histories_total", "Times that the whole cache was discarded after a restore or failover"),
        ("iam_effective_users_filled_total", "Users whose effective-permission rows were written"),
        ("iam_warmed_users_total", "Users that were loaded into the cache when the process started"),
    ];
    for (name, description) in counters {
        metrics::describe_counter!(name, description);
        metrics::counter!(name).increment(0);
    }
    let gauges = [
        ("iam_cache_members", "Cached users who hold levels"),
        ("iam_cache_non_members", "Cached users without a level"),
        ("iam_cache_companies", "Companies with cached data or a load in progress"),
        ("iam_cache_sets", "Cached compiled permission sets"),
        ("iam_cache_bytes", "Approximate memory usage of the cache in bytes"),
        ("iam_cache_lease_remaining_seconds", "Time until the lease on the cached data expires"),
        ("iam_effective_users_waiting", "Active users whose effective-permission rows wait to be written"),
    ];
    for (name, description) in gauges {
        metrics::describe_gauge!(name, description);
        metrics::gauge!(name).set(0.0);
    }
    // Before the first poll, the age is unknown. Zero would mean that the data was just confirmed.
    metrics::describe_gauge!("iam_cache_age_seconds", "Time since a poll last confirmed the cached data");
    metrics::gauge!("iam_cache_age_seconds").set(f64::NAN);
    metrics::describe_histogram!("iam_cache_load_seconds", "Duration of loads in seconds");
    let _ = metrics::histogram!("iam_cache_load_seconds");
    metrics::describe_histogram!(REVOCATION_DELAY, "Time from a change until this replica has heard of it, in seconds");
    let _ = metrics::histogram!(REVOCATION_DELAY);
    metrics::describe_counter!(SWEPT_ROWS, "Expired rows that were deleted");
    for table in [SWEPT_VIEWS, SWEPT_FEATURES, SWEPT_KEYS, SWEPT_SESSIONS] {
        metrics::counter!(SWEPT_ROWS, "table" => table).increment(0);
    }
    for outcome in ["success", "failure"] {
        metrics::counter!(RUNS, "task" => SWEEP, "outcome" => outcome).increment(0);
    }
}
