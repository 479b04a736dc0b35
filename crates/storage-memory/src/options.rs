//! The options of a storage in memory.

use std::time::Duration;

/// The options of a [`MemoryStorage`](crate::MemoryStorage).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryOptions {
    /// The longest time for which a unit of work waits for its locks before it fails with `Unavailable`: 2 s by
    /// default.
    pub lock_timeout: Duration,
}

impl Default for MemoryOptions {
    fn default() -> Self {
        Self { lock_timeout: Duration::from_secs(2) }
    }
}
