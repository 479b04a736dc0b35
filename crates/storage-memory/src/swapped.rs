//! A value that changes replace as a whole.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use iam_storage::Result;

/// A value that changes replace as a whole. Readers never wait, and see it as it was before a change or after it.
#[derive(Default)]
pub(crate) struct Swapped<T> {
    current: ArcSwap<T>,
    /// Serializes changes. A std mutex, since a change never waits for anything. Poison is ignored, since a panic in a
    /// change leaves the value as it was.
    writer: Mutex<()>,
}

impl<T: Clone> Swapped<T> {
    pub(crate) fn load(&self) -> Arc<T> {
        self.current.load_full()
    }

    /// Changes a copy, publishes it, and returns what the change returned.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let Ok(answer) = self.try_change(|next| Ok::<R, Infallible>(change(next)));
        answer
    }

    /// Changes a copy and publishes it. If the change fails, the value stays as it was.
    pub(crate) fn try_change<R, E>(&self, change: impl FnOnce(&mut T) -> Result<R, E>) -> Result<R, E> {
        let _one = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = T::clone(&self.current.load());
        let answer = change(&mut next)?;
        self.current.store(Arc::new(next));
        Ok(answer)
    }
}
