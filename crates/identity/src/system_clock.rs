//! The system clock. This is the only module that reads the current time from the operating system.

use chrono::Utc;
use iam_domain::{Clock, Timestamp};

/// Returns the system clock.
#[must_use]
pub fn system_clock() -> Clock {
    Clock::new(read)
}

#[expect(clippy::disallowed_methods, reason = "no other function reads the system time")]
fn read() -> Timestamp {
    Timestamp::new(Utc::now())
}
