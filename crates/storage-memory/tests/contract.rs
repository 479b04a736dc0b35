//! The contract suite, run over this adapter.

use std::sync::Arc;
use std::time::Duration;

use iam_storage_memory::{MemoryOptions, MemoryStorage};

/// An empty storage with a limit that lets many concurrent changes finish on a busy machine.
fn storage() -> Arc<MemoryStorage> {
    Arc::new(MemoryStorage::with_options(MemoryOptions { lock_timeout: Duration::from_secs(60) }))
}

iam_storage::contract_tests!(storage());
