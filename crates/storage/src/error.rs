//! Storage errors, which are the same for all adapters.

use iam_domain::EntityType;
use uuid::Uuid;

/// The result of a storage operation.
pub type Result<T, E = StorageError> = std::result::Result<T, E>;

/// The underlying error of an adapter. It is logged and never sent to clients.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The reason why a storage operation failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The entity to change does not exist.
    #[error("not found")]
    NotFound,
    /// The change violates a constraint.
    #[error("conflict: {constraint:?}")]
    Conflict {
        /// The violated constraint.
        constraint: Constraint,
    },
    /// The change refers to entities that do not exist, or that do not exist in this company.
    #[error("unknown {entity}: {ids:?}")]
    Unknown {
        /// The type of the entities.
        entity: EntityType,
        /// The ids of the unknown entities, in ascending order.
        ids: Vec<Uuid>,
    },
    /// The data to write was computed at versions that are not current, or a change that would outdate it is in
    /// progress.
    #[error("computed at versions that are no longer current")]
    Stale,
    /// The operation is not allowed in this unit of work, for example because the unit of work was begun for another
    /// target or because an earlier operation failed.
    #[error("the unit of work cannot run this operation: {0}")]
    Misuse(&'static str),
    /// The storage cannot be reached, the operation timed out, or a transaction failed for a transient reason.
    #[error("storage unavailable")]
    Unavailable {
        /// Whether the whole unit of work may be retried immediately. `true` if it failed for a transient reason, such
        /// as a serialization failure or a deadlock, and nothing was committed.
        retryable: bool,
        /// The underlying error, such as that of the database driver.
        #[source]
        source: Option<BoxError>,
    },
    /// The storage contains invalid data, or the database returned an unexpected error.
    #[error("storage corrupt: {what}")]
    Corrupt {
        /// A description of what is invalid.
        what: String,
        /// The underlying error, such as that of the database driver.
        #[source]
        source: Option<BoxError>,
    },
}

impl StorageError {
    /// Returns `true` if the whole unit of work may be retried immediately.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { retryable: true, .. })
    }

    /// Creates a [`Self::Conflict`] with this constraint.
    #[must_use]
    pub const fn conflict(constraint: Constraint) -> Self {
        Self::Conflict { constraint }
    }

    /// Creates a [`Self::Corrupt`] with this description and without an underlying error.
    #[must_use]
    pub fn corrupt(what: impl std::fmt::Display) -> Self {
        Self::Corrupt { what: what.to_string(), source: None }
    }
}

/// A constraint on the data, which every adapter enforces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Constraint {
    /// Ids and API key prefixes are unique. A matrix has at most one cell for a view, or for an action of a feature.
    Duplicate,
    /// A view's URL is unique.
    ViewUrl,
    /// A module's code is unique.
    ModuleCode,
    /// A feature's key is unique.
    FeatureKey,
    /// A level's name is unique in its company.
    UserLevelName,
    /// A level that a user holds cannot be deleted.
    UserLevelAssigned,
    /// A view that a menu uses cannot be deleted.
    ViewInMenu,
    /// A feature that a menu uses cannot be deleted.
    FeatureInMenu,
}
