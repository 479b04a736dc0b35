//! The data, the locks and the clock of a storage.

use std::sync::Arc;

use iam_domain::{ApiKeyId, Timestamp};
use iam_storage::CursorKey;
use imbl::OrdMap;
use tokio::sync::watch;

use crate::auxiliary::Auxiliary;
use crate::clock::StorageClock;
use crate::locks::Locks;
use crate::options::MemoryOptions;
use crate::repository::StateSource;
use crate::state::State;
use crate::swapped::Swapped;

/// The data, the locks and the clock that a storage shares with its units of work.
pub(crate) struct SharedStorage {
    pub(crate) state: Swapped<State>,
    pub(crate) auxiliary: Swapped<Auxiliary>,
    pub(crate) locks: Arc<Locks>,
    /// The channel that notifies the subscribers of each commit.
    pub(crate) commits: watch::Sender<()>,
    pub(crate) clock: StorageClock,
    pub(crate) epoch: u64,
    /// The key that signs the cursors of lists.
    pub(crate) cursor_key: CursorKey,
    pub(crate) options: MemoryOptions,
}

impl StateSource for Arc<SharedStorage> {
    fn state(&self) -> Arc<State> {
        self.state.load()
    }

    fn epoch(&self) -> u64 {
        self.epoch
    }

    fn now(&self) -> Timestamp {
        self.clock.read()
    }

    fn api_key_uses(&self) -> OrdMap<ApiKeyId, Timestamp> {
        self.auxiliary.load().api_key_uses.clone()
    }
    fn cursor_key(&self) -> CursorKey {
        self.cursor_key
    }
}
