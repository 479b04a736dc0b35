//! The clock of the operating system: the one place that reads the time of day.

use chrono::Utc;
use iam_domain::{Clock, Timestamp};

/// Returns the clock of the operating system.
#[must_use]
pub fn system_clock() -> Clock {
    Clock::new(read)
}

#[expect(clippy::disallowed_methods, reason = "every service gets this clock")]
fn read() -> Timestamp {
    Timestamp::new(Utc::now())
}
