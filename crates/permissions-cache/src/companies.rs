//! The cached data of each company: its entitlements, the rules of its levels, and its compiled sets. The cache's mutex
//! protects all of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use foldhash::fast::RandomState;
use iam_domain::{Catalog, ModuleId, UserLevelId, Versions};
use iam_storage::StateId;

use crate::engine::compiled::CompiledSet;
use crate::engine::entitlements::Entitlements;
use crate::engine::index::CatalogIndex;
use crate::engine::level_rules::LevelRules;
use crate::engine::memory_usage::MemoryUsage;

/// Estimated memory per cached company, in bytes, excluding the rules of its levels and its compiled sets.
pub(crate) const COMPANY_BYTES: usize = 512;

/// The cached data of a company. All of it was read at the latest known version of the company.
#[derive(Default)]
pub(crate) struct Company {
    entitlements: Arc<Entitlements>,
    levels: BTreeMap<UserLevelId, Arc<LevelRules>>,
    sets: HashMap<Box<[UserLevelId]>, SharedSet, RandomState>,
    entries: usize,
    loads: usize,
}

/// A compiled set, and the number of entries that refer to it (its reference count).
struct SharedSet {
    set: Arc<CompiledSet>,
    entries: usize,
}

/// The parts of a compiled set that are already cached and need not be compiled again.
#[derive(Default)]
pub(crate) struct KnownParts {
    /// The compiled set for exactly the requested levels, if it is cached.
    pub(crate) set: Option<Arc<CompiledSet>>,
    /// The compiled rules of each requested level, in the order of the levels. `None` for a level whose rules are not
    /// cached.
    pub(crate) rules: Vec<Option<Arc<LevelRules>>>,
    /// The entitlements of the company.
    pub(crate) entitlements: Arc<Entitlements>,
}

impl Company {
    /// Increments the number of loads of the company that are in progress. While a load is in progress, the company
    /// remains tracked, so that changes that the load may miss are recorded.
    pub(crate) const fn begin_load(&mut self) {
        self.loads += 1;
    }

    /// Decrements the number of loads of the company that are in progress.
    pub(crate) const fn end_load(&mut self) {
        self.loads = self.loads.saturating_sub(1);
    }

    /// Returns `true` if the company has no cache entry and no load in progress.
    pub(crate) const fn is_unused(&self) -> bool {
        self.entries == 0 && self.loads == 0
    }

    /// Returns the number of cached compiled sets.
    pub(crate) fn set_count(&self) -> usize {
        self.sets.len()
    }

    /// Invalidates all compiled sets of the company, so that they are no longer served. Returns `true` if at least one
    /// set was cached.
    pub(crate) fn invalidate(&mut self) -> bool {
        let was_in_use = !self.sets.is_empty();
        for shared in self.sets.values() {
            shared.set.invalidate();
        }
        self.sets.clear();
        self.levels.clear();
        self.entitlements = Arc::default();
        was_in_use
    }

    /// Invalidates all compiled sets of the company, and sets the number of its entries to zero.
    pub(crate) fn reset(&mut self) {
        self.invalidate();
        self.entries = 0;
    }

    /// Increments the reference count of `set` for an entry. If the entry previously referred to another set
    /// (`replaced`), decrements the reference count of that set.
    pub(crate) fn attach(&mut self, set: &CompiledSet, replaced: Option<&CompiledSet>) {
        let levels: Box<[_]> = set.levels().collect();
        if let Some(shared) = self.sets.get_mut(&levels) {
            shared.entries += 1;
        }
        match replaced {
            Some(replaced) => self.release(replaced),
            None => self.entries += 1,
        }
    }

    /// Records that an entry was evicted. Decrements the reference count of the set that the entry referred to.
    pub(crate) fn detach(&mut self, set: &CompiledSet) {
        self.entries = self.entries.saturating_sub(1);
        self.release(set);
    }

    /// Decrements the reference count of a set. At zero, drops the set and the level rules that no other set uses.
    fn release(&mut self, set: &CompiledSet) {
        let levels: Box<[_]> = set.levels().collect();
        let is_same = |shared: &&mut SharedSet| std::ptr::eq(Arc::as_ptr(&shared.set), set);
        let Some(shared) = self.sets.get_mut(&levels).filter(is_same) else { return };
        shared.entries = shared.entries.saturating_sub(1);
        if shared.entries == 0 {
            self.sets.remove(&levels);
            let in_use: BTreeSet<_> = self.sets.keys().flatten().copied().collect();
            self.levels.retain(|level, _| in_use.contains(level));
        }
    }

    /// Returns the cached parts from which a compiled set for these levels and this catalog index can be built.
    /// The set must be between the same boundaries.
    pub(crate) fn known_parts(
        &self,
        levels: &[UserLevelId],
        index: &Arc<CatalogIndex>,
        boundary: i64,
        until: i64,
    ) -> KnownParts {
        let is_between = |set: &Arc<CompiledSet>| (set.versions.boundary, set.until) == (boundary, until);
        KnownParts {
            set: self.set(levels, index.state).filter(is_between),
            rules: levels.iter().map(|level| self.rules(*level, index)).collect(),
            entitlements: Arc::clone(&self.entitlements),
        }
    }

    /// Caches a newly compiled set and its parts. If a concurrent load has already cached an equal set, returns that
    /// set instead (deduplication). The caller must serve the returned set, because a change to the company invalidates
    /// only the sets in `sets`.
    pub(crate) fn adopt(&mut self, set: &Arc<CompiledSet>) -> Arc<CompiledSet> {
        let levels: Box<[_]> = set.levels().collect();
        if let Some(cached) = self.set(&levels, set.index.state) {
            if (cached.versions.boundary, cached.until) == (set.versions.boundary, set.until) {
                return cached;
            }
            // A later change to the company would not invalidate the replaced set.
            cached.invalidate();
        }
        self.entitlements = Arc::clone(set.entitlements());
        for rules in set.level_rules() {
            self.levels.insert(rules.level(), Arc::clone(rules));
        }
        self.sets.insert(levels, SharedSet { set: Arc::clone(set), entries: 0 });
        Arc::clone(set)
    }

    /// Recompiles a set for a newer catalog from the cached rules, without a query. Returns `None` if the change to the
    /// catalog may have deleted rules of the levels or modules of the company (cascading deletes). The rules and
    /// modules must then be loaded again.
    pub(crate) fn recompile(
        &mut self,
        set: &CompiledSet,
        index: &Arc<CatalogIndex>,
        memory: &MemoryUsage,
    ) -> Option<Arc<CompiledSet>> {
        let levels: Box<[_]> = set.levels().collect();
        let is_between =
            |other: &Arc<CompiledSet>| (other.versions.boundary, other.until) == (set.versions.boundary, set.until);
        if let Some(set) = self.set(&levels, index.state).filter(is_between) {
            return Some(set);
        }
        let is_same = |module: &ModuleId| {
            let created_at = |catalog: &Catalog| catalog.module(*module).map(|module| module.created_at);
            created_at(&index.catalog).is_none_or(|now| created_at(&set.index.catalog) == Some(now))
        };
        if !set.entitlements().modules.iter().all(is_same) {
            return None;
        }
        let mut rules = Vec::with_capacity(levels.len());
        for old in set.level_rules() {
            let level = old.level();
            let translated = match self.rules(level, index) {
                Some(rules) => rules,
                None => Arc::new(old.translated(index, memory)?),
            };
            self.levels.insert(level, Arc::clone(&translated));
            rules.push(translated);
        }
        let versions = Versions { catalog: index.state.version, ..set.versions };
        let new =
            CompiledSet::new(versions, set.until, set.company_state().stamp, index, set.entitlements(), rules, memory);
        let new = Arc::new(new);
        self.sets.insert(levels, SharedSet { set: Arc::clone(&new), entries: 0 });
        Some(new)
    }

    /// Returns the cached set for exactly these levels, if it was compiled for this version and stamp of the catalog.
    fn set(&self, levels: &[UserLevelId], catalog: StateId) -> Option<Arc<CompiledSet>> {
        let shared = self.sets.get(levels).filter(|shared| shared.set.index.state == catalog)?;
        Some(Arc::clone(&shared.set))
    }

    /// Returns the cached rules of a level, if they were compiled for this catalog index.
    fn rules(&self, level: UserLevelId, index: &Arc<CatalogIndex>) -> Option<Arc<LevelRules>> {
        self.levels.get(&level).filter(|rules| rules.is_of(index)).cloned()
    }
}
