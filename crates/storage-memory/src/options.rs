//! The options of an in-memory storage.

use std::time::Duration;

/// The options of a [`MemoryStorage`](crate::MemoryStorage).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryOptions {
    /// Timeout for acquiring the locks of a unit of work. After the timeout, the unit of work fails with `Unavailable`.
    /// Default: 2 s.
    pub lock_timeout: Duration,
}

impl Default for MemoryOptions {
    fn default() -> Self {
        Self { lock_timeout: Duration::from_secs(2) }
    }
}
