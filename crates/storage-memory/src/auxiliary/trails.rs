//! Read and write operations on navigation trails.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use async_trait::async_trait;
use iam_domain::{CompanyId, SessionId, TRAIL_LIMIT, TRAIL_USER_LIMIT, TrailEntry, TrailEntryId, UserId};
use iam_storage::{Constraint, NavTrail, NewTrailEntry, Result, StorageError};
use imbl::{OrdMap, Vector};

use crate::auxiliary::Sessions;
use crate::constraints::refuse_if;
use crate::limit::to_usize;
use crate::shared::SharedStorage;

/// Returns the steps of a session. The depth of each step is its position in the session.
fn steps(session: &Vector<TrailEntry>) -> impl Iterator<Item = TrailEntry> {
    session.iter().zip(0..).map(|(step, depth)| TrailEntry { depth, ..step.clone() })
}

/// Deletes the oldest steps of a user until one more step can be stored within the limits per session and per user.
fn make_room(sessions: &mut Sessions, session: &SessionId) {
    if let Some(steps) = sessions.get_mut(session).filter(|steps| steps.len() >= TRAIL_LIMIT) {
        steps.pop_front();
    }
    while sessions.values().map(Vector::len).sum::<usize>() >= TRAIL_USER_LIMIT {
        let oldest = sessions.iter().min_by_key(|(_, steps)| steps.front().map(|step| (step.created_at, step.id)));
        let Some(id) = oldest.map(|(id, _)| id.clone()) else { return };
        let Some(steps) = sessions.get_mut(&id) else { return };
        steps.pop_front();
        if steps.is_empty() {
            sessions.remove(&id);
        }
    }
}

#[async_trait]
impl NavTrail for SharedStorage {
    async fn find_by_session(&self, company: CompanyId, user: UserId, session: &SessionId) -> Result<Vec<TrailEntry>> {
        let auxiliary = self.auxiliary.load();
        let session = auxiliary.trails.get(&(company, user)).and_then(|sessions| sessions.get(session));
        Ok(session.into_iter().flat_map(steps).collect())
    }

    async fn find_recent(&self, company: CompanyId, user: UserId, limit: u64) -> Result<Vec<TrailEntry>> {
        let auxiliary = self.auxiliary.load();
        let sessions = auxiliary.trails.get(&(company, user)).into_iter().flat_map(OrdMap::values);
        let mut recent: Vec<TrailEntry> = sessions.flat_map(steps).collect();
        recent.sort_unstable_by_key(|step| Reverse((step.created_at, step.id)));
        let mut seen = BTreeSet::new();
        recent.retain(|step| seen.insert(step.url.clone()));
        recent.truncate(to_usize(limit));
        Ok(recent)
    }

    async fn track(&self, entry: &NewTrailEntry) -> Result<TrailEntry> {
        let NewTrailEntry { user_id, company_id, session_id, view_id, url, label } = entry.clone();
        self.auxiliary.try_change(|auxiliary| {
            // Changes to auxiliary data are serialized. Therefore, if the view is deleted after this check, the
            // deletion clears the view id after this step is stored. Likewise, an erasure of the company that is not
            // committed yet deletes the step after it is stored.
            let state = self.state.load();
            state.catalog.check_views(view_id)?;
            refuse_if(state.company(company_id).erased_at.is_some(), Constraint::CompanyErased)?;
            let sessions = auxiliary.trails.entry((company_id, user_id)).or_default();
            make_room(sessions, &session_id);
            let session = sessions.entry(session_id.clone()).or_default();
            let created_at = self.clock.tick();
            let id = TrailEntryId::generate(created_at);
            let depth = i32::try_from(session.len()).map_err(StorageError::corrupt)?;
            let step = TrailEntry { id, user_id, company_id, session_id, view_id, url, label, depth, created_at };
            session.push_back(step.clone());
            Ok(step)
        })
    }

    async fn clear(&self, company: CompanyId, user: UserId, session: &SessionId) -> Result<u64> {
        Ok(self.auxiliary.change(|auxiliary| {
            let Some(sessions) = auxiliary.trails.get_mut(&(company, user)) else { return 0 };
            let cleared = sessions.remove(session).map_or(0, |steps| steps.len() as u64);
            if sessions.is_empty() {
                auxiliary.trails.remove(&(company, user));
            }
            cleared
        }))
    }
}
