//! Limits the request rate of each caller.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};
use iam_domain::{Actor, Caller};

use crate::respond::{ApiError, Code};

/// Number of tracked callers above which a cleanup is necessary. A cleanup removes the callers whose quota is full
/// again.
const MAX_TRACKED_CALLERS: usize = 10_000;
/// Minimum number of requests between two cleanups. A cleanup iterates over all tracked callers, so it must be rare.
const CLEAN_EVERY: u64 = 1024;

/// A rate limit that applies to each caller separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Sustained rate, in requests per second.
    pub per_second: NonZeroU32,
    /// Maximum burst, in requests.
    pub burst: NonZeroU32,
}

/// A rate limiter with a separate quota for each caller.
pub(crate) struct Limiter {
    quotas: DefaultKeyedRateLimiter<Actor>,
    /// The number of requests checked so far.
    asked: AtomicU64,
}

impl Limiter {
    /// Creates a limiter in which the quota of every caller is full.
    pub(crate) fn new(limit: RateLimit) -> Self {
        let quota = Quota::per_second(limit.per_second).allow_burst(limit.burst);
        Self { quotas: DefaultKeyedRateLimiter::keyed(quota), asked: AtomicU64::new(0) }
    }

    /// Consumes one request of the caller's quota. If the quota is exhausted, the response is 429 with `Retry-After`.
    pub(crate) fn admit(&self, caller: Caller) -> Result<(), ApiError> {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        if asked.is_multiple_of(CLEAN_EVERY) && self.quotas.len() > MAX_TRACKED_CALLERS {
            self.quotas.retain_recent();
        }
        self.quotas.check_key(&caller.actor()).map_err(|denied| {
            let wait = denied.wait_time_from(DefaultClock::default().now());
            let error = ApiError::new(Code::RateLimited, "Too many requests");
            // Round up to whole seconds, since an earlier retry would be rejected again.
            ApiError { retry_after: Some(wait.as_secs() + 1), ..error }
        })
    }
}

#[cfg(test)]
mod tests {
    use iam_domain::{ApiKeyId, Service, ServiceRole, UserId};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn each_user_and_each_key_has_a_separate_quota() {
        let limiter = Limiter::new(RateLimit { per_second: NonZeroU32::MIN, burst: NonZeroU32::MIN });
        let service = |id| {
            let key = ApiKeyId::from_uuid(Uuid::from_u128(id));
            Caller::Service(Service { key, role: ServiceRole::Check, company: None })
        };
        let user = |id| Caller::user(UserId::from_uuid(Uuid::from_u128(id)));
        for caller in [user(1), service(1), user(2), service(2)] {
            assert!(limiter.admit(caller).is_ok(), "{caller:?}");
        }
        assert!(limiter.admit(service(1)).is_err());
    }
}
