//! The cache entries: one for each user in each company. An entry refers to a compiled set. Entries are read without
//! locking.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use foldhash::fast::RandomState;
use iam_domain::{CompanyId, UserId};

use crate::CacheOptions;
use crate::engine::compiled::CompiledSet;

/// The key of a cache entry: a company and a user.
pub(crate) type Key = (CompanyId, UserId);

/// Estimated memory per entry, in bytes, excluding its compiled set. The estimate includes the key twice (in the map
/// and in the queue) and the overhead of both.
const ENTRY_BYTES: usize = 160;

struct Entry {
    set: Arc<CompiledSet>,
    /// The bit flags [`USED`] and [`ACTIVE`].
    marks: AtomicU8,
}

/// The flag of an entry that was used since an eviction last examined it (the reference bit of second-chance eviction).
const USED: u8 = 1;
/// The flag of an entry that was added or used since [`Entries::rest`] last cleared this flag.
const ACTIVE: u8 = 2;

type Map = papaya::HashMap<Key, Entry, RandomState>;

/// The kind of an entry: member or non-member. Non-members are cached in a small, separate negative cache, so that
/// requests with random user ids cannot evict members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The user holds levels, or held levels at some time since the entry was added.
    Member,
    /// The user has held no level since the entry was added.
    NonMember,
}

/// The cache entries of all users.
pub(crate) struct Entries {
    members: Map,
    non_members: Map,
}

/// The queues that determine the order of evictions. The cache's mutex protects them. Every function that adds or
/// removes an entry requires mutable access to them, so the same mutex serializes these functions.
#[derive(Debug, Default)]
pub(crate) struct EvictionOrder {
    members: VecDeque<Key>,
    non_members: VecDeque<Key>,
}

impl EvictionOrder {
    pub(crate) fn len(&self, kind: Kind) -> usize {
        match kind {
            Kind::Member => self.members.len(),
            Kind::NonMember => self.non_members.len(),
        }
    }

    /// Returns the estimated memory of all entries in bytes, excluding their compiled sets.
    pub(crate) fn bytes(&self) -> usize {
        (self.members.len() + self.non_members.len()) * ENTRY_BYTES
    }

    /// Returns the kind of entry to evict next, or `None` if the cache is within its limits or has no more entries.
    /// `bytes` is the memory usage of the whole cache.
    pub(crate) fn excess(&self, options: &CacheOptions, bytes: usize) -> Option<Kind> {
        if self.non_members.len() > options.max_non_members {
            return Some(Kind::NonMember);
        }
        let members_fit = self.members.len() <= options.max_entries;
        if members_fit && bytes <= options.max_bytes {
            None
        } else if members_fit && !self.non_members.is_empty() {
            Some(Kind::NonMember)
        } else {
            (!self.members.is_empty()).then_some(Kind::Member)
        }
    }

    fn queue(&mut self, kind: Kind) -> &mut VecDeque<Key> {
        match kind {
            Kind::Member => &mut self.members,
            Kind::NonMember => &mut self.non_members,
        }
    }
}

impl Default for Entries {
    fn default() -> Self {
        // With blocking resizes, writers wait while a map is resized, and readers search only one table.
        let map = || {
            papaya::HashMap::builder().hasher(RandomState::default()).resize_mode(papaya::ResizeMode::Blocking).build()
        };
        Self { members: map(), non_members: map() }
    }
}

impl Entries {
    /// Marks the entry of a user as used, and passes its compiled set to `answer`. Acquires no lock and allocates no
    /// memory.
    #[inline]
    pub(crate) fn hit<R>(&self, key: &Key, answer: impl FnOnce(&Arc<CompiledSet>) -> Option<R>) -> Option<R> {
        let members = self.members.pin();
        if let Some(entry) = members.get(key) {
            return entry.hit(answer);
        }
        let non_members = self.non_members.pin();
        non_members.get(key)?.hit(answer)
    }

    /// Returns the compiled set of a user, even if the set is outdated.
    pub(crate) fn set(&self, key: &Key) -> Option<Arc<CompiledSet>> {
        let (members, non_members) = (self.members.pin(), self.non_members.pin());
        members.get(key).or_else(|| non_members.get(key)).map(|entry| Arc::clone(&entry.set))
    }

    /// Inserts or replaces (upserts) the entry of a user. Returns the compiled set of the replaced entry, if there was
    /// one.
    pub(crate) fn insert(
        &self,
        order: &mut EvictionOrder,
        key: Key,
        set: &Arc<CompiledSet>,
    ) -> Option<Arc<CompiledSet>> {
        let (members, non_members) = (self.members.pin(), self.non_members.pin());
        // A member who loses all levels remains in the map of members. A non-member who receives a level is added to
        // the map of members. Lookups search the map of members first. They therefore ignore an entry that remains in
        // the map of non-members.
        let is_member = set.has_levels() || members.contains_key(&key);
        let (map, kind) = if is_member { (&members, Kind::Member) } else { (&non_members, Kind::NonMember) };
        let entry = Entry { set: Arc::clone(set), marks: AtomicU8::new(ACTIVE) };
        let replaced = map.insert(key, entry).map(|replaced| Arc::clone(&replaced.set));
        if replaced.is_none() {
            order.queue(kind).push_back(key);
        }
        replaced
    }

    /// Evicts an entry of this kind by the second-chance algorithm: the first entry that has not been used since an
    /// eviction last examined it. Returns the key and the compiled set of the evicted entry.
    pub(crate) fn evict(&self, order: &mut EvictionOrder, kind: Kind) -> Option<(Key, Arc<CompiledSet>)> {
        let map = match kind {
            Kind::Member => self.members.pin(),
            Kind::NonMember => self.non_members.pin(),
        };
        let queue = order.queue(kind);
        // An entry that was used gets a second chance: it is moved to the end of the queue.
        for _ in 0..=queue.len() {
            let key = queue.pop_front()?;
            let Some(entry) = map.get(&key) else { continue };
            if entry.marks.fetch_and(!USED, Ordering::Relaxed) & USED != 0 {
                queue.push_back(key);
                continue;
            }
            let set = Arc::clone(&entry.set);
            map.remove(&key);
            return Some((key, set));
        }
        None
    }

    /// Returns the keys and compiled sets of the members whose entries were added or used since [`Self::rest`] last
    /// marked them as inactive.
    pub(crate) fn active(&self) -> Vec<(Key, Arc<CompiledSet>)> {
        let members = self.members.pin();
        members
            .iter()
            .filter(|(_, entry)| entry.marks.load(Ordering::Relaxed) & ACTIVE != 0 && entry.set.has_levels())
            .map(|(key, entry)| (*key, Arc::clone(&entry.set)))
            .collect()
    }

    /// Marks the entry of a member as inactive until its next use.
    pub(crate) fn rest(&self, key: &Key) {
        if let Some(entry) = self.members.pin().get(key) {
            entry.marks.fetch_and(!ACTIVE, Ordering::Relaxed);
        }
    }

    /// Removes all entries.
    pub(crate) fn clear(&self, order: &mut EvictionOrder) {
        self.members.pin().clear();
        self.non_members.pin().clear();
        *order = EvictionOrder::default();
    }
}

impl Entry {
    #[inline]
    fn hit<R>(&self, answer: impl FnOnce(&Arc<CompiledSet>) -> Option<R>) -> Option<R> {
        // All readers share the CPU cache line of these flags. To avoid contention, the flags are written only if they
        // change.
        if self.marks.load(Ordering::Relaxed) != USED | ACTIVE {
            self.marks.store(USED | ACTIVE, Ordering::Relaxed);
        }
        answer(&self.set)
    }
}
