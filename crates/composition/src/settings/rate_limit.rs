//! The settings of the rate limit.

use std::num::NonZeroU32;

use serde::Deserialize;

/// The settings of the rate limit of one caller in each replica. Off by default.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimitSettings {
    /// Requests per second in the long run.
    pub per_second: Option<NonZeroU32>,
    /// The burst of requests; left out: those of one second.
    pub burst: Option<NonZeroU32>,
}

impl RateLimitSettings {
    /// Returns the requests per second and the burst, if there is a limit.
    #[must_use]
    pub fn limit(&self) -> Option<(NonZeroU32, NonZeroU32)> {
        self.per_second.map(|per_second| (per_second, self.burst.unwrap_or(per_second)))
    }
}
