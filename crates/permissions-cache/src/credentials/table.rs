//! The in-memory table of all API keys and token cut-offs. A cut-off is a time: tokens that were issued to the user
//! before this time are rejected. The table is served while the lease is valid.
//!
//! The service stores each credential with the version of its last change, and deletes credentials only when it erases a
//! company. Therefore each load reads only the credentials that changed after the previous load (incremental load). While a load replaces
//! a row, concurrent readers may observe the old or the new row. Both are within the staleness bound. If the changed
//! rows do not result in the state that the database reports, a company was erased, or rows were edited or restored outside the service. The
//! table is then discarded, and all rows are loaded again.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use iam_domain::{ApiKey, ApiKeyDigest, ApiKeyId, ApiKeyPrefix, CompanyId, ServiceRole, Timestamp, UserId};
use iam_storage::{CredentialChanges, StateId};

/// Minimum interval between two recorded uses of an API key, in milliseconds.
const USE_INTERVAL_MILLIS: i64 = 60_000;

/// A cached API key and its digest.
#[derive(Debug)]
pub struct KnownApiKey {
    /// The API key.
    pub key: ApiKey,
    /// The digest of the complete key. Compare it in constant time.
    pub digest: ApiKeyDigest,
    /// The time of the last recorded use, in milliseconds since the Unix epoch.
    noted: AtomicI64,
}

/// All credentials of one database history.
#[derive(Debug, Default)]
pub(crate) struct Table {
    state: AtomicState,
    cutoffs: papaya::HashMap<UserId, Timestamp, RandomState>,
    api_keys: papaya::HashMap<ApiKeyPrefix, Arc<KnownApiKey>, RandomState>,
    /// The API keys whose rows cannot be parsed. They are unknown to callers, and are counted like other keys.
    unreadable: Mutex<HashSet<ApiKeyId>>,
}

/// A lock-free cell that contains an optional version, and the random stamp of the change that produced this version.
#[derive(Debug)]
struct AtomicState {
    /// The version, or -1 for `None`.
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
        // Until the new version is stored, readers observe `None`.
        self.version.store(-1, Ordering::Release);
        if let Some(StateId { version, stamp }) = state {
            self.stamp.store(stamp, Ordering::Release);
            self.version.store(version, Ordering::Release);
        }
    }
}

impl Table {
    /// Returns the version and stamp at which the table was loaded. Before the first load, this is version 0.
    pub(crate) fn state(&self) -> StateId {
        self.state.get().unwrap_or_default()
    }

    pub(crate) fn not_before(&self, user: UserId) -> Option<Timestamp> {
        self.cutoffs.pin().get(&user).copied()
    }

    pub(crate) fn api_key(&self, prefix: &ApiKeyPrefix) -> Option<Arc<KnownApiKey>> {
        self.api_keys.pin().get(prefix).cloned()
    }

    /// Returns the ids of the API keys that may administer the company and are valid at this time, in ascending order.
    pub(crate) fn administering_keys(&self, company: CompanyId, now: Timestamp) -> Vec<ApiKeyId> {
        let keys = self.api_keys.pin();
        let administers = |key: &ApiKey| {
            key.role == ServiceRole::Administer && key.company_id.is_none_or(|own| own == company) && key.is_good(now)
        };
        let keys = keys.iter().filter(|(_, known)| administers(&known.key));
        let mut ids: Vec<_> = keys.map(|(_, known)| known.key.id).collect();
        ids.sort_unstable();
        ids
    }

    /// Applies the changes since the table's version. Returns `true` if the table then contains all credentials at the
    /// new version.
    fn learn(&self, changes: CredentialChanges) -> bool {
        let since = self.state.get();
        let accounts = since.is_none_or(|since| changes.account_for_the_state(since.version));
        let (cutoffs, api_keys) = (self.cutoffs.pin(), self.api_keys.pin());
        for (user, not_before) in changes.cutoffs {
            cutoffs.insert(user, not_before);
        }
        let mut unreadable = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
        for id in changes.unreadable_api_keys {
            // The key may have been revoked, so its previous row must not be used any more.
            api_keys.retain(|_, known| known.key.id != id);
            unreadable.insert(id);
        }
        for (key, digest) in changes.api_keys {
            unreadable.remove(&key.id);
            let noted = AtomicI64::new(key.last_used_at.map_or(0, |at| at.millis()));
            api_keys.insert(key.prefix.clone(), Arc::new(KnownApiKey { key, digest, noted }));
        }
        let is_whole = accounts && api_keys.len() + unreadable.len() == changes.api_key_count;
        if is_whole {
            self.state.set(Some(changes.state));
        }
        is_whole
    }
}

/// The cached credentials, and their latest known version. Both are written only while the cache's mutex is held.
#[derive(Debug, Default)]
pub(crate) struct CredentialCache {
    /// The table of all credentials. If another database history is detected, an empty table replaces it.
    table: ArcSwap<Table>,
    /// The latest known version of the credentials, or `None` if none is known. The table is served only if it was
    /// loaded at this version.
    known: AtomicState,
    /// The times of the latest uses of API keys that have not been written to the database yet (write-behind).
    uses: Mutex<HashMap<ApiKeyId, Timestamp>>,
}

impl CredentialCache {
    pub(crate) fn table(&self) -> Arc<Table> {
        self.table.load_full()
    }

    /// Returns `true` if the table was loaded at the latest known version.
    pub(crate) fn is_current(&self, table: &Table) -> bool {
        table.state.get().is_some_and(|state| self.known.get() == Some(state))
    }

    /// Sets the latest known version of the credentials. Returns `true` if a version was known before.
    pub(crate) fn set_known(&self, state: Option<StateId>) -> bool {
        let was_known = self.known.get().is_some();
        self.known.set(state);
        was_known
    }

    /// Applies the changes since the version `since`. Returns `true` if the table was still at the version `since` and
    /// is now complete. If the changes do not result in the state that the database reports, replaces the table with an
    /// empty one, so that the next load reads all credentials.
    pub(crate) fn learn(&self, changes: CredentialChanges, since: StateId) -> bool {
        let table = self.table();
        if table.state() != since {
            return false;
        }
        let is_whole = table.learn(changes);
        if !is_whole {
            tracing::warn!(
                "a company was erased, or API keys or token cut-offs were changed outside the service; all of them will be \
                reloaded"
            );
            self.reset();
        }
        is_whole
    }

    /// Replaces the table with an empty one, so that the next load reads all credentials.
    pub(crate) fn reset(&self) {
        self.table.store(Arc::default());
    }

    /// Records the use of an API key, at most once per [`USE_INTERVAL_MILLIS`].
    pub(crate) fn note_use(&self, key: &KnownApiKey, at: Timestamp) {
        let noted = key.noted.load(Ordering::Relaxed);
        if at.millis().saturating_sub(noted) < USE_INTERVAL_MILLIS {
            return;
        }
        // Compare-and-swap: if several callers run concurrently, only one of them records the use.
        if key.noted.compare_exchange(noted, at.millis(), Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.uses.lock().unwrap_or_else(PoisonError::into_inner).insert(key.key.id, at);
        }
    }

    /// Removes and returns the recorded uses. The caller must store them in the database.
    pub(crate) fn take_uses(&self) -> Vec<(ApiKeyId, Timestamp)> {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner).drain().collect()
    }
}
