//! The ids of levels, cells, menu entries and audit records, which are unique across all companies and the platform.

use std::collections::BTreeSet;

use iam_storage::{Constraint, Result};
use imbl::HashSet;
use uuid::Uuid;

use crate::constraints::refuse_if;

/// A row id: the kind of the row and its UUID.
pub(crate) type RowId = (RowKind, Uuid);

/// The kind of a row whose id is unique across all companies and the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum RowKind {
    UserLevels,
    ViewPermissions,
    FeaturePermissions,
    MenuItems,
    SubMenuItems,
    AuditLogs,
}

/// The row ids that are in use in any company or in the data of the platform.
#[derive(Clone, Default)]
pub(crate) struct RowIds(HashSet<RowId>);

impl RowIds {
    /// Applies the id changes of a unit of work. Returns `Conflict` if another unit of work has meanwhile committed a
    /// row with one of the reserved ids.
    pub(crate) fn keep(&mut self, changes: &IdChanges) -> Result<()> {
        for id in &changes.released {
            self.0.remove(id);
        }
        for id in &changes.taken {
            refuse_if(self.0.insert(*id).is_some(), Constraint::Duplicate)?;
        }
        Ok(())
    }
}

/// The ids that a unit of work reserves and releases.
#[derive(Default)]
pub(crate) struct IdChanges {
    taken: BTreeSet<RowId>,
    released: BTreeSet<RowId>,
}

impl IdChanges {
    /// Reserves an id. Returns `Conflict` if the id is in use and this unit of work has not released it.
    pub(crate) fn take(&mut self, id: RowId, used: &RowIds) -> Result<()> {
        if self.released.remove(&id) {
            return Ok(());
        }
        refuse_if(used.0.contains(&id) || !self.taken.insert(id), Constraint::Duplicate)
    }

    /// Adds an id to the reserved ids of this unit of work. The id may be reserved already.
    pub(crate) fn add(&mut self, id: RowId) {
        self.taken.insert(id);
    }

    /// Releases the id of a deleted row.
    pub(crate) fn release(&mut self, id: RowId) {
        if !self.taken.remove(&id) {
            self.released.insert(id);
        }
    }
}
