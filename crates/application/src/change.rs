//! Changes (commands): use cases that modify data. Each change declares its requirement, the target that it locks, and
//! the permissions that it affects.

use std::sync::Arc;

use async_trait::async_trait;
use iam_domain::{Caller, ExternalId, Timestamp, UserId, UserLevelId};
use iam_storage::{Target, UnitOfWork};

use crate::{Failure, Requirement};

/// The caller of a change, and metadata of the request that makes the change.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// The caller.
    pub caller: Caller,
    /// The id of the request, which is stored in the audit records.
    pub request_id: Option<Arc<str>>,
    /// The time at which the caller's token was issued (`iat`). A cut-off after this time invalidates the token. If the
    /// time is `None`, every cut-off invalidates the token.
    pub issued_at: Option<Timestamp>,
    /// The caller's external id: the issuer and the subject. The external id is stored together with the change.
    pub external_id: Option<Arc<ExternalId>>,
}

impl From<Caller> for RequestContext {
    fn from(caller: Caller) -> Self {
        Self { caller, request_id: None, issued_at: None, external_id: None }
    }
}

/// The permissions that a change affects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Affects {
    /// No permissions.
    None,
    /// The view matrix of a level, and therefore the permissions of the users who hold the level.
    Views(UserLevelId),
    /// The feature matrix of a level, and therefore the permissions of the users who hold the level.
    Features(UserLevelId),
    /// The levels that a user holds, and therefore the user's permissions.
    LevelsOf(UserId),
}

/// A use case that changes data.
#[async_trait]
pub trait Change: Send + Sync + 'static {
    /// The result that the change returns to the caller.
    type Answer: Send + 'static;

    /// The requirement that the caller must meet. It is checked while the target is locked, even if it was already
    /// checked before.
    const REQUIREMENT: Requirement;

    /// Returns the target that the change locks: one company, the catalog or the credentials.
    fn target(&self) -> Target;

    /// Returns the permissions that the change affects. A change that affects permissions must pass the escalation
    /// checks: callers can grant only the permissions that they hold, and the company must still have an administrator
    /// after the change.
    fn affects(&self) -> Affects {
        Affects::None
    }

    /// Returns the external id of the user to whom the change applies, if the request contains it. The external id is
    /// stored together with the change.
    fn external_id(&self) -> Option<&ExternalId> {
        None
    }

    /// Returns `true` if the change may leave the company without an administrator. Only super admins can force such a
    /// change.
    fn is_forced(&self) -> bool {
        false
    }

    /// Returns `true` if the change can consist of removals only, depending on the stored data. Such a change is not
    /// rejected before it is applied if the company has exhausted its budget of audit records; it is rejected
    /// afterwards if it does more than to remove data.
    fn may_only_remove(&self) -> bool {
        false
    }

    /// Applies the change. If the transaction fails with a retryable error, such as a serialization failure or a
    /// deadlock, the executor calls this method again in a new unit of work.
    ///
    /// # Errors
    ///
    /// Returns an error if the change fails. In this case, nothing is committed.
    async fn apply(&self, tx: &mut dyn UnitOfWork, caller: Caller) -> Result<Self::Answer, Failure>;
}
