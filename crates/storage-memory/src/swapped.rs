//! A value with copy-on-write changes and lock-free reads.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use iam_storage::Result;

/// A value with copy-on-write changes: each change replaces the whole value in one atomic swap. Readers never wait.
/// They see the value either before or after a change.
#[derive(Default)]
pub(crate) struct Swapped<T> {
    current: ArcSwap<T>,
    /// Serializes changes. A `std` mutex suffices, because a change contains no `await` while it holds the mutex.
    /// Poisoning is ignored, because a panic in a change leaves the value unchanged.
    writer: Mutex<()>,
}

impl<T: Clone> Swapped<T> {
    /// Creates a value.
    pub(crate) fn new(value: T) -> Self {
        Self { current: ArcSwap::from_pointee(value), writer: Mutex::new(()) }
    }

    pub(crate) fn load(&self) -> Arc<T> {
        self.current.load_full()
    }

    /// Applies a change to a copy of the value, publishes the copy, and returns the result of the change.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let Ok(answer) = self.try_change(|next| Ok::<R, Infallible>(change(next)));
        answer
    }

    /// Applies a change to a copy of the value and publishes the copy. If the change fails, the value is not changed.
    pub(crate) fn try_change<R, E>(&self, change: impl FnOnce(&mut T) -> Result<R, E>) -> Result<R, E> {
        let _one = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = T::clone(&self.current.load());
        let answer = change(&mut next)?;
        self.current.store(Arc::new(next));
        Ok(answer)
    }
}
