//! The navigation trail: where a user has been in a session.

use serde::{Deserialize, Serialize};

use crate::{CompanyId, Label, SessionId, Timestamp, TrailEntryId, Url, UserId, ViewId};

/// The most steps that a session keeps; the oldest are dropped first.
pub const TRAIL_LIMIT: usize = 100;
/// The most steps that a user keeps in a company, over all sessions; the oldest are dropped first.
pub const TRAIL_USER_LIMIT: usize = 1_000;
/// The number of recent places in a response.
pub const RECENT_LIMIT: usize = 10;

/// One step of a navigation trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrailEntry {
    /// Its id.
    pub id: TrailEntryId,
    /// The user.
    pub user_id: UserId,
    /// The company.
    pub company_id: CompanyId,
    /// The session.
    pub session_id: SessionId,
    /// The view that was shown, if the catalog has it.
    pub view_id: Option<ViewId>,
    /// The URL.
    pub url: Url,
    /// Its label.
    pub label: Label,
    /// Its position in the session, from 0.
    pub depth: i32,
    /// When it was visited.
    pub created_at: Timestamp,
}
