//! The second body parser and the JSON writer: what decisions alone repeat for speed.
//!
//! Every request for a decision could be read by [`extract`](crate::extract) and serialized by serde. `make bench`
//! compares the server with a bare Actix server that parses and answers as many bytes (docs/benchmarks.md): with this
//! folder `POST /checks` with 128 questions has 0.69 of its rate, at a target of 0.45, and `POST /check` has 0.64, at a
//! target of 0.8.

mod decision;
mod decision_request;

pub(crate) use decision::write;
