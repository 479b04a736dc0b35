//! The suite that every adapter must pass.

use std::sync::Arc;

use iam_storage_memory::MemoryStorage;

iam_storage::contract_tests!(Arc::new(MemoryStorage::new()));
iam_storage::feed_tests!(Arc::new(MemoryStorage::new()));
