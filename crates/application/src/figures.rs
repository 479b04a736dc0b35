//! The figures of the process in the last minutes, for people who watch it. The composition root implements
//! [`FigureSource`].

use std::time::Duration;

use iam_domain::Timestamp;
use iam_permissions_cache::CacheStats;
use iam_storage::{PoolUse, RecentOperations};

/// The figures of the process at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures {
    /// The time.
    pub at: Timestamp,
    /// The statistics of the permissions cache. The counters are those since the start of the process.
    pub cache: CacheStats,
    /// The longest time from a change until this process has heard of it, of the changes since the previous figures.
    /// `None` if it has heard of no change.
    pub longest_revocation_delay: Option<Duration>,
    /// The utilization of the database connection pool. `None` with in-memory storage.
    pub pool: Option<PoolUse>,
}

/// The figures of the process in the last minutes.
pub trait FigureSource: Send + Sync {
    /// Returns a name that distinguishes this process from the other replicas.
    fn replica(&self) -> &str;
    /// Returns the figures of the last minutes in equal intervals, oldest first.
    fn history(&self) -> Vec<Figures>;
    /// Returns the figures of the storage operations. There are none with in-memory storage.
    fn operations(&self) -> RecentOperations;
}
