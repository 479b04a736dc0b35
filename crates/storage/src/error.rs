//! Storage errors, which are the same for all adapters.

use iam_domain::EntityType;
use uuid::Uuid;

/// The result of a storage operation.
pub type Result<T, E = StorageError> = std::result::Result<T, E>;

/// The underlying error of an adapter, such as that of the database driver. It is logged and never sent to clients.
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
    /// The change refers to entities that do not exist, or that belong to another company.
    #[error("unknown {entity}: {ids:?}")]
    Unknown {
        /// The type of the entities.
        entity: EntityType,
        /// The ids of the unknown entities, in ascending order.
        ids: Vec<Uuid>,
    },
    /// The effective-permission rows to write were resolved at versions that are not current. The error is also
    /// returned while a change that would make the rows outdated is in progress.
    #[error("the effective-permission rows were resolved at versions that are not current")]
    Stale,
    /// The operation is not allowed in this unit of work, for example because the unit of work was begun for another
    /// target or because an earlier operation failed.
    #[error("the unit of work cannot run this operation: {0}")]
    Misuse(&'static str),
    /// The storage cannot be reached, the operation timed out, or a transaction failed for a transient reason.
    #[error("storage unavailable")]
    Unavailable {
        /// Whether the whole unit of work may be retried immediately. This is `true` if it failed for a transient
        /// reason, such as a serialization failure or a deadlock, and nothing was committed.
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

/// The constraint that a change would violate. Every adapter enforces all of these constraints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Constraint {
    /// A uniqueness constraint on ids, API key prefixes and matrix cells. The id or the prefix already exists, or a
    /// matrix would contain two cells for the same view or for the same action of a feature.
    Duplicate,
    /// The uniqueness constraint on the URLs of views. Another view already has this URL.
    ViewUrl,
    /// The uniqueness constraint on the codes of modules. Another module already has this code.
    ModuleCode,
    /// The uniqueness constraint on the keys of features. Another feature already has this key.
    FeatureKey,
    /// The uniqueness constraint on the names of the levels in one company. Another level of the company already has
    /// this name.
    UserLevelName,
    /// The level to delete is assigned to a user. An assigned level cannot be deleted.
    UserLevelAssigned,
    /// The view to delete is used in a menu. Such a view cannot be deleted.
    ViewInMenu,
    /// The feature to delete is used in a menu. Such a feature cannot be deleted.
    FeatureInMenu,
    /// The company was erased. No change to it is possible, ever.
    CompanyErased,
}
