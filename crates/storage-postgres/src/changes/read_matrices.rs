//! A cache of the matrices that a unit of work has read while it holds the lock of its target. With this cache, the
//! unit can replace a matrix without reading it again.

use std::sync::{Mutex, PoisonError};

use iam_domain::{CompanyId, FeaturePermission, UserLevelId, ViewPermission};

/// The view matrix and the feature matrix that a unit of work read most recently. Each mutation of the unit clears
/// both.
#[derive(Debug, Default)]
pub(crate) struct ReadMatrices {
    pub(crate) views: LastRead<ViewPermission>,
    pub(crate) features: LastRead<FeaturePermission>,
}

/// The most recently read matrix (of views or of features), with its company and level.
#[derive(Debug)]
pub(crate) struct LastRead<C>(Mutex<Option<(CompanyId, UserLevelId, Vec<C>)>>);

impl<C> Default for LastRead<C> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<C: Clone> LastRead<C> {
    /// Caches a matrix in place of the previous one. An empty matrix is not cached, because the level may not exist.
    pub(crate) fn keep(&self, company: CompanyId, level: UserLevelId, cells: &[C]) {
        let read = (!cells.is_empty()).then(|| (company, level, cells.to_vec()));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = read;
    }

    /// Removes the cached matrix from the cache. Returns the matrix if it belongs to this level, and otherwise `None`.
    pub(crate) fn take(&mut self, company: CompanyId, level: UserLevelId) -> Option<Vec<C>> {
        let read = self.0.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        read.filter(|(of, id, _)| (*of, *id) == (company, level)).map(|(_, _, cells)| cells)
    }
}
