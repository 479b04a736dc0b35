//! Helpers for all parts of the soak test.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A result whose error is a boxed error of any type.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Locks a mutex and ignores poisoning.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
