//! Helpers for all parts of the soak test.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A result with any error.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Returns the content of a mutex, even if a task panicked while holding it.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
