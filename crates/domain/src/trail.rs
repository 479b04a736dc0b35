//! The navigation trail: the views that a user has visited in a session.

use serde::{Deserialize, Serialize};

use crate::{CompanyId, Label, SessionId, Timestamp, TrailEntryId, Url, UserId, ViewId};

/// Maximum number of stored navigation steps per session. If the number is exceeded, the oldest steps are deleted.
pub const TRAIL_LIMIT: usize = 100;
/// Maximum number of stored navigation steps per user and company, across all sessions. If the number is exceeded, the
/// oldest steps are deleted.
pub const TRAIL_USER_LIMIT: usize = 1_000;
/// Maximum number of recently visited URLs that a response contains.
pub const RECENT_LIMIT: usize = 10;

/// One step of a navigation trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrailEntry {
    /// The id of the step.
    pub id: TrailEntryId,
    /// The user who visited the view.
    pub user_id: UserId,
    /// The company in which the user visited the view.
    pub company_id: CompanyId,
    /// The client session that the step belongs to.
    pub session_id: SessionId,
    /// The visited view, if it exists in the catalog.
    pub view_id: Option<ViewId>,
    /// The visited URL.
    pub url: Url,
    /// The label of the step.
    pub label: Label,
    /// The position of the step in the session, counted from 0.
    pub depth: i32,
    /// The time of the visit.
    pub created_at: Timestamp,
}
