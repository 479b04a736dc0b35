//! Whole-system tests, in one binary. What needs PostgreSQL is in modules named `postgres`.
//!
//! `make test` runs everything on a private PostgreSQL; `make test-memory` leaves the `postgres` modules out.

#![expect(unreachable_pub, reason = "one binary: everything public is its own")]

mod arrows;
mod http;
mod kit;
mod process;
mod storage;
