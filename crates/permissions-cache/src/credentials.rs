//! Who was cut off, and which API keys there are: all of it is kept, and used while it is known to be current.
//!
//! The service never deletes any of it, and everything bears the version that it was last changed with. So a load reads only what
//! was changed since the last one, and it does not matter which of two versions a reader sees while one is put in place: what it
//! sees is never older than what is known. Where that does not account for the state (rows were edited or restored beside the
//! service), everything is read anew.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use iam_domain::{ApiKey, ApiKeyDigest, ApiKeyId, ApiKeyPrefix, Timestamp, UserId};
use iam_storage::{CredentialChanges, StateId};

/// How long a key's use need not be noted again, in milliseconds.
const NOTED_FOR: i64 = 60_000;

/// An API key, with what proves it.
#[derive(Debug)]
pub struct KnownApiKey {
    /// The key.
    pub key: ApiKey,
    /// What proves it. Compare in constant time.
    pub digest: ApiKeyDigest,
    /// When its use was last noted, in milliseconds since 1970.
    noted: AtomicI64,
}

/// Everything that is known of one history.
#[derive(Debug, Default)]
pub(crate) struct Table {
    state: AtomicState,
    cutoffs: papaya::HashMap<UserId, Timestamp, RandomState>,
    api_keys: papaya::HashMap<ApiKeyPrefix, Arc<KnownApiKey>, RandomState>,
}

/// A state that is read without a lock, or none.
#[derive(Debug)]
struct AtomicState {
    /// -1: none.
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
        // Between the two, readers find none.
        self.version.store(-1, Ordering::Release);
        if let Some(StateId { version, stamp }) = state {
            self.stamp.store(stamp, Ordering::Release);
            self.version.store(version, Ordering::Release);
        }
    }
}

impl Table {
    /// The state that it is of; that before the first change if nothing was read.
    pub(crate) fn state(&self) -> StateId {
        self.state.get().unwrap_or_default()
    }

    pub(crate) fn not_before(&self, user: UserId) -> Option<Timestamp> {
        self.cutoffs.pin().get(&user).copied()
    }

    pub(crate) fn api_key(&self, prefix: &ApiKeyPrefix) -> Option<Arc<KnownApiKey>> {
        self.api_keys.pin().get(prefix).cloned()
    }

    /// Learns what was changed since the state that it is of. Returns whether it then has all there is of the new state.
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

/// What is known, and how well. Everything but reading happens under the mutex of the cache's book.
#[derive(Debug, Default)]
pub(crate) struct CredentialCache {
    /// Replaced when the history is another one.
    table: ArcSwap<Table>,
    /// The state that the table must be of to answer; none while it is not known.
    known: AtomicState,
    /// Uses of keys that are not written down yet.
    uses: Mutex<HashMap<ApiKeyId, Timestamp>>,
}

impl CredentialCache {
    pub(crate) fn table(&self) -> Arc<Table> {
        self.table.load_full()
    }

    /// Whether the table is of the state that is known.
    pub(crate) fn is_current(&self, table: &Table) -> bool {
        table.state.get().is_some_and(|state| self.known.get() == Some(state))
    }

    /// This is the state of the credentials, as far as it is known. Answers whether one was known before.
    pub(crate) fn tell(&self, state: Option<StateId>) -> bool {
        let was_known = self.known.get().is_some();
        self.known.set(state);
        was_known
    }

    /// Learns what was changed since this state. Returns whether the table was still of it and has all there is now; where
    /// something is unaccounted for, the next load reads everything.
    pub(crate) fn learn(&self, changes: CredentialChanges, since: StateId) -> bool {
        let table = self.table();
        if table.state() != since {
            return false;
        }
        let is_whole = table.learn(changes);
        if !is_whole {
            tracing::warn!("API keys or cut-offs were changed beside the service: all of them are read anew");
            self.start_over();
        }
        is_whole
    }

    /// The history is another one than before.
    pub(crate) fn start_over(&self) {
        self.table.store(Arc::default());
    }

    /// A key was used.
    pub(crate) fn used(&self, key: &KnownApiKey, at: Timestamp) {
        let noted = key.noted.load(Ordering::Relaxed);
        if at.millis().saturating_sub(noted) < NOTED_FOR {
            return;
        }
        // Of several at once, one notes it.
        if key.noted.compare_exchange(noted, at.millis(), Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.uses.lock().unwrap_or_else(PoisonError::into_inner).insert(key.key.id, at);
        }
    }

    /// The uses that are to be written down. They are forgotten here.
    pub(crate) fn take_uses(&self) -> Vec<(ApiKeyId, Timestamp)> {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner).drain().collect()
    }
}
