//! Failures of use cases, with messages that clients may see. The underlying errors are preserved for the log.

use std::error::Error;

use iam_domain::{EntityType, Quota};
use iam_storage::{BoxError, Constraint, Retryable, StorageError};
use uuid::Uuid;

use crate::{Exhausted, FieldCode, FieldError, Requirement};

/// The failure of a use case.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The caller does not meet this requirement.
    #[error("forbidden: the caller does not meet the requirement {0:?}")]
    Forbidden(Requirement),
    /// The caller meets the requirement, but is not authorized to make this particular change.
    #[error("forbidden: {message}")]
    ForbiddenChange {
        /// The human-readable reason.
        message: String,
        /// The permissions that the caller may not grant or change, one entry for each permission.
        errors: Vec<FieldError>,
    },
    /// The entity does not exist, or is not visible to this caller. The value is the name of the entity type.
    #[error("{0} not found")]
    NotFound(&'static str),
    /// The change would violate a constraint on the data.
    #[error("conflict: {0}")]
    Conflict(String),
    /// The change would increase a quantity beyond its quota.
    #[error("quota exceeded: {quota:?}, limit {limit}")]
    QuotaExceeded {
        /// The quota.
        quota: Quota,
        /// The limit of the quota.
        limit: u64,
    },
    /// The request is invalid.
    #[error("invalid request: {0:?}")]
    Invalid(Vec<FieldError>),
    /// The entity cannot be deleted because it is in use.
    #[error("entity in use: {message}")]
    InUse {
        /// The human-readable message, which contains the number of uses.
        message: String,
        /// The uses that prevent the deletion. Uses that the caller may not read are omitted.
        errors: Vec<FieldError>,
    },
    /// The entity has changed since the caller read it: the entity tag in `If-Match` does not match (optimistic
    /// concurrency).
    #[error("precondition failed")]
    PreconditionFailed,
    /// The data has changed since the first page of the answer was read, so no further page can be read at the same
    /// versions.
    #[error("outdated cursor")]
    Outdated,
    /// The caller has used the idempotency key for another request.
    #[error("the idempotency key belongs to another request")]
    KeyReused,
    /// The caller has used the maximum number of idempotency keys.
    #[error("too many idempotency keys: {0}")]
    TooManyKeys(u32),
    /// A budget of the caller or of the company is exhausted.
    #[error("the budget {} is exhausted", .0.budget.name())]
    Exhausted(Exhausted),
    /// The storage cannot be reached, or a storage operation timed out.
    #[error("storage unavailable")]
    Unavailable(#[source] StorageError),
    /// An unexpected error.
    #[error("internal error")]
    Internal(#[source] BoxError),
}

impl Failure {
    /// Creates the failure for a request with one invalid field.
    pub fn invalid(field: &str, rest: impl std::fmt::Display) -> Self {
        Self::Invalid(vec![FieldError::new(field, FieldCode::Invalid, rest)])
    }
}

/// Maximum number of names in a message. The field errors can list more names.
const NAMES_LIMIT: usize = 10;

/// Joins at most [`NAMES_LIMIT`] of the names into a list for a message.
pub(crate) fn list_names(names: &[String]) -> String {
    let more = if names.len() > NAMES_LIMIT { ", …" } else { "" };
    let shown: Vec<_> = names.iter().take(NAMES_LIMIT).map(String::as_str).collect();
    format!("{}{more}", shown.join(", "))
}

/// Converts the storage error of an operation on several ids into a failure. Each unknown id is reported with the
/// request field that contains the id (for example, `views[2].viewId`). `field` returns the name of the field for an
/// index into `sent`.
pub(crate) fn unknown_ids(
    error: StorageError,
    entity: EntityType,
    sent: impl IntoIterator<Item = Uuid>,
    field: impl Fn(usize) -> String,
) -> Failure {
    match error {
        StorageError::Unknown { entity: unknown, ids } if unknown == entity => {
            // The storage reports the unknown ids in ascending order.
            let unknown = sent.into_iter().enumerate().filter(|(_, id)| ids.binary_search(id).is_ok());
            Failure::Invalid(FieldError::bounded(unknown.map(|(index, id)| unknown_field(field(index), entity, id))))
        }
        other => other.into(),
    }
}

/// Creates the field error for an unknown id.
pub(crate) fn unknown_field(field: String, entity: EntityType, id: Uuid) -> FieldError {
    FieldError::new(field, FieldCode::Unknown, format_args!("refers to an unknown {entity}: {id}"))
}

/// Returns the name of the request field that refers to an entity of this type.
const fn reference_to(entity: EntityType) -> &'static str {
    match entity {
        EntityType::View => "viewId",
        EntityType::Feature => "featureId",
        EntityType::Module => "moduleId",
        EntityType::Menu => "menuItemId",
        EntityType::UserLevel | EntityType::Permission => "userLevelId",
        EntityType::Assignment | EntityType::User => "userId",
        EntityType::Company => "companyId",
        EntityType::ApiKey => "apiKeyId",
    }
}

impl From<Exhausted> for Failure {
    fn from(exhausted: Exhausted) -> Self {
        Self::Exhausted(exhausted)
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::NotFound => Self::NotFound("Resource"),
            StorageError::Conflict { constraint } => Self::Conflict(
                match constraint {
                    Constraint::UserLevelName => "A user level with this name already exists",
                    Constraint::ViewUrl => "A view with this url already exists",
                    Constraint::ModuleCode => "A module with this code already exists",
                    Constraint::FeatureKey => "A feature with this key already exists",
                    Constraint::UserLevelAssigned => "The user level is assigned to users",
                    Constraint::ViewInMenu => "The view is used by the menu",
                    Constraint::FeatureInMenu => "The feature is used by the menu",
                    Constraint::CompanyErased => "The company was erased",
                    _ => "This already exists",
                }
                .to_owned(),
            ),
            StorageError::Unknown { entity, ids } => Self::Invalid(FieldError::bounded(
                ids.into_iter().map(|id| unknown_field(reference_to(entity).to_owned(), entity, id)),
            )),
            StorageError::Unavailable { .. } => Self::Unavailable(error),
            other => Self::Internal(Box::new(other)),
        }
    }
}

/// Returns the messages of an error and of all its causes, joined for a log line. For example: `storage unavailable:
/// connection refused`.
#[must_use]
pub fn causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    let mut texts: Vec<_> = causes.map(ToString::to_string).collect();
    // Some error messages already contain the message of their cause.
    texts.dedup_by(|cause, error| error.ends_with(cause.as_str()));
    texts.join(": ")
}

impl Retryable for Failure {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(error) if error.is_retryable())
    }
}
