//! The fast path for decisions: an additional body parser and JSON writer, optimized for performance.
//!
//! Their results equal those of [`extract`](crate::extract) and serde. `make bench` compares the throughput of this
//! server with that of a minimal Actix server that parses and sends the same number of bytes (docs/benchmarks.md). With
//! this module, `POST /checks` with 128 checks reaches 0.63 of the throughput of the minimal server, and
//! `POST /check` reaches 0.67.

mod decision;
mod decision_request;

pub(crate) use decision::write;
