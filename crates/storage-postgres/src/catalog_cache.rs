//! The catalog that a process has cached.

use std::sync::{Arc, Mutex, PoisonError};

use iam_domain::Catalog;
use iam_storage::StateId;

/// The most recently loaded catalog, with the version and stamp that identify its state. Each statement passes both to
/// the database, which omits the catalog from the result if neither has changed (like a conditional request with an
/// ETag).
#[derive(Debug, Default)]
pub(crate) struct CatalogCache(Mutex<Option<(StateId, Arc<Catalog>)>>);

impl CatalogCache {
    pub(crate) fn get(&self) -> Option<(StateId, Arc<Catalog>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set(&self, state: StateId, catalog: &Arc<Catalog>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((state, Arc::clone(catalog)));
    }
}
