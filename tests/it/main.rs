//! Whole-system tests, in one binary. Tests that need PostgreSQL are in modules named `postgres`.
//!
//! `make test` runs everything on a private PostgreSQL; `make test-memory` leaves the `postgres` modules out.

#![expect(unreachable_pub, reason = "one binary: its public items are used only within it")]

// `cfg(test)` always holds here. The attribute tells clippy that these modules are tests, so they may use `unwrap`.
#[cfg(test)]
mod arrows;
#[cfg(test)]
mod circles;
#[cfg(test)]
mod http;
#[cfg(test)]
mod process;
#[cfg(test)]
mod storage;
#[cfg(test)]
mod support;
