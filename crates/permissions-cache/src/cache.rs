//! What is kept, and when it may be used: the one place where events of the store meet the kept entries.
//!
//! Two parts are kept apart. The [`Entries`] are read by hits without a lock. The **state** tracks the known states of
//! the store (see [`Tracker`]) and what is kept of each company. Loads, polls and evictions write it under one mutex,
//! which a hit never takes.
//!
//! A set answers while three conditions hold: it is alive (its company is not known to have changed), it is of the
//! known version of the catalog, and the lease runs (see [`Lease`]).

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
use crate::freshness::lease::{Lease, Sent};
use crate::freshness::ticket::{Ticket, Tickets};
use crate::freshness::tracker::{Effects, Tracker};
use crate::stats::{CacheStats, Counters};

/// A version that no state has.
const NO_VERSION: i64 = -1;

/// Everything that is kept.
pub(crate) struct Cache {
    pub(crate) entries: Entries,
    /// The version of the catalog that a set must have to answer; [`NO_VERSION`] while it is not known.
    catalog_version: AtomicI64,
    pub(crate) lease: Lease,
    pub(crate) credentials: CredentialCache,
    pub(crate) tickets: Arc<Tickets>,
    pub(crate) counters: Counters,
    pub(crate) memory: MemoryUsage,
    state: Mutex<State>,
    options: CacheOptions,
}

/// What the mutex guards.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) tracker: Tracker,
    /// The index of the newest catalog that was read. A newer one may be known already.
    pub(crate) index: Option<Arc<CatalogIndex>>,
    pub(crate) companies: HashMap<CompanyId, Company, RandomState>,
    /// When the latest question began that the store answered with all credentials that are kept: its ticket and its
    /// time.
    pub(crate) credentials: Option<(Ticket, Moment)>,
    order: EvictionOrder,
}

impl Cache {
    pub(crate) fn new(options: CacheOptions) -> Self {
        Self {
            entries: Entries::default(),
            catalog_version: AtomicI64::new(NO_VERSION),
            lease: Lease::default(),
            credentials: CredentialCache::default(),
            tickets: Arc::default(),
            counters: Counters::default(),
            memory: MemoryUsage::default(),
            state: Mutex::default(),
            options,
        }
    }

    /// Whether this is the version of the catalog that a set must have to answer.
    #[inline]
    pub(crate) fn is_catalog_version(&self, version: i64) -> bool {
        self.catalog_version.load(Ordering::Acquire) == version
    }

    /// Makes an entry use one of its company's sets.
    pub(crate) fn put(&self, state: &mut State, key: Key, set: &Arc<CompiledSet>) {
        let replaced = self.entries.insert(&mut state.order, key, set);
        if let Some(company) = state.companies.get_mut(&key.0) {
            company.attach(set, replaced.as_deref());
        }
    }

    /// Makes room: evicts entries that were not asked for since the last look.
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

    /// A change of this process was committed.
    pub(crate) fn changed(&self, target: Target, stamp: CommitStamp) {
        self.event(|tracker, now| tracker.on_own_change(target, stamp.epoch(), now));
    }

    /// A change of this process ended with an unknown outcome.
    pub(crate) fn distrust(&self, target: Target) {
        self.event(|tracker, now| tracker.on_unknown_outcome(target, now));
    }

    /// Whether a poll has reported the states.
    pub(crate) fn has_position(&self) -> bool {
        self.lock().tracker.has_position()
    }

    /// The epoch of the history that the latest poll read, unless it was called into question since.
    pub(crate) fn epoch(&self) -> Option<u64> {
        self.lock().tracker.epoch()
    }

    /// Where a poll that begins now continues, and the generation to pass to [`Self::polled`].
    pub(crate) fn next_poll(&self) -> (Option<Position>, u64) {
        self.lock().tracker.next_poll()
    }

    /// The epoch that must be replaced before the next poll: versions went back within it.
    pub(crate) fn to_renew(&self) -> Option<u64> {
        self.lock().tracker.to_renew()
    }

    /// The history no longer has this epoch.
    pub(crate) fn renewed(&self, epoch: u64) {
        self.lock().tracker.on_renewed(epoch);
    }

    /// A poll of the primary answered.
    pub(crate) fn polled(&self, changes: &Changes, generation: u64, began: Ticket) {
        self.lease.fence(changes.needs_acknowledgement);
        self.event(|tracker, now| tracker.on_poll(changes, generation, began, now));
    }

    /// A poll was answered by a server that is not the primary.
    pub(crate) fn not_primary(&self, why: NotPrimary, generation: u64) {
        let effects = self.event(|tracker, now| tracker.on_not_primary(generation, now));
        if effects.everything {
            tracing::warn!("{why}: nothing that was read from it counts");
        }
    }

    /// The poll proves that what is kept was current when it began; hits may trust that for `lease`.
    pub(crate) fn proven(&self, generation: u64, began: Ticket, sent: Sent, lease: Option<Duration>) {
        // Under the lock, so that no report is being applied meanwhile.
        let mut state = self.lock();
        if state.tracker.on_proof(generation, began) {
            match lease {
                Some(length) => self.lease.extend(sent, length),
                None => drop(self.lease.confirm(sent)),
            }
        }
    }

    /// The credentials that are kept, if they are what the store had after `arrived`. The table is cloned under the
    /// lock, since a new history replaces it with an empty one.
    pub(crate) fn credentials_seen_after(&self, arrived: Ticket) -> Option<Arc<Table>> {
        let state = self.lock();
        let table = self.credentials.table();
        let is_seen = state.credentials.is_some_and(|(began, _)| began > arrived);
        (is_seen && self.credentials.is_current(&table)).then_some(table)
    }

    /// The credentials that were last proven current, and how long ago; for when the store is unavailable.
    pub(crate) fn last_known_credentials(&self) -> Option<(Arc<Table>, Duration)> {
        let state = self.lock();
        let (_, at) = state.credentials?;
        let table = self.credentials.table();
        self.credentials.is_current(&table).then(|| (table, Moment::now().since(at.max(self.lease.confirmed()))))
    }

    /// Passes an event to the tracker, and applies its effects.
    fn event(&self, report: impl FnOnce(&mut Tracker, Ticket) -> Effects) -> Effects {
        let mut state = self.lock();
        let now = self.tickets.now();
        let effects = report(&mut state.tracker, now);
        self.apply(&mut state, &effects);
        effects
    }

    /// Applies the tracker's effects to what is kept.
    pub(crate) fn apply(&self, state: &mut State, effects: &Effects) {
        if effects.end_lease {
            self.lease.revoke();
        }
        if effects.everything {
            self.start_over(state);
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

    /// The history is another one: drops everything that is kept.
    fn start_over(&self, state: &mut State) {
        tracing::warn!("the history of the database is another one than before: everything is read anew");
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
        self.credentials.start_over();
    }

    pub(crate) fn stats(&self) -> CacheStats {
        let state = self.lock();
        CacheStats {
            members: state.order.len(Kind::Member),
            non_members: state.order.len(Kind::NonMember),
            companies: state.companies.len(),
            sets: state.companies.values().map(Company::set_count).sum(),
            bytes: self.bytes(&state),
            ..self.counters.read(self.lease.confirmed())
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Stops to track a company of which nothing is kept and no load is under way.
    pub(crate) fn forget_if_unused(&mut self, id: CompanyId) {
        if self.companies.get(&id).is_some_and(Company::is_unused) {
            self.companies.remove(&id);
            self.tracker.forget(id);
        }
    }
}
