//! The kept entries, and when they may be used.
//!
//! Two parts are kept apart. The **entries** map each (company, user) to a compiled set; a hit reads them without a
//! lock. The **inner** part tracks the known states of the store (see [`Tracker`]) and holds each company's levels and
//! compiled sets. Loads, polls and evictions write it under one mutex, which a hit never takes.
//!
//! A set answers while three conditions hold: it is alive (its company is not known to have changed), it is of the
//! known version of the catalog, and the lease runs (see [`Lease`]).

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use foldhash::fast::RandomState;
use iam_domain::{Catalog, CompanyId, LevelPermissions, ModuleId, Snapshot, UserId, UserLevelId, Versions};
use iam_storage::{Changes, CredentialChanges, NotPrimary, Position, Stamped, StateId, Target};

use crate::CacheOptions;
use crate::credentials::{CredentialCache, Table};
use crate::engine::compiled::CompiledSet;
use crate::engine::index::CatalogIndex;
use crate::engine::level_rules::LevelRules;
use crate::engine::memory_usage::MemoryUsage;
use crate::freshness::clock::Moment;
use crate::freshness::lease::{Lease, Sent};
use crate::freshness::ticket::{Ticket, Tickets};
use crate::freshness::tracker::{Effects, Loaded, Tracker, Verdict};
use crate::stats::{CacheStats, Counters};

/// The key of an entry.
pub(crate) type Key = (CompanyId, UserId);

/// The bytes of an entry beside its set: the key twice, and the overhead of the map and of the queue.
const ENTRY_BYTES: usize = 160;
/// The bytes of a company beside its levels and sets.
const COMPANY_BYTES: usize = 512;

/// A user's place in a map of entries.
struct Entry {
    set: Arc<CompiledSet>,
    /// [`USED`] and [`ACTIVE`]: whether the entry was asked for since the last eviction, and since the last fill,
    /// looked at it.
    marks: AtomicU8,
}

const USED: u8 = 1;
const ACTIVE: u8 = 2;

/// A version that no state has.
const NO_VERSION: i64 = -1;

type Entries = papaya::HashMap<Key, Entry, RandomState>;

/// Everything that is kept.
pub(crate) struct Cache {
    /// Users who hold levels, or held some when they were added.
    members: Entries,
    /// Users who never held a level: few are kept, so that non-members cannot evict members.
    non_members: Entries,
    /// The version of the catalog that a set must have to answer; [`NO_VERSION`] while it is not known.
    catalog: AtomicI64,
    pub(crate) lease: Lease,
    pub(crate) credentials: CredentialCache,
    pub(crate) tickets: Arc<Tickets>,
    pub(crate) counters: Counters,
    inner: Mutex<Inner>,
    memory: MemoryUsage,
    options: CacheOptions,
}

#[derive(Default)]
struct Inner {
    tracker: Tracker,
    /// The index of the newest catalog that was read. A newer one may be known already.
    index: Option<Arc<CatalogIndex>>,
    companies: HashMap<CompanyId, Company, RandomState>,
    /// When the latest question began that the store answered with all credentials that are kept: its ticket and its
    /// time.
    credentials: Option<(Ticket, Moment)>,
    /// In the order in which evictions look at them.
    members: VecDeque<Key>,
    non_members: VecDeque<Key>,
}

/// What is kept of a company. All of it is of the state that the tracker knows.
#[derive(Default)]
struct Company {
    modules: Arc<BTreeSet<ModuleId>>,
    levels: BTreeMap<UserLevelId, Arc<LevelRules>>,
    sets: HashMap<Box<[UserLevelId]>, Slot, RandomState>,
    /// How many entries there are.
    entries: usize,
    /// How many loads are under way. The inner part must keep the company until they end, or it forgets what they
    /// missed.
    loads: usize,
}

struct Slot {
    set: Arc<CompiledSet>,
    /// How many entries use it.
    entries: usize,
}

impl Company {
    /// Stops everything that is kept of the company from answering.
    fn clear(&mut self) {
        for slot in self.sets.values() {
            slot.set.kill();
        }
        self.sets.clear();
        self.levels.clear();
        self.modules = Arc::default();
    }

    /// An entry stops using this set.
    fn release(&mut self, set: &CompiledSet) {
        let key: Box<[_]> = set.levels().collect();
        let Some(slot) = self.sets.get_mut(&key).filter(|slot| std::ptr::eq(Arc::as_ptr(&slot.set), set)) else {
            return;
        };
        slot.entries = slot.entries.saturating_sub(1);
        if slot.entries == 0 {
            self.sets.remove(&key);
            let in_use: BTreeSet<_> = self.sets.keys().flatten().copied().collect();
            self.levels.retain(|level, _| in_use.contains(level));
        }
    }

    /// The rules of a level, if they are known for this index.
    fn rules(&self, level: UserLevelId, index: &Arc<CatalogIndex>) -> Option<Arc<LevelRules>> {
        self.levels.get(&level).filter(|rules| rules.is_of(index)).cloned()
    }
}

/// A load under way. While it lives, the changes that it might miss are recorded.
pub(crate) struct Load {
    cache: Arc<Cache>,
    company: CompanyId,
    began: Ticket,
    at: Moment,
}

impl Load {
    /// When it began.
    pub(crate) const fn began_at(&self) -> Moment {
        self.at
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let mut inner = self.cache.lock();
        if let Some(company) = inner.companies.get_mut(&self.company) {
            company.loads = company.loads.saturating_sub(1);
        }
        inner.forget_if_empty(self.company);
    }
}

/// What the inner part knows of a user after a miss.
pub(crate) enum Known {
    /// The set is current, if the lease runs or the store has just confirmed it.
    Current(Arc<CompiledSet>),
    /// The rules are current, but the catalog must be read: by a load that begins after this.
    Catalog(Ticket),
    /// Nothing proves that the set is still current: a poll must.
    Unproven,
    /// Everything must be read: by a load that begins after this.
    Nothing(Ticket),
}

impl Cache {
    pub(crate) fn new(options: CacheOptions) -> Self {
        // Writers take turns and may wait for a larger table; readers should never have to look into two.
        let entries = || {
            papaya::HashMap::builder().hasher(RandomState::default()).resize_mode(papaya::ResizeMode::Blocking).build()
        };
        Self {
            members: entries(),
            non_members: entries(),
            catalog: AtomicI64::new(NO_VERSION),
            lease: Lease::default(),
            credentials: CredentialCache::default(),
            tickets: Arc::default(),
            counters: Counters::default(),
            inner: Mutex::default(),
            memory: MemoryUsage::default(),
            options,
        }
    }

    /// Answers from the entry if it may be used. Takes no lock, allocates nothing.
    #[inline]
    pub(crate) fn hit<R>(&self, key: &Key, answer: impl FnOnce(&Arc<CompiledSet>) -> R) -> Option<R> {
        let members = self.members.pin();
        if let Some(entry) = members.get(key) {
            return self.answer(entry, answer);
        }
        let non_members = self.non_members.pin();
        self.answer(non_members.get(key)?, answer)
    }

    #[inline]
    fn answer<R>(&self, entry: &Entry, answer: impl FnOnce(&Arc<CompiledSet>) -> R) -> Option<R> {
        // All readers share this cache line, so it is written only when the value changes.
        if entry.marks.load(Ordering::Relaxed) != USED | ACTIVE {
            entry.marks.store(USED | ACTIVE, Ordering::Relaxed);
        }
        // The lease is checked last: the process may be paused for long between any two of these.
        (self.is_current(&entry.set) && self.lease.runs()).then(|| answer(&entry.set))
    }

    fn is_current(&self, set: &CompiledSet) -> bool {
        set.is_alive() && set.versions.catalog == self.catalog.load(Ordering::Acquire)
    }

    /// What is known of a user, proven by the lease or, if it does not run, by a poll that began after `proven_after`.
    /// Recompiles for a newer catalog if all rules are in memory.
    pub(crate) fn known(&self, key: Key, proven_after: Option<Ticket>) -> Known {
        let mut inner = self.lock();
        let tracker = &inner.tracker;
        if !tracker.has_position() {
            return Known::Unproven;
        }
        let nothing = Known::Nothing(tracker.least(key.0));
        let state = tracker.company(key.0);
        // A set for an older catalog leaves its company once another one replaces it there. It may then have missed a
        // change of the company.
        let is_of_now = |set: &Arc<CompiledSet>| set.is_alive() && state == Some(set.company_state());
        let Some(set) = self.entry(&key).filter(is_of_now) else { return nothing };
        let Some(catalog) = tracker.catalog() else { return Known::Unproven };
        if proven_after.is_some_and(|since| tracker.proven() <= since) {
            return Known::Unproven;
        }
        if set.index.state == catalog {
            return Known::Current(set);
        }
        let Some(index) = inner.index.clone().filter(|index| index.state == catalog) else {
            return Known::Catalog(tracker.least_for_catalog());
        };
        if !tracker.is_catalog_polled() {
            return Known::Unproven;
        }
        self.recompiled(&mut inner, key, &set, &index).map_or(nothing, Known::Current)
    }

    /// Whether the user has an entry to answer from, proven or not.
    pub(crate) fn keeps(&self, key: &Key) -> bool {
        self.entry(key).is_some_and(|set| set.is_alive())
    }

    fn entry(&self, key: &Key) -> Option<Arc<CompiledSet>> {
        let (members, non_members) = (self.members.pin(), self.non_members.pin());
        members.get(key).or_else(|| non_members.get(key)).map(|entry| Arc::clone(&entry.set))
    }

    /// The set for a newer catalog, from rules in memory. `None` if the change of the catalog may have removed rules.
    fn recompiled(
        &self,
        inner: &mut Inner,
        key: Key,
        set: &CompiledSet,
        index: &Arc<CatalogIndex>,
    ) -> Option<Arc<CompiledSet>> {
        let company = inner.companies.get_mut(&key.0)?;
        let levels: Box<[_]> = set.levels().collect();
        let set = match company.sets.get(&levels).filter(|slot| slot.set.index.state == index.state) {
            Some(slot) => Arc::clone(&slot.set),
            None => {
                let same = |module: &ModuleId| {
                    let at = |catalog: &Catalog| catalog.module(*module).map(|module| module.created_at);
                    at(&index.catalog).is_none_or(|now| at(&set.index.catalog) == Some(now))
                };
                if !set.modules().iter().all(same) {
                    return None;
                }
                let mut rules = Vec::with_capacity(levels.len());
                for old in set.level_rules() {
                    let id = old.level();
                    let translated = match company.rules(id, index) {
                        Some(rules) => rules,
                        None => Arc::new(old.translated(index, &self.memory)?),
                    };
                    company.levels.insert(id, Arc::clone(&translated));
                    rules.push(translated);
                }
                let versions = Versions { catalog: index.state.version, ..set.versions };
                let modules = Arc::clone(set.modules());
                let new = CompiledSet::new(versions, set.company_state().stamp, index, &modules, rules, &self.memory);
                let new = Arc::new(new);
                company.sets.insert(levels, Slot { set: Arc::clone(&new), entries: 0 });
                new
            }
        };
        self.put(inner, key, &set);
        Some(set)
    }

    /// Begins a load.
    pub(crate) fn begin(self: &Arc<Self>, company: CompanyId, began: Ticket) -> Load {
        let mut inner = self.lock();
        inner.tracker.track(company);
        inner.companies.entry(company).or_default().loads += 1;
        Load { cache: Arc::clone(self), company, began, at: Moment::now() }
    }

    /// Compiles what a load read, and keeps the set unless it may be outdated already.
    pub(crate) fn keep(
        &self,
        load: &Load,
        user: UserId,
        stamped: &Stamped<()>,
        snapshot: &Snapshot,
    ) -> Arc<CompiledSet> {
        let levels: Box<[_]> = snapshot.levels.iter().map(|level| level.level).collect();
        let (catalog, company) = (stamped.catalog_state(), stamped.company_state());
        let (index, known) = {
            let inner = self.lock();
            let index = inner.index.clone().filter(|index| index.state == catalog);
            let is_of_now = inner.tracker.company(load.company) == Some(company);
            let known = index.as_ref().filter(|_| is_of_now).and_then(|index| {
                let company = inner.companies.get(&load.company)?;
                let set = company.sets.get(&levels).filter(|slot| slot.set.index.state == index.state);
                let rules = levels.iter().map(|level| company.rules(*level, index)).collect::<Vec<_>>();
                Some((set.map(|slot| Arc::clone(&slot.set)), rules, Arc::clone(&company.modules)))
            });
            (index, known)
        };
        // Compiling needs no lock.
        let index = index.unwrap_or_else(|| Arc::new(CatalogIndex::new(catalog, Arc::clone(&snapshot.catalog))));
        let (set, rules, modules) = known.unwrap_or_default();
        let set = set.unwrap_or_else(|| {
            let compile = |(level, known): (&LevelPermissions, Option<Arc<LevelRules>>)| {
                known.unwrap_or_else(|| Arc::new(LevelRules::new(&index, level, &self.memory)))
            };
            let rules =
                snapshot.levels.iter().zip(rules.into_iter().chain(std::iter::repeat(None))).map(compile).collect();
            let modules = if *modules == snapshot.modules { modules } else { Arc::new(snapshot.modules.clone()) };
            Arc::new(CompiledSet::new(stamped.versions, company.stamp, &index, &modules, rules, &self.memory))
        });
        self.insert_loaded(load, (load.company, user), &set).unwrap_or(set)
    }

    /// Makes a set available to hits, unless it may be outdated already. Returns the one that is available now.
    fn insert_loaded(&self, load: &Load, key: Key, set: &Arc<CompiledSet>) -> Option<Arc<CompiledSet>> {
        let mut inner = self.lock();
        let loaded = Loaded {
            epoch: set.versions.epoch,
            catalog: set.index.state,
            company: Some((key.0, set.company_state())),
            began: load.began,
        };
        if self.loaded(&mut inner, &loaded) == Verdict::Drop {
            return None;
        }
        self.learn_index(&mut inner, &set.index);
        let company = inner.companies.get_mut(&key.0)?;
        let levels: Box<[_]> = set.levels().collect();
        // Several concurrent loads may have compiled the same set. All use the first: a set that its company does not
        // list would not be invalidated when the company changes.
        let set = match company.sets.get(&levels).filter(|slot| slot.set.index.state == set.index.state) {
            Some(slot) => Arc::clone(&slot.set),
            None => {
                company.modules = Arc::clone(set.modules());
                for rules in set.level_rules() {
                    company.levels.insert(rules.level(), Arc::clone(rules));
                }
                company.sets.insert(levels, Slot { set: Arc::clone(set), entries: 0 });
                Arc::clone(set)
            }
        };
        self.put(&mut inner, key, &set);
        self.evict(&mut inner);
        Some(set)
    }

    /// Reports a load to the tracker.
    fn loaded(&self, inner: &mut Inner, loaded: &Loaded) -> Verdict {
        let (verdict, effects) = inner.tracker.on_load(loaded, self.tickets.now());
        self.apply(inner, &effects);
        verdict
    }

    /// Makes an entry use one of its company's sets.
    fn put(&self, inner: &mut Inner, key: Key, set: &Arc<CompiledSet>) {
        let (members, non_members) = (self.members.pin(), self.non_members.pin());
        // A former member stays in that map, and a new member is found there first.
        let is_member = set.has_levels() || members.contains_key(&key);
        let (entries, queue) =
            if is_member { (&members, &mut inner.members) } else { (&non_members, &mut inner.non_members) };
        let entry = Entry { set: Arc::clone(set), marks: AtomicU8::new(ACTIVE) };
        let old = entries.insert(key, entry).map(|old| Arc::clone(&old.set));
        let Some(company) = inner.companies.get_mut(&key.0) else { return };
        if old.is_none() {
            queue.push_back(key);
            company.entries += 1;
        }
        let levels: Box<[_]> = set.levels().collect();
        if let Some(slot) = company.sets.get_mut(&levels) {
            slot.entries += 1;
        }
        if let Some(old) = old {
            company.release(&old);
        }
    }

    /// Makes room: evicts entries that were not asked for since the last look.
    fn evict(&self, inner: &mut Inner) {
        while inner.non_members.len() > self.options.max_non_members {
            self.evict_one(inner, &self.non_members, |inner| &mut inner.non_members);
        }
        while inner.members.len() > self.options.max_entries || self.bytes(inner) > self.options.max_bytes {
            let members_fit = inner.members.len() <= self.options.max_entries;
            if members_fit && !inner.non_members.is_empty() {
                self.evict_one(inner, &self.non_members, |inner| &mut inner.non_members);
            } else if inner.members.is_empty() {
                return;
            } else {
                self.evict_one(inner, &self.members, |inner| &mut inner.members);
            }
        }
    }

    fn evict_one(&self, inner: &mut Inner, entries: &Entries, queue: impl Fn(&mut Inner) -> &mut VecDeque<Key>) {
        let entries = entries.pin();
        // Each entry gets a second chance once.
        for _ in 0..=queue(inner).len() {
            let Some(key) = queue(inner).pop_front() else { return };
            let Some(entry) = entries.get(&key) else { continue };
            if entry.marks.fetch_and(!USED, Ordering::Relaxed) & USED != 0 {
                queue(inner).push_back(key);
                continue;
            }
            if let Some(company) = inner.companies.get_mut(&key.0) {
                company.entries = company.entries.saturating_sub(1);
                company.release(&entry.set);
            }
            entries.remove(&key);
            inner.forget_if_empty(key.0);
            self.counters.evictions.add(1);
            return;
        }
    }

    fn bytes(&self, inner: &Inner) -> usize {
        let entries = inner.members.len() + inner.non_members.len();
        self.memory.bytes() + entries * ENTRY_BYTES + inner.companies.len() * COMPANY_BYTES
    }

    /// A change of this process was committed.
    pub(crate) fn made(&self, target: Target, versions: Versions) {
        self.event(|tracker, now| tracker.on_own_change(target, versions.epoch, now));
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
        let mut inner = self.lock();
        if inner.tracker.on_proof(generation, began) {
            match lease {
                Some(length) => self.lease.extend(sent, length),
                None => drop(self.lease.confirm(sent)),
            }
        }
    }

    /// A catalog was read.
    pub(crate) fn keep_catalog(&self, stamped: Stamped<Arc<Catalog>>, began: Ticket) {
        let (epoch, catalog) = (stamped.versions.epoch, stamped.catalog_state());
        let index = Arc::new(CatalogIndex::new(catalog, stamped.value));
        let mut inner = self.lock();
        if self.loaded(&mut inner, &Loaded { epoch, catalog, company: None, began }) == Verdict::Keep {
            self.learn_index(&mut inner, &index);
        }
    }

    /// Keeps the answer to a load of credentials that asked for everything after `since`.
    pub(crate) fn keep_credentials(&self, changes: CredentialChanges, since: StateId, began: Ticket, at: Moment) {
        let mut inner = self.lock();
        let now = self.tickets.now();
        let (verdict, effects) = inner.tracker.on_credentials(changes.epoch, changes.state, began, now);
        self.apply(&mut inner, &effects);
        if verdict == Verdict::Keep && self.credentials.learn(changes, since) {
            inner.credentials = inner.credentials.max(Some((began, at)));
        }
    }

    /// The credentials that are kept, if they are what the store had after `arrived`. The table is cloned under the
    /// lock, since a new history replaces it with an empty one.
    pub(crate) fn credentials_seen_after(&self, arrived: Ticket) -> Option<Arc<Table>> {
        let inner = self.lock();
        let table = self.credentials.table();
        let is_seen = inner.credentials.is_some_and(|(began, _)| began > arrived);
        (is_seen && self.credentials.is_current(&table)).then_some(table)
    }

    /// The credentials that were last proven current, and how long ago; for when the store is unavailable.
    pub(crate) fn last_known_credentials(&self) -> Option<(Arc<Table>, Duration)> {
        let inner = self.lock();
        let (_, at) = inner.credentials?;
        let table = self.credentials.table();
        self.credentials.is_current(&table).then(|| (table, Moment::now().since(at.max(self.lease.confirmed()))))
    }

    fn learn_index(&self, inner: &mut Inner, index: &Arc<CatalogIndex>) {
        if inner.tracker.catalog() == Some(index.state) {
            inner.index = Some(Arc::clone(index));
        }
    }

    /// Passes an event to the tracker, and applies its effects.
    fn event(&self, tell: impl FnOnce(&mut Tracker, Ticket) -> Effects) -> Effects {
        let mut inner = self.lock();
        let now = self.tickets.now();
        let effects = tell(&mut inner.tracker, now);
        self.apply(&mut inner, &effects);
        effects
    }

    /// Applies the tracker's effects to what is kept.
    fn apply(&self, inner: &mut Inner, effects: &Effects) {
        if effects.end_lease {
            self.lease.revoke();
        }
        if effects.everything {
            self.start_over(inner);
        }
        for id in &effects.outdated {
            if let Some(company) = inner.companies.get_mut(id).filter(|company| !company.sets.is_empty()) {
                company.clear();
                self.counters.invalidations.add(1);
            }
        }
        if effects.catalog || effects.everything {
            let version = inner.tracker.catalog().map_or(NO_VERSION, |state| state.version);
            let before = self.catalog.swap(version, Ordering::AcqRel);
            self.counters.invalidations.add(u64::from(before != NO_VERSION));
        }
        if effects.credentials || effects.everything {
            let was_known = self.credentials.tell(inner.tracker.credentials());
            self.counters.invalidations.add(u64::from(was_known));
        }
    }

    /// The history is another one: drops everything that is kept.
    fn start_over(&self, inner: &mut Inner) {
        tracing::warn!("the history of the database is another one than before: everything is read anew");
        metrics::counter!("iam_cache_histories_total").increment(1);
        for company in inner.companies.values_mut() {
            company.clear();
            company.entries = 0;
        }
        let tracker = &mut inner.tracker;
        inner.companies.retain(|id, company| {
            let stays = company.loads > 0;
            if !stays {
                tracker.forget(*id);
            }
            stays
        });
        inner.index = None;
        self.members.pin().clear();
        self.non_members.pin().clear();
        inner.members.clear();
        inner.non_members.clear();
        inner.credentials = None;
        self.credentials.start_over();
    }

    /// The last known set of a user, and how long ago it was last proven current. For when the store is unavailable.
    pub(crate) fn last_known(&self, key: Key) -> Option<(Arc<CompiledSet>, Duration)> {
        let set = self.entry(&key).filter(|set| self.is_current(set))?;
        Some((set, Moment::now().since(self.lease.confirmed())))
    }

    /// The members who were asked about since their last [rest](Self::rest), with their sets.
    pub(crate) fn active(&self) -> Vec<(Key, Arc<CompiledSet>)> {
        let members = self.members.pin();
        members
            .iter()
            .filter(|(_, entry)| entry.marks.load(Ordering::Relaxed) & ACTIVE != 0)
            .filter(|(_, entry)| entry.set.has_levels() && self.is_current(&entry.set))
            .map(|(key, entry)| (*key, Arc::clone(&entry.set)))
            .collect()
    }

    /// Marks this user as done until the next request.
    pub(crate) fn rest(&self, key: &Key) {
        if let Some(entry) = self.members.pin().get(key) {
            entry.marks.fetch_and(!ACTIVE, Ordering::Relaxed);
        }
    }

    pub(crate) fn stats(&self) -> CacheStats {
        let inner = self.lock();
        CacheStats {
            members: inner.members.len(),
            non_members: inner.non_members.len(),
            companies: inner.companies.len(),
            sets: inner.companies.values().map(|company| company.sets.len()).sum(),
            bytes: self.bytes(&inner),
            ..self.counters.read(self.lease.confirmed())
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn forget_if_empty(&mut self, id: CompanyId) {
        let is_empty = |company: &Company| company.entries == 0 && company.loads == 0;
        if self.companies.get(&id).is_some_and(is_empty) {
            self.companies.remove(&id);
            self.tracker.forget(id);
        }
    }
}
