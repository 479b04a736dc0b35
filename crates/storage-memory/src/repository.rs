//! The type that implements the traits of the storage crate, over the committed state or over that of a unit of work.

use std::sync::Arc;

use iam_domain::{ApiKeyId, Timestamp};
use imbl::OrdMap;

use crate::state::State;

/// Where a read finds its state. Each read loads it once, so it works on one state.
pub(crate) trait StateSource: Send + Sync {
    fn state(&self) -> Arc<State>;
    fn epoch(&self) -> u64;
    fn api_key_uses(&self) -> OrdMap<ApiKeyId, Timestamp>;
}

/// The reads of a source, and the changes if it is a unit of work. The traits are those of another crate, so the crate
/// needs a type of its own to implement them for all sources.
pub(crate) struct Repository<S>(pub(crate) S);
