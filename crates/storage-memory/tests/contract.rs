//! Runs the contract suite on this adapter.

use std::sync::Arc;
use std::time::Duration;

use iam_storage_memory::{MemoryOptions, MemoryStorage};

/// Returns an empty storage with a lock timeout that is long enough for many concurrent changes on a busy machine.
fn storage() -> Arc<MemoryStorage> {
    Arc::new(MemoryStorage::with_options(MemoryOptions { lock_timeout: Duration::from_secs(60) }))
}

iam_storage::contract_tests!(storage());
