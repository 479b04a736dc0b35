//! The cached catalog of a process.

use std::sync::{Arc, Mutex, PoisonError};

use iam_domain::Catalog;
use iam_storage::StateId;

/// The catalog that was read last, with its state. A statement passes the state to the database, which omits the
/// catalog from the row if the state is still current.
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
