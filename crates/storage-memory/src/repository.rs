//! The type that implements the repository traits, over the committed state or over that of a unit of work.

use std::sync::Arc;

use iam_domain::{ApiKeyId, Timestamp};
use imbl::OrdMap;

use crate::state::State;

/// The state that reads work on. Each read loads it once, so that it does not mix two states.
pub(crate) trait StateSource: Send + Sync {
    fn state(&self) -> Arc<State>;
    fn epoch(&self) -> u64;
    fn api_key_uses(&self) -> OrdMap<ApiKeyId, Timestamp>;
}

/// The reads over a source; over a unit of work also the changes. The type exists because the traits belong to another
/// crate, and could not be implemented for all sources without it.
pub(crate) struct Repository<S>(pub(crate) S);
