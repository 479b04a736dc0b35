//! What a handler answers: envelopes, headers, cached bodies, and the table of errors.

mod error;
mod response;
mod response_cache;

pub(crate) use error::{ApiError, Code, ErrorBody, Finding};
pub(crate) use response::{ApiResponse, ApiResult, Message, Success, conditional};
pub(crate) use response_cache::{CachedResponse, ResponseCache, ResponseKind};
