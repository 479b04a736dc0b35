//! Reads the system clock.

use std::time::{SystemTime, UNIX_EPOCH};

use iam_domain::{Clock, Timestamp};

use crate::Result;

/// Returns the current time, in seconds since 1970.
///
/// # Errors
///
/// Returns an error if the system clock is before 1970.
pub fn now() -> Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}

/// Returns the clock for the in-memory storage.
#[must_use]
pub fn system_clock() -> Clock {
    Clock::new(|| Timestamp::new(SystemTime::now().into()))
}
