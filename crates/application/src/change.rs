//! What a change is: a value that declares what it requires, locks and affects, and how it is applied.

use std::sync::Arc;

use async_trait::async_trait;
use iam_domain::{Caller, ExternalId, Timestamp, UserId, UserLevelId};
use iam_storage::{Target, UnitOfWork};

use crate::{Failure, Requirement};

/// The caller of a change, and the request that the change came with.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// The caller.
    pub caller: Caller,
    /// The request's id, for the audit record.
    pub request_id: Option<String>,
    /// When the caller's token was issued: a later cut-off invalidates it. `None`: any cut-off invalidates it.
    pub issued_at: Option<Timestamp>,
    /// The caller's external id with another issuer, stored with the change.
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
    /// The view matrix of a level, and so the permissions of its holders.
    Views(UserLevelId),
    /// The feature matrix of a level, and so the permissions of its holders.
    Features(UserLevelId),
    /// The levels of a user.
    LevelsOf(UserId),
}

/// A use case that changes something.
#[async_trait]
pub trait Change: Send + Sync + 'static {
    /// The answer of the change.
    type Answer: Send + 'static;

    /// The requirement that the caller must meet. It is checked under the lock, whatever was checked before.
    const REQUIREMENT: Requirement;

    /// The target that the change locks.
    fn target(&self) -> Target;

    /// The permissions that the change affects. Callers can grant only what they hold, and the company must keep an
    /// administrator; see [`Affects`].
    fn affects(&self) -> Affects {
        Affects::None
    }

    /// The external id of the user whom the change is about, stored with the change.
    fn external_id(&self) -> Option<&ExternalId> {
        None
    }

    /// Whether the change may leave the company without an administrator. Only super admins can force it.
    fn is_forced(&self) -> bool {
        false
    }

    /// Applies the change. After losing a race, the executor calls it again in a new unit of work.
    ///
    /// # Errors
    ///
    /// Any failure; nothing is committed then.
    async fn apply(&self, tx: &mut dyn UnitOfWork, caller: Caller) -> Result<Self::Answer, Failure>;
}
