//! What is written beside decisions and never changes one: navigation trails, effective rows, and when keys were used. Each operation commits
//! by itself, takes no company lock, raises no version, and gives no notice.

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
    /// Whose step.
    pub user_id: UserId,
    /// In which company.
    pub company_id: CompanyId,
    /// In which session.
    pub session_id: SessionId,
    /// The view that was shown, if it is one of the catalog.
    pub view_id: Option<ViewId>,
    /// Where.
    pub url: Url,
    /// What people read.
    pub label: Label,
}

/// Navigation trails.
#[async_trait]
pub trait NavTrail: Send + Sync {
    /// The steps of a session, oldest first; `depth` is the position in this list.
    async fn find_by_session(&self, company: CompanyId, user: UserId, session: &SessionId) -> Result<Vec<TrailEntry>>;
    /// The places where a user was last in a company, newest first: the latest step for each url.
    async fn find_recent(&self, company: CompanyId, user: UserId, limit: u64) -> Result<Vec<TrailEntry>>;
    /// Adds a step; the session keeps its newest [`TRAIL_LIMIT`](iam_domain::TRAIL_LIMIT), and the user, of what all sessions
    /// keep in the company, the newest [`TRAIL_USER_LIMIT`](iam_domain::TRAIL_USER_LIMIT). Unknown view: `Unknown`.
    async fn track(&self, entry: &NewTrailEntry) -> Result<TrailEntry>;
    /// Forgets a session; answers how many steps it had.
    async fn clear(&self, company: CompanyId, user: UserId, session: &SessionId) -> Result<u64>;
}

/// When API keys were used.
#[async_trait]
pub trait ApiKeyUses: Send + Sync {
    /// Notes that keys were used at these times. An earlier time than the noted one changes nothing, nor does an unknown key.
    async fn record(&self, uses: &[(ApiKeyId, Timestamp)]) -> Result<()>;
}

/// The longest that an effective row is valid: a year.
pub const LONGEST_VALIDITY: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Whether a user may see a view, as it was resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEffectiveViewPermission {
    /// Who.
    pub user_id: UserId,
    /// What.
    pub view_id: ViewId,
    /// The decision.
    pub has_access: bool,
}

/// Whether a user may do an action of a feature, as it was resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEffectiveFeaturePermission {
    /// Who.
    pub user_id: UserId,
    /// What.
    pub feature_id: FeatureId,
    /// Which action.
    pub action: Action,
    /// The decision.
    pub allowed: bool,
    /// How far it reaches.
    pub scope: Scope,
}

/// Effective view permissions. Reads answer only rows that are current: not expired, of the current versions.
/// No row means unknown, not denied.
#[async_trait]
pub trait EffectiveViewPermissions: Send + Sync {
    /// The current row.
    async fn find(&self, company: CompanyId, user: UserId, view: ViewId) -> Result<Option<EffectiveViewPermission>>;
    /// The current rows of a user, by view id.
    async fn find_all_for_user(&self, company: CompanyId, user: UserId) -> Result<Vec<EffectiveViewPermission>>;
    /// Writes rows of one company, resolved at these versions, all or none; by the storage's clock they are computed now
    /// and expire after `valid_for`, or [`LONGEST_VALIDITY`]. `Stale` when the versions are not current (those of a company
    /// that has never changed never are), or a change that would outdate them is under way. Answers how many rows were
    /// written.
    async fn upsert_many(
        &self,
        company: CompanyId,
        versions: Versions,
        valid_for: Duration,
        rows: &[NewEffectiveViewPermission],
    ) -> Result<u64>;
    /// Drops the rows of a user.
    async fn delete_for_user(&self, company: CompanyId, user: UserId) -> Result<u64>;
    /// Drops the rows of all who hold a level.
    async fn delete_for_user_level(&self, company: CompanyId, level: UserLevelId) -> Result<u64>;
    /// Drops the rows of a company.
    async fn delete_for_company(&self, company: CompanyId) -> Result<u64>;
    /// Drops at most `limit` expired rows. **Across companies**: for the sweep.
    async fn delete_expired(&self, limit: u64) -> Result<u64>;
    /// At most `limit` users who have rows that have not expired, **whatever their versions**, each once; those whose rows
    /// last longest first, which are the latest computed while all are valid equally long. **Across companies**: for the
    /// start of a process, which did not see how versions grew.
    async fn find_active(&self, limit: u64) -> Result<Vec<(CompanyId, UserId)>>;
}

/// Effective feature permissions. Reads answer only rows that are current: not expired, of the current versions.
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
    /// Writes rows of one company, resolved at these versions, all or none; by the storage's clock they are computed now
    /// and expire after `valid_for`, or [`LONGEST_VALIDITY`]. `Stale` when the versions are not current (those of a company
    /// that has never changed never are), or a change that would outdate them is under way. Answers how many rows were
    /// written.
    async fn upsert_many(
        &self,
        company: CompanyId,
        versions: Versions,
        valid_for: Duration,
        rows: &[NewEffectiveFeaturePermission],
    ) -> Result<u64>;
    /// Drops the rows of a user.
    async fn delete_for_user(&self, company: CompanyId, user: UserId) -> Result<u64>;
    /// Drops the rows of all who hold a level.
    async fn delete_for_user_level(&self, company: CompanyId, level: UserLevelId) -> Result<u64>;
    /// Drops the rows of a company.
    async fn delete_for_company(&self, company: CompanyId) -> Result<u64>;
    /// Drops at most `limit` expired rows. **Across companies**: for the sweep.
    async fn delete_expired(&self, limit: u64) -> Result<u64>;
}
