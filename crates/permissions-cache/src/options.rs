//! The options of the cache.

use std::time::Duration;

/// The size limits of the cache, the bounds on staleness, and the limits of loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheOptions {
    /// Maximum number of cached members (users who hold levels). A user counts once per company.
    pub max_entries: usize,
    /// Approximate maximum memory usage of the cache, in bytes.
    pub max_bytes: usize,
    /// Maximum number of cached non-members (users without a level; negative caching). The separate limit prevents
    /// requests for random user ids from evicting members.
    pub max_non_members: usize,
    /// Duration of the lease: the period during which cached data may be served without a query, counted from the start
    /// of the last successful poll. It is the upper bound on staleness while the database is available.
    pub lease: Duration,
    /// Maximum age of cached data that may be served while the database is unavailable (stale-if-error), counted from
    /// the start of the last successful poll. An [`Access`](crate::Access) then reports its age. If the maximum age is
    /// zero, requests fail during an outage (fail closed).
    pub outage_grace: Duration,
    /// Maximum number of concurrent loads of permissions and menus. Recommended: half of the database connections.
    /// Polling uses at most one further connection, and so does loading credentials.
    pub max_loads: usize,
    /// Timeout of each load, of each poll, and of each request that waits for a load or a poll.
    pub load_timeout: Duration,
}

impl Default for CacheOptions {
    /// Returns the default options: at most 100,000 members, 256 MiB and 4,096 non-members, a lease of 2 seconds, no
    /// outage grace, and at most 5 concurrent loads with a timeout of 5 seconds.
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
