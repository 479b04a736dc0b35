//! Errors of a storage, in terms that do not depend on the adapter.

use iam_domain::EntityType;
use uuid::Uuid;

/// The result of storage operations.
pub type Result<T, E = StorageError> = std::result::Result<T, E>;

/// The cause that an adapter keeps for the log; clients never see it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a storage operation failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The thing to change does not exist.
    #[error("not found")]
    NotFound,
    /// A rule of the data forbids it.
    #[error("conflict: {constraint:?}")]
    Conflict {
        /// The rule.
        constraint: Constraint,
    },
    /// The change refers to things that do not exist (in this company).
    #[error("unknown {entity}: {ids:?}")]
    Unknown {
        /// The kind of thing.
        entity: EntityType,
        /// The unknown ones, ascending.
        ids: Vec<Uuid>,
    },
    /// The data to write was computed from a state that is no longer current.
    #[error("computed from a state that is no longer current")]
    Stale,
    /// The unit of work cannot do this: it was begun for something else, or an earlier operation failed.
    #[error("the unit of work cannot do this: {0}")]
    Misuse(&'static str),
    /// The storage cannot be reached, or timed out.
    #[error("storage unavailable")]
    Unavailable {
        /// Whether the whole unit of work may be retried at once: it lost a race and left nothing behind.
        retryable: bool,
        /// The driver's error.
        #[source]
        source: Option<BoxError>,
    },
    /// The storage holds invalid data, or does not understand a statement.
    #[error("storage corrupt: {what}")]
    Corrupt {
        /// What is invalid.
        what: String,
        /// The driver's error.
        #[source]
        source: Option<BoxError>,
    },
}

impl StorageError {
    /// Whether the whole unit of work may be retried at once.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { retryable: true, .. })
    }

    /// A rule of the data forbids it.
    #[must_use]
    pub const fn conflict(constraint: Constraint) -> Self {
        Self::Conflict { constraint }
    }

    /// The storage holds invalid data.
    #[must_use]
    pub fn corrupt(what: impl std::fmt::Display) -> Self {
        Self::Corrupt { what: what.to_string(), source: None }
    }
}

/// A rule of the data, by the name that every adapter gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Constraint {
    /// Two things with one id, or two cells for one place.
    Duplicate,
    /// A view's url is unique.
    ViewUrl,
    /// A module's code is unique.
    ModuleCode,
    /// A feature's key is unique.
    FeatureKey,
    /// A level's name is unique in its company.
    UserLevelName,
    /// A level that a user holds cannot be removed.
    UserLevelAssigned,
    /// A view that a menu uses cannot be removed.
    ViewInMenu,
    /// A feature that a menu uses cannot be removed.
    FeatureInMenu,
}
