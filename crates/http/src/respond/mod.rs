//! What a handler answers: envelopes, headers, cached bodies, and the table of errors.

mod envelope;
mod error;
mod response;
mod response_cache;

pub(crate) use envelope::{Message, Success};
pub(crate) use error::{ApiError, Code, ErrorBody, Finding};
pub(crate) use response::{ApiResponse, ApiResult, conditional};
pub(crate) use response_cache::{CachedResponse, ResponseCache, ResponseKind};
