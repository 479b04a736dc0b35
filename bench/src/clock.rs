//! The clock of the system.

use std::time::{SystemTime, UNIX_EPOCH};

use iam_domain::{Clock, Timestamp};

use crate::Result;

/// The current time, in seconds since 1970.
///
/// # Errors
///
/// When the clock of the system is before 1970.
pub fn now() -> Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}

/// The clock that a storage in memory needs.
#[must_use]
pub fn system_clock() -> Clock {
    Clock::new(|| Timestamp::new(SystemTime::now().into()))
}
