//! The cached data, and the rules that determine whether it may be served. `Cache::apply` applies all invalidations.
//!
//! The cache has two parts. The [`Entries`] serve cache hits and are read without locking. The [`State`] contains the
//! latest known versions (see [`Tracker`]), and the cached data of each company. Both parts are updated by polls, loads
//! and evictions under one mutex, which a cache hit never acquires.
//!
//! A compiled set contains the resolved permissions of all users with the same levels in a company. It may be served if
//! four conditions hold. First, no later change to the company has been reported to this process (the set is alive).
//! Second, the set was compiled for the latest known version of the catalog. Third, no assignment of the company has
//! started or ended since (see [`DatabaseClock`]). Fourth, the lease has not expired (see [`Lease`]).

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use foldhash::fast::RandomState;
use iam_domain::{CommitStamp, CompanyId};
use iam_storage::{Changes, NotPrimary, Position, Target};

use crate::CacheOptions;
use crate::companies::{COMPANY_BYTES, Company};
use crate::credentials::table::{CredentialCache, Table};
use crate::engine::compiled::CompiledSet;
use crate::engine::index::CatalogIndex;
use crate::engine::memory_usage::MemoryUsage;
use crate::entries::{Entries, EvictionOrder, Key, Kind};
use crate::freshness::clock::Moment;
use crate::freshness::database_clock::DatabaseClock;
use crate::freshness::lease::{Lease, Sent};
use crate::freshness::ticket::{Ticket, Tickets};
use crate::freshness::tracker::{Effects, Tracker};
use crate::stats::{CacheStats, Counters};

/// The value of `catalog_version` while the version of the catalog is unknown. It is a sentinel: no catalog has this
/// version.
const NO_VERSION: i64 = -1;

/// The cache of permissions and credentials.
pub(crate) struct Cache {
    pub(crate) entries: Entries,
    /// The latest known version of the catalog, or [`NO_VERSION`] if none is known. Compiled sets for other versions of
    /// the catalog are not served.
    catalog_version: AtomicI64,
    pub(crate) lease: Lease,
    pub(crate) clock: DatabaseClock,
    pub(crate) credentials: CredentialCache,
    pub(crate) tickets: Arc<Tickets>,
    pub(crate) counters: Counters,
    pub(crate) memory: MemoryUsage,
    state: Mutex<State>,
    options: CacheOptions,
}

/// The part of the cache that the mutex protects.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) tracker: Tracker,
    /// The index of the latest loaded catalog. The tracker may already have a later version of the catalog.
    pub(crate) index: Option<Arc<CatalogIndex>>,
    pub(crate) companies: HashMap<CompanyId, Company, RandomState>,
    /// The ticket (logical timestamp) and the clock time at which the latest load whose credentials were cached began.
    pub(crate) credentials: Option<(Ticket, Moment)>,
    order: EvictionOrder,
}

impl Cache {
    pub(crate) fn new(options: CacheOptions) -> Self {
        Self {
            entries: Entries::default(),
            catalog_version: AtomicI64::new(NO_VERSION),
            lease: Lease::default(),
            clock: DatabaseClock::default(),
            credentials: CredentialCache::default(),
            tickets: Arc::default(),
            counters: Counters::default(),
            memory: MemoryUsage::default(),
            state: Mutex::default(),
            options,
        }
    }

    /// Returns `true` if `version` is the latest known version of the catalog.
    #[inline]
    pub(crate) fn is_catalog_version(&self, version: i64) -> bool {
        self.catalog_version.load(Ordering::Acquire) == version
    }

    /// Inserts or updates (upserts) the entry of a user, so that the entry refers to the compiled set `set`.
    pub(crate) fn put(&self, state: &mut State, key: Key, set: &Arc<CompiledSet>) {
        let replaced = self.entries.insert(&mut state.order, key, set);
        if let Some(company) = state.companies.get_mut(&key.0) {
            company.attach(set, replaced.as_deref());
        }
    }

    /// Evicts entries until the cache is within its limits. The policy is second chance (CLOCK): an entry that was used
    /// since an eviction last examined it is skipped once.
    pub(crate) fn evict(&self, state: &mut State) {
        while let Some(kind) = state.order.excess(&self.options, self.bytes(state)) {
            let Some((key, set)) = self.entries.evict(&mut state.order, kind) else { continue };
            if let Some(company) = state.companies.get_mut(&key.0) {
                company.detach(&set);
            }
            state.forget_if_unused(key.0);
            self.counters.evictions.add(1);
        }
    }

    fn bytes(&self, state: &State) -> usize {
        self.memory.bytes() + state.order.bytes() + state.companies.len() * COMPANY_BYTES
    }

    /// Invalidates the cached data that is outdated because this process committed a change.
    pub(crate) fn changed(&self, target: Target, stamp: CommitStamp) {
        self.event(|tracker, now| tracker.on_own_change(target, stamp.epoch(), now));
    }

    /// Handles a change that this process made, and whose outcome is unknown: the commit may or may not have succeeded.
    /// Invalidates the cached data of `target` and revokes the lease.
    pub(crate) fn distrust(&self, target: Target) {
        self.event(|tracker, now| tracker.on_unknown_outcome(target, now));
    }

    /// Returns `true` if a poll has reported the versions of the current database history.
    pub(crate) fn has_position(&self) -> bool {
        self.lock().tracker.has_position()
    }

    /// Returns the epoch that the latest poll read. `None` if no poll has succeeded yet, or if another database
    /// history was detected after the latest poll.
    pub(crate) fn epoch(&self) -> Option<u64> {
        self.lock().tracker.epoch()
    }

    /// Returns the position in the change feed from which the next poll continues, and the current generation of the
    /// tracker. The caller passes the generation to [`Self::polled`].
    pub(crate) fn next_poll(&self) -> (Option<Position>, u64) {
        self.lock().tracker.next_poll()
    }

    /// Returns the epoch that must be replaced before the next poll, because the database was restored without a new
    /// epoch. `None` if no epoch must be replaced.
    pub(crate) fn to_renew(&self) -> Option<u64> {
        self.lock().tracker.to_renew()
    }

    /// Records that `epoch` was replaced.
    pub(crate) fn renewed(&self, epoch: u64) {
        self.lock().tracker.on_renewed(epoch);
    }

    /// Applies the changes that a poll of the primary returned. Returns `true` if the changes continue the known history
    /// of the database.
    pub(crate) fn polled(&self, changes: &Changes, generation: u64, began: Ticket) -> bool {
        self.lease.fence(changes.needs_acknowledgement);
        !self.event(|tracker, now| tracker.on_poll(changes, generation, began, now)).everything
    }

    /// Discards all cached data, because a poll reached a server other than the primary.
    pub(crate) fn not_primary(&self, why: NotPrimary, generation: u64) {
        let effects = self.event(|tracker, now| tracker.on_not_primary(generation, now));
        if effects.everything {
            tracing::warn!("discarded all cached data because {why}");
        }
    }

    /// Records that a poll confirmed the cached data: all of it was up to date when the poll began. If `lease` is
    /// given, also renews the lease for this duration, counted from the start of the poll.
    pub(crate) fn confirmed(&self, generation: u64, began: Ticket, sent: Sent, lease: Option<Duration>) {
        // The mutex remains locked until the lease is renewed, so that no other event can revoke the lease in between.
        let mut state = self.lock();
        if state.tracker.on_confirmed(generation, began) {
            match lease {
                Some(length) => self.lease.extend(sent, length),
                None => drop(self.lease.confirm(sent)),
            }
        }
    }

    /// Returns the table of credentials if two conditions hold: the table has the latest known version, and it was read
    /// by a load that began after the ticket `arrived` was issued. The cache's mutex prevents other threads from
    /// replacing the table during these checks.
    pub(crate) fn credentials_seen_after(&self, arrived: Ticket) -> Option<Arc<Table>> {
        let state = self.lock();
        let table = self.credentials.table();
        let is_seen = state.credentials.is_some_and(|(began, _)| began > arrived);
        (is_seen && self.credentials.is_current(&table)).then_some(table)
    }

    /// Returns the cached credentials, and the time since they were last confirmed to be up to date. Used while the
    /// database is unavailable.
    pub(crate) fn last_known_credentials(&self) -> Option<(Arc<Table>, Duration)> {
        let state = self.lock();
        let (_, at) = state.credentials?;
        let table = self.credentials.table();
        self.credentials.is_current(&table).then(|| (table, Moment::now().since(at.max(self.lease.confirmed()))))
    }

    /// Passes an event to the tracker, and applies the resulting effects to the lease and the cached data.
    fn event(&self, report: impl FnOnce(&mut Tracker, Ticket) -> Effects) -> Effects {
        let mut state = self.lock();
        let now = self.tickets.now();
        let effects = report(&mut state.tracker, now);
        self.apply(&mut state, &effects);
        effects
    }

    /// Applies the effects of an event to the lease and to the cached data.
    pub(crate) fn apply(&self, state: &mut State, effects: &Effects) {
        if effects.end_lease {
            self.lease.revoke();
        }
        if effects.everything {
            self.reset(state);
        }
        for id in &effects.outdated {
            if state.companies.get_mut(id).is_some_and(Company::invalidate) {
                self.counters.invalidations.add(1);
            }
        }
        if effects.catalog || effects.everything {
            let version = state.tracker.catalog().map_or(NO_VERSION, |state| state.version);
            let before = self.catalog_version.swap(version, Ordering::AcqRel);
            self.counters.invalidations.add(u64::from(before != NO_VERSION));
        }
        if effects.credentials || effects.everything {
            let was_known = self.credentials.set_known(state.tracker.credentials());
            self.counters.invalidations.add(u64::from(was_known));
        }
    }

    /// Discards all cached data, because it may be from another database history or from a server other than the
    /// primary.
    fn reset(&self, state: &mut State) {
        tracing::warn!(
            "discarding all cached data because the database history may have changed (restore or failover)"
        );
        metrics::counter!("iam_cache_histories_total").increment(1);
        let tracker = &mut state.tracker;
        state.companies.retain(|id, company| {
            company.reset();
            let is_loading = !company.is_unused();
            if !is_loading {
                tracker.forget(*id);
            }
            is_loading
        });
        state.index = None;
        self.entries.clear(&mut state.order);
        state.credentials = None;
        self.credentials.reset();
    }

    pub(crate) fn stats(&self) -> CacheStats {
        let state = self.lock();
        CacheStats {
            members: state.order.len(Kind::Member),
            non_members: state.order.len(Kind::NonMember),
            companies: state.companies.len(),
            sets: state.companies.values().map(Company::set_count).sum(),
            bytes: self.bytes(&state),
            lease_remaining: self.lease.remaining(),
            ..self.counters.read(self.lease.confirmed())
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Stops tracking a company if the cache contains no data of the company and no load of the company is in progress.
    pub(crate) fn forget_if_unused(&mut self, id: CompanyId) {
        if self.companies.get(&id).is_some_and(Company::is_unused) {
            self.companies.remove(&id);
            self.tracker.forget(id);
        }
    }
}
