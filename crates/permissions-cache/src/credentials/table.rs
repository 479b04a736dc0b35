//! Token cut-offs of users and API keys. All of them are cached, and used while they are known to be current.
//!
//! The service never deletes a credential, and each one has the version of its last change. So a load reads only what
//! changed since the last load. While a row is being replaced, readers may see the old or the new one; neither is older
//! than the known state. If the changes do not account for the new state (rows were edited or restored outside the
//! service), everything is read again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use iam_domain::{ApiKey, ApiKeyDigest, ApiKeyId, ApiKeyPrefix, Timestamp, UserId};
use iam_storage::{CredentialChanges, StateId};

/// Minimum time between two recorded uses of a key, in milliseconds.
const NOTED_FOR: i64 = 60_000;

/// An API key and its digest.
#[derive(Debug)]
pub struct KnownApiKey {
    /// The key.
    pub key: ApiKey,
    /// The digest of the whole key. Compare it in constant time.
    pub digest: ApiKeyDigest,
    /// The time of the last recorded use, in milliseconds since 1970.
    noted: AtomicI64,
}

/// All credentials of one history.
#[derive(Debug, Default)]
pub(crate) struct Table {
    state: AtomicState,
    cutoffs: papaya::HashMap<UserId, Timestamp, RandomState>,
    api_keys: papaya::HashMap<ApiKeyPrefix, Arc<KnownApiKey>, RandomState>,
}

/// An optional state that is read without a lock.
#[derive(Debug)]
struct AtomicState {
    /// The version, or -1 for no state.
    version: AtomicI64,
    stamp: AtomicI64,
}

impl Default for AtomicState {
    fn default() -> Self {
        Self { version: AtomicI64::new(-1), stamp: AtomicI64::new(0) }
    }
}

impl AtomicState {
    fn get(&self) -> Option<StateId> {
        let version = self.version.load(Ordering::Acquire);
        (version >= 0).then(|| StateId { version, stamp: self.stamp.load(Ordering::Acquire) })
    }

    fn set(&self, state: Option<StateId>) {
        // Between the two stores, readers see no state.
        self.version.store(-1, Ordering::Release);
        if let Some(StateId { version, stamp }) = state {
            self.stamp.store(stamp, Ordering::Release);
            self.version.store(version, Ordering::Release);
        }
    }
}

impl Table {
    /// Returns the state of the table. If nothing was read yet, this is the state before the first change.
    pub(crate) fn state(&self) -> StateId {
        self.state.get().unwrap_or_default()
    }

    pub(crate) fn not_before(&self, user: UserId) -> Option<Timestamp> {
        self.cutoffs.pin().get(&user).copied()
    }

    pub(crate) fn api_key(&self, prefix: &ApiKeyPrefix) -> Option<Arc<KnownApiKey>> {
        self.api_keys.pin().get(prefix).cloned()
    }

    /// Applies the changes since the table's state. Returns `true` if the table is then complete for the new state.
    fn learn(&self, changes: CredentialChanges) -> bool {
        let since = self.state.get();
        let accounts = since.is_none_or(|since| changes.account_for_the_state(since.version));
        let (cutoffs, api_keys) = (self.cutoffs.pin(), self.api_keys.pin());
        for (user, not_before) in changes.cutoffs {
            cutoffs.insert(user, not_before);
        }
        for (key, digest) in changes.api_keys {
            let noted = AtomicI64::new(key.last_used_at.map_or(0, |at| at.millis()));
            api_keys.insert(key.prefix.clone(), Arc::new(KnownApiKey { key, digest, noted }));
        }
        let is_whole = accounts && api_keys.len() == changes.api_key_count;
        if is_whole {
            self.state.set(Some(changes.state));
        }
        is_whole
    }
}

/// The cached credentials, and their known state. Both are written only under the cache's mutex.
#[derive(Debug, Default)]
pub(crate) struct CredentialCache {
    /// The table. Another history replaces it with an empty one.
    table: ArcSwap<Table>,
    /// The state that the table must have to be used. No state while it is not known.
    known: AtomicState,
    /// Uses of keys that are not stored yet.
    uses: Mutex<HashMap<ApiKeyId, Timestamp>>,
}

impl CredentialCache {
    pub(crate) fn table(&self) -> Arc<Table> {
        self.table.load_full()
    }

    /// Returns `true` if the table has the known state.
    pub(crate) fn is_current(&self, table: &Table) -> bool {
        table.state.get().is_some_and(|state| self.known.get() == Some(state))
    }

    /// Sets the known state of the credentials. Returns `true` if a state was known before.
    pub(crate) fn set_known(&self, state: Option<StateId>) -> bool {
        let was_known = self.known.get().is_some();
        self.known.set(state);
        was_known
    }

    /// Applies the changes since this state. Returns `true` if the table still had that state and is now complete. If
    /// the changes do not account for the new state, the next load reads everything.
    pub(crate) fn learn(&self, changes: CredentialChanges, since: StateId) -> bool {
        let table = self.table();
        if table.state() != since {
            return false;
        }
        let is_whole = table.learn(changes);
        if !is_whole {
            tracing::warn!("API keys or cut-offs were changed outside the service: all of them are read again");
            self.start_over();
        }
        is_whole
    }

    /// Empties the table, because another history was detected.
    pub(crate) fn start_over(&self) {
        self.table.store(Arc::default());
    }

    /// Records the use of a key, at most once per [`NOTED_FOR`].
    pub(crate) fn note_use(&self, key: &KnownApiKey, at: Timestamp) {
        let noted = key.noted.load(Ordering::Relaxed);
        if at.millis().saturating_sub(noted) < NOTED_FOR {
            return;
        }
        // Of several concurrent callers, only one records the use.
        if key.noted.compare_exchange(noted, at.millis(), Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.uses.lock().unwrap_or_else(PoisonError::into_inner).insert(key.key.id, at);
        }
    }

    /// Takes the uses that are to be stored.
    pub(crate) fn take_uses(&self) -> Vec<(ApiKeyId, Timestamp)> {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner).drain().collect()
    }
}
