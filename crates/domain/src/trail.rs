//! The navigation trail: where a user has been in a session.

use serde::{Deserialize, Serialize};

use crate::{CompanyId, Label, SessionId, Timestamp, TrailEntryId, Url, UserId, ViewId};

/// The most steps that a session keeps; the oldest go first.
pub const TRAIL_LIMIT: usize = 100;
/// The most steps that a user keeps in a company, over all sessions; the oldest go first.
pub const TRAIL_USER_LIMIT: usize = 1_000;
/// How many recent places are offered.
pub const RECENT_LIMIT: usize = 10;

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrailEntry {
    /// Its id.
    pub id: TrailEntryId,
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
    /// Its position in the session, from 0.
    pub depth: i32,
    /// When.
    pub created_at: Timestamp,
}
