//! What is kept, and when it may be used.
//!
//! Two things are kept apart. The **shelves** hold an entry for each (company, user); a hit reads them without a lock. The
//! **book** says what is known of each company: its version, its levels, its compiled sets. Loads, notices and evictions
//! write it under one mutex, which a hit never takes.
//!
//! A set answers while three things hold: it is alive (no change of its company was heard), it is of the catalog's known
//! version, and the lease runs (see [`Lease`]). A load may put its result here only if nothing was heard since it began that
//! the load may have missed.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use foldhash::fast::RandomState;
use iam_domain::{Catalog, CompanyId, LevelPermissions, ModuleId, Snapshot, UserId, UserLevelId, Versions};
use iam_storage::{CredentialChanges, CurrentVersions, Notice, Stamped, Target};

use crate::CacheOptions;
use crate::clock::Moment;
use crate::coalesce::{Ticket, Tickets};
use crate::compiled::{CompiledSet, LevelRows, Scales};
use crate::credentials::{CredentialCache, Seen};
use crate::index::CatalogIndex;
use crate::lease::{Lease, Sent};
use crate::stats::{CacheStats, Counters};

/// What an entry is found by.
pub(crate) type Key = (CompanyId, UserId);

/// What an entry takes beside its set: the key twice, the map's and the queue's own room.
const ENTRY_BYTES: usize = 160;
/// What a company takes beside its levels and sets.
const COMPANY_BYTES: usize = 512;

/// A user's place on a shelf.
struct Entry {
    set: Arc<CompiledSet>,
    /// [`USED`] and [`ACTIVE`]: whether somebody asked since an eviction, and since a fill, last looked.
    marks: AtomicU8,
}

const USED: u8 = 1;
const ACTIVE: u8 = 2;

type Shelf = papaya::HashMap<Key, Entry, RandomState>;

/// Everything that is kept.
pub(crate) struct Cache {
    /// Those who hold levels, or did when they came.
    members: Shelf,
    /// Those who never did: few are kept, so that strangers cannot push members out.
    strangers: Shelf,
    /// The version that a set must be of to answer.
    catalog: AtomicI64,
    pub(crate) lease: Lease,
    pub(crate) credentials: CredentialCache,
    pub(crate) tickets: Arc<Tickets>,
    pub(crate) counters: Counters,
    book: Mutex<Book>,
    scales: Scales,
    options: CacheOptions,
}

#[derive(Default)]
struct Book {
    /// Which database all of this is of; none before the first answer.
    epoch: Option<u64>,
    /// What began before this belongs to an epoch that is over.
    epoch_since: Ticket,
    /// Grows whenever the channel opens or breaks. A load that saw less than a whole channel may have missed a change.
    generation: u64,
    /// What began before this may not know the catalog's latest change.
    catalog_invalidated: Ticket,
    /// When the question began to which the store answered with the catalog's version.
    catalog_seen: Ticket,
    /// When a change of the catalog ended, nobody knows how.
    catalog_distrusted: Ticket,
    /// What began before this may not know the latest change of a company that was forgotten since.
    forgotten: Ticket,
    /// The newest catalog whose notice came through the channel. Whatever a company's changed before it was heard.
    heard_catalog: i64,
    /// The index of the newest catalog that was read. It may be older than the newest that was heard of.
    index: Option<Arc<CatalogIndex>>,
    companies: HashMap<CompanyId, Company, RandomState>,
    /// What is said of the credentials.
    credentials: Seen,
    /// In the order in which evictions look at them.
    members: VecDeque<Key>,
    strangers: VecDeque<Key>,
}

/// What is known of a company.
#[derive(Default)]
struct Company {
    /// The version that everything here is of; none if nothing is kept.
    version: Option<i64>,
    /// The newest catalog that the store said the version is current together with.
    agrees_with: i64,
    /// What began before this may not know the company's latest change.
    invalidated: Ticket,
    /// The newest version that was heard of. Hearing of it again, as one does of one's own changes, says nothing new.
    told: i64,
    /// When the question began to which the store answered with this version.
    seen: Ticket,
    /// When the store last said that the version is current, other than through the lease.
    confirmed: Option<Moment>,
    modules: Arc<BTreeSet<ModuleId>>,
    levels: BTreeMap<UserLevelId, Arc<LevelRows>>,
    sets: HashMap<Box<[UserLevelId]>, Slot, RandomState>,
    /// How many entries there are.
    entries: usize,
    /// How many loads are under way. The book must not forget the company before they end: it would forget what they missed.
    loads: usize,
}

struct Slot {
    set: Arc<CompiledSet>,
    /// How many entries answer from it.
    entries: usize,
}

impl Company {
    /// Nothing that is kept answers any more.
    fn clear(&mut self) {
        for slot in self.sets.values() {
            slot.set.kill();
        }
        self.version = None;
        self.agrees_with = 0;
        self.sets.clear();
        self.levels.clear();
        self.modules = Arc::default();
    }

    /// An entry does not answer from this set any more.
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

    /// The rows of a level, if they are known over this index.
    fn rows(&self, level: UserLevelId, index: &Arc<CatalogIndex>) -> Option<Arc<LevelRows>> {
        self.levels.get(&level).filter(|rows| rows.is_of(index)).cloned()
    }
}

/// A load that has begun. As long as it lives, what it might miss is written down.
pub(crate) struct Load {
    cache: Arc<Cache>,
    company: CompanyId,
    began: Ticket,
    at: Moment,
    generation: u64,
}

impl Load {
    /// When it began.
    pub(crate) const fn began_at(&self) -> Moment {
        self.at
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let mut book = self.cache.book();
        if let Some(company) = book.companies.get_mut(&self.company) {
            company.loads = company.loads.saturating_sub(1);
        }
        book.forget_if_empty(self.company);
    }
}

/// What the book says about a user whom no hit answers.
pub(crate) enum Known {
    /// This is current, if the lease runs or the store has just said so.
    Current(Arc<CompiledSet>),
    /// The rows are current, the catalog must be read: by a load that began after this.
    Catalog(Ticket),
    /// It is not proven that the company did not change, at all or before the catalog did: versions must be compared with the
    /// store.
    Unproven,
    /// Everything must be read: by a load that began after this.
    Nothing(Ticket),
}

impl Cache {
    pub(crate) fn new(options: CacheOptions) -> Self {
        // Writers are one at a time and may well wait for a larger table; readers should never have to look into two.
        let shelf = || {
            papaya::HashMap::builder().hasher(RandomState::default()).resize_mode(papaya::ResizeMode::Blocking).build()
        };
        Self {
            members: shelf(),
            strangers: shelf(),
            catalog: AtomicI64::new(0),
            lease: Lease::default(),
            credentials: CredentialCache::default(),
            tickets: Arc::default(),
            counters: Counters::default(),
            book: Mutex::default(),
            scales: Scales::default(),
            options,
        }
    }

    /// Answers from the entry if it may. Takes no lock, allocates nothing.
    #[inline]
    pub(crate) fn hit<R>(&self, key: &Key, answer: impl FnOnce(&Arc<CompiledSet>) -> R) -> Option<R> {
        let members = self.members.pin();
        if let Some(entry) = members.get(key) {
            return self.answer(entry, answer);
        }
        let strangers = self.strangers.pin();
        self.answer(strangers.get(key)?, answer)
    }

    #[inline]
    fn answer<R>(&self, entry: &Entry, answer: impl FnOnce(&Arc<CompiledSet>) -> R) -> Option<R> {
        // A store to a line that all readers share is made only when it says something new.
        if entry.marks.load(Ordering::Relaxed) != USED | ACTIVE {
            entry.marks.store(USED | ACTIVE, Ordering::Relaxed);
        }
        // The lease is looked at last: a process may be stopped for long between any two of these.
        (self.is_current(&entry.set) && self.lease.runs()).then(|| answer(&entry.set))
    }

    fn is_current(&self, set: &CompiledSet) -> bool {
        set.is_alive() && set.versions.catalog == self.catalog.load(Ordering::Acquire)
    }

    /// What is known of a user, under the lease or, if it does not run, of what the store said to questions that began after
    /// `seen_after`. Recompiles over a newer catalog when all for it is here.
    pub(crate) fn known(&self, key: Key, seen_after: Option<Ticket>) -> Known {
        let mut book = self.book();
        let is_trusted = |seen: Ticket| seen_after.is_none_or(|since| seen > since);
        let nothing = |book: &Book| {
            let company = book.companies.get(&key.0).map_or(book.forgotten, |company| company.invalidated);
            Known::Nothing(company.max(book.catalog_invalidated))
        };
        let company = book.companies.get(&key.0);
        let version = company.and_then(|company| company.version);
        let is_proven = company.is_some_and(|company| is_trusted(company.seen)) && is_trusted(book.catalog_seen);
        // A set over an older catalog is not among its company's any more once another took its place there: it may have
        // missed that the company changed.
        let is_of_now = |set: &Arc<CompiledSet>| set.is_alive() && version == Some(set.versions.company);
        let Some(set) = self.entry(&key).filter(is_of_now) else { return nothing(&book) };
        if !is_proven {
            return Known::Unproven;
        }
        let catalog = self.catalog.load(Ordering::Acquire);
        if set.versions.catalog == catalog {
            return Known::Current(set);
        }
        let Some(index) = book.index.clone().filter(|index| index.version == catalog) else {
            return Known::Catalog(book.catalog_invalidated);
        };
        let agrees_with = book.companies.get(&key.0).map_or(0, |company| company.agrees_with);
        if index.version > agrees_with.max(book.heard_catalog) {
            return Known::Unproven;
        }
        match self.recompiled(&mut book, key, &set, &index) {
            Some(set) => Known::Current(set),
            None => nothing(&book),
        }
    }

    /// Whether there is something of the user to answer from, proven or not.
    pub(crate) fn keeps(&self, key: &Key) -> bool {
        self.entry(key).is_some_and(|set| set.is_alive())
    }

    fn entry(&self, key: &Key) -> Option<Arc<CompiledSet>> {
        let (members, strangers) = (self.members.pin(), self.strangers.pin());
        members.get(key).or_else(|| strangers.get(key)).map(|entry| Arc::clone(&entry.set))
    }

    /// The set over a newer catalog, from rows in memory. `None` when the catalog's change may have taken rows with it.
    fn recompiled(
        &self,
        book: &mut Book,
        key: Key,
        set: &CompiledSet,
        index: &Arc<CatalogIndex>,
    ) -> Option<Arc<CompiledSet>> {
        let company = book.companies.get_mut(&key.0)?;
        let levels: Box<[_]> = set.levels().collect();
        let set = match company.sets.get(&levels).filter(|slot| slot.set.versions.catalog == index.version) {
            Some(slot) => Arc::clone(&slot.set),
            None => {
                let same = |module: &ModuleId| {
                    let at = |catalog: &Catalog| catalog.module(*module).map(|module| module.created_at);
                    at(&index.catalog).is_none_or(|now| at(&set.index.catalog) == Some(now))
                };
                if !set.modules().iter().all(same) {
                    return None;
                }
                let mut rows = Vec::with_capacity(levels.len());
                for old in set.level_rows() {
                    let id = old.level();
                    let translated = match company.rows(id, index) {
                        Some(rows) => rows,
                        None => Arc::new(old.translated(index, &self.scales)?),
                    };
                    company.levels.insert(id, Arc::clone(&translated));
                    rows.push(translated);
                }
                let versions = Versions { catalog: index.version, ..set.versions };
                let modules = Arc::clone(set.modules());
                let new = CompiledSet::new(versions, index, &modules, rows, &self.scales);
                let new = Arc::new(new);
                company.sets.insert(levels, Slot { set: Arc::clone(&new), entries: 0 });
                new
            }
        };
        self.put(book, key, &set);
        Some(set)
    }

    /// A load begins.
    pub(crate) fn begin(self: &Arc<Self>, company: CompanyId, began: Ticket) -> Load {
        let mut book = self.book();
        let forgotten = book.forgotten;
        let company_book = book.companies.entry(company);
        company_book.or_insert_with(|| Company { invalidated: forgotten, ..Company::default() }).loads += 1;
        Load { cache: Arc::clone(self), company, began, at: Moment::now(), generation: book.generation }
    }

    /// Compiles what a load read, and keeps it unless something was heard that the load may have missed.
    pub(crate) fn keep(&self, load: &Load, user: UserId, versions: Versions, snapshot: &Snapshot) -> Arc<CompiledSet> {
        let levels: Box<[_]> = snapshot.levels.iter().map(|level| level.level).collect();
        let (index, known) = {
            let mut book = self.book();
            let is_here = self.enter_epoch(&mut book, versions.epoch, load.began);
            let index = book.index.clone().filter(|index| is_here && index.version == versions.catalog);
            let known = index.as_ref().and_then(|index| {
                let company =
                    book.companies.get(&load.company).filter(|company| company.version == Some(versions.company))?;
                let set = company.sets.get(&levels).filter(|slot| slot.set.versions == versions);
                let rows = levels.iter().map(|level| company.rows(*level, index)).collect::<Vec<_>>();
                Some((set.map(|slot| Arc::clone(&slot.set)), rows, Arc::clone(&company.modules)))
            });
            (index, known)
        };
        // Compiling needs no lock.
        let index =
            index.unwrap_or_else(|| Arc::new(CatalogIndex::new(versions.catalog, Arc::clone(&snapshot.catalog))));
        let (set, rows, modules) = known.unwrap_or_default();
        let set = set.unwrap_or_else(|| {
            let compile = |(level, known): (&LevelPermissions, Option<Arc<LevelRows>>)| {
                known.unwrap_or_else(|| Arc::new(LevelRows::new(&index, level, &self.scales)))
            };
            let rows =
                snapshot.levels.iter().zip(rows.into_iter().chain(std::iter::repeat(None))).map(compile).collect();
            let modules = if *modules == snapshot.modules { modules } else { Arc::new(snapshot.modules.clone()) };
            Arc::new(CompiledSet::new(versions, &index, &modules, rows, &self.scales))
        });
        self.shelve(load, (load.company, user), &set).unwrap_or(set)
    }

    /// Puts a set where hits find it, unless it may be out of date already. Answers the one that is there now.
    fn shelve(&self, load: &Load, key: Key, set: &Arc<CompiledSet>) -> Option<Arc<CompiledSet>> {
        let mut book = self.book();
        let versions = set.versions;
        if !self.enter_epoch(&mut book, versions.epoch, load.began) || load.generation != book.generation {
            return None;
        }
        if versions.catalog < self.catalog.load(Ordering::Acquire) {
            return None;
        }
        self.learn_catalog(&mut book, &set.index, load.began);
        let company = book.companies.get_mut(&key.0)?;
        if load.began <= company.invalidated || company.version.is_some_and(|version| version > versions.company) {
            return None;
        }
        if company.version != Some(versions.company) {
            company.clear();
            company.version = Some(versions.company);
        }
        company.seen = company.seen.max(load.began);
        company.confirmed = company.confirmed.max(Some(load.at));
        let levels: Box<[_]> = set.levels().collect();
        // Several loads at once may have compiled the same. All answer from the first: a set that is not among its company's
        // would not learn that the company changes.
        let set = match company.sets.get(&levels).filter(|slot| slot.set.versions == versions) {
            Some(slot) => Arc::clone(&slot.set),
            None => {
                company.modules = Arc::clone(set.modules());
                for rows in set.level_rows() {
                    company.levels.insert(rows.level(), Arc::clone(rows));
                }
                company.sets.insert(levels, Slot { set: Arc::clone(set), entries: 0 });
                Arc::clone(set)
            }
        };
        self.put(&mut book, key, &set);
        self.evict(&mut book);
        Some(set)
    }

    /// Lets an entry answer from a set of its company's.
    fn put(&self, book: &mut Book, key: Key, set: &Arc<CompiledSet>) {
        let (members, strangers) = (self.members.pin(), self.strangers.pin());
        // Whoever was a member stays on that shelf; whoever becomes one is found there first.
        let is_member = set.has_levels() || members.contains_key(&key);
        let (shelf, queue) = if is_member { (&members, &mut book.members) } else { (&strangers, &mut book.strangers) };
        let entry = Entry { set: Arc::clone(set), marks: AtomicU8::new(ACTIVE) };
        let old = shelf.insert(key, entry).map(|old| Arc::clone(&old.set));
        let Some(company) = book.companies.get_mut(&key.0) else { return };
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

    /// Makes room: whoever was not asked about since the last look goes.
    fn evict(&self, book: &mut Book) {
        while book.strangers.len() > self.options.max_strangers {
            self.evict_one(book, &self.strangers, |book| &mut book.strangers);
        }
        while book.members.len() > self.options.max_entries || self.bytes(book) > self.options.max_bytes {
            let members_fit = book.members.len() <= self.options.max_entries;
            if members_fit && !book.strangers.is_empty() {
                self.evict_one(book, &self.strangers, |book| &mut book.strangers);
            } else if book.members.is_empty() {
                return;
            } else {
                self.evict_one(book, &self.members, |book| &mut book.members);
            }
        }
    }

    fn evict_one(&self, book: &mut Book, shelf: &Shelf, queue: impl Fn(&mut Book) -> &mut VecDeque<Key>) {
        let shelf = shelf.pin();
        // Everybody gets a second chance once.
        for _ in 0..=queue(book).len() {
            let Some(key) = queue(book).pop_front() else { return };
            let Some(entry) = shelf.get(&key) else { continue };
            if entry.marks.fetch_and(!USED, Ordering::Relaxed) & USED != 0 {
                queue(book).push_back(key);
                continue;
            }
            if let Some(company) = book.companies.get_mut(&key.0) {
                company.entries = company.entries.saturating_sub(1);
                company.release(&entry.set);
            }
            shelf.remove(&key);
            book.forget_if_empty(key.0);
            self.counters.evictions.add(1);
            return;
        }
    }

    fn bytes(&self, book: &Book) -> usize {
        let entries = book.members.len() + book.strangers.len();
        self.scales.bytes() + entries * ENTRY_BYTES + book.companies.len() * COMPANY_BYTES
    }

    /// A change was made here.
    pub(crate) fn made(&self, target: Target, versions: Versions) {
        // What was written last is the database that counts.
        self.enter_epoch(&mut self.book(), versions.epoch, self.tickets.begin());
        let version = match target {
            Target::Catalog => versions.catalog,
            // A change of credentials names their version in the same place.
            Target::Company(_) | Target::Credentials => versions.company,
        };
        self.changed(Notice { target, version });
    }

    /// A change was heard, or made here: what was computed before it answers no more.
    pub(crate) fn changed(&self, notice: Notice) {
        let mut book = self.book();
        let now = self.tickets.now();
        match notice.target {
            Target::Catalog => {
                if notice.version > self.catalog.load(Ordering::Acquire) {
                    self.catalog.store(notice.version, Ordering::Release);
                    book.catalog_invalidated = now;
                    self.counters.invalidations.add(1);
                }
            }
            Target::Credentials => {
                if self.credentials.tell(&mut book.credentials, notice.version, now) {
                    self.counters.invalidations.add(1);
                }
            }
            Target::Company(id) => {
                let Some(company) = book.companies.get_mut(&id) else { return };
                let is_news = notice.version > company.told;
                company.told = company.told.max(notice.version);
                if is_news && company.version.is_none_or(|version| version < notice.version) {
                    company.clear();
                    company.invalidated = now;
                    self.counters.invalidations.add(1);
                }
            }
        }
    }

    /// A change was heard through the channel, after every one that committed before it.
    pub(crate) fn heard(&self, notice: Notice) {
        self.changed(notice);
        if notice.target == Target::Catalog {
            let mut book = self.book();
            book.heard_catalog = book.heard_catalog.max(notice.version);
        }
    }

    /// A change ended, nobody knows how: nothing that was read before now is used unproven.
    pub(crate) fn distrust(&self, target: Target) {
        let mut book = self.book();
        let now = self.tickets.now();
        self.counters.invalidations.add(1);
        match target {
            Target::Company(id) => {
                if let Some(company) = book.companies.get_mut(&id) {
                    company.clear();
                    company.invalidated = now;
                }
            }
            Target::Credentials => self.credentials.distrust(&mut book.credentials, now),
            // Every company's: none is dropped, but each is compared with the store before it answers.
            Target::Catalog => {
                book.catalog_invalidated = now;
                book.catalog_distrusted = now;
                self.lease.revoke();
            }
        }
    }

    /// The store said what is current.
    pub(crate) fn confirm(&self, current: &CurrentVersions, began: Ticket, at: Moment) {
        let mut book = self.book();
        if !self.enter_epoch(&mut book, current.epoch, began) {
            return;
        }
        let now = self.tickets.now();
        if current.catalog > self.catalog.load(Ordering::Acquire) {
            self.catalog.store(current.catalog, Ordering::Release);
            book.catalog_invalidated = now;
        }
        if current.catalog == self.catalog.load(Ordering::Acquire) {
            book.catalog_seen = book.catalog_seen.max(began);
        } else if began > book.catalog_seen.max(book.catalog_invalidated) {
            // A version that goes back: the database was restored, and could not be told from what it was.
            self.start_over(&mut book);
            return;
        }
        self.credentials.confirm(&mut book.credentials, current.credentials, began, now);
        for (id, version) in &current.companies {
            let Some(company) = book.companies.get_mut(id) else { continue };
            match company.version {
                Some(known) if known < *version => {
                    company.clear();
                    company.invalidated = now;
                    self.counters.invalidations.add(1);
                }
                // It went back; see above.
                Some(known) if known > *version && began > company.seen => {
                    company.clear();
                    company.told = 0;
                    company.invalidated = now;
                }
                // An older answer than what is known says nothing.
                Some(known) if known == *version => {
                    company.seen = company.seen.max(began);
                    company.confirmed = company.confirmed.max(Some(at));
                    company.agrees_with = company.agrees_with.max(current.catalog);
                }
                _ => {}
            }
        }
    }

    /// A catalog was read.
    pub(crate) fn keep_catalog(&self, stamped: Stamped<Arc<Catalog>>, began: Ticket) {
        let index = Arc::new(CatalogIndex::new(stamped.versions.catalog, stamped.value));
        let mut book = self.book();
        if self.enter_epoch(&mut book, stamped.versions.epoch, began) {
            self.learn_catalog(&mut book, &index, began);
        }
    }

    /// What a load of credentials read that was asked for everything after `since`.
    pub(crate) fn keep_credentials(&self, changes: CredentialChanges, since: i64, began: Ticket, at: Moment) {
        let mut book = self.book();
        if self.enter_epoch(&mut book, changes.epoch, began) {
            let now = self.tickets.now();
            self.credentials.keep(&mut book.credentials, changes, since, (began, at), now);
        }
    }

    /// Whether what is here of the credentials is what the store had after `arrived`.
    pub(crate) fn credentials_seen_after(&self, arrived: Ticket) -> bool {
        let book = self.book();
        book.credentials.by > arrived && self.credentials.is_current(&self.credentials.table())
    }

    /// How long ago it was last known that the credentials that are here are current; for when the store cannot be asked.
    pub(crate) fn credentials_age(&self) -> Option<Duration> {
        self.credentials.age(&self.book().credentials, self.lease.confirmed())
    }

    fn learn_catalog(&self, book: &mut Book, index: &Arc<CatalogIndex>, began: Ticket) {
        if book.index.as_ref().is_none_or(|known| known.version < index.version) {
            book.index = Some(Arc::clone(index));
        }
        if index.version > self.catalog.load(Ordering::Acquire) {
            self.catalog.store(index.version, Ordering::Release);
            book.catalog_invalidated = self.tickets.now();
        }
        if index.version == self.catalog.load(Ordering::Acquire) {
            book.catalog_seen = book.catalog_seen.max(began);
        }
    }

    /// Whether an answer is of the database that everything here is of. One of another database, if it is the later to have
    /// begun, begins a new epoch: everything that is kept goes.
    fn enter_epoch(&self, book: &mut Book, epoch: u64, began: Ticket) -> bool {
        match book.epoch {
            Some(known) if known == epoch => true,
            Some(_) if began <= book.epoch_since => false,
            known => {
                book.epoch = Some(epoch);
                if known.is_some() {
                    self.start_over(book);
                }
                true
            }
        }
    }

    /// The database is another one than before: nothing that is kept counts.
    fn start_over(&self, book: &mut Book) {
        tracing::warn!("the database is another one than before: everything is read anew");
        let now = self.tickets.now();
        self.lease.revoke();
        for company in book.companies.values_mut() {
            company.clear();
            company.told = 0;
            company.entries = 0;
            company.invalidated = now;
        }
        book.companies.retain(|_, company| company.loads > 0);
        book.index = None;
        book.heard_catalog = 0;
        book.catalog_invalidated = now;
        book.catalog_seen = Ticket::default();
        book.forgotten = now;
        self.catalog.store(0, Ordering::Release);
        self.members.pin().clear();
        self.strangers.pin().clear();
        book.members.clear();
        book.strangers.clear();
        self.credentials.start_over(&mut book.credentials);
        book.epoch_since = now;
    }

    /// The channel opened or broke: loads under way may miss a change.
    pub(crate) fn turn_channel(&self) {
        let mut book = self.book();
        book.generation += 1;
        // Nobody who comes from here on is answered by a load that may have missed what the channel did not tell.
        book.catalog_invalidated = self.tickets.now();
        self.lease.revoke();
    }

    /// Everything that committed before `sent` was heard.
    pub(crate) fn extend_lease(&self, sent: Sent) {
        // Under the lock: not while a change that was heard before is still being written down.
        let _book = self.book();
        self.lease.extend(sent, self.options.lease);
    }

    /// The companies of which something is kept.
    pub(crate) fn companies(&self) -> Vec<CompanyId> {
        self.book().companies.iter().filter(|(_, company)| company.version.is_some()).map(|(id, _)| *id).collect()
    }

    /// What was last known of a user, and how long ago it was last known to be so. For when the store cannot be asked.
    pub(crate) fn last_known(&self, key: Key) -> Option<(Arc<CompiledSet>, Duration)> {
        let set = self.entry(&key).filter(|set| self.is_current(set))?;
        let book = self.book();
        if book.catalog_seen <= book.catalog_distrusted {
            return None;
        }
        let by_store = book.companies.get(&key.0).and_then(|company| company.confirmed).unwrap_or(Moment::NEVER);
        Some((set, Moment::now().since(by_store.max(self.lease.confirmed()))))
    }

    /// The members who were asked about since they were last put to [rest](Self::rest), with their sets.
    pub(crate) fn active(&self) -> Vec<(Key, Arc<CompiledSet>)> {
        let members = self.members.pin();
        members
            .iter()
            .filter(|(_, entry)| entry.marks.load(Ordering::Relaxed) & ACTIVE != 0)
            .filter(|(_, entry)| entry.set.has_levels() && self.is_current(&entry.set))
            .map(|(key, entry)| (*key, Arc::clone(&entry.set)))
            .collect()
    }

    /// Nothing more is to be done for this user until somebody asks again.
    pub(crate) fn rest(&self, key: &Key) {
        if let Some(entry) = self.members.pin().get(key) {
            entry.marks.fetch_and(!ACTIVE, Ordering::Relaxed);
        }
    }

    pub(crate) fn stats(&self) -> CacheStats {
        let book = self.book();
        CacheStats {
            members: book.members.len(),
            strangers: book.strangers.len(),
            companies: book.companies.len(),
            sets: book.companies.values().map(|company| company.sets.len()).sum(),
            bytes: self.bytes(&book),
            ..self.counters.read(self.lease.confirmed())
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn forget_if_empty(&mut self, id: CompanyId) {
        let is_empty = |company: &Company| company.entries == 0 && company.loads == 0;
        if self.companies.get(&id).is_some_and(is_empty)
            && let Some(company) = self.companies.remove(&id)
        {
            self.forgotten = self.forgotten.max(company.invalidated);
        }
    }
}
