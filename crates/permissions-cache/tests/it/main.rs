//! Tests of the public API: decisions are correct for all changes, callers and failures.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod batches;
mod boundaries;
mod bounds;
mod changes;
mod compiled;
mod credentials;
mod fill;
mod lease;
mod loading;
mod replica;
mod store;
mod world;
