//! The state of a company.

use iam_domain::{CompanyDetails, Timestamp};

/// The version of a company, its name and status, and the times when it was provisioned and erased.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompanyState {
    /// The version of the company. Each committed change to the company increments it, so versions follow the order of
    /// commits.
    pub version: i64,
    /// The time when the company was provisioned, or `None` if it has not been provisioned.
    pub provisioned_at: Option<Timestamp>,
    /// The name and the status of the company.
    pub details: CompanyDetails,
    /// The time when the company was erased, or `None` if it was not. The state of an erased company is a tombstone: it
    /// remains forever, so the version of the company never restarts.
    pub erased_at: Option<Timestamp>,
}
