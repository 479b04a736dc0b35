//! The key that signs cursors, in the memory of the process.

use std::sync::{PoisonError, RwLock};

use iam_storage::CursorKey;

/// The key that signs cursors, once it has been read from the storage.
#[derive(Debug, Default)]
pub(crate) struct KnownCursorKey(RwLock<Option<CursorKey>>);

impl KnownCursorKey {
    pub(crate) fn get(&self) -> Option<CursorKey> {
        *self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self, key: CursorKey) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(key);
    }
}
