//! How a use case fails, in words that a client may see. Causes stay inside for the log.

use iam_domain::EntityType;
use iam_storage::{Constraint, Retryable, Source, StorageError};
use uuid::Uuid;

use crate::Requirement;

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// Which field: `name`, `views[2].viewId`.
    pub field: String,
    /// A whole sentence for people.
    pub message: String,
    /// A word for programs.
    pub code: &'static str,
}

/// The most findings that one answer lists. What is sent back must not outgrow what was sent.
pub const FINDINGS_LIMIT: usize = 100;

impl FieldError {
    /// The first [`FINDINGS_LIMIT`] findings, and how many more there are.
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

    /// That there are more findings than are listed.
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

/// How a use case fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The caller may not.
    #[error("forbidden: {0:?}")]
    Forbidden(Requirement),
    /// The caller may in general, but not this.
    #[error("forbidden: {message}")]
    Refused {
        /// Why.
        message: String,
        /// Which rows.
        errors: Vec<FieldError>,
    },
    /// What was asked for does not exist, or not for this caller.
    #[error("{0} not found")]
    NotFound(&'static str),
    /// A rule of the data forbids it.
    #[error("conflict: {0}")]
    Conflict(String),
    /// What was sent does not fit.
    #[error("invalid: {0:?}")]
    Invalid(Vec<FieldError>),
    /// It is used, and would be missed.
    #[error("in use: {message}")]
    InUse {
        /// How often.
        message: String,
        /// By what, as far as the caller may know it.
        errors: Vec<FieldError>,
    },
    /// What the caller saw is no longer current.
    #[error("precondition failed")]
    PreconditionFailed,
    /// The storage cannot be reached, or gave up waiting.
    #[error("unavailable")]
    Unavailable(#[source] StorageError),
    /// Anything unforeseen.
    #[error("internal")]
    Internal(#[source] Source),
}

impl Failure {
    /// One field does not fit.
    pub fn invalid(field: &str, rest: impl std::fmt::Display) -> Self {
        Self::Invalid(vec![FieldError::new(field, "invalid", rest)])
    }
}

/// The most names that a message lists; the findings list more.
const NAMES_LIMIT: usize = 10;

/// The first names, for a message.
pub(crate) fn first_of(names: &[String]) -> String {
    let more = if names.len() > NAMES_LIMIT { ", …" } else { "" };
    let shown: Vec<_> = names.iter().take(NAMES_LIMIT).map(String::as_str).collect();
    format!("{}{more}", shown.join(", "))
}

/// An error of an operation that was given ids: those that do not exist are named at the place where each was sent
/// (`views[2].viewId`).
pub(crate) fn unknown_at(
    error: StorageError,
    entity: EntityType,
    sent: impl IntoIterator<Item = Uuid>,
    place: impl Fn(usize) -> String,
) -> Failure {
    match error {
        StorageError::Unknown { entity: unknown, ids } if unknown == entity => {
            // The storage names them ascending.
            let unknown = sent.into_iter().enumerate().filter(|(_, id)| ids.binary_search(id).is_ok());
            Failure::Invalid(FieldError::bounded(unknown.map(|(index, id)| unknown_field(place(index), entity, id))))
        }
        other => other.into(),
    }
}

/// The finding that an id names nothing.
pub(crate) fn unknown_field(field: String, entity: EntityType, id: Uuid) -> FieldError {
    FieldError::new(field, "unknown", format_args!("names an unknown {entity}: {id}"))
}

/// The member that refers to such a thing.
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

impl Retryable for Failure {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(error) if error.is_retryable())
    }
}
