//! The execution of changes. Each change runs in its own task and in one unit of work.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use iam_domain::CommitStamp;
use iam_permissions_cache::Permissions;
use iam_storage::{ChangeContext, Target, UnitOfWork, Work, transact};
use tracing::Instrument;

use crate::authorization::{EscalationGuard, authorize_within, is_forced_by, recheck_credentials, record_denial};
use crate::{Affects, Application, Change, Failure, RequestContext};

impl Application {
    /// Runs a change, and returns its result with the version that the commit produced. The change runs in its own
    /// task, so cancelling this future does not cancel the change.
    ///
    /// # Errors
    ///
    /// Returns the failure of the change. Returns [`Failure::Forbidden`] if the caller does not meet the change's
    /// requirement. This requirement is checked again while the target is locked. Returns [`Failure::Unavailable`] if
    /// the storage cannot be reached or a lock times out.
    pub async fn execute<C: Change>(
        &self,
        context: RequestContext,
        change: C,
    ) -> Result<Committed<C::Answer>, Failure> {
        let storage = Arc::clone(&self.storage);
        let permissions = Arc::clone(&self.permissions);
        let task = async move {
            let (caller, target) = (context.caller, change.target());
            let invalidation = PendingInvalidation { permissions, target, is_settled: false };
            let audited = ChangeContext {
                actor: caller.actor(),
                super_admin: caller.is_super_admin(),
                forced: is_forced_by(caller, &change),
                request_id: context.request_id.as_deref().map(str::to_owned),
            };
            if caller.is_super_admin() {
                tracing::info!(actor = %caller.actor(), ?target, "change requested by a super admin");
            }
            let work = ChangeWork { context, change };
            let outcome = transact(storage.as_ref(), target, &audited, &work).await;
            invalidation.settle(&outcome);
            outcome.inspect_err(|failure| record_denial(caller, target.company(), failure))
        };
        let task = self.changes.spawn_on(task.in_current_span(), &self.runtime);
        let ((value, _), stamp) = task.await.map_err(|error| Failure::Internal(Box::new(error)))??;
        Ok(Committed { stamp, value })
    }
}

/// The result of a committed change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed<T> {
    /// The version that the commit produced. Responses of this version or a later version reflect the change.
    pub stamp: CommitStamp,
    /// The result of the change.
    pub value: T,
}

/// The result of a change, a flag, and the version that the commit produced. The flag is `true` if the change left the
/// data unchanged.
type Applied<T> = ((T, bool), CommitStamp);

/// The pending invalidation of the cached data that a change makes outdated. It must be settled before the caller
/// receives the result (read-your-writes). If it is dropped without being settled, the outcome of the change is treated
/// as unknown: cached data is served again only after a poll has confirmed it.
struct PendingInvalidation {
    permissions: Arc<Permissions>,
    target: Target,
    is_settled: bool,
}

impl PendingInvalidation {
    /// If the change was committed and changed any data, invalidates the cached data of its target. If the outcome is
    /// unknown, leaves the invalidation pending.
    fn settle<T>(mut self, outcome: &Result<Applied<T>, Failure>) {
        match outcome {
            Ok(((_, is_unchanged), stamp)) => {
                if !is_unchanged {
                    self.permissions.changed(self.target, *stamp);
                }
                self.is_settled = true;
            }
            // These two failures can be failures of the commit itself. The outcome of the change is then unknown: the
            // commit may or may not have succeeded. All other failures occur before the commit.
            Err(failure) => self.is_settled = !matches!(failure, Failure::Unavailable(_) | Failure::Internal(_)),
        }
    }
}

impl Drop for PendingInvalidation {
    fn drop(&mut self) {
        if !self.is_settled {
            self.permissions.distrust(self.target);
        }
    }
}

/// A change and its request context, which are executed in one unit of work.
struct ChangeWork<C> {
    context: RequestContext,
    change: C,
}

#[async_trait]
impl<C: Change> Work for ChangeWork<C> {
    type Output = (C::Answer, bool);
    type Error = Failure;

    async fn run(&self, tx: &mut dyn UnitOfWork) -> Result<Self::Output, Failure> {
        let (company, caller) = (self.change.target().company(), self.context.caller);
        if !recheck_credentials(tx, &self.context).await? {
            return Err(Failure::Forbidden(C::REQUIREMENT));
        }
        let own = authorize_within(tx, caller, company, C::REQUIREMENT).await?;
        let guard = match (company, self.change.affects()) {
            (None, _) | (_, Affects::None) => None,
            (Some(company), _) => Some(EscalationGuard::before(tx, company, caller, own, &self.change).await?),
        };
        let answer = self.change.apply(tx, caller).await?;
        // The external ids are stored in sorted order, which prevents a deadlock between two changes that store the
        // same two external ids.
        let named: BTreeSet<_> =
            self.context.external_id.as_deref().into_iter().chain(self.change.external_id()).collect();
        for external_id in named {
            tx.users_mut().remember(external_id).await?;
        }
        if let Some(guard) = guard {
            guard.after(tx).await?;
        }
        Ok((answer, tx.is_unchanged()))
    }
}
