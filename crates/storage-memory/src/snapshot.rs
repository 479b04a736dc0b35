//! The state of a storage at one moment, as a source of reads.

use std::sync::Arc;

use iam_domain::{ApiKeyId, Timestamp};
use iam_storage::CursorKey;
use imbl::OrdMap;

use crate::repository::StateSource;
use crate::shared::SharedStorage;
use crate::state::State;

/// The state of a storage at one moment. Later changes do not affect it, because the maps of a state are persistent.
pub(crate) struct Snapshot {
    state: Arc<State>,
    epoch: u64,
    now: Timestamp,
    api_key_uses: OrdMap<ApiKeyId, Timestamp>,
    cursor_key: CursorKey,
}

impl Snapshot {
    /// Returns the current state of the storage.
    pub(crate) fn of(shared: &Arc<SharedStorage>) -> Self {
        Self {
            state: shared.state(),
            epoch: shared.epoch(),
            now: shared.now(),
            api_key_uses: shared.api_key_uses(),
            cursor_key: shared.cursor_key(),
        }
    }
}

impl StateSource for Snapshot {
    fn state(&self) -> Arc<State> {
        Arc::clone(&self.state)
    }

    fn epoch(&self) -> u64 {
        self.epoch
    }

    fn now(&self) -> Timestamp {
        self.now
    }

    fn api_key_uses(&self) -> OrdMap<ApiKeyId, Timestamp> {
        self.api_key_uses.clone()
    }

    fn cursor_key(&self) -> CursorKey {
        self.cursor_key
    }
}
