//! The settings of the rate limits. Each replica enforces them independently.

use std::num::NonZeroU32;

use iam_application::{BudgetOptions, Rate};
use serde::Deserialize;

use super::parse::number;

/// The settings of the rate limits. `0` switches a limit off. A limit in units per second has a burst of five times that
/// number.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimitSettings {
    /// The work of each user: requests, and checks in a batch.
    #[serde(deserialize_with = "number")]
    pub per_user: u32,
    /// The work of each API key that has no rate of its own.
    #[serde(deserialize_with = "number")]
    pub per_api_key: u32,
    /// The work of each company: of its members, and of API keys that make requests for it.
    #[serde(deserialize_with = "number")]
    pub per_company: u32,
    /// The users whose permissions are loaded from the storage because of requests of one user.
    #[serde(deserialize_with = "number")]
    pub loads_per_user: u32,
    /// The users whose permissions are loaded from the storage because of requests of one API key.
    #[serde(deserialize_with = "number")]
    pub loads_per_api_key: u32,
    /// The failed authentications of each client address.
    #[serde(deserialize_with = "number")]
    pub failures_per_address: u32,
    /// The bytes of audit records that the changes to one company write per hour.
    #[serde(deserialize_with = "number")]
    pub audit_bytes_per_hour: u32,
    /// The idempotency keys that one caller uses within 24 hours.
    #[serde(deserialize_with = "number")]
    pub idempotency_keys: u32,
}

impl Default for RateLimitSettings {
    fn default() -> Self {
        Self {
            per_user: 200,
            per_api_key: 20_000,
            per_company: 40_000,
            loads_per_user: 50,
            loads_per_api_key: 5_000,
            failures_per_address: 500,
            audit_bytes_per_hour: 256 * 1024 * 1024,
            idempotency_keys: 10_000,
        }
    }
}

impl RateLimitSettings {
    /// Returns the budgets of callers and companies.
    pub(crate) fn budgets(&self) -> BudgetOptions {
        BudgetOptions {
            user: rate(self.per_user),
            api_key: rate(self.per_api_key),
            company: rate(self.per_company),
            user_loads: rate(self.loads_per_user),
            api_key_loads: rate(self.loads_per_api_key),
            audit_bytes: NonZeroU32::new(self.audit_bytes_per_hour).map(Rate::per_hour),
            idempotency_keys: NonZeroU32::new(self.idempotency_keys),
        }
    }

    /// Returns the rate of failed authentications of each client address. `None` means no limit.
    #[must_use]
    pub fn failures(&self) -> Option<Rate> {
        rate(self.failures_per_address)
    }
}

fn rate(per_second: u32) -> Option<Rate> {
    NonZeroU32::new(per_second).map(Rate::per_second)
}
