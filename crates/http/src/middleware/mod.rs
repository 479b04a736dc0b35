//! The middleware that every request passes through, regardless of its route. Each concern has its own module.

pub(crate) mod connection;
mod cors;
mod limit;
mod observe;
mod request_id;
mod request_metrics;
mod request_span;
mod routes;
mod timeout_and_panic;

pub use cors::{AllowedOrigins, OriginError};
pub(crate) use limit::Limiter;
pub use limit::RateLimit;
pub(crate) use observe::Observe;
pub(crate) use request_span::RequestSpan;
pub use request_span::RequestSpans;
