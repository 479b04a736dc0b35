//! Builds responses: the envelope, headers, cached bodies, and error responses.

mod decision;
mod envelope;
mod error;
mod rate_limit;
mod response;
mod response_cache;
pub(crate) mod schema;

pub(crate) use decision::{ChecksData, DecisionData, MAX_DECIDING_LEVELS, RefusedCheck, granted_scope};
pub(crate) use envelope::{Message, Success};
pub(crate) use error::{ApiError, Code, ErrorBody};
pub(crate) use rate_limit::RateLimitState;
pub(crate) use response::{ApiResponse, ApiResult, conditional};
pub(crate) use response_cache::{CachedResponse, ResponseCache, ResponseKind};
