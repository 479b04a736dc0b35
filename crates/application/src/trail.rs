//! Navigation trails. Users can access only their own. Trails affect no decision and are not audited.

use iam_domain::{CompanyId, RECENT_LIMIT, SessionId, TrailEntry, UserId};
use iam_storage::NewTrailEntry;

use crate::{Application, Failure};

/// The navigation history of a user.
#[derive(Debug, Clone)]
pub struct Trail {
    /// The steps of the session, sorted from oldest to newest.
    pub steps: Vec<TrailEntry>,
    /// The places visited last in all sessions, sorted from newest to oldest.
    pub recents: Vec<TrailEntry>,
}

impl Application {
    /// Adds a step to the trail of a session.
    ///
    /// # Errors
    ///
    /// [`Failure::Invalid`] if the view does not exist; [`Failure::Unavailable`] if the storage cannot be written.
    pub async fn track(&self, entry: &NewTrailEntry) -> Result<TrailEntry, Failure> {
        Ok(self.storage.nav_trail().track(entry).await?)
    }

    /// Returns the trail of a session, and the places visited last in all sessions.
    ///
    /// # Errors
    ///
    /// [`Failure::Unavailable`] if the storage cannot be read.
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
    /// [`Failure::Unavailable`] if the storage cannot be written.
    pub async fn clear_trail(&self, company: CompanyId, user: UserId, session: &SessionId) -> Result<(), Failure> {
        self.storage.nav_trail().clear(company, user, session).await?;
        Ok(())
    }
}
