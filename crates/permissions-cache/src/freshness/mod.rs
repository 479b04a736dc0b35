//! The latest known versions of the catalog, the credentials and the companies, and the lease that bounds the staleness
//! of cached data.

use std::time::Duration;

pub(crate) mod clock;
pub(crate) mod database_clock;
pub(crate) mod lease;
#[cfg(test)]
mod model;
pub(crate) mod ticket;
pub(crate) mod tracker;

/// How up to date the cached data is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Freshness {
    /// The time since the start of the last poll that confirmed the cached data. `None` before the first such poll.
    pub age: Option<Duration>,
    /// The time until the lease expires. Zero if it has expired or was revoked.
    pub lease_remaining: Duration,
    /// The maximum age of cached data that may be served: the lease, or the outage grace if it is longer.
    pub served_for: Duration,
    /// `true` if the latest completed poll failed.
    pub is_poll_failing: bool,
}

impl Freshness {
    /// Returns `true` if the age of the cached data permits to serve it.
    #[must_use]
    pub fn is_served(&self) -> bool {
        self.age.is_some_and(|age| age < self.served_for)
    }
}
