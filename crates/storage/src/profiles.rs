//! Read and write operations on the profiles of users. No decision depends on a profile.

use async_trait::async_trait;
use iam_domain::{CompanyId, UserId, UserProfile};

use crate::Result;

/// Read operations on the profiles of users.
#[async_trait]
pub trait UserProfiles: Send + Sync {
    /// Returns the profiles of these users in a company, ordered by user id. Users without a profile are omitted.
    async fn find(&self, company: CompanyId, users: &[UserId]) -> Result<Vec<UserProfile>>;
    /// Returns all profiles in a company, ordered by user id.
    async fn find_all(&self, company: CompanyId) -> Result<Vec<UserProfile>>;
}

/// What [`UserProfilesMut::forget`] has deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// The profile of the user.
    pub profile: Option<UserProfile>,
    /// Number of steps of the user's navigation trail.
    pub trail: u64,
}

/// Write operations on the profiles of users.
#[async_trait]
pub trait UserProfilesMut: Send + Sync {
    /// Creates or replaces the profile of a user in a company, and returns the previous profile. The `created_at` of an
    /// existing profile is preserved. A profile whose name, e-mail address and source do not change remains unchanged.
    async fn replace(&mut self, profile: &UserProfile) -> Result<Option<UserProfile>>;
    /// Deletes the profile and the navigation trail of a user in a company.
    async fn forget(&mut self, company: CompanyId, user: UserId) -> Result<Forgotten>;
}
