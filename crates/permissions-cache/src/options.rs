//! The bounds of the cache.

use std::time::Duration;

/// How much is kept, and how long it is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheOptions {
    /// The most users that are kept, counted in each of their companies.
    pub max_entries: usize,
    /// The approximate limit of bytes that are kept.
    pub max_bytes: usize,
    /// The most users without a level that are kept, so that requests about invented users cannot fill the cache.
    pub max_non_members: usize,
    /// How long what is kept is trusted after the last proof that no change was missed: the hard bound on staleness.
    pub lease: Duration,
    /// How long after that proof what is kept still answers while the store is unavailable; such answers state their
    /// age. Zero: not at all.
    pub outage_grace: Duration,
    /// The most concurrent loads. Half of the connections is a good number; polls use one more.
    pub max_loads: usize,
    /// How long a load may take, and how long a request waits for one.
    pub load_timeout: Duration,
}

impl Default for CacheOptions {
    /// 100,000 users, 256 MiB, 4,096 non-members, a lease of 2 seconds, no grace, 5 concurrent loads of 5 seconds each.
    fn default() -> Self {
        Self {
            max_entries: 100_000,
            max_bytes: 256 * 1024 * 1024,
            max_non_members: 4096,
            lease: Duration::from_secs(2),
            outage_grace: Duration::ZERO,
            max_loads: 5,
            load_timeout: Duration::from_secs(5),
        }
    }
}
