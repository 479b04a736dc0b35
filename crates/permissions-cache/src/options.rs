//! The limits of the cache.

use std::time::Duration;

/// The limits of the cache, and how long cached data is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheOptions {
    /// Maximum number of cached users who hold levels. A user counts once for each company.
    pub max_entries: usize,
    /// Maximum memory of the cache in bytes, approximately.
    pub max_bytes: usize,
    /// Maximum number of cached users without a level, so that requests about invented users cannot fill the cache.
    pub max_non_members: usize,
    /// How long cached data is trusted after the last proof that no change was missed. This is the upper bound on
    /// staleness.
    pub lease: Duration,
    /// How long after that proof cached data may still be used while the store is unavailable. Such results carry their
    /// age. Zero disables it.
    pub outage_grace: Duration,
    /// Maximum number of concurrent loads. Recommended: half of the database connections. Polls use one more
    /// connection.
    pub max_loads: usize,
    /// Timeout of a load, and of each request's wait for a load.
    pub load_timeout: Duration,
}

impl Default for CacheOptions {
    /// 100,000 users, 256 MiB, 4,096 non-members, a lease of 2 seconds, no outage grace, 5 concurrent loads with a
    /// timeout of 5 seconds.
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
