//! Limits the request rate of each caller.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};
use iam_domain::{Caller, UserId};

use crate::respond::{ApiError, Code};

/// The number of callers above which a cleanup removes those whose quota is full again.
const REMEMBERED_CALLERS: usize = 10_000;
/// The number of requests between two cleanups. A cleanup visits all remembered callers.
const CLEAN_EVERY: u64 = 1024;

/// The rate limit of one caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// The sustained requests per second.
    pub per_second: NonZeroU32,
    /// The most requests in a burst.
    pub burst: NonZeroU32,
}

/// A rate limiter with one quota per caller.
pub(crate) struct Limiter {
    quotas: DefaultKeyedRateLimiter<UserId>,
    /// The number of requests that were checked.
    asked: AtomicU64,
}

impl Limiter {
    /// Creates a limiter whose quotas are full.
    pub(crate) fn new(limit: RateLimit) -> Self {
        let quota = Quota::per_second(limit.per_second).allow_burst(limit.burst);
        Self { quotas: DefaultKeyedRateLimiter::keyed(quota), asked: AtomicU64::new(0) }
    }

    /// Takes one request from the quota of the caller; 429 with `Retry-After` if the quota is empty.
    pub(crate) fn admit(&self, caller: Caller) -> Result<(), ApiError> {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        if asked.is_multiple_of(CLEAN_EVERY) && self.quotas.len() > REMEMBERED_CALLERS {
            self.quotas.retain_recent();
        }
        self.quotas.check_key(&caller.id()).map_err(|denied| {
            let wait = denied.wait_time_from(DefaultClock::default().now());
            let error = ApiError::new(Code::RateLimited, "Too many requests");
            // Whole seconds, rounded up: an earlier retry would be refused again.
            ApiError { retry_after: Some(wait.as_secs() + 1), ..error }
        })
    }
}
