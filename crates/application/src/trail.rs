//! Navigation trails. Users can access only their own trails. Trails do not affect decisions and are not audited.

use iam_domain::{CompanyId, RECENT_LIMIT, SessionId, TrailEntry, UserId};
use iam_storage::NewTrailEntry;

use crate::{Application, Failure};

/// The navigation trail of a user in one session, and the pages that the user visited most recently.
#[derive(Debug, Clone)]
pub struct Trail {
    /// The steps of the trail (the pages that the user visited in the session), sorted from oldest to newest.
    pub steps: Vec<TrailEntry>,
    /// The pages that the user visited most recently in all sessions, sorted from newest to oldest.
    pub recents: Vec<TrailEntry>,
}

impl Application {
    /// Adds a step (a visited page) to the navigation trail of a session.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Invalid`] if the view does not exist, and [`Failure::Unavailable`] if the storage cannot be
    /// written.
    pub async fn track(&self, entry: &NewTrailEntry) -> Result<TrailEntry, Failure> {
        Ok(self.storage.nav_trail().track(entry).await?)
    }

    /// Returns the trail of a session, and the pages that the user visited most recently in all sessions.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Unavailable`] if the storage cannot be read.
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
    /// Returns [`Failure::Unavailable`] if the storage cannot be written.
    pub async fn clear_trail(&self, company: CompanyId, user: UserId, session: &SessionId) -> Result<(), Failure> {
        self.storage.nav_trail().clear(company, user, session).await?;
        Ok(())
    }
}
