//! How every change is run, and the application as a whole.

use std::sync::Arc;

use async_trait::async_trait;
use iam_domain::{ActorKind, Caller, Versions};
use iam_permissions_cache::Permissions;
use iam_storage::{ChangeContext, Reader, Stamped, Storage, Target, UnitOfWork, Work, transact};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use crate::{Failure, Requirement};

/// Who asks for a change, and with which request.
#[derive(Debug, Clone)]
pub struct By {
    /// Who.
    pub caller: Caller,
    /// The request's id, for the audit record.
    pub request_id: Option<String>,
}

/// A change of one member: leave it, empty it, or set it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Patch<T> {
    /// It was left out.
    #[default]
    Keep,
    /// It was `null`.
    Clear,
    /// It was given.
    Set(T),
}

impl<T: Clone> Patch<T> {
    pub(crate) fn apply(&self, member: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Clear => *member = None,
            Self::Set(value) => *member = Some(value.clone()),
        }
    }
}

/// A use case that changes something.
#[async_trait]
pub trait Change: Send + Sync + 'static {
    /// What it answers.
    type Answer: Send + 'static;

    /// What the caller must be allowed to do. It is checked when the lock is held, whatever was checked before.
    fn requirement(&self) -> Requirement;

    /// What it locks.
    fn target(&self) -> Target;

    /// Does it. It may be called again, in a new unit of work, when it lost a race.
    async fn apply(&self, tx: &mut dyn UnitOfWork, caller: Caller) -> Result<Self::Answer, Failure>;
}

/// Makes a value a change: what it asks of its caller, what it locks, what it does.
macro_rules! change {
    (
        $change:ident -> $answer:ty, needs $requirement:ident, locks |$locker:ident| $target:expr,
        |$this:ident, $tx:ident, $caller:pat_param| $body:expr
    ) => {
        #[async_trait::async_trait]
        impl $crate::Change for $change {
            type Answer = $answer;

            fn requirement(&self) -> $crate::Requirement {
                $crate::Requirement::$requirement
            }

            fn target(&self) -> iam_storage::Target {
                let $locker = self;
                $target
            }

            async fn apply(
                &self,
                $tx: &mut dyn iam_storage::UnitOfWork,
                $caller: iam_domain::Caller,
            ) -> Result<$answer, $crate::Failure> {
                let $this = self;
                $body
            }
        }
    };
}
pub(crate) use change;

/// The use cases over one storage. Cheap to share behind an `Arc`.
pub struct Application {
    storage: Arc<dyn Storage>,
    permissions: Arc<Permissions>,
    changes: TaskTracker,
    runtime: Handle,
}

impl std::fmt::Debug for Application {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Application").field("changes_under_way", &self.changes.len()).finish_non_exhaustive()
    }
}

impl Application {
    /// The use cases over this storage. Changes run on `runtime`, which must outlive those that callers run on: a server's
    /// worker may end, with its runtime, before a change that it asked for.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>, permissions: Arc<Permissions>, runtime: Handle) -> Self {
        Self { storage, permissions, changes: TaskTracker::new(), runtime }
    }

    /// Who may see and do what.
    #[must_use]
    pub fn permissions(&self) -> &Permissions {
        &self.permissions
    }

    pub(crate) fn storage(&self) -> &dyn Storage {
        self.storage.as_ref()
    }

    pub(crate) fn reader(&self) -> &dyn Reader {
        self.storage.reader()
    }

    /// Makes a change and answers with the versions that it is part of. The change runs in a task of its own: cancelling
    /// this future does not stop it.
    ///
    /// # Errors
    ///
    /// What the change answered; `Forbidden` when the caller may not (any more); `Unavailable` when the storage cannot be
    /// reached or a lock cannot be had in time.
    pub async fn execute<C: Change>(&self, by: By, change: C) -> Result<Stamped<C::Answer>, Failure> {
        let storage = Arc::clone(&self.storage);
        let permissions = Arc::clone(&self.permissions);
        let change = async move {
            let target = change.target();
            let outcome = Outcome { permissions, target, is_known: false };
            let context = ChangeContext {
                actor_kind: ActorKind::User,
                user_id: Some(by.caller.user_id),
                super_admin: by.caller.is_super_admin,
                request_id: by.request_id,
            };
            if by.caller.is_super_admin {
                tracing::info!(user = %by.caller.user_id, ?target, "a super admin makes a change");
            }
            let authorized = Authorized { caller: by.caller, change };
            outcome.tell(transact(storage.as_ref(), target, &context, &authorized).await)
        };
        let task = self.changes.spawn_on(change, &self.runtime);
        let (value, versions) = task.await.map_err(|error| Failure::Internal(Box::new(error)))??;
        Ok(Stamped { versions, value })
    }

    /// Waits until every change that is under way has ended. Call it when no more requests come in.
    pub async fn finish(&self) {
        self.changes.close();
        self.changes.wait().await;
    }
}

/// Tells the cache of permissions how a change ended, before anybody else hears of it.
struct Outcome {
    permissions: Arc<Permissions>,
    target: Target,
    is_known: bool,
}

impl Outcome {
    fn tell<T>(mut self, outcome: Result<(T, Versions), Failure>) -> Result<(T, Versions), Failure> {
        match &outcome {
            Ok((_, versions)) => {
                self.permissions.changed(self.target, *versions);
                self.is_known = true;
            }
            // It was not made: a commit fails in no other way than these two.
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

/// A change together with who asks for it.
struct Authorized<C> {
    caller: Caller,
    change: C,
}

#[async_trait]
impl<C: Change> Work for Authorized<C> {
    type Output = C::Answer;
    type Error = Failure;

    async fn run(&self, tx: &mut dyn UnitOfWork) -> Result<C::Answer, Failure> {
        let company = self.change.target().company();
        Application::authorize_within(tx, self.caller, company, self.change.requirement()).await?;
        self.change.apply(tx, self.caller).await
    }
}
