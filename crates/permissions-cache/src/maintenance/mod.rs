//! Work in the background: stored rows of effective permissions, users to load at the start, uses of API keys.

mod api_key_uses;
pub(crate) mod effective_rows;
mod schedule;
mod warm;

use std::time::Duration;

use iam_domain::CompanyId;
use iam_storage::StorageError;

/// How much is written in the background.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FillOptions {
    /// How long rows are valid.
    pub valid_for: Duration,
    /// How often rows are written.
    pub every: Duration,
    /// The most users whose rows are written at a time.
    pub max_users: usize,
    /// The most users of one company among them.
    pub max_users_of_company: usize,
    /// The most expired rows that are deleted at a time.
    pub max_swept: u64,
    /// The most users that are loaded when the process starts.
    pub max_warmed: u64,
}

impl Default for FillOptions {
    /// Rows valid for 15 minutes; every 2 seconds those of 40 users, at most 10 of a company, about 150 rows each;
    /// 5,000 deleted at a time; 10,000 users loaded at the start.
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

/// Logs a failure of one company; it is retried.
fn log_failure(company: CompanyId, error: &StorageError) {
    tracing::warn!(%company, error = error as &dyn std::error::Error, "effective permissions could not be kept");
}
