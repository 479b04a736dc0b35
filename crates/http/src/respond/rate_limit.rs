//! The headers that state the budget of a caller: `RateLimit-Policy` and `RateLimit`, as in the draft
//! *RateLimit header fields for HTTP* of the IETF.

use std::time::Duration;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use iam_application::{Exhausted, Rate, Remaining};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");

/// The budget that an operation was charged to, and its state after the operation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RateLimitState {
    /// The name of the budget.
    pub(crate) name: &'static str,
    rate: Rate,
    units: u32,
    full_after: Duration,
}

impl RateLimitState {
    /// Returns the state of the caller's budget.
    pub(crate) const fn of_caller(Remaining { rate, units, full_after }: Remaining) -> Self {
        Self { name: "caller", rate, units, full_after }
    }

    /// Returns the state of an exhausted budget.
    pub(crate) const fn exhausted(name: &'static str, rate: Rate, retry_after: Duration) -> Self {
        Self { name, rate, units: 0, full_after: retry_after }
    }

    /// Adds the headers, unless the response already states another budget.
    pub(crate) fn add_to(&self, headers: &mut HeaderMap) {
        if headers.contains_key(STATE) {
            return;
        }
        let Self { name, rate: Rate { per_second, burst }, units, full_after } = self;
        // The policy is stated as the burst, and as the window in which the burst becomes available again.
        let window = burst.get().div_ceil(per_second.get());
        let policy = format!(r#""{name}";q={burst};w={window}"#);
        let state = format!(r#""{name}";r={units};t={}"#, seconds(*full_after));
        if let (Ok(policy), Ok(state)) = (HeaderValue::try_from(policy), HeaderValue::try_from(state)) {
            headers.insert(POLICY, policy);
            headers.insert(STATE, state);
        }
    }
}

impl From<Exhausted> for RateLimitState {
    fn from(Exhausted { budget, rate, retry_after }: Exhausted) -> Self {
        Self::exhausted(budget.name(), rate, retry_after)
    }
}

/// Returns a duration in whole seconds, rounded up.
pub(crate) fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
