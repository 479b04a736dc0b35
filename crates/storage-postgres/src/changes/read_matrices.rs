//! The matrices that a unit of work read under its lock, so that replacing one does not read it again.

use std::sync::{Mutex, PoisonError};

use iam_domain::{CompanyId, FeaturePermission, UserLevelId, ViewPermission};

/// The matrices that were read last and not changed since.
#[derive(Debug, Default)]
pub(crate) struct ReadMatrices {
    pub(crate) views: LastRead<ViewPermission>,
    pub(crate) features: LastRead<FeaturePermission>,
}

/// The matrix of one kind that was read last, with its level.
#[derive(Debug)]
pub(crate) struct LastRead<C>(Mutex<Option<(CompanyId, UserLevelId, Vec<C>)>>);

impl<C> Default for LastRead<C> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<C: Clone> LastRead<C> {
    /// Keeps a matrix instead of the one before. An empty one does not prove that the level exists, and is not kept.
    pub(crate) fn keep(&self, company: CompanyId, level: UserLevelId, cells: &[C]) {
        let read = (!cells.is_empty()).then(|| (company, level, cells.to_vec()));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = read;
    }

    /// Takes the matrix if it is that of this level.
    pub(crate) fn take(&mut self, company: CompanyId, level: UserLevelId) -> Option<Vec<C>> {
        let read = self.0.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        read.filter(|(of, id, _)| (*of, *id) == (company, level)).map(|(_, _, cells)| cells)
    }
}
