//! Runs the contract suite on this adapter.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use iam_domain::{Clock, Timestamp};
use iam_storage_memory::{MemoryOptions, MemoryStorage};

/// Returns a clock that starts at a fixed time and advances in real time.
fn clock() -> Clock {
    let (start, begun) = (Timestamp::from_millis(1_800_000_000_000).unwrap(), Instant::now());
    Clock::new(move || start.plus(begun.elapsed()))
}

/// Returns an empty storage with a lock timeout that suffices for many concurrent changes on a busy machine.
fn storage() -> Arc<MemoryStorage> {
    Arc::new(MemoryStorage::with_options(clock(), MemoryOptions { lock_timeout: Duration::from_secs(60) }))
}

iam_storage::contract_tests!(storage());
