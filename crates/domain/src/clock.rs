//! An injectable clock. This crate itself never reads the system time.

use std::fmt;
use std::sync::Arc;

use crate::Timestamp;

/// A clock that calls a function to get the current time. All clones of a clock share this function, so a test can set
/// the time of all components at once.
///
/// ```
/// use iam_domain::{Clock, Timestamp};
///
/// let noon = Timestamp::parse("2026-11-22T12:00:00Z").ok_or("no time")?;
/// assert_eq!(Clock::new(move || noon).now(), noon);
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// Creates a clock that calls `now` to get the current time.
    #[must_use]
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Returns the current time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").finish_non_exhaustive()
    }
}
