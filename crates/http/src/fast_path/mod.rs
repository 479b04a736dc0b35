//! A second body parser and JSON writer, only for decisions and only for speed.
//!
//! Without this module, [`extract`](crate::extract) and serde would produce the same results. `make bench` compares the
//! server with a bare Actix server that parses and sends as many bytes (docs/benchmarks.md). With this module,
//! `POST /checks` with 128 questions reaches 0.69 of the bare server's rate (target: 0.45), and `POST /check` reaches
//! 0.64 (target: 0.8).

mod decision;
mod decision_request;

pub(crate) use decision::write;
