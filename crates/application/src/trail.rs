//! Navigation trails. Each user has access to their own only; they affect no decision and are not audited.

use iam_domain::{CompanyId, RECENT_LIMIT, SessionId, TrailEntry, UserId};
use iam_storage::NewTrailEntry;

use crate::{Application, Failure};

/// The navigation history of a user.
#[derive(Debug, Clone)]
pub struct Trail {
    /// The steps of the session, oldest first.
    pub steps: Vec<TrailEntry>,
    /// The latest places in all sessions, newest first.
    pub recents: Vec<TrailEntry>,
}

impl Application {
    /// Adds a step.
    ///
    /// # Errors
    ///
    /// `Invalid` when the view does not exist; `Unavailable`.
    pub async fn track(&self, entry: &NewTrailEntry) -> Result<TrailEntry, Failure> {
        Ok(self.storage.nav_trail().track(entry).await?)
    }

    /// The trail of a session, and the recent places.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    pub async fn trail(&self, company: CompanyId, user: UserId, session: &SessionId) -> Result<Trail, Failure> {
        let trail = self.storage.nav_trail();
        let limit = u64::try_from(RECENT_LIMIT).unwrap_or(u64::MAX);
        Ok(Trail {
            steps: trail.find_by_session(company, user, session).await?,
            recents: trail.find_recent(company, user, limit).await?,
        })
    }

    /// Deletes the trail of a session.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    pub async fn clear_trail(&self, company: CompanyId, user: UserId, session: &SessionId) -> Result<(), Failure> {
        self.storage.nav_trail().clear(company, user, session).await?;
        Ok(())
    }
}
