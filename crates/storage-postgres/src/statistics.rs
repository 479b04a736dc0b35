//! The calls, errors, durations and rows of each operation in the last minutes, for operators without Prometheus.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use iam_storage::{OperationFigures, RecentOperations};

/// The length of a slot.
const SLOT: Duration = Duration::from_secs(60);
/// The number of slots: the slot of the current minute, and those of the five minutes before it.
const SLOTS: u64 = 6;
/// The number of buckets of durations.
const BUCKETS: usize = 64;
/// The upper bound of the first bucket, in microseconds.
const FIRST_BUCKET: f64 = 100.0;
/// The ratio of the upper bounds of two neighbouring buckets. The last bucket ends after two minutes.
const RATIO: f64 = 1.25;

/// The figures of one operation in one minute.
#[derive(Debug)]
struct Slot {
    minute: u64,
    calls: u64,
    errors: u64,
    rows: u64,
    total: Duration,
    longest: Duration,
    buckets: [u32; BUCKETS],
}

impl Slot {
    const fn new(minute: u64) -> Self {
        Self {
            minute,
            calls: 0,
            errors: 0,
            rows: 0,
            total: Duration::ZERO,
            longest: Duration::ZERO,
            buckets: [0; BUCKETS],
        }
    }
}

/// The slots of one operation.
type Slots = [Slot; SLOTS as usize];

/// The figures of all operations. The names of operations are constants of this crate, so the memory is bounded: two
/// kilobytes for each operation.
#[derive(Debug)]
struct Statistics {
    since: Instant,
    operations: Mutex<HashMap<&'static str, Box<Slots>>>,
}

static STATISTICS: LazyLock<Statistics> = LazyLock::new(|| Statistics::new(Instant::now()));

/// Records a completed call of an operation.
pub(crate) fn record(operation: &'static str, took: Duration, has_failed: bool) {
    STATISTICS.update(Instant::now(), operation, |slot| {
        slot.calls += 1;
        slot.errors += u64::from(has_failed);
        slot.total += took;
        slot.longest = slot.longest.max(took);
        if let Some(count) = slot.buckets.get_mut(bucket(took)) {
            *count = count.saturating_add(1);
        }
    });
}

/// Records rows that a statement of an operation returned or changed.
pub(crate) fn record_rows(operation: &'static str, rows: u64) {
    STATISTICS.update(Instant::now(), operation, |slot| slot.rows += rows);
}

/// Returns the figures of all operations of this process in the last minutes.
#[must_use]
pub fn recent_operations() -> RecentOperations {
    STATISTICS.read(Instant::now())
}

impl Statistics {
    fn new(since: Instant) -> Self {
        Self { since, operations: Mutex::default() }
    }

    /// Returns the number of the minute of `now`.
    fn minute(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.since).as_secs() / SLOT.as_secs()
    }

    fn update(&self, now: Instant, operation: &'static str, change: impl FnOnce(&mut Slot)) {
        let minute = self.minute(now);
        let mut operations = self.lock();
        let slots = operations.entry(operation).or_insert_with(|| Box::new([const { Slot::new(0) }; SLOTS as usize]));
        let number = usize::try_from(minute % SLOTS).unwrap_or_default();
        if let Some(slot) = slots.get_mut(number) {
            if slot.minute != minute {
                *slot = Slot::new(minute);
            }
            change(slot);
        }
    }

    fn read(&self, now: Instant) -> RecentOperations {
        let minute = self.minute(now);
        let age = now.saturating_duration_since(self.since);
        let oldest = minute.saturating_sub(SLOTS - 1);
        let operations = self.lock();
        let mut figures: Vec<_> = operations.iter().filter_map(|(name, slots)| figures(name, slots, oldest)).collect();
        drop(operations);
        figures.sort_unstable_by_key(|figures| figures.operation);
        let skipped = Duration::from_secs(oldest * SLOT.as_secs());
        RecentOperations { window: age.saturating_sub(skipped), operations: figures }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<&'static str, Box<Slots>>> {
        // The lock guards only additions that cannot panic, so the figures are consistent even if it is poisoned.
        self.operations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the sum of the slots since the minute `oldest`. Returns `None` if they contain neither calls nor rows.
fn figures(operation: &'static str, slots: &Slots, oldest: u64) -> Option<OperationFigures> {
    let mut sum = Slot::new(0);
    for slot in slots.iter().filter(|slot| slot.minute >= oldest) {
        sum.calls += slot.calls;
        sum.errors += slot.errors;
        sum.rows += slot.rows;
        sum.total += slot.total;
        sum.longest = sum.longest.max(slot.longest);
        for (count, more) in sum.buckets.iter_mut().zip(slot.buckets) {
            *count = count.saturating_add(more);
        }
    }
    let Slot { calls, errors, rows, total, longest, buckets, .. } = sum;
    let p99 = p99(calls, &buckets).min(longest);
    (calls > 0 || rows > 0).then_some(OperationFigures { operation, calls, errors, rows, total, p99 })
}

/// Returns the number of the bucket of a duration.
fn bucket(took: Duration) -> usize {
    let micros = took.as_secs_f64() * 1e6;
    let number = (micros / FIRST_BUCKET).ln() / RATIO.ln();
    // The conversion saturates: a short duration is in the first bucket.
    (number.ceil() as usize).min(BUCKETS - 1)
}

/// Returns the upper bound of the bucket of the quantile 0.99.
fn p99(calls: u64, buckets: &[u32; BUCKETS]) -> Duration {
    let rank = calls - calls / 100;
    let mut seen = 0;
    for (number, count) in (0_i32..).zip(buckets) {
        seen += u64::from(*count);
        if seen >= rank {
            return Duration::from_secs_f64(FIRST_BUCKET * RATIO.powi(number) / 1e6);
        }
    }
    Duration::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(statistics: &Statistics, now: Instant, micros: u64, rows: u64) {
        statistics.update(now, "a.b", |slot| {
            let took = Duration::from_micros(micros);
            slot.calls += 1;
            slot.rows += rows;
            slot.total += took;
            slot.longest = slot.longest.max(took);
            slot.buckets[bucket(took)] += 1;
        });
    }

    #[test]
    fn the_figures_cover_the_last_minutes_only() {
        let began = Instant::now();
        let statistics = Statistics::new(began);
        let at = |seconds| began + Duration::from_secs(seconds);
        call(&statistics, at(10), 500, 7);
        call(&statistics, at(70), 700, 1);
        let calls = |seconds| statistics.read(at(seconds)).operations.first().map(|figures| figures.calls);
        assert_eq!(calls(80), Some(2));
        assert_eq!(statistics.read(at(80)).window, Duration::from_secs(80));
        assert_eq!(calls(359), Some(2));
        assert_eq!(calls(360), Some(1), "the first minute has left the window");
        assert_eq!(statistics.read(at(370)).window, Duration::from_secs(310));
        assert_eq!(calls(420), None);
        // The slot of the first minute is used again.
        call(&statistics, at(370), 900, 0);
        assert_eq!(calls(371), Some(2));
        let figures = statistics.read(at(371)).operations.remove(0);
        assert_eq!((figures.rows, figures.total), (1, Duration::from_micros(1600)));
    }

    #[test]
    fn the_quantile_is_at_most_a_quarter_too_high() {
        let began = Instant::now();
        let statistics = Statistics::new(began);
        call(&statistics, began, 3_000, 0);
        let p99 = || statistics.read(began).operations[0].p99;
        assert_eq!(p99(), Duration::from_micros(3_000), "no quantile exceeds the longest duration");
        for _ in 0..99 {
            call(&statistics, began, 1_000, 0);
        }
        let (exact, bound) = (Duration::from_millis(1), Duration::from_micros(1250));
        assert!((exact..=bound).contains(&p99()), "{:?}", p99());
        call(&statistics, began, 3_000, 0);
        assert!(p99() >= Duration::from_millis(3));
        for (micros, number) in [(0, 0), (100, 0), (101, 1), (126, 2), (u64::MAX / 2, BUCKETS - 1)] {
            assert_eq!(bucket(Duration::from_micros(micros)), number, "{micros}");
        }
    }
}
