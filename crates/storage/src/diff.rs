//! What a replace has to do, computed once for all adapters.

use std::collections::{BTreeMap, BTreeSet};

use iam_domain::{Action, FeatureId, FeaturePermission, ViewId, ViewPermission};

use crate::{Constraint, Result, StorageError};

/// A cell of a matrix.
pub trait MatrixCell: Clone {
    /// Its place within the level.
    type Key: Ord;
    /// Its place within the level.
    fn key(&self) -> Self::Key;
    /// Whether the other says the same.
    fn says_the_same(&self, other: &Self) -> bool;
    /// This content in the existing row: with its id and its creation time.
    #[must_use]
    fn in_place_of(&self, other: &Self) -> Self;
}

impl MatrixCell for ViewPermission {
    type Key = ViewId;

    fn key(&self) -> ViewId {
        self.view_id
    }

    fn says_the_same(&self, other: &Self) -> bool {
        (self.state, self.modifiable) == (other.state, other.modifiable)
    }

    fn in_place_of(&self, other: &Self) -> Self {
        Self { id: other.id, created_at: other.created_at, ..self.clone() }
    }
}

impl MatrixCell for FeaturePermission {
    type Key = (FeatureId, Action);

    fn key(&self) -> Self::Key {
        (self.feature_id, self.action.clone())
    }

    fn says_the_same(&self, other: &Self) -> bool {
        (self.value, self.scope, self.modifiable) == (other.value, other.scope, other.modifiable)
    }

    fn in_place_of(&self, other: &Self) -> Self {
        Self { id: other.id, created_at: other.created_at, ..self.clone() }
    }
}

/// The changes from the existing cells to the wanted ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatrixDiff<C> {
    /// Rows to remove.
    pub remove: Vec<C>,
    /// Rows to add.
    pub insert: Vec<C>,
    /// Rows to rewrite, with the id of the existing row.
    pub update: Vec<C>,
}

impl<C: MatrixCell> MatrixDiff<C> {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.insert.is_empty() && self.update.is_empty()
    }

    /// Compares the existing cells with the wanted ones.
    ///
    /// # Errors
    ///
    /// `Conflict` when two wanted cells are for one place.
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
                Some(old) if cell.says_the_same(old) => {}
                Some(old) => diff.update.push(cell.in_place_of(old)),
            }
        }
        diff.remove = left.into_values().cloned().collect();
        Ok(diff)
    }
}

/// The changes from the existing ids to the wanted ones; both ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetDiff<T> {
    /// To add.
    pub added: Vec<T>,
    /// To remove.
    pub removed: Vec<T>,
}

impl<T: Ord + Copy> SetDiff<T> {
    /// Compares the existing ids with the wanted ones. A wanted id that is repeated counts once.
    pub fn new(there: impl IntoIterator<Item = T>, wanted: impl IntoIterator<Item = T>) -> Self {
        let there: BTreeSet<T> = there.into_iter().collect();
        let wanted: BTreeSet<T> = wanted.into_iter().collect();
        Self {
            added: wanted.difference(&there).copied().collect(),
            removed: there.difference(&wanted).copied().collect(),
        }
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }
}
