//! The options of the API instances that tests create.

use std::num::NonZeroU32;
use std::time::Duration;

use iam_application::{BudgetOptions, Rate};
use iam_http::{HttpOptions, InFlightLimits};

/// The options of a test API. By default, no budget is limited.
#[derive(Default)]
pub struct TestOptions {
    pub http: HttpOptions,
    pub budgets: BudgetOptions,
}

impl From<HttpOptions> for TestOptions {
    fn from(http: HttpOptions) -> Self {
        Self { http, ..Self::default() }
    }
}

impl From<BudgetOptions> for TestOptions {
    fn from(budgets: BudgetOptions) -> Self {
        Self { budgets, ..Self::default() }
    }
}

/// Returns options with this bound on the bytes in flight. Bodies may arrive slowly.
pub fn bytes_in_flight(bytes: usize) -> HttpOptions {
    let in_flight = InFlightLimits { bytes, ..InFlightLimits::default() };
    HttpOptions { in_flight, body_timeout: Duration::from_secs(600), ..HttpOptions::default() }
}

/// Returns a rate of one unit per second with this burst.
pub fn one_a_second(burst: u32) -> Option<Rate> {
    Some(Rate { per_second: NonZeroU32::MIN, burst: NonZeroU32::new(burst).unwrap() })
}
