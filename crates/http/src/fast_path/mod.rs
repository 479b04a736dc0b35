//! The fast path for decisions: an additional body parser and JSON writer, optimized for performance.
//!
//! They produce the same results as [`extract`](crate::extract) and serde. `make bench` compares the throughput of this
//! server with that of a minimal Actix server that parses and sends the same number of bytes (docs/benchmarks.md). With
//! this module, `POST /checks` with 128 checks reaches 63 % of the throughput of the minimal server, and `POST /check`
//! reaches 67 %.

mod decision;
mod decision_request;

pub(crate) use decision::write;
