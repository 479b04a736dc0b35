//! The ids of rows, each of which is used once in all companies.

use std::collections::BTreeSet;

use iam_storage::{Constraint, Result};
use imbl::HashSet;
use uuid::Uuid;

use crate::constraints::refuse_if;

/// A row by its table and id.
pub(crate) type RowId = (RowKind, Uuid);

/// The kinds of rows that live in companies and have ids of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum RowKind {
    UserLevels,
    ViewPermissions,
    FeaturePermissions,
    MenuItems,
    SubMenuItems,
    AuditLogs,
}

/// The ids of all rows that live in companies: an id is used once, whichever company uses it.
#[derive(Clone, Default)]
pub(crate) struct RowIds(HashSet<RowId>);

impl RowIds {
    /// Records the ids of a unit of work. Another unit may have taken one of them meanwhile: `Conflict`.
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

/// The ids that a unit of work took and returned.
#[derive(Default)]
pub(crate) struct IdChanges {
    taken: BTreeSet<RowId>,
    released: BTreeSet<RowId>,
}

impl IdChanges {
    /// Takes an id that is unused, or that was returned.
    pub(crate) fn take(&mut self, id: RowId, used: &RowIds) -> Result<()> {
        if self.released.remove(&id) {
            return Ok(());
        }
        refuse_if(used.0.contains(&id) || !self.taken.insert(id), Constraint::Duplicate)
    }

    /// Takes an id that was made in this unit, or taken before.
    pub(crate) fn add(&mut self, id: RowId) {
        self.taken.insert(id);
    }

    pub(crate) fn release(&mut self, id: RowId) {
        if !self.taken.remove(&id) {
            self.released.insert(id);
        }
    }
}
