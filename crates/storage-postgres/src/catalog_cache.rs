//! The catalog cache of a process.

use std::sync::{Arc, Mutex, PoisonError};

use iam_domain::Catalog;
use iam_storage::StateId;

/// The most recently loaded catalog, with the version and stamp that identify its state. A statement that loads a
/// snapshot passes the version and the stamp to the database. If neither has changed, the result omits the catalog
/// (like a 304 response to a conditional HTTP request).
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
