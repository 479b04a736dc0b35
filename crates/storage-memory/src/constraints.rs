//! The refusals of a database: keys that are taken, and references to what does not exist.

use std::collections::BTreeSet;

use iam_domain::EntityType;
use iam_storage::{Constraint, Result, StorageError};
use uuid::Uuid;

/// Refuses an existing key.
pub(crate) fn unique(taken: bool, constraint: Constraint) -> Result<()> {
    if taken { Err(StorageError::conflict(constraint)) } else { Ok(()) }
}

/// Refuses references to unknown things.
pub(crate) fn none_unknown(entity: EntityType, unknown: impl Iterator<Item = Uuid>) -> Result<()> {
    let ids: BTreeSet<Uuid> = unknown.collect();
    if ids.is_empty() { Ok(()) } else { Err(StorageError::Unknown { entity, ids: ids.into_iter().collect() }) }
}
