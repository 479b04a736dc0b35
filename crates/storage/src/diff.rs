//! The differences between the stored and the requested elements of a set or matrix, computed identically for all
//! adapters.

use std::collections::{BTreeMap, BTreeSet};

use iam_domain::{Action, FeatureId, FeaturePermission, ViewId, ViewPermission};

use crate::{Constraint, Result, StorageError};

/// A cell of a permission matrix.
pub trait MatrixCell: Clone {
    /// The position of a cell in the matrix of its level.
    type Key: Ord;
    /// Returns the position of the cell in the matrix of its level.
    fn key(&self) -> Self::Key;
    /// Returns `true` if both cells have the same content. Ids and timestamps are ignored.
    fn has_same_content(&self, other: &Self) -> bool;
    /// Returns this cell with the id and the creation time of the existing cell `other`.
    #[must_use]
    fn with_identity_of(&self, other: &Self) -> Self;
}

impl MatrixCell for ViewPermission {
    type Key = ViewId;

    fn key(&self) -> ViewId {
        self.view_id
    }

    fn has_same_content(&self, other: &Self) -> bool {
        (self.state, self.modifiable) == (other.state, other.modifiable)
    }

    fn with_identity_of(&self, other: &Self) -> Self {
        Self { id: other.id, created_at: other.created_at, ..self.clone() }
    }
}

impl MatrixCell for FeaturePermission {
    type Key = (FeatureId, Action);

    fn key(&self) -> Self::Key {
        (self.feature_id, self.action.clone())
    }

    fn has_same_content(&self, other: &Self) -> bool {
        (self.value, self.scope, self.modifiable) == (other.value, other.scope, other.modifiable)
    }

    fn with_identity_of(&self, other: &Self) -> Self {
        Self { id: other.id, created_at: other.created_at, ..self.clone() }
    }
}

/// The changes that turn the existing cells of a matrix into the requested cells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatrixDiff<C> {
    /// Cells to remove.
    pub remove: Vec<C>,
    /// Cells to add.
    pub insert: Vec<C>,
    /// Cells to update. Each of them has the id and the creation time of the existing cell.
    pub update: Vec<C>,
}

impl<C: MatrixCell> MatrixDiff<C> {
    /// Returns `true` if nothing has to be changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.insert.is_empty() && self.update.is_empty()
    }

    /// Computes the changes that turn the existing cells `there` into the requested cells `wanted`.
    ///
    /// # Errors
    ///
    /// Returns `Conflict` if two requested cells have the same position.
    pub fn new(there: &[C], wanted: &[C]) -> Result<Self> {
        let mut left: BTreeMap<C::Key, &C> = there.iter().map(|cell| (cell.key(), cell)).collect();
        let mut places = BTreeSet::new();
        let mut diff = Self { remove: Vec::new(), insert: Vec::new(), update: Vec::new() };
        for cell in wanted {
            if !places.insert(cell.key()) {
                return Err(StorageError::conflict(Constraint::Duplicate));
            }
            match left.remove(&cell.key()) {
                None => diff.insert.push(cell.clone()),
                Some(old) if cell.has_same_content(old) => {}
                Some(old) => diff.update.push(cell.with_identity_of(old)),
            }
        }
        diff.remove = left.into_values().cloned().collect();
        Ok(diff)
    }
}

/// The changes that turn the existing ids into the requested ids. Both lists are in ascending order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetDiff<T> {
    /// Ids to add.
    pub added: Vec<T>,
    /// Ids to remove.
    pub removed: Vec<T>,
}

impl<T: Ord + Copy> SetDiff<T> {
    /// Computes the changes that turn the existing ids `there` into the requested ids `wanted`. Duplicate ids are
    /// ignored.
    pub fn new(there: impl IntoIterator<Item = T>, wanted: impl IntoIterator<Item = T>) -> Self {
        let there: BTreeSet<T> = there.into_iter().collect();
        let wanted: BTreeSet<T> = wanted.into_iter().collect();
        Self {
            added: wanted.difference(&there).copied().collect(),
            removed: there.difference(&wanted).copied().collect(),
        }
    }

    /// Returns `true` if nothing has to be changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }
}
