//! How the application runs changes: each in a task of its own and in one unit of work.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use iam_domain::Versions;
use iam_permissions_cache::Permissions;
use iam_storage::{ChangeContext, Target, UnitOfWork, Work, transact};

use crate::authorization::{EscalationGuard, authorize_within, forces, recheck_credentials, record_denial};
use crate::{Affects, Application, Change, Failure, RequestContext};

impl Application {
    /// Runs a change and returns its answer with the versions that contain it. The change runs in a task of its own:
    /// cancelling this future does not stop it.
    ///
    /// # Errors
    ///
    /// The failure of the change; `Forbidden` when the caller lacks the permission (or lost it); `Unavailable` when the
    /// storage cannot be reached or a lock times out.
    pub async fn execute<C: Change>(&self, by: RequestContext, change: C) -> Result<Committed<C::Answer>, Failure> {
        let storage = Arc::clone(&self.storage);
        let permissions = Arc::clone(&self.permissions);
        let change = async move {
            let target = change.target();
            let outcome = Outcome { permissions, target, is_known: false };
            let context = ChangeContext {
                actor_kind: by.caller.kind(),
                user_id: Some(by.caller.id()),
                super_admin: by.caller.is_super_admin(),
                forced: forces(by.caller, &change),
                request_id: by.request_id.clone(),
            };
            if by.caller.is_super_admin() {
                tracing::info!(user = %by.caller.id(), ?target, "a super admin makes a change");
            }
            let authorized = Authorized { by, change };
            let caller = authorized.by.caller;
            let made = transact(storage.as_ref(), target, &context, &authorized).await;
            outcome.tell(made.inspect_err(|failure| record_denial(caller, target.company(), failure)))
        };
        let task = self.changes.spawn_on(change, &self.runtime);
        let ((value, _), versions) = task.await.map_err(|error| Failure::Internal(Box::new(error)))??;
        Ok(Committed { versions, value })
    }
}

/// The result of a committed change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed<T> {
    /// The versions that contain the change.
    pub versions: Versions,
    /// The answer.
    pub value: T,
}

/// The answer of a change, whether it changed nothing, and the versions that contain it.
type Applied<T> = ((T, bool), Versions);

/// Reports the outcome of a change to the permissions cache before the caller gets the answer.
struct Outcome {
    permissions: Arc<Permissions>,
    target: Target,
    is_known: bool,
}

impl Outcome {
    fn tell<T>(mut self, outcome: Result<Applied<T>, Failure>) -> Result<Applied<T>, Failure> {
        match &outcome {
            Ok(((_, is_unchanged), versions)) => {
                if !is_unchanged {
                    self.permissions.changed(self.target, *versions);
                }
                self.is_known = true;
            }
            // The change was not committed: a commit fails only with these two.
            Err(failure) => self.is_known = !matches!(failure, Failure::Unavailable(_) | Failure::Internal(_)),
        }
        outcome
    }
}

impl Drop for Outcome {
    fn drop(&mut self) {
        if !self.is_known {
            self.permissions.distrust(self.target);
        }
    }
}

/// A change with its caller.
struct Authorized<C> {
    by: RequestContext,
    change: C,
}

#[async_trait]
impl<C: Change> Work for Authorized<C> {
    type Output = (C::Answer, bool);
    type Error = Failure;

    async fn run(&self, tx: &mut dyn UnitOfWork) -> Result<Self::Output, Failure> {
        let (company, caller) = (self.change.target().company(), self.by.caller);
        if !recheck_credentials(tx, &self.by).await? {
            return Err(Failure::Forbidden(C::REQUIREMENT));
        }
        let own = authorize_within(tx, caller, company, C::REQUIREMENT).await?;
        let guard = match (company, self.change.affects()) {
            (None, _) | (_, Affects::None) => None,
            (Some(company), _) => Some(EscalationGuard::before(tx, company, caller, own, &self.change).await?),
        };
        let answer = self.change.apply(tx, caller).await?;
        // A fixed order avoids a deadlock of two changes that name each other's users.
        let named: BTreeSet<_> = self.by.external_id.as_deref().into_iter().chain(self.change.external_id()).collect();
        for external_id in named {
            tx.users_mut().remember(external_id).await?;
        }
        if let Some(guard) = guard {
            guard.after(tx).await?;
        }
        Ok((answer, tx.is_unchanged()))
    }
}
