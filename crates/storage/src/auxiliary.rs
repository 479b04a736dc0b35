//! Writes beside decisions, which never change one: navigation trails, effective rows, and the last uses of keys. Each
//! operation commits by itself, takes no company lock, raises no version, and sends no wake-up.

use std::time::Duration;

use async_trait::async_trait;
use iam_domain::{
    Action, ApiKeyId, CompanyId, EffectiveFeaturePermission, EffectiveViewPermission, FeatureId, Label, Scope,
    SessionId, Timestamp, TrailEntry, Url, UserId, UserLevelId, Versions, ViewId,
};

use crate::Result;

/// A step to be added to a trail.
#[derive(Debug, Clone)]
pub struct NewTrailEntry {
    /// The user.
    pub user_id: UserId,
    /// The company.
    pub company_id: CompanyId,
    /// The session.
    pub session_id: SessionId,
    /// The view that was shown, if it is in the catalog.
    pub view_id: Option<ViewId>,
    /// The url of the page.
    pub url: Url,
    /// The text that people read.
    pub label: Label,
}

/// Navigation trails.
#[async_trait]
pub trait NavTrail: Send + Sync {
    /// The steps of a session, oldest first; `depth` is the position in this list.
    async fn find_by_session(&self, company: CompanyId, user: UserId, session: &SessionId) -> Result<Vec<TrailEntry>>;
    /// A user's most recent places in a company, newest first: the latest step for each url.
    async fn find_recent(&self, company: CompanyId, user: UserId, limit: u64) -> Result<Vec<TrailEntry>>;
    /// Adds a step. The session keeps its newest [`TRAIL_LIMIT`](iam_domain::TRAIL_LIMIT) steps. The user keeps the
    /// newest [`TRAIL_USER_LIMIT`](iam_domain::TRAIL_USER_LIMIT) of all sessions in the company. Unknown view:
    /// `Unknown`.
    async fn track(&self, entry: &NewTrailEntry) -> Result<TrailEntry>;
    /// Deletes a session's steps; returns how many there were.
    async fn clear(&self, company: CompanyId, user: UserId, session: &SessionId) -> Result<u64>;
}

/// When API keys were last used.
#[async_trait]
pub trait ApiKeyUses: Send + Sync {
    /// Records when keys were used. A time before the recorded one changes nothing, nor does an unknown key.
    async fn record(&self, uses: &[(ApiKeyId, Timestamp)]) -> Result<()>;
}

/// The longest validity of an effective row: a year.
pub const LONGEST_VALIDITY: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A resolved decision: whether a user may see a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEffectiveViewPermission {
    /// The user.
    pub user_id: UserId,
    /// The view.
    pub view_id: ViewId,
    /// The decision.
    pub has_access: bool,
}

/// A resolved decision: whether a user may do an action of a feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEffectiveFeaturePermission {
    /// The user.
    pub user_id: UserId,
    /// The feature.
    pub feature_id: FeatureId,
    /// The action.
    pub action: Action,
    /// The decision.
    pub allowed: bool,
    /// The scope of the permission.
    pub scope: Scope,
}

/// Effective view permissions. Reads return only current rows: not expired, and of the current versions.
/// No row means unknown, not denied.
#[async_trait]
pub trait EffectiveViewPermissions: Send + Sync {
    /// The current row.
    async fn find(&self, company: CompanyId, user: UserId, view: ViewId) -> Result<Option<EffectiveViewPermission>>;
    /// The current rows of a user, by view id.
    async fn find_all_for_user(&self, company: CompanyId, user: UserId) -> Result<Vec<EffectiveViewPermission>>;
    /// Writes rows of one company, resolved at these versions: all or none. By the storage's clock they are computed
    /// now and expire after `valid_for`, at most [`LONGEST_VALIDITY`]. `Stale` when the versions are not current
    /// (those of a company that has never changed never are), or a change that would outdate the rows is under way.
    /// Returns how many rows were written.
    async fn upsert_many(
        &self,
        company: CompanyId,
        versions: Versions,
        valid_for: Duration,
        rows: &[NewEffectiveViewPermission],
    ) -> Result<u64>;
    /// Drops the rows of a user.
    async fn delete_for_user(&self, company: CompanyId, user: UserId) -> Result<u64>;
    /// Drops the rows of all users who hold a level.
    async fn delete_for_user_level(&self, company: CompanyId, level: UserLevelId) -> Result<u64>;
    /// Drops the rows of a company.
    async fn delete_for_company(&self, company: CompanyId) -> Result<u64>;
    /// Drops at most `limit` expired rows. **Across companies**: for the sweep.
    async fn delete_expired(&self, limit: u64) -> Result<u64>;
    /// At most `limit` users with unexpired rows, **whatever their versions**, each once. Users whose rows expire last
    /// come first: with one validity for all, these are the latest computed. **Across companies**: for the start of a
    /// process, which did not see how versions grew.
    async fn find_active(&self, limit: u64) -> Result<Vec<(CompanyId, UserId)>>;
}

/// Effective feature permissions. Reads return only current rows: not expired, and of the current versions.
/// No row means unknown, not denied.
#[async_trait]
pub trait EffectiveFeaturePermissions: Send + Sync {
    /// The current row.
    async fn find(
        &self,
        company: CompanyId,
        user: UserId,
        feature: FeatureId,
        action: &Action,
    ) -> Result<Option<EffectiveFeaturePermission>>;
    /// The current rows of a user, by feature id, then action.
    async fn find_all_for_user(&self, company: CompanyId, user: UserId) -> Result<Vec<EffectiveFeaturePermission>>;
    /// Writes rows of one company, resolved at these versions: all or none. By the storage's clock they are computed
    /// now and expire after `valid_for`, at most [`LONGEST_VALIDITY`]. `Stale` when the versions are not current
    /// (those of a company that has never changed never are), or a change that would outdate the rows is under way.
    /// Returns how many rows were written.
    async fn upsert_many(
        &self,
        company: CompanyId,
        versions: Versions,
        valid_for: Duration,
        rows: &[NewEffectiveFeaturePermission],
    ) -> Result<u64>;
    /// Drops the rows of a user.
    async fn delete_for_user(&self, company: CompanyId, user: UserId) -> Result<u64>;
    /// Drops the rows of all users who hold a level.
    async fn delete_for_user_level(&self, company: CompanyId, level: UserLevelId) -> Result<u64>;
    /// Drops the rows of a company.
    async fn delete_for_company(&self, company: CompanyId) -> Result<u64>;
    /// Drops at most `limit` expired rows. **Across companies**: for the sweep.
    async fn delete_expired(&self, limit: u64) -> Result<u64>;
}
