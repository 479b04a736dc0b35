//! Compiled permissions: the decisions for one set of levels, as an array with one byte per column of the catalog's
//! index (one column for each view and each action of a feature).
//!
//! The resolution in `iam-domain` is the reference implementation. A property test checks that both implementations
//! make the same decisions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use iam_domain::{Action, Catalog, CompanyStatus, Feature, FeatureId, Reason, Scope, Snapshot, UserLevelId, Versions};
use iam_storage::StateId;
use smallvec::SmallVec;

use crate::engine::entitlements::Entitlements;
use crate::engine::index::{CatalogIndex, Column, FeatureColumns};
use crate::engine::level_rules::{LevelRules, Rule};
use crate::engine::memory_usage::{MemoryUsage, Reservation};
use crate::engine::outcome::{Code, Outcome};

/// Combines the rules of the levels into one decision: a deny overrides every allow. Without a deny, the widest allowed
/// scope applies, limited by the ceiling `max`. Module gates, `enabled` flags and ceilings that permit no scope take
/// precedence over this decision.
fn by_levels(rules: impl Iterator<Item = Rule>, max: Scope) -> Code {
    let mut code = Code::NO_EXPLICIT_ALLOW;
    let mut has_levels = false;
    for rule in rules {
        has_levels = true;
        if rule.is_deny() {
            return Code::EXPLICIT_DENY;
        }
        if let Some(scope) = rule.allows_within(max)
            && (!code.is_allowed() || scope > code.scope())
        {
            code = Code::allow(scope);
        }
    }
    if has_levels { code } else { Code::NO_USER_LEVELS }
}

/// Returns the denial that takes precedence over the levels, if the feature is disabled, or if modules gate the feature
/// and the company has none of them. Otherwise returns `None`.
fn before_levels(catalog: &Catalog, entitlements: &Entitlements, feature: FeatureId) -> Option<Code> {
    if catalog.feature(feature).is_none_or(|feature| !feature.enabled) {
        return Some(Code::FEATURE_DISABLED);
    }
    (!catalog.is_feature_open(feature, &entitlements.modules)).then_some(Code::FEATURE_MODULE_MISSING)
}

/// A reference to a cell of a compiled set: a view, or an action of a feature.
#[derive(Debug, Clone, Copy)]
pub(crate) enum CellRef {
    View(Column),
    Action(Column),
}

impl CellRef {
    const fn column(self) -> Column {
        match self {
            Self::View(column) | Self::Action(column) => column,
        }
    }
}

/// The compiled permissions of one set of levels in one company, at one version of the company and of the catalog.
///
/// The fields that a decision reads come first and are adjacent (cache locality): with 100,000 users, memory access
/// accounts for nearly all of the cost of a decision.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct CompiledSet {
    /// `false` if a change to the company has made the set outdated. Every cache hit checks this flag.
    is_alive: AtomicBool,
    pub(crate) index: Arc<CatalogIndex>,
    levels: Box<[Arc<LevelRules>]>,
    pub(crate) versions: Versions,
    /// The next start or end of an assignment of the company, in microseconds since the Unix epoch. The set must not be
    /// served from then on. `i64::MAX` if there is none.
    pub(crate) until: i64,
    company_stamp: i64,
    codes: SmallVec<[Code; INLINE_CODES]>,
    /// The bitmap of the allowed views, with one bit per view.
    views: Box<[u64]>,
    /// The ceilings that limit the scope of actions, in ascending order of column.
    limits: Box<[(Column, Scope)]>,
    entitlements: Arc<Entitlements>,
    /// The id of the set, unique in this process.
    pub(crate) id: u64,
    _reservation: Reservation,
}

/// Maximum number of decision codes that are stored inline, without a heap allocation. This number suffices for a
/// catalog that is slightly larger than the seeded catalog.
const INLINE_CODES: usize = 192;

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

impl CompiledSet {
    /// Compiles the rules of these levels. The rules must be in ascending order of level id, and must use the columns
    /// of this catalog index.
    pub(crate) fn new(
        versions: Versions,
        until: i64,
        company_stamp: i64,
        index: &Arc<CatalogIndex>,
        entitlements: &Arc<Entitlements>,
        levels: Vec<Arc<LevelRules>>,
        memory: &MemoryUsage,
    ) -> Self {
        let rules = |column: Column| levels.iter().map(move |level| level.rule(column));
        // A suspended company denies everything, whatever the levels, the modules and the ceilings are.
        let suspended = (entitlements.status == CompanyStatus::Suspended).then_some(if levels.is_empty() {
            Code::NO_USER_LEVELS
        } else {
            Code::COMPANY_SUSPENDED
        });
        let mut limits = Vec::new();
        let mut codes = SmallVec::<[Code; INLINE_CODES]>::with_capacity(index.columns());
        for (column, view) in index.views() {
            codes.push(if let Some(code) = suspended {
                code
            } else if !view.requires_auth {
                Code::PUBLIC_VIEW
            } else if !index.catalog.is_view_open(view.id, &entitlements.modules) {
                Code::VIEW_MODULE_MISSING
            } else if entitlements.ceilings.hides(view.id) {
                Code::COMPANY_CEILING
            } else {
                by_levels(rules(column), Scope::Any)
            });
        }
        let mut views = vec![0_u64; codes.len().div_ceil(64)];
        for (word, codes) in views.iter_mut().zip(codes.chunks(64)) {
            *word = codes.iter().enumerate().map(|(bit, code)| u64::from(code.is_allowed()) << bit).sum();
        }
        for (columns, feature) in index.features() {
            let gate = suspended.or_else(|| before_levels(&index.catalog, entitlements, feature.id));
            let ceilings = entitlements.ceilings.actions.get(&feature.id);
            codes.extend(columns.columns().map(|(action, column)| {
                let ceiling = ceilings.and_then(|ceilings| ceilings.iter().find(|(name, _)| name.as_str() == action));
                match (gate, ceiling) {
                    (Some(gate), _) => gate,
                    (None, None) => by_levels(rules(column), Scope::Any),
                    (None, Some((_, None))) => Code::COMPANY_CEILING,
                    (None, Some((_, Some(max)))) => {
                        limits.push((column, *max));
                        by_levels(rules(column), *max).limited()
                    }
                }
            }));
        }
        let far = if codes.spilled() { codes.len() } else { 0 };
        let bytes =
            size_of::<Self>() + 16 + far + views.len() * 8 + levels.len() * size_of::<usize>() + size_of_val(&*limits);
        Self {
            is_alive: AtomicBool::new(true),
            versions,
            until,
            company_stamp,
            codes,
            views: views.into(),
            index: Arc::clone(index),
            levels: levels.into(),
            limits: limits.into(),
            entitlements: Arc::clone(entitlements),
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            _reservation: memory.reserve(bytes),
        }
    }

    /// Returns the version and stamp of the company at which the set was compiled.
    pub(crate) const fn company_state(&self) -> StateId {
        StateId { version: self.versions.company, stamp: self.company_stamp }
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.is_alive.load(Ordering::Acquire)
    }

    /// Marks the set as outdated, so that it is no longer served.
    pub(crate) fn invalidate(&self) {
        self.is_alive.store(false, Ordering::Release);
    }

    /// Returns `true` if the set was compiled from at least one level. The users of the set are then members of the
    /// company.
    pub(crate) const fn has_levels(&self) -> bool {
        !self.levels.is_empty()
    }

    pub(crate) fn levels(&self) -> impl Iterator<Item = UserLevelId> {
        self.levels.iter().map(|level| level.level())
    }

    pub(crate) fn level_rules(&self) -> &[Arc<LevelRules>] {
        &self.levels
    }

    pub(crate) const fn entitlements(&self) -> &Arc<Entitlements> {
        &self.entitlements
    }

    pub(crate) fn status(&self) -> CompanyStatus {
        self.entitlements.status
    }

    /// Returns `true` if the company is suspended.
    pub(crate) fn is_suspended(&self) -> bool {
        self.status() == CompanyStatus::Suspended
    }

    /// Returns `true` if the set allows the view. Reads a single bit.
    pub(crate) fn sees(&self, view: Column) -> bool {
        self.views.get(view.get() / 64).is_some_and(|word| word >> (view.get() % 64) & 1 == 1)
    }

    pub(crate) fn outcome(&self, cell: CellRef) -> Outcome {
        let code = self.code(cell);
        match cell {
            CellRef::View(_) => Outcome::of_view(code.is_allowed(), code.reason()),
            CellRef::Action(_) => {
                Outcome { allowed: code.is_allowed(), scope: Some(code.scope()), reason: code.reason() }
            }
        }
    }

    /// Returns `true` if a ceiling of the company permits the action only with a narrower scope than `least`.
    pub(crate) fn is_limited_below(&self, cell: CellRef, least: Scope) -> bool {
        self.code(cell).is_limited() && self.limit(cell) < least
    }

    /// Returns the scope to which a ceiling of the company limits a cell. `any` if there is no such ceiling.
    fn limit(&self, cell: CellRef) -> Scope {
        let limits = &self.limits;
        let found = limits.binary_search_by_key(&cell.column().get(), |(column, _)| column.get()).ok();
        found.and_then(|place| limits.get(place)).map_or(Scope::Any, |(_, max)| *max)
    }

    fn code(&self, cell: CellRef) -> Code {
        self.codes.get(cell.column().get()).copied().unwrap_or(Code::NO_EXPLICIT_ALLOW)
    }

    fn rules(&self, cell: CellRef) -> impl Iterator<Item = (UserLevelId, Rule)> {
        self.levels.iter().map(move |level| (level.level(), level.rule(cell.column())))
    }

    /// Returns the levels that determined the decision for a cell, in ascending order of id.
    pub(crate) fn decided_by(&self, cell: CellRef) -> impl Iterator<Item = UserLevelId> {
        let code = self.code(cell);
        let max = if code.is_limited() { self.limit(cell) } else { Scope::Any };
        self.rules(cell)
            .filter(move |(_, rule)| match code.reason() {
                Reason::ExplicitDeny => rule.is_deny(),
                Reason::ExplicitAllow => rule.allows_within(max) == Some(code.scope()),
                _ => false,
            })
            .map(|(level, _)| level)
    }

    /// Returns the actions of a feature that effective permissions include. These are the actions of
    /// [`Action::LISTED`], the actions that the feature lists, and the other standard actions for which a level has a
    /// rule.
    pub(crate) fn listed_actions<'a>(
        &'a self,
        columns: &'a FeatureColumns,
        feature: &'a Feature,
    ) -> BTreeMap<&'a str, CellRef> {
        let is_named = move |cell| self.rules(cell).any(|(_, rule)| rule != Rule::NONE);
        let own = feature.actions.as_deref().unwrap_or_default();
        columns
            .columns()
            .map(|(action, column)| (action, CellRef::Action(column)))
            .filter(|(action, cell)| {
                Action::LISTED.contains(action) || own.iter().any(|own| own.as_str() == *action) || is_named(*cell)
            })
            .collect()
    }

    /// Converts the set into a snapshot, the input of the reference implementation.
    pub(crate) fn to_snapshot(&self) -> Snapshot {
        Snapshot {
            catalog: Arc::clone(&self.index.catalog),
            status: self.entitlements.status,
            modules: self.entitlements.modules.clone(),
            ceilings: Arc::clone(&self.entitlements.ceilings),
            levels: self.levels.iter().map(|level| level.to_snapshot()).collect(),
        }
    }
}
