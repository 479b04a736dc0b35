//! Tracks the memory usage of the cache.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the bytes of all live [`Reservation`]s. Each reservation subtracts its bytes when it is dropped.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemoryUsage(Arc<AtomicUsize>);

impl MemoryUsage {
    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn reserve(&self, bytes: usize) -> Reservation {
        self.0.fetch_add(bytes, Ordering::Relaxed);
        Reservation { memory: self.clone(), bytes }
    }
}

/// A number of bytes that count as used until the reservation is dropped (RAII guard).
#[derive(Debug)]
pub(crate) struct Reservation {
    memory: MemoryUsage,
    bytes: usize,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.memory.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
