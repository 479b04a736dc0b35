//! Background work: stored rows of effective permissions, users to load when the process starts, and uses of API keys.

mod api_key_uses;
pub(crate) mod effective_rows;
mod schedule;
mod warm;

use std::time::Duration;

use iam_domain::CompanyId;
use iam_storage::StorageError;

/// The limits and intervals of the background work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FillOptions {
    /// Lifetime of rows.
    pub valid_for: Duration,
    /// The interval between two writes of rows.
    pub every: Duration,
    /// Maximum number of users whose rows are written per interval.
    pub max_users: usize,
    /// Maximum number of these users that belong to one company.
    pub max_users_of_company: usize,
    /// Maximum number of expired rows deleted per interval, for views and for features each.
    pub max_swept: u64,
    /// Maximum number of users that are loaded when the process starts.
    pub max_warmed: u64,
}

impl Default for FillOptions {
    /// Rows have a lifetime of 15 minutes. Every 2 seconds, the rows of at most 40 users, and of at most 10 of one
    /// company, are written, about 150 rows each, and at most 5,000 expired rows are deleted. At most 10,000 users are
    /// loaded when the process starts.
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

/// Logs a failure for one company. The work is retried.
fn log_failure(company: CompanyId, error: &StorageError) {
    tracing::warn!(%company, error = error as &dyn std::error::Error, "could not load or store effective permissions");
}
