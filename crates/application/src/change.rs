//! Changes: values that declare what they require, lock and affect, and how they are applied.

use std::sync::Arc;

use async_trait::async_trait;
use iam_domain::{Caller, ExternalId, Timestamp, UserId, UserLevelId};
use iam_storage::{Target, UnitOfWork};

use crate::{Failure, Requirement};

/// The caller of a change, and the request that contains the change.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// The caller.
    pub caller: Caller,
    /// The request id, for the audit record.
    pub request_id: Option<Arc<str>>,
    /// The time when the caller's token was issued. A later cut-off invalidates the token; if `None`, any cut-off does.
    pub issued_at: Option<Timestamp>,
    /// The caller's id at an external issuer. It is stored with the change.
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
    /// The view matrix of a level, and so the permissions of the level's holders.
    Views(UserLevelId),
    /// The feature matrix of a level, and so the permissions of the level's holders.
    Features(UserLevelId),
    /// The levels of a user.
    LevelsOf(UserId),
}

/// A use case that changes data.
#[async_trait]
pub trait Change: Send + Sync + 'static {
    /// The result that the change returns to the caller.
    type Answer: Send + 'static;

    /// The requirement that the caller must meet. It is checked under the lock, even if it was checked before.
    const REQUIREMENT: Requirement;

    /// The target that the change locks.
    fn target(&self) -> Target;

    /// Returns the permissions that the change affects. For these, callers can grant only what they hold, and the
    /// company must keep an administrator.
    fn affects(&self) -> Affects {
        Affects::None
    }

    /// Returns the external id of the user whom the change concerns. It is stored with the change.
    fn external_id(&self) -> Option<&ExternalId> {
        None
    }

    /// Returns `true` if the change may leave the company without an administrator. Only super admins can force such a
    /// change.
    fn is_forced(&self) -> bool {
        false
    }

    /// Applies the change. If the unit of work loses a race, the executor calls this again in a new unit of work.
    ///
    /// # Errors
    ///
    /// Any failure. Nothing is committed then.
    async fn apply(&self, tx: &mut dyn UnitOfWork, caller: Caller) -> Result<Self::Answer, Failure>;
}
