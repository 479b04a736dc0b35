//! The type that implements the read and write traits, on the committed state or on the state of a unit of work.

use std::sync::Arc;

use iam_domain::{ApiKeyId, Timestamp};
use imbl::OrdMap;

use crate::state::State;

/// A source of the state that reads work on. Each read loads the state once, so that it does not mix two states.
pub(crate) trait StateSource: Send + Sync {
    fn state(&self) -> Arc<State>;
    fn epoch(&self) -> u64;
    fn api_key_uses(&self) -> OrdMap<ApiKeyId, Timestamp>;
}

/// The read operations on a state source, and for a unit of work also the write operations. The type is needed because
/// of the orphan rule: the traits belong to another crate and cannot be implemented for all `S: StateSource` directly.
pub(crate) struct Repository<S>(pub(crate) S);
