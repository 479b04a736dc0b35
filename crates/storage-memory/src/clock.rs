//! The clock of a storage, with a resolution of one microsecond. Its ticks are strictly increasing.

use std::sync::atomic::{AtomicI64, Ordering};

use iam_domain::{Clock, Timestamp};

/// A clock whose ticks are strictly increasing, even if the underlying clock stops or is set back.
pub(crate) struct StorageClock {
    clock: Clock,
    /// The latest tick: the last timestamp that [`Self::tick`] returned, in microseconds since 1970.
    latest: AtomicI64,
}

impl StorageClock {
    pub(crate) const fn new(clock: Clock) -> Self {
        Self { clock, latest: AtomicI64::new(0) }
    }

    /// Returns the current time or, if the current time is not after the latest tick, one microsecond after that tick.
    pub(crate) fn tick(&self) -> Timestamp {
        let now = self.clock.now();
        let next = |last: i64| now.micros().max(last.saturating_add(1));
        let update = |last| Some(next(last));
        let (Ok(last) | Err(last)) = self.latest.fetch_update(Ordering::AcqRel, Ordering::Acquire, update);
        Timestamp::from_micros(next(last)).unwrap_or(now)
    }

    /// Returns the current time for comparisons with stored timestamps, without a tick. The result is never before the
    /// latest tick.
    pub(crate) fn read(&self) -> Timestamp {
        let now = self.clock.now();
        Timestamp::from_micros(self.latest.load(Ordering::Acquire)).map_or(now, |last| last.max(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tick_is_later_than_the_previous_one_even_if_the_clock_stops() {
        let start = Timestamp::from_millis(1_700_000_000_000).unwrap();
        let clock = StorageClock::new(Clock::new(move || start));
        let ticks: Vec<_> = (0..10_000).map(|_| clock.tick()).collect();
        assert!(ticks.is_sorted_by(|a, b| a < b));
        assert_eq!((ticks[0], clock.read()), (start, ticks[9_999]));
    }
}
