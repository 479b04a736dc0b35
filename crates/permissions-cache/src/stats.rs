//! The statistics of the cache.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::freshness::clock::Moment;

/// A striped counter that many threads can increment with little contention.
#[derive(Debug, Default)]
pub(crate) struct Counter([Stripe; 16]);

/// One stripe of a counter, aligned to separate CPU cache lines to prevent false sharing.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe(AtomicU64);

static NEXT_STRIPE: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static STRIPE: Cell<Option<usize>> = const { Cell::new(None) };
}

impl Counter {
    #[inline]
    pub(crate) fn add(&self, count: u64) {
        let stripe = STRIPE.get().unwrap_or_else(|| {
            let stripe = NEXT_STRIPE.fetch_add(1, Ordering::Relaxed) % 16;
            STRIPE.set(Some(stripe));
            stripe
        });
        if let Some(Stripe(count_of)) = self.0.get(stripe) {
            count_of.fetch_add(count, Ordering::Relaxed);
        }
    }

    fn sum(&self) -> u64 {
        self.0.iter().map(|Stripe(count)| count.load(Ordering::Relaxed)).sum()
    }
}

/// The counters of the cache.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) hits: Counter,
    pub(crate) misses: Counter,
    pub(crate) confirmations: Counter,
    pub(crate) polls: Counter,
    pub(crate) loads: Counter,
    pub(crate) failed_loads: Counter,
    pub(crate) evictions: Counter,
    pub(crate) invalidations: Counter,
    /// The longest delay of a change since it was last taken, in nanoseconds. Zero if there was none.
    longest_delay: AtomicU64,
}

impl Counters {
    /// Records the time from a change until this replica has heard of it.
    pub(crate) fn delayed(&self, delay: Duration) {
        let nanos = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX).max(1);
        self.longest_delay.fetch_max(nanos, Ordering::Relaxed);
    }

    /// Returns the longest recorded delay since the previous call. Returns `None` if there was none.
    pub(crate) fn take_longest_delay(&self) -> Option<Duration> {
        let nanos = self.longest_delay.swap(0, Ordering::Relaxed);
        (nanos > 0).then(|| Duration::from_nanos(nanos))
    }

    /// Returns the values of the counters, and the age of the cached data: the time since the start of the last poll
    /// that confirmed it. The other fields are zero.
    pub(crate) fn read(&self, confirmed: Moment) -> CacheStats {
        CacheStats {
            hits: self.hits.sum(),
            misses: self.misses.sum(),
            confirmations: self.confirmations.sum(),
            polls: self.polls.sum(),
            loads: self.loads.sum(),
            failed_loads: self.failed_loads.sum(),
            evictions: self.evictions.sum(),
            invalidations: self.invalidations.sum(),
            age: (confirmed > Moment::NEVER).then(|| Moment::now().since(confirmed)),
            ..CacheStats::default()
        }
    }
}

/// A snapshot of the cache's statistics. Counters start at zero when the process starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheStats {
    /// Number of requests that were served from the cache, without a database query.
    pub hits: u64,
    /// Number of requests that had to wait for a load or a poll.
    pub misses: u64,
    /// Number of times that a request waited for a poll, because the lease had expired or the cached data was not
    /// confirmed for another reason. Concurrent requests share a poll.
    pub confirmations: u64,
    /// Number of polls for changes, including those that no request waited for.
    pub polls: u64,
    /// Number of loads of users, catalogs, menus and credentials, including failed loads.
    pub loads: u64,
    /// Number of failed loads.
    pub failed_loads: u64,
    /// Number of entries that were evicted because the cache exceeded its limits.
    pub evictions: u64,
    /// Number of changes that invalidated cached data.
    pub invalidations: u64,
    /// Number of cached users who hold levels, or held levels at some time since they were cached.
    pub members: usize,
    /// Number of cached users without a level (negative caching).
    pub non_members: usize,
    /// Number of tracked companies: those with cached data or a load in progress.
    pub companies: usize,
    /// Number of cached compiled permission sets, one for each distinct set of levels of a company.
    pub sets: usize,
    /// Approximate memory usage of the whole cache, in bytes.
    pub bytes: usize,
    /// The age of the cached data: the time since the start of the last poll that confirmed it. `None` before the first
    /// such poll.
    pub age: Option<Duration>,
    /// The time until the lease expires. Zero if it has expired or was revoked.
    pub lease_remaining: Duration,
}

impl CacheStats {
    /// Publishes the values as metrics.
    pub fn publish(&self) {
        let counters = [
            ("iam_cache_hits_total", self.hits),
            ("iam_cache_misses_total", self.misses),
            ("iam_cache_confirmations_total", self.confirmations),
            ("iam_cache_polls_total", self.polls),
            ("iam_cache_loads_total", self.loads),
            ("iam_cache_failed_loads_total", self.failed_loads),
            ("iam_cache_evictions_total", self.evictions),
            ("iam_cache_invalidations_total", self.invalidations),
        ];
        for (name, count) in counters {
            metrics::counter!(name).absolute(count);
        }
        let gauges = [
            ("iam_cache_members", self.members),
            ("iam_cache_non_members", self.non_members),
            ("iam_cache_companies", self.companies),
            ("iam_cache_sets", self.sets),
            ("iam_cache_bytes", self.bytes),
        ];
        for (name, value) in gauges {
            metrics::gauge!(name).set(f64::from(u32::try_from(value).unwrap_or(u32::MAX)));
        }
        if let Some(age) = self.age {
            metrics::gauge!("iam_cache_age_seconds").set(age.as_secs_f64());
        }
        metrics::gauge!("iam_cache_lease_remaining_seconds").set(self.lease_remaining.as_secs_f64());
    }
}
