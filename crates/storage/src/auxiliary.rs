//! Auxiliary data: navigation trails, effective-permission rows, and the last-used times of API keys. No decision
//! depends on auxiliary data. Each write runs in its own transaction, outside units of work. It increments no version
//! and sends no wake-up.

use std::time::Duration;

use async_trait::async_trait;
use iam_domain::{
    Action, ApiKeyId, CompanyId, EffectiveFeaturePermission, EffectiveViewPermission, FeatureId, Label, Scope,
    SessionId, Timestamp, TrailEntry, Url, UserId, UserLevelId, Versions, ViewId,
};

use crate::Result;

/// A step to add to a navigation trail. A step is one visit of a page by a user.
#[derive(Debug, Clone)]
pub struct NewTrailEntry {
    /// The user who visited the page.
    pub user_id: UserId,
    /// The company in which the user visited the page.
    pub company_id: CompanyId,
    /// The session in which the user visited the page.
    pub session_id: SessionId,
    /// The view that the page shows, if it is in the catalog.
    pub view_id: Option<ViewId>,
    /// The URL of the page.
    pub url: Url,
    /// The displayed label of the page.
    pub label: Label,
}

/// Operations on navigation trails.
#[async_trait]
pub trait NavTrail: Send + Sync {
    /// Returns the steps of the trail of a session, oldest first. The `depth` of a step is its position in this list.
    async fn find_by_session(&self, company: CompanyId, user: UserId, session: &SessionId) -> Result<Vec<TrailEntry>>;
    /// Returns the latest step for each URL that a user visited in a company. The list contains at most `limit` steps,
    /// newest first.
    async fn find_recent(&self, company: CompanyId, user: UserId, limit: u64) -> Result<Vec<TrailEntry>>;
    /// Adds a step to the trail of its session. Each session retains its newest
    /// [`TRAIL_LIMIT`](iam_domain::TRAIL_LIMIT) steps, and each user retains the newest
    /// [`TRAIL_USER_LIMIT`](iam_domain::TRAIL_USER_LIMIT) steps across all sessions in a company. Older steps are
    /// deleted. Returns `Unknown` if the view does not exist, and `Conflict` if the company was erased.
    async fn track(&self, entry: &NewTrailEntry) -> Result<TrailEntry>;
    /// Deletes the steps of a session, and returns the number of deleted steps.
    async fn clear(&self, company: CompanyId, user: UserId, session: &SessionId) -> Result<u64>;
}

/// The operation that records when API keys were last used.
#[async_trait]
pub trait ApiKeyUses: Send + Sync {
    /// Records the times at which API keys were used. Unknown keys are ignored. A time is also ignored if a later use
    /// of the key is already recorded.
    async fn record(&self, uses: &[(ApiKeyId, Timestamp)]) -> Result<()>;
}

/// Maximum lifetime of an effective-permission row: 365 days.
pub const LONGEST_VALIDITY: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A resolved decision to store as an effective-permission row: whether a user may see a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEffectiveViewPermission {
    /// The user to whom the decision applies.
    pub user_id: UserId,
    /// The view to which the decision applies.
    pub view_id: ViewId,
    /// Whether the user may see the view.
    pub has_access: bool,
}

/// A resolved decision to store as an effective-permission row: whether a user may perform an action of a feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEffectiveFeaturePermission {
    /// The user to whom the decision applies.
    pub user_id: UserId,
    /// The feature to which the decision applies.
    pub feature_id: FeatureId,
    /// The action of the feature.
    pub action: Action,
    /// Whether the user may perform the action.
    pub allowed: bool,
    /// The scope of the permission.
    pub scope: Scope,
}

/// Operations on effective view permissions. A row is current if it has not expired and was resolved at the current
/// versions. Reads of rows return only current rows. A missing row means that the decision is unknown, not that access
/// is denied.
#[async_trait]
pub trait EffectiveViewPermissions: Send + Sync {
    /// Returns the row of a user for a view if the row is current, and otherwise `None`.
    async fn find(&self, company: CompanyId, user: UserId, view: ViewId) -> Result<Option<EffectiveViewPermission>>;
    /// Returns the current rows of a user, ordered by view id.
    async fn find_all_for_user(&self, company: CompanyId, user: UserId) -> Result<Vec<EffectiveViewPermission>>;
    /// Inserts or replaces (upserts) these rows of one company and returns their number. `versions` are the versions at
    /// which the rows were resolved. The storage's clock determines the timestamps: the current time becomes the
    /// `computed_at` of the rows. The rows expire after `valid_for` or [`LONGEST_VALIDITY`], whichever is shorter.
    /// Returns `Stale` and writes no row if `versions` are not current, or if a change that would make the rows
    /// outdated is in progress. Always returns `Stale` before the first change to the company, and after its
    /// erasure.
    async fn upsert_many(
        &self,
        company: CompanyId,
        versions: Versions,
        valid_for: Duration,
        rows: &[NewEffectiveViewPermission],
    ) -> Result<u64>;
    /// Deletes the rows of a user in a company and returns their number.
    async fn delete_for_user(&self, company: CompanyId, user: UserId) -> Result<u64>;
    /// Deletes the rows of all users who hold a level of a company and returns their number.
    async fn delete_for_user_level(&self, company: CompanyId, level: UserLevelId) -> Result<u64>;
    /// Deletes the rows of a company and returns their number.
    async fn delete_for_company(&self, company: CompanyId) -> Result<u64>;
    /// Deletes at most `limit` expired rows and returns their number. The operation is not scoped to one company. The
    /// background sweep of expired rows uses it.
    async fn delete_expired(&self, limit: u64) -> Result<u64>;
    /// Returns the users who have unexpired rows, **regardless of the versions of the rows**. The list contains each
    /// user of a company once, and at most `limit` entries. Users are ordered by the latest expiry time of their rows,
    /// latest first. If all rows have the same lifetime, this order begins with the users whose rows were computed most
    /// recently. **Across companies**: at startup, a process warms its cache with these users, even if their rows have
    /// become outdated.
    async fn find_active(&self, limit: u64) -> Result<Vec<(CompanyId, UserId)>>;
}

/// Operations on effective feature permissions. A row is current if it has not expired and was resolved at the current
/// versions. Reads of rows return only current rows. A missing row means that the decision is unknown, not that access
/// is denied.
#[async_trait]
pub trait EffectiveFeaturePermissions: Send + Sync {
    /// Returns the row of a user for an action of a feature if the row is current, and otherwise `None`.
    async fn find(
        &self,
        company: CompanyId,
        user: UserId,
        feature: FeatureId,
        action: &Action,
    ) -> Result<Option<EffectiveFeaturePermission>>;
    /// Returns the current rows of a user, ordered by feature id, then action.
    async fn find_all_for_user(&self, company: CompanyId, user: UserId) -> Result<Vec<EffectiveFeaturePermission>>;
    /// Inserts or replaces (upserts) these rows of one company and returns their number. `versions` are the versions at
    /// which the rows were resolved. The storage's clock determines the timestamps: the current time becomes the
    /// `computed_at` of the rows. The rows expire after `valid_for` or [`LONGEST_VALIDITY`], whichever is shorter.
    /// Returns `Stale` and writes no row if `versions` are not current, or if a change that would make the rows
    /// outdated is in progress. Always returns `Stale` before the first change to the company, and after its
    /// erasure.
    async fn upsert_many(
        &self,
        company: CompanyId,
        versions: Versions,
        valid_for: Duration,
        rows: &[NewEffectiveFeaturePermission],
    ) -> Result<u64>;
    /// Deletes the rows of a user in a company and returns their number.
    async fn delete_for_user(&self, company: CompanyId, user: UserId) -> Result<u64>;
    /// Deletes the rows of all users who hold a level of a company and returns their number.
    async fn delete_for_user_level(&self, company: CompanyId, level: UserLevelId) -> Result<u64>;
    /// Deletes the rows of a company and returns their number.
    async fn delete_for_company(&self, company: CompanyId) -> Result<u64>;
    /// Deletes at most `limit` expired rows and returns their number. The operation is not scoped to one company. The
    /// background sweep of expired rows uses it.
    async fn delete_expired(&self, limit: u64) -> Result<u64>;
}
