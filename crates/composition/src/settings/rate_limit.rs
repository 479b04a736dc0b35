//! The rate limit settings.

use std::num::NonZeroU32;

use iam_application::DEFAULT_AUDIT_BYTES_PER_HOUR;
use serde::Deserialize;

use super::parse::{number, optional_number};

/// The settings of the rate limit per caller, which is disabled by default. Each replica enforces the limit
/// independently.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimitSettings {
    /// Sustained rate, in requests per second. `None` disables the rate limit.
    #[serde(deserialize_with = "optional_number")]
    pub per_second: Option<NonZeroU32>,
    /// Maximum burst, in requests. Default: the value of `per_second`.
    #[serde(deserialize_with = "optional_number")]
    pub burst: Option<NonZeroU32>,
    /// Maximum size of the audit records that the changes to one company write per hour, in bytes. `0` disables the
    /// limit.
    #[serde(deserialize_with = "number")]
    pub audit_bytes_per_hour: u64,
}

impl Default for RateLimitSettings {
    fn default() -> Self {
        Self { per_second: None, burst: None, audit_bytes_per_hour: DEFAULT_AUDIT_BYTES_PER_HOUR }
    }
}

impl RateLimitSettings {
    /// Returns the requests per second and the burst, or `None` if the rate limit is disabled.
    #[must_use]
    pub fn limit(&self) -> Option<(NonZeroU32, NonZeroU32)> {
        self.per_second.map(|per_second| (per_second, self.burst.unwrap_or(per_second)))
    }
}
