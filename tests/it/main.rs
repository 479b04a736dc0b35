//! Whole-system tests, in one binary. Tests that need PostgreSQL are in modules named `postgres`.
//!
//! `make test` runs all of them on a private PostgreSQL server; `make test-memory` skips the `postgres` modules.

#![expect(unreachable_pub, reason = "one binary: its public items are used only within it")]

// `cfg(test)` is always set in this binary. The attribute marks these modules as tests for clippy, which allows
// `unwrap` in tests.
#[cfg(test)]
mod arrows;
#[cfg(test)]
mod circles;
#[cfg(test)]
mod deploy;
#[cfg(test)]
mod documented;
#[cfg(test)]
mod documented_logs;
#[cfg(test)]
mod http;
#[cfg(test)]
mod measured;
#[cfg(test)]
mod process;
#[cfg(test)]
mod scopes;
#[cfg(test)]
mod storage;
#[cfg(test)]
mod support;
