//! A token bucket per key: the generic cell rate algorithm, with costs.
//!
//! An operation is admitted if the bucket has at least one token, and then takes as many tokens as it costs. The bucket
//! may thereby go into debt, which later operations wait for. Therefore, an operation may cost more than the bucket can
//! hold, and its cost need not be known before it is admitted. The crate `governor` has neither of these properties.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quick_cache::sync::Cache;

/// Maximum number of keys with a bucket. If there are more, the buckets that were used least are removed; their keys
/// start with a full bucket again.
const MAX_KEYS: usize = 20_000;
/// The time in which an empty bucket fills up, in seconds. It determines the burst.
const BURST_SECONDS: u32 = 5;

/// A sustained rate and a burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Sustained rate, in units per second.
    pub per_second: NonZeroU32,
    /// Maximum number of units at once.
    pub burst: NonZeroU32,
}

impl Rate {
    /// Creates a rate whose burst is the number of units in five seconds.
    #[must_use]
    pub const fn per_second(per_second: NonZeroU32) -> Self {
        let burst = per_second.saturating_mul(NonZeroU32::MIN.saturating_add(BURST_SECONDS - 1));
        Self { per_second, burst }
    }

    /// Creates a rate of this number of units per hour. The units of one hour may be used at once.
    #[must_use]
    pub fn per_hour(units: NonZeroU32) -> Self {
        let per_second = NonZeroU32::new(units.get() / 3600).unwrap_or(NonZeroU32::MIN);
        Self { per_second, burst: units }
    }

    /// Returns the time in which one unit becomes available, in nanoseconds.
    fn interval(self) -> u64 {
        (1_000_000_000 / u64::from(self.per_second.get())).max(1)
    }
}

/// The state of a bucket after an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remaining {
    /// The rate of the bucket.
    pub rate: Rate,
    /// The number of units that are available now.
    pub units: u32,
    /// The time after which the bucket is full.
    pub full_after: Duration,
}

/// The refusal of an operation, because the bucket of its key is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Empty {
    /// The time after which the operation can be admitted.
    pub retry_after: Duration,
}

/// A token bucket for each key. At most 20,000 keys have a bucket; if there are more, the buckets that were used least are
/// removed.
pub struct Buckets<K> {
    started: Instant,
    /// The time at which the bucket of each key is full, in nanoseconds since `started`.
    full_at: Cache<K, Arc<AtomicU64>>,
}

impl<K> std::fmt::Debug for Buckets<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Buckets").finish_non_exhaustive()
    }
}

impl<K: Hash + Eq + Clone> Default for Buckets<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Hash + Eq + Clone> Buckets<K> {
    /// Creates buckets that are full.
    #[must_use]
    pub fn new() -> Self {
        Self { started: Instant::now(), full_at: Cache::new(MAX_KEYS) }
    }

    /// Takes `cost` units from the bucket of `key`, if it has at least one. The bucket may go into debt.
    ///
    /// # Errors
    ///
    /// Returns [`Empty`] if the bucket has less than one unit.
    pub fn take(&self, key: &K, rate: Rate, cost: u32) -> Result<Remaining, Empty> {
        self.take_at(self.now(), key, rate, cost)
    }

    /// Takes `cost` units from the bucket of `key`, even if it is empty.
    pub fn charge(&self, key: &K, rate: Rate, cost: u32) {
        let (now, bucket) = (self.now(), self.bucket(key));
        let after = |full_at: u64| Some(full_at.max(now).saturating_add(rate.interval().saturating_mul(cost.into())));
        let _ = bucket.fetch_update(Ordering::Relaxed, Ordering::Relaxed, after);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn bucket(&self, key: &K) -> Arc<AtomicU64> {
        match self.full_at.get(key) {
            Some(bucket) => bucket,
            None => {
                let create = || Ok::<_, std::convert::Infallible>(Arc::default());
                self.full_at.get_or_insert_with(key, create).unwrap_or_default()
            }
        }
    }

    fn take_at(&self, now: u64, key: &K, rate: Rate, cost: u32) -> Result<Remaining, Empty> {
        let bucket = self.bucket(key);
        let interval = rate.interval();
        let capacity = interval.saturating_mul(rate.burst.get().into());
        let mut full_at = bucket.load(Ordering::Relaxed);
        loop {
            let used = full_at.saturating_sub(now);
            let needed = used.saturating_add(interval).saturating_sub(capacity);
            if needed > 0 {
                return Err(Empty { retry_after: Duration::from_nanos(needed) });
            }
            let used = used.saturating_add(interval.saturating_mul(cost.into()));
            let after = now.saturating_add(used);
            match bucket.compare_exchange_weak(full_at, after, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => {
                    let units = capacity.saturating_sub(used) / interval;
                    let units = u32::try_from(units).unwrap_or(u32::MAX);
                    return Ok(Remaining { rate, units, full_after: Duration::from_nanos(used) });
                }
                Err(actual) => full_at = actual,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(per_second: u32, burst: u32) -> Rate {
        Rate { per_second: NonZeroU32::new(per_second).unwrap(), burst: NonZeroU32::new(burst).unwrap() }
    }

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn each_key_has_a_burst_and_then_the_rate() {
        let (buckets, rate) = (Buckets::new(), rate(10, 3));
        for units in [2, 1, 0] {
            assert_eq!(buckets.take_at(SECOND, &1, rate, 1).unwrap().units, units);
        }
        let refused = buckets.take_at(SECOND, &1, rate, 1).unwrap_err();
        assert_eq!(refused.retry_after, Duration::from_millis(100));
        assert!(buckets.take_at(SECOND, &2, rate, 1).is_ok());
        assert!(buckets.take_at(SECOND + SECOND / 10, &1, rate, 1).is_ok());
        assert!(buckets.take_at(SECOND + SECOND / 10, &1, rate, 1).is_err());
    }

    #[test]
    fn an_expensive_operation_goes_into_debt() {
        let (buckets, rate) = (Buckets::new(), rate(10, 5));
        let after = buckets.take_at(0, &1, rate, 25).unwrap();
        assert_eq!((after.units, after.full_after), (0, Duration::from_millis(2500)));
        assert_eq!(buckets.take_at(0, &1, rate, 1).unwrap_err().retry_after, Duration::from_millis(2100));
        assert!(buckets.take_at(2 * SECOND + SECOND / 10, &1, rate, 1).is_ok());
    }

    #[test]
    fn an_idle_key_saves_no_more_than_its_burst() {
        let (buckets, rate) = (Buckets::new(), rate(10, 5));
        buckets.take_at(0, &1, rate, 1).unwrap();
        assert_eq!(buckets.take_at(1000 * SECOND, &1, rate, 1).unwrap().units, 4);
    }
}
