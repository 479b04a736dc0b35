//! The companies of which something is kept: their levels and compiled sets. The cache's mutex guards them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use foldhash::fast::RandomState;
use iam_domain::{Catalog, ModuleId, UserLevelId, Versions};
use iam_storage::StateId;

use crate::engine::compiled::CompiledSet;
use crate::engine::index::CatalogIndex;
use crate::engine::level_rules::LevelRules;
use crate::engine::memory_usage::MemoryUsage;

/// The bytes of a company beside its levels and sets.
pub(crate) const COMPANY_BYTES: usize = 512;

/// What is kept of a company. All of it is of the state that the tracker knows.
#[derive(Default)]
pub(crate) struct Company {
    modules: Arc<BTreeSet<ModuleId>>,
    levels: BTreeMap<UserLevelId, Arc<LevelRules>>,
    sets: HashMap<Box<[UserLevelId]>, SharedSet, RandomState>,
    entries: usize,
    loads: usize,
}

/// A set, and how many entries use it.
struct SharedSet {
    set: Arc<CompiledSet>,
    entries: usize,
}

/// What is known already of the levels that a load read.
#[derive(Default)]
pub(crate) struct KnownParts {
    /// The set of exactly these levels.
    pub(crate) set: Option<Arc<CompiledSet>>,
    /// The rules of each level, where they are known.
    pub(crate) rules: Vec<Option<Arc<LevelRules>>>,
    /// The modules of the company.
    pub(crate) modules: Arc<BTreeSet<ModuleId>>,
}

impl Company {
    /// A load of this company begins. While it is under way the company stays tracked, so that the changes that the
    /// load misses are recorded.
    pub(crate) const fn begin_load(&mut self) {
        self.loads += 1;
    }

    /// A load of this company ended.
    pub(crate) const fn end_load(&mut self) {
        self.loads = self.loads.saturating_sub(1);
    }

    /// Whether nothing is kept of the company and no load is under way.
    pub(crate) const fn is_unused(&self) -> bool {
        self.entries == 0 && self.loads == 0
    }

    /// How many sets are kept.
    pub(crate) fn set_count(&self) -> usize {
        self.sets.len()
    }

    /// Stops all sets of the company from answering. Returns whether there were any.
    pub(crate) fn invalidate(&mut self) -> bool {
        let was_in_use = !self.sets.is_empty();
        for shared in self.sets.values() {
            shared.set.kill();
        }
        self.sets.clear();
        self.levels.clear();
        self.modules = Arc::default();
        was_in_use
    }

    /// The same, and the company has no entries any more.
    pub(crate) fn reset(&mut self) {
        self.invalidate();
        self.entries = 0;
    }

    /// An entry begins to use `set` in place of `replaced`.
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

    /// An entry with this set is gone.
    pub(crate) fn detach(&mut self, set: &CompiledSet) {
        self.entries = self.entries.saturating_sub(1);
        self.release(set);
    }

    /// An entry stops using this set.
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

    /// What is known already of these levels, for this index.
    pub(crate) fn known_parts(&self, levels: &[UserLevelId], index: &Arc<CatalogIndex>) -> KnownParts {
        KnownParts {
            set: self.set(levels, index.state),
            rules: levels.iter().map(|level| self.rules(*level, index)).collect(),
            modules: Arc::clone(&self.modules),
        }
    }

    /// Keeps a set that was compiled from a load, with its parts. Returns the one to use: several concurrent loads may
    /// have compiled the same set, and one that its company does not list would not be invalidated.
    pub(crate) fn adopt(&mut self, set: &Arc<CompiledSet>) -> Arc<CompiledSet> {
        let levels: Box<[_]> = set.levels().collect();
        if let Some(set) = self.set(&levels, set.index.state) {
            return set;
        }
        self.modules = Arc::clone(set.modules());
        for rules in set.level_rules() {
            self.levels.insert(rules.level(), Arc::clone(rules));
        }
        self.sets.insert(levels, SharedSet { set: Arc::clone(set), entries: 0 });
        Arc::clone(set)
    }

    /// The same set for a newer catalog, compiled from rules in memory. `None` if the change of the catalog may have
    /// removed rules, so that they must be read again.
    pub(crate) fn recompile(
        &mut self,
        set: &CompiledSet,
        index: &Arc<CatalogIndex>,
        memory: &MemoryUsage,
    ) -> Option<Arc<CompiledSet>> {
        let levels: Box<[_]> = set.levels().collect();
        if let Some(set) = self.set(&levels, index.state) {
            return Some(set);
        }
        let is_same = |module: &ModuleId| {
            let created_at = |catalog: &Catalog| catalog.module(*module).map(|module| module.created_at);
            created_at(&index.catalog).is_none_or(|now| created_at(&set.index.catalog) == Some(now))
        };
        if !set.modules().iter().all(is_same) {
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
        let new = CompiledSet::new(versions, set.company_state().stamp, index, set.modules(), rules, memory);
        let new = Arc::new(new);
        self.sets.insert(levels, SharedSet { set: Arc::clone(&new), entries: 0 });
        Some(new)
    }

    /// The set of exactly these levels, if it is of this state of the catalog.
    fn set(&self, levels: &[UserLevelId], catalog: StateId) -> Option<Arc<CompiledSet>> {
        let shared = self.sets.get(levels).filter(|shared| shared.set.index.state == catalog)?;
        Some(Arc::clone(&shared.set))
    }

    /// The rules of a level, if they are known for this index.
    fn rules(&self, level: UserLevelId, index: &Arc<CatalogIndex>) -> Option<Arc<LevelRules>> {
        self.levels.get(&level).filter(|rules| rules.is_of(index)).cloned()
    }
}
