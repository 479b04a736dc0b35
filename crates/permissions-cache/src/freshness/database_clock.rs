//! The database's clock, as far as this process knows it. It determines when assignments start and end.

use std::sync::atomic::{AtomicI64, Ordering};

use iam_domain::Timestamp;

use crate::freshness::clock::Moment;

/// The number of microseconds by which a moment may be later than its value, which is truncated to milliseconds.
const TRUNCATED: i64 = 1000;

/// The value for a clock that no poll has measured yet.
const UNKNOWN: i64 = i64::MAX;

/// An upper bound of the database's clock. Each poll measures the clock: the database read it after the poll was sent, so
/// the clock was at most at the reported time when the poll was sent. The bound exceeds the clock by at most the duration
/// of the poll and a millisecond. Between two polls, it also deviates by the drift between both clocks.
#[derive(Debug)]
pub(crate) struct DatabaseClock {
    /// The difference between the bound and the local clock, in microseconds, or [`UNKNOWN`].
    ahead: AtomicI64,
}

impl Default for DatabaseClock {
    fn default() -> Self {
        Self { ahead: AtomicI64::new(UNKNOWN) }
    }
}

impl DatabaseClock {
    /// Records the time that a poll reported. The poll was sent at `sent`.
    pub(crate) fn measured(&self, now: Timestamp, sent: Moment) {
        let ahead = now.micros().saturating_add(TRUNCATED).saturating_sub(micros(sent));
        self.ahead.store(ahead, Ordering::Release);
    }

    /// Returns `true` if the database's clock may have reached `until`, in microseconds since the Unix epoch. Returns
    /// `false` for `i64::MAX`, which stands for never.
    #[inline]
    pub(crate) fn may_have_reached(&self, until: i64) -> bool {
        until != i64::MAX && self.bound(Moment::now()) >= until
    }

    fn bound(&self, at: Moment) -> i64 {
        self.ahead.load(Ordering::Acquire).saturating_add(micros(at))
    }
}

fn micros(moment: Moment) -> i64 {
    i64::try_from(moment.as_millis()).unwrap_or(i64::MAX).saturating_mul(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_counted_from_the_time_at_which_the_poll_was_sent() {
        let clock = DatabaseClock::default();
        assert!(clock.may_have_reached(5) && !clock.may_have_reached(i64::MAX));
        clock.measured(Timestamp::from_micros(70_000_000).unwrap(), Moment::from_millis(3_000));
        assert_eq!(clock.bound(Moment::from_millis(3_000)), 70_001_000);
        assert_eq!(clock.bound(Moment::from_millis(3_250)), 70_251_000);
    }
}
