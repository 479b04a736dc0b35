//! What bounds the cache.

use std::time::Duration;

/// How much is kept, and how long it is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheOptions {
    /// The most users (of a company) that are kept.
    pub max_entries: usize,
    /// About the most bytes that are kept.
    pub max_bytes: usize,
    /// The most users without a level that are kept: nobody can fill the cache with inventions.
    pub max_non_members: usize,
    /// How long what is kept is trusted after the last proof that no change was missed: the hard bound on staleness.
    pub lease: Duration,
    /// How long after that proof what is kept is still answered while the store cannot be asked; such answers say how old
    /// they are. Zero: not at all.
    pub outage_grace: Duration,
    /// The most loads at once. Half of the connections is a good number; one more is used to compare versions.
    pub max_loads: usize,
    /// How long a load may take, and how long a request waits for one.
    pub load_timeout: Duration,
}

impl Default for CacheOptions {
    /// 100,000 users, 256 MiB, 4,096 non_members, a lease of 2 seconds, no grace, 5 loads at once of 5 seconds each.
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
