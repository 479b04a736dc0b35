//! The clock of a storage, in microseconds. Each tick has a different time.

use std::sync::atomic::{AtomicI64, Ordering};

use iam_domain::Timestamp;

/// A clock that stores its latest tick, in microseconds since 1970.
#[derive(Default)]
pub(crate) struct Clock(AtomicI64);

impl Clock {
    /// Returns the current time, but always a later time than all earlier ticks.
    pub(crate) fn tick(&self) -> Timestamp {
        let now = system_time();
        let next = |last: i64| now.micros().max(last.saturating_add(1));
        let update = |last| Some(next(last));
        let (Ok(last) | Err(last)) = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, update);
        Timestamp::from_micros(next(last)).unwrap_or(now)
    }

    /// Returns the current time for comparisons: it is never before the latest tick.
    pub(crate) fn read(&self) -> Timestamp {
        let now = system_time();
        Timestamp::from_micros(self.0.load(Ordering::Acquire)).map_or(now, |last| last.max(now))
    }
}

#[expect(clippy::disallowed_methods, reason = "the storage's clock")]
fn system_time() -> Timestamp {
    Timestamp::new(chrono::Utc::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tick_is_later_than_the_one_before() {
        let clock = Clock::default();
        let ticks: Vec<_> = (0..10_000).map(|_| clock.tick()).collect();
        assert!(ticks.is_sorted_by(|a, b| a < b));
        assert!(clock.read() >= ticks[9_999]);
    }
}
