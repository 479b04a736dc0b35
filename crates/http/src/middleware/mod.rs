//! The middleware that every request passes through, regardless of its route. Each concern has its own module.

mod client_address;
pub(crate) mod connection;
mod cors;
mod held_body;
mod observe;
mod request_id;
mod request_metrics;
mod request_span;
mod request_trace;
mod routes;
mod timeout_and_panic;

pub(crate) use client_address::network_of;
pub use client_address::{ClientAddresses, ProxyError};
pub use connection::ConnectionTimeouts;
pub use cors::{AllowedOrigins, OriginError};
pub(crate) use observe::Observe;
pub(crate) use request_span::RequestSpan;
pub use request_span::RequestSpans;
