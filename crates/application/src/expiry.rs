//! The removal of expired assignments, which a background task repeats.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use iam_domain::{Actor, CompanyId};
use iam_storage::{ChangeContext, StorageError, Target, UnitOfWork, Work, transact};
use tracing::Instrument;

use crate::{Application, Failure};

/// Maximum number of assignments that one call removes from a company. The removal holds the lock of the company, so each
/// call removes a small number.
const BATCH: u64 = 500;

/// Maximum number of expired assignments that one call examines to find their companies.
const MOST_EXAMINED: u64 = 10_000;

/// Removes expired assignments of one company in a unit of work.
struct RemoveExpired {
    company: CompanyId,
    expired_for: Duration,
}

#[async_trait]
impl Work for RemoveExpired {
    type Output = u64;
    type Error = StorageError;

    async fn run(&self, tx: &mut dyn UnitOfWork) -> Result<u64, StorageError> {
        let by = tx.now().minus(self.expired_for);
        tx.assignments_mut().remove_expired(self.company, by, BATCH).await
    }
}

impl Application {
    /// Removes assignments that expired at least this long ago, and returns their number. Each company is changed in one
    /// unit of work, which holds the lock of the company, so only one replica at a time removes assignments of a company.
    /// A call removes at most 500 assignments of each company. Expired assignments have no effect, so the next call can
    /// remove the others.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Unavailable`] if the storage cannot be read, or if a company cannot be changed. The assignments
    /// of the other companies are removed even so.
    pub async fn remove_expired_assignments(&self, expired_for: Duration) -> Result<u64, Failure> {
        let companies = self.reader().ending_assignments().find_expired(expired_for, MOST_EXAMINED).await?;
        let (mut removed, mut failure) = (0, None);
        for company in companies {
            match self.remove_expired_of(company, expired_for).await {
                Ok(count) => removed += count,
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(removed), Err)
    }

    async fn remove_expired_of(&self, company: CompanyId, expired_for: Duration) -> Result<u64, Failure> {
        let (storage, permissions) = (Arc::clone(&self.storage), Arc::clone(&self.permissions));
        let task = async move {
            let target = Target::Company(company);
            let work = RemoveExpired { company, expired_for };
            let outcome = transact(storage.as_ref(), target, &ChangeContext::by(Actor::System), &work).await;
            match &outcome {
                Ok((0, _)) => {}
                Ok((_, stamp)) => permissions.changed(target, *stamp),
                // The outcome of the commit may be unknown.
                Err(_) => permissions.distrust(target),
            }
            outcome
        };
        // The shutdown waits for the task.
        let task = self.changes.spawn_on(task.in_current_span(), &self.runtime);
        let (removed, _) = task.await.map_err(|error| Failure::Internal(Box::new(error)))??;
        Ok(removed)
    }
}
