//! Failures of use cases, in words that a client may see. Causes are kept for the log.

use std::error::Error;

use iam_domain::EntityType;
use iam_storage::{BoxError, Constraint, Retryable, StorageError};
use uuid::Uuid;

use crate::Requirement;

/// A finding: what is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The field: `name`, `views[2].viewId`.
    pub field: String,
    /// A whole sentence for people.
    pub message: String,
    /// A code for programs.
    pub code: &'static str,
}

/// The most findings that one answer lists, so that an answer does not outgrow its request.
pub const FINDINGS_LIMIT: usize = 100;

impl FieldError {
    /// Returns the first [`FINDINGS_LIMIT`] findings, and one with the number of the others.
    #[must_use]
    pub fn bounded(findings: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let mut findings = findings.into_iter();
        let mut listed: Vec<_> = findings.by_ref().take(FINDINGS_LIMIT).collect();
        let more = findings.count();
        if more > 0 {
            listed.push(Self::more(more));
        }
        listed
    }

    /// The finding that more findings are not listed.
    #[must_use]
    pub fn more(count: usize) -> Self {
        Self { field: "body".to_owned(), message: format!("{count} more findings are not listed"), code: "more" }
    }

    /// A finding about a field; the message begins with the field.
    pub fn new(field: impl Into<String>, code: &'static str, rest: impl std::fmt::Display) -> Self {
        let field = field.into();
        let message = format!("{field} {rest}");
        Self { field, message, code }
    }
}

/// The failure of a use case.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The caller does not meet the requirement.
    #[error("forbidden: {0:?}")]
    Forbidden(Requirement),
    /// The caller meets the requirement, but may not make this particular change.
    #[error("forbidden: {message}")]
    ForbiddenChange {
        /// The reason, for people.
        message: String,
        /// What the caller may not do, one by one.
        errors: Vec<FieldError>,
    },
    /// The entity does not exist, or is not visible to this caller.
    #[error("{0} not found")]
    NotFound(&'static str),
    /// A data constraint forbids it.
    #[error("conflict: {0}")]
    Conflict(String),
    /// The request is invalid.
    #[error("invalid: {0:?}")]
    Invalid(Vec<FieldError>),
    /// The entity is in use.
    #[error("in use: {message}")]
    InUse {
        /// The message, with the number of uses.
        message: String,
        /// The uses that the caller may see.
        errors: Vec<FieldError>,
    },
    /// The content that the caller saw is outdated.
    #[error("precondition failed")]
    PreconditionFailed,
    /// The storage cannot be reached, or gave up waiting.
    #[error("unavailable")]
    Unavailable(#[source] StorageError),
    /// An unexpected error.
    #[error("internal")]
    Internal(#[source] BoxError),
}

impl Failure {
    /// The failure that one field is invalid.
    pub fn invalid(field: &str, rest: impl std::fmt::Display) -> Self {
        Self::Invalid(vec![FieldError::new(field, "invalid", rest)])
    }
}

/// The most names that a message lists; the findings list more.
const NAMES_LIMIT: usize = 10;

/// The first names, for a message.
pub(crate) fn list_names(names: &[String]) -> String {
    let more = if names.len() > NAMES_LIMIT { ", …" } else { "" };
    let shown: Vec<_> = names.iter().take(NAMES_LIMIT).map(String::as_str).collect();
    format!("{}{more}", shown.join(", "))
}

/// Converts an error of an operation on several ids: each unknown id is reported by its field of the request
/// (`views[2].viewId`), which `field` returns for an index.
pub(crate) fn unknown_ids(
    error: StorageError,
    entity: EntityType,
    sent: impl IntoIterator<Item = Uuid>,
    field: impl Fn(usize) -> String,
) -> Failure {
    match error {
        StorageError::Unknown { entity: unknown, ids } if unknown == entity => {
            // The storage reports them in ascending order.
            let unknown = sent.into_iter().enumerate().filter(|(_, id)| ids.binary_search(id).is_ok());
            Failure::Invalid(FieldError::bounded(unknown.map(|(index, id)| unknown_field(field(index), entity, id))))
        }
        other => other.into(),
    }
}

/// The finding that an id is unknown.
pub(crate) fn unknown_field(field: String, entity: EntityType, id: Uuid) -> FieldError {
    FieldError::new(field, "unknown", format_args!("names an unknown {entity}: {id}"))
}

/// The name of the field that refers to an entity of this type.
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

/// Returns the texts of an error and of its causes, for a log line: `storage unavailable: connection refused`.
#[must_use]
pub fn causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    let mut texts: Vec<_> = causes.map(ToString::to_string).collect();
    // Some errors repeat their cause.
    texts.dedup_by(|cause, error| error.ends_with(cause.as_str()));
    texts.join(": ")
}

impl Retryable for Failure {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(error) if error.is_retryable())
    }
}
