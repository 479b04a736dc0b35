//! The errors with which a database would refuse a change: broken rules, and references to unknown entities.

use std::collections::BTreeSet;

use iam_domain::EntityType;
use iam_storage::{Constraint, Result, StorageError};
use uuid::Uuid;

/// Refuses a change that breaks a rule: `Conflict`.
pub(crate) fn refuse_if(is_broken: bool, constraint: Constraint) -> Result<()> {
    if is_broken { Err(StorageError::conflict(constraint)) } else { Ok(()) }
}

/// Refuses references to entities that do not exist: `Unknown`, with their ids ascending.
pub(crate) fn refuse_unknown(entity: EntityType, unknown: impl Iterator<Item = Uuid>) -> Result<()> {
    let ids: BTreeSet<Uuid> = unknown.collect();
    if ids.is_empty() { Ok(()) } else { Err(StorageError::Unknown { entity, ids: ids.into_iter().collect() }) }
}
