//! The cache settings.

use std::num::NonZeroUsize;
use std::time::Duration;

use iam_permissions_cache::{CacheOptions, FillOptions};
use serde::Deserialize;

use super::parse::{duration, number, positive_duration};

/// The settings of the permissions cache and of the effective-permission rows. Effective-permission rows are written to
/// tables that other programs read.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheSettings {
    /// Maximum number of cached users. A user counts once for each company.
    #[serde(deserialize_with = "number")]
    pub max_entries: NonZeroUsize,
    /// Approximate maximum size of the compiled permissions in the cache, in bytes.
    #[serde(deserialize_with = "number")]
    pub max_bytes: NonZeroUsize,
    /// Maximum number of users who are cached as non-members (negative caching).
    #[serde(deserialize_with = "number")]
    pub max_non_members: usize,
    /// Maximum total size of cached response bodies, in bytes. Subjects with the same response share a body.
    #[serde(deserialize_with = "number")]
    pub max_body_bytes: u64,
    /// The lease: the period, counted from the start of the last successful poll, during which cached entries may be
    /// served. The lease bounds staleness.
    #[serde(deserialize_with = "positive_duration")]
    pub lease: Duration,
    /// The outage grace: the maximum staleness of cached entries that are served while the database is unreachable.
    /// Such responses state their age. The value must be greater than the lease to have an effect.
    #[serde(deserialize_with = "duration")]
    pub outage_grace: Duration,
    /// Timeout for a load from the database, and for the requests that wait for this load.
    #[serde(deserialize_with = "positive_duration")]
    pub load_timeout: Duration,
    /// The lifetime of effective-permission rows. The SQL views that other programs read omit expired rows.
    #[serde(deserialize_with = "positive_duration")]
    pub rows_valid_for: Duration,
    /// Maximum number of users whose effective-permission rows are written every two seconds. `0` means that no rows
    /// are written.
    #[serde(deserialize_with = "number")]
    pub rows_users: usize,
    /// Maximum number of users of one company whose effective-permission rows are written every two seconds.
    #[serde(deserialize_with = "number")]
    pub rows_users_of_company: usize,
}

impl Default for CacheSettings {
    fn default() -> Self {
        let (cache, fill) = (CacheOptions::default(), FillOptions::default());
        let at_least_one = |count| NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN);
        Self {
            max_entries: at_least_one(cache.max_entries),
            max_bytes: at_least_one(cache.max_bytes),
            max_non_members: cache.max_non_members,
            max_body_bytes: 64 * 1024 * 1024,
            lease: cache.lease,
            outage_grace: cache.outage_grace,
            load_timeout: cache.load_timeout,
            rows_valid_for: fill.valid_for,
            rows_users: fill.max_users,
            rows_users_of_company: fill.max_users_of_company,
        }
    }
}

impl CacheSettings {
    /// Returns the cache options for a pool with at most `connections` connections. Concurrent loads use at most half
    /// of the connections.
    pub(crate) fn options(&self, connections: u32) -> CacheOptions {
        CacheOptions {
            max_entries: self.max_entries.get(),
            max_bytes: self.max_bytes.get(),
            max_non_members: self.max_non_members,
            lease: self.lease,
            outage_grace: self.outage_grace,
            max_loads: usize::try_from(connections / 2).unwrap_or(usize::MAX).max(1),
            load_timeout: self.load_timeout,
        }
    }

    /// Returns the options for writing effective-permission rows.
    pub(crate) fn fill(&self) -> FillOptions {
        FillOptions {
            valid_for: self.rows_valid_for,
            max_users: self.rows_users,
            max_users_of_company: self.rows_users_of_company,
            ..FillOptions::default()
        }
    }
}
