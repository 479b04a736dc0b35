//! Changes (commands): use cases that modify data. Each change declares its requirement, the target that it locks, and
//! its effect on permissions.

use std::sync::Arc;

use async_trait::async_trait;
use iam_domain::escalation::LevelChange;
use iam_domain::{Caller, ExternalId, Timestamp, Versions};
use iam_storage::{IdempotentRequest, Target, UnitOfWork};
use uuid::Uuid;

use crate::{Failure, LevelsChange, Requirement};

/// The caller of a change, and metadata of the request that makes the change.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// The caller.
    pub caller: Caller,
    /// The id of the request, which is stored in the audit records.
    pub request_id: Option<Arc<str>>,
    /// Whether the caller makes the change in the admin console, which is stored in the audit records.
    pub console: bool,
    /// The time at which the caller's token was issued (`iat`). A cut-off after this time invalidates the token. If the
    /// time is `None`, every cut-off invalidates the token.
    pub issued_at: Option<Timestamp>,
    /// The caller's external id: the issuer and the subject. The external id is stored together with the change.
    pub external_id: Option<Arc<ExternalId>>,
    /// The request, if it has an idempotency key.
    pub idempotency: Option<Arc<IdempotentRequest>>,
    /// The versions that the target and the catalog must still have. The change fails otherwise.
    pub if_version: Option<Versions>,
}

impl From<Caller> for RequestContext {
    fn from(caller: Caller) -> Self {
        Self {
            caller,
            request_id: None,
            console: false,
            issued_at: None,
            external_id: None,
            idempotency: None,
            if_version: None,
        }
    }
}

/// The effect of a change on permissions.
#[derive(Debug, Clone, Copy)]
pub enum Effect<'a> {
    /// The change affects no permissions.
    None,
    /// The change replaced a matrix of a level, which affects the users who hold the level.
    Matrix {
        /// The name of the request field that contains the matrix.
        field: &'static str,
        /// The level before and after the change.
        change: &'a LevelChange,
    },
    /// The change replaced the levels that users hold.
    Levels(&'a [LevelsChange]),
}

/// A use case that changes data.
#[async_trait]
pub trait Change: Send + Sync + 'static {
    /// The result that the change returns to the caller.
    type Answer: Send + 'static;

    /// The requirement that the caller must meet. It is checked while the target is locked, even if it was already
    /// checked before.
    const REQUIREMENT: Requirement;

    /// `true` if the change creates an entity. Repetitions of a request with an idempotency key then create no further
    /// entity. Other changes ignore idempotency keys.
    const CREATES: bool = false;

    /// Returns the target that the change locks: one company, the catalog or the credentials.
    fn target(&self) -> Target;

    /// Returns the effect of the change on permissions, after [`Self::apply`] returned `answer`. A change that affects
    /// permissions must pass the escalation checks.
    fn effect<'a>(&self, _answer: &'a Self::Answer) -> Effect<'a> {
        Effect::None
    }

    /// Returns the external ids of the users to whom the change applies, if the request contains them. The external ids
    /// are stored together with the change.
    fn external_ids(&self) -> Vec<&ExternalId> {
        Vec::new()
    }

    /// Returns `true` if the change may leave the company without a user who holds an essential right. Only super admins
    /// can force such a change.
    fn is_forced(&self) -> bool {
        false
    }

    /// Returns `true` if the change can consist of removals only, depending on the stored data. Such a change is not
    /// rejected before it is applied if the company has exhausted its budget of audit records; it is rejected
    /// afterwards if it does more than to remove data.
    fn may_only_remove(&self) -> bool {
        false
    }

    /// Returns the id of the entity that the change created. `None` if [`Self::CREATES`] is `false`.
    fn created(&self, _answer: &Self::Answer) -> Option<Uuid> {
        None
    }

    /// Returns the result of an earlier execution of this change, which created the entity with this id. Returns `None`
    /// if the entity no longer exists.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Unavailable`] if the storage cannot be read.
    async fn find_created(&self, _tx: &mut dyn UnitOfWork, _id: Uuid) -> Result<Option<Self::Answer>, Failure> {
        Ok(None)
    }

    /// Applies the change. If the transaction fails with a retryable error, such as a serialization failure or a
    /// deadlock, the executor calls this method again in a new unit of work.
    ///
    /// # Errors
    ///
    /// Returns an error if the change fails. In this case, nothing is committed.
    async fn apply(&self, tx: &mut dyn UnitOfWork, caller: Caller) -> Result<Self::Answer, Failure>;
}
