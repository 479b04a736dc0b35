//! The errors that a database would return: for violated constraints, and for references to entities that do not exist.

use std::collections::BTreeSet;

use iam_domain::EntityType;
use iam_storage::{Constraint, Result, StorageError};
use uuid::Uuid;

/// Returns `Conflict` if a change violates the constraint.
pub(crate) fn refuse_if(is_broken: bool, constraint: Constraint) -> Result<()> {
    if is_broken { Err(StorageError::conflict(constraint)) } else { Ok(()) }
}

/// Returns `Unknown` with the unknown ids in ascending order, if there are any.
pub(crate) fn refuse_unknown(entity: EntityType, unknown: impl Iterator<Item = Uuid>) -> Result<()> {
    let ids: BTreeSet<Uuid> = unknown.collect();
    if ids.is_empty() { Ok(()) } else { Err(StorageError::Unknown { entity, ids: ids.into_iter().collect() }) }
}
