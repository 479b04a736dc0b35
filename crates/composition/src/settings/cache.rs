//! The settings of what is kept in memory.

use std::num::NonZeroUsize;
use std::time::Duration;

use iam_permissions_cache::{CacheOptions, FillOptions};
use serde::Deserialize;

use super::parse::duration;

/// The settings of what is kept in memory, for how long it is trusted, and what is written for other programs.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheSettings {
    /// The most users, counted in each of their companies, whose permissions are kept.
    pub max_entries: NonZeroUsize,
    /// The approximate limit of bytes of compiled permissions.
    pub max_bytes: NonZeroUsize,
    /// The most users without a level that are remembered as such.
    pub max_non_members: usize,
    /// The most bytes of response bodies that are kept for subjects with the same answers.
    pub max_body_bytes: u64,
    /// How long what is kept is trusted after the last poll of the database: the bound on staleness.
    #[serde(deserialize_with = "duration")]
    pub lease: Duration,
    /// How old a kept entry may be that still answers while the database cannot be reached; such answers state their
    /// age. A value up to the lease changes nothing.
    #[serde(deserialize_with = "duration")]
    pub outage_grace: Duration,
    /// How long a load may take.
    #[serde(deserialize_with = "duration")]
    pub load_timeout: Duration,
    /// How long the rows of effective permissions that other programs read are valid.
    #[serde(deserialize_with = "duration")]
    pub rows_valid_for: Duration,
    /// The most users whose rows are written every two seconds; 0: none are written.
    pub rows_users: usize,
    /// The most users of one company among them.
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
    /// Returns the options of the cache for a database with so many connections: loads take at most half of them.
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

    /// Returns the options of writing effective rows.
    pub(crate) fn fill(&self) -> FillOptions {
        FillOptions {
            valid_for: self.rows_valid_for,
            max_users: self.rows_users,
            max_users_of_company: self.rows_users_of_company,
            ..FillOptions::default()
        }
    }
}
