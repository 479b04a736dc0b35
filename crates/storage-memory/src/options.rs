//! How a storage in memory behaves.

use std::time::Duration;

/// How a [`MemoryStorage`](crate::MemoryStorage) behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryOptions {
    /// How long a change waits to begin while others are under way.
    pub lock_timeout: Duration,
}

impl Default for MemoryOptions {
    fn default() -> Self {
        Self { lock_timeout: Duration::from_secs(2) }
    }
}
