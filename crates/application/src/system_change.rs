//! Changes that background tasks make to companies, as the actor `system`.

use std::sync::Arc;

use iam_domain::{Actor, CompanyId};
use iam_storage::{ChangeContext, StorageError, Target, Work, transact};
use tracing::Instrument;

use crate::execute::PendingInvalidation;
use crate::{Application, Failure};

impl Application {
    /// Runs a unit of work on a company as the actor `system`. The output of the work, which is returned, is the number of
    /// its effects. The work runs in a task of its own, for which the shutdown waits.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Unavailable`] if the storage cannot be read or changed.
    pub(crate) async fn execute_as_system<W>(&self, company: CompanyId, work: W) -> Result<u64, Failure>
    where
        W: Work<Output = u64, Error = StorageError> + 'static,
    {
        let (storage, permissions) = (Arc::clone(&self.storage), Arc::clone(&self.permissions));
        let task = async move {
            let target = Target::Company(company);
            let invalidation = PendingInvalidation::new(permissions, target);
            let context = ChangeContext::by(Actor::System);
            let outcome = transact(storage.as_ref(), target, &context, &work).await.map_err(Failure::from);
            invalidation.settle(&outcome, |effects| *effects > 0);
            outcome
        };
        let task = self.changes.spawn_on(task.in_current_span(), &self.runtime);
        let (effects, _) = task.await.map_err(|error| Failure::Internal(Box::new(error)))??;
        Ok(effects)
    }
}
