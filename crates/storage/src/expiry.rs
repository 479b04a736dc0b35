//! Assignments with an end: the list for reviews, and the companies whose expired assignments can be removed.

use std::time::Duration;

use async_trait::async_trait;
use iam_domain::{CompanyId, ExternalId, Name, Timestamp, UserId, UserLevelId};

use crate::{HeldLevel, Result};

/// An assignment that has an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndingAssignment {
    /// The user.
    pub user: UserId,
    /// The stored external id of the user.
    pub external_id: Option<ExternalId>,
    /// The display name in the user's profile.
    pub display_name: Option<Name>,
    /// The level, with the period of the assignment.
    pub level: HeldLevel,
    /// The end of the assignment.
    pub expires_at: Timestamp,
}

/// The position of an assignment in the list of assignments that have an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndPosition {
    /// The end of the assignment.
    pub expires_at: Timestamp,
    /// The user.
    pub user: UserId,
    /// The level.
    pub level: UserLevelId,
}

impl EndingAssignment {
    /// Returns the position of the assignment.
    #[must_use]
    pub const fn position(&self) -> EndPosition {
        EndPosition { expires_at: self.expires_at, user: self.user, level: self.level.id }
    }
}

/// Read operations on assignments that have an end.
#[async_trait]
pub trait EndingAssignments: Send + Sync {
    /// Returns a page of the assignments of a company that end before this time, ordered by their position: at most
    /// `limit` assignments after the position `after` (keyset pagination). Assignments that have expired are included.
    async fn list_ending(
        &self,
        company: CompanyId,
        before: Timestamp,
        after: Option<EndPosition>,
        limit: u64,
    ) -> Result<Vec<EndingAssignment>>;
    /// Returns the companies with assignments that expired at least this long ago. The operation examines at most `limit`
    /// assignments, beginning with the one that expired first. **Across companies**: the background removal of expired
    /// assignments uses it.
    async fn find_expired(&self, expired_for: Duration, limit: u64) -> Result<Vec<CompanyId>>;
}
