//! Who was cut off, and which API keys there are: all of it is kept, and used while it is known to be current.
//!
//! Nothing of it is ever deleted in the store, and everything bears the version that it was last changed with. So a load reads
//! only what was changed since the last one, and it does not matter which of two versions a reader sees while one is put in
//! place: what it sees is never older than what is known.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use iam_domain::{ApiKey, ApiKeyDigest, ApiKeyId, ApiKeyPrefix, Timestamp, UserId};
use iam_storage::CredentialChanges;

use crate::clock::Moment;
use crate::coalesce::Ticket;

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

/// Everything that is known of one database.
#[derive(Debug)]
pub(crate) struct Table {
    /// The version that it is of; -1: nothing was read.
    version: AtomicI64,
    cutoffs: papaya::HashMap<UserId, Timestamp, RandomState>,
    api_keys: papaya::HashMap<ApiKeyPrefix, Arc<KnownApiKey>, RandomState>,
}

impl Default for Table {
    fn default() -> Self {
        Self { version: AtomicI64::new(-1), cutoffs: papaya::HashMap::default(), api_keys: papaya::HashMap::default() }
    }
}

impl Table {
    /// The version that it is of; 0 too if nothing was read.
    pub(crate) fn version(&self) -> i64 {
        self.version.load(Ordering::Acquire).max(0)
    }

    pub(crate) fn not_before(&self, user: UserId) -> Option<Timestamp> {
        self.cutoffs.pin().get(&user).copied()
    }

    pub(crate) fn api_key(&self, prefix: &ApiKeyPrefix) -> Option<Arc<KnownApiKey>> {
        self.api_keys.pin().get(prefix).cloned()
    }

    fn learn(&self, changes: CredentialChanges) {
        let (cutoffs, api_keys) = (self.cutoffs.pin(), self.api_keys.pin());
        for (user, not_before) in changes.cutoffs {
            cutoffs.insert(user, not_before);
        }
        for (key, digest) in changes.api_keys {
            let noted = AtomicI64::new(key.last_used_at.map_or(0, |at| at.millis()));
            api_keys.insert(key.prefix.clone(), Arc::new(KnownApiKey { key, digest, noted }));
        }
        self.version.store(changes.version, Ordering::Release);
    }
}

/// What is known, and how well. Everything but reading happens under the mutex of the cache's book.
#[derive(Debug, Default)]
pub(crate) struct CredentialCache {
    /// Replaced when the database is another one.
    table: ArcSwap<Table>,
    /// The newest version that was heard of.
    told: AtomicI64,
    /// Whether a change ended, nobody knows how.
    is_distrusted: AtomicBool,
    /// Uses of keys that are not written down yet.
    uses: Mutex<HashMap<ApiKeyId, Timestamp>>,
}

/// When what is said of the credentials in the book was so.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// When the question began to which the store answered with all that is known.
    pub(crate) by: Ticket,
    /// When that was, for an outage.
    pub(crate) at: Option<Moment>,
    /// When the newest version was heard of.
    told: Ticket,
    /// When a change ended, nobody knows how.
    distrusted: Ticket,
}

impl CredentialCache {
    pub(crate) fn table(&self) -> Arc<Table> {
        self.table.load_full()
    }

    /// Whether everything that was heard of is here.
    pub(crate) fn is_current(&self, table: &Table) -> bool {
        table.version.load(Ordering::Acquire) == self.told.load(Ordering::Acquire)
            && !self.is_distrusted.load(Ordering::Acquire)
    }

    /// A newer version was heard of.
    pub(crate) fn tell(&self, seen: &mut Seen, version: i64, now: Ticket) -> bool {
        let is_news = version > self.told.load(Ordering::Acquire);
        if is_news {
            self.told.store(version, Ordering::Release);
            seen.told = now;
        }
        is_news
    }

    /// The store said which version is current, when it was asked at `began`.
    pub(crate) fn confirm(&self, seen: &mut Seen, version: i64, began: Ticket, now: Ticket) {
        if !self.tell(seen, version, now) && version < self.told.load(Ordering::Acquire) && began > seen.told {
            // It went back: the database was restored, and could not be told from what it was.
            self.start_over(seen);
        }
    }

    /// A change ended, nobody knows how.
    pub(crate) fn distrust(&self, seen: &mut Seen, now: Ticket) {
        seen.distrusted = now;
        self.is_distrusted.store(true, Ordering::Release);
    }

    /// What a load read that was asked for everything after `since`, and began at `began`.
    pub(crate) fn keep(
        &self,
        seen: &mut Seen,
        changes: CredentialChanges,
        since: i64,
        (began, at): (Ticket, Moment),
        now: Ticket,
    ) {
        let table = self.table();
        // Of another table than this one, or older than what is known by now.
        if table.version() != since || changes.version < since {
            return self.confirm(seen, changes.version, began, now);
        }
        let version = changes.version;
        table.learn(changes);
        self.confirm(seen, version, began, now);
        if began > seen.distrusted {
            self.is_distrusted.store(false, Ordering::Release);
        }
        seen.by = seen.by.max(began);
        seen.at = seen.at.max(Some(at));
    }

    /// The database is another one than before.
    pub(crate) fn start_over(&self, seen: &mut Seen) {
        self.table.store(Arc::default());
        self.told.store(0, Ordering::Release);
        seen.by = Ticket::default();
        seen.at = None;
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

    /// How long ago the store was asked last, or a sign of life proved that nothing was missed; for an outage. `None` when
    /// something is known to be missing.
    pub(crate) fn age(&self, seen: &Seen, lease: Moment) -> Option<Duration> {
        let table = self.table();
        let at = seen.at?;
        self.is_current(&table).then(|| Moment::now().since(at.max(lease)))
    }
}
