//! The errors that a database would return for violated constraints and for references to missing entities.

use std::collections::BTreeSet;

use iam_domain::EntityType;
use iam_storage::{Constraint, Result, StorageError};
use uuid::Uuid;

/// Returns `Conflict` with this constraint if `is_broken` is `true`.
pub(crate) fn refuse_if(is_broken: bool, constraint: Constraint) -> Result<()> {
    if is_broken { Err(StorageError::conflict(constraint)) } else { Ok(()) }
}

/// Returns `Unknown` with the ids in `unknown` in ascending order, or `Ok` if there are none.
pub(crate) fn refuse_unknown(entity: EntityType, unknown: impl Iterator<Item = Uuid>) -> Result<()> {
    let ids: BTreeSet<Uuid> = unknown.collect();
    if ids.is_empty() { Ok(()) } else { Err(StorageError::Unknown { entity, ids: ids.into_iter().collect() }) }
}
