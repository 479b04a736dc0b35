//! A clock that advances only when a test advances it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use iam_domain::{Clock, Timestamp};

/// A time that does not change until a test advances it.
#[derive(Clone)]
pub struct SetTime(Arc<AtomicI64>);

impl SetTime {
    pub fn at(start: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(start.micros())))
    }

    pub fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst)).unwrap()
    }

    pub fn advance(&self, duration: Duration) {
        self.0.store(self.now().plus(duration).micros(), Ordering::SeqCst);
    }

    /// Returns a clock that returns this time.
    pub fn clock(&self) -> Clock {
        let time = self.clone();
        Clock::new(move || time.now())
    }
}
