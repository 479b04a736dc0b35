//! The options of the API instances that tests create.

use std::num::NonZeroU32;

use iam_application::{BudgetOptions, Rate};
use iam_http::HttpOptions;

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

/// Returns a rate of one unit per second with this burst.
pub fn one_a_second(burst: u32) -> Option<Rate> {
    Some(Rate { per_second: NonZeroU32::MIN, burst: NonZeroU32::new(burst).unwrap() })
}
