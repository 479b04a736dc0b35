//! The outcome of the reads of an issuer's keys, as operators see it.

use std::time::Duration;

use iam_domain::Timestamp;

/// The reads of a key set, as operators see them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reads {
    /// The time of the latest read that succeeded. `None` if no read has succeeded yet.
    pub succeeded_at: Option<Timestamp>,
    /// The time of the latest read that failed, with the kind of its failure. A read that finds no usable key counts as
    /// failed. `None` if no read has failed.
    pub failed_at: Option<(Timestamp, &'static str)>,
    /// The interval between periodic reads.
    pub interval: Duration,
}

impl Reads {
    /// Returns the time at which the next periodic read is due. Returns `None` if there was no read yet.
    #[must_use]
    pub fn next_at(&self) -> Option<Timestamp> {
        let failed_at = self.failed_at.map(|(at, _)| at);
        Some(self.succeeded_at.max(failed_at)?.plus(self.interval))
    }

    /// Returns the time for which the keys have not been read successfully. Returns `None` if they never were.
    #[must_use]
    pub fn age(&self, now: Timestamp) -> Option<Duration> {
        let micros = now.micros().saturating_sub(self.succeeded_at?.micros());
        Some(Duration::from_micros(u64::try_from(micros).unwrap_or_default()))
    }

    /// Returns `true` if the latest read failed.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.failed_at.is_some_and(|(at, _)| Some(at) >= self.succeeded_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000).unwrap()
    }

    #[test]
    fn the_next_read_follows_the_latest_one() {
        let interval = Duration::from_secs(60);
        let reads = Reads { interval, ..Reads::default() };
        assert_eq!((reads.next_at(), reads.age(at(5)), reads.is_failing()), (None, None, false));
        let reads = Reads { succeeded_at: Some(at(100)), ..reads };
        assert_eq!((reads.next_at(), reads.age(at(107))), (Some(at(160)), Some(Duration::from_secs(7))));
        let reads = Reads { failed_at: Some((at(160), "slow")), ..reads };
        assert_eq!((reads.next_at(), reads.is_failing()), (Some(at(220)), true));
        let reads = Reads { succeeded_at: Some(at(220)), ..reads };
        assert_eq!((reads.next_at(), reads.is_failing()), (Some(at(280)), false));
    }
}
