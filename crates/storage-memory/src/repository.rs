//! The type that implements the read and write traits, on the committed state or on the state of a unit of work.

use std::sync::Arc;

use iam_domain::{ApiKeyId, Timestamp};
use iam_storage::CursorKey;
use imbl::OrdMap;

use crate::state::State;

/// A source of the state for reads: the storage or a unit of work. Each read loads the state once, so it never mixes
/// two states.
pub(crate) trait StateSource: Send + Sync {
    fn state(&self) -> Arc<State>;
    fn epoch(&self) -> u64;
    /// Returns the time of the storage's clock, which determines the assignments that are in effect.
    fn now(&self) -> Timestamp;
    fn api_key_uses(&self) -> OrdMap<ApiKeyId, Timestamp>;
    fn cursor_key(&self) -> CursorKey;
}

/// A newtype that implements the read traits on a state source and, for a unit of work, also the write traits. The
/// orphan rule requires a newtype: the traits are defined in another crate, so they cannot be implemented directly for
/// every `StateSource`.
pub(crate) struct Repository<S>(pub(crate) S);
