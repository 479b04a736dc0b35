//! Background maintenance: warms the cache when the process starts, writes and deletes effective-permission rows, and
//! stores the times at which API keys were last used.

mod api_key_uses;
pub(crate) mod effective_rows;
mod schedule;
mod warm;

use std::time::Duration;

use iam_domain::CompanyId;
use iam_storage::StorageError;

/// The limits and intervals of the background maintenance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FillOptions {
    /// Lifetime of effective-permission rows (time to live).
    pub valid_for: Duration,
    /// Interval between two runs of the maintenance.
    pub every: Duration,
    /// Maximum number of users whose rows are written per run.
    pub max_users: usize,
    /// Maximum number of users per company whose rows are written per run.
    pub max_users_of_company: usize,
    /// Maximum number of expired view rows that are deleted per run. The same limit applies separately to feature rows.
    pub max_swept: u64,
    /// Maximum number of users that are loaded into the cache when the process starts.
    pub max_warmed: u64,
}

impl Default for FillOptions {
    /// Returns the default options. Rows expire after 15 minutes. Every 2 seconds, the rows of at most 40 users are
    /// written: at most 10 users per company, with about 150 rows per user. In the same interval, at most 5,000 expired
    /// rows of views and 5,000 of features are deleted. At most 10,000 users are loaded when the process starts.
    fn default() -> Self {
        Self {
            valid_for: Duration::from_secs(15 * 60),
            every: Duration::from_secs(2),
            max_users: 40,
            max_users_of_company: 10,
            max_swept: 5000,
            max_warmed: 10_000,
        }
    }
}

/// Logs a failure for one company. The work for other companies continues.
fn log_failure(company: CompanyId, error: &StorageError) {
    tracing::warn!(%company, error = error as &dyn std::error::Error, "failed to load or store effective permissions");
}
