//! Compiled permissions: what one set of levels may see and do, as bits and bytes over the catalog's index.
//!
//! The resolution of `iam-domain` remains the specification; a property test shows that both give the same answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use iam_domain::{
    Action, Catalog, FeatureId, FeatureRule, LevelPermissions, ModuleId, Reason, Scope, Snapshot, UserLevelId,
    Versions, ViewState,
};
use iam_storage::StateId;
use smallvec::SmallVec;

use crate::engine::index::{CatalogIndex, FeaturePlaces, Place};

/// Counts the bytes of live values; each part subtracts its own on drop.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemoryUsage(Arc<AtomicUsize>);

impl MemoryUsage {
    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn reserve(&self, bytes: usize) -> Reservation {
        self.0.fetch_add(bytes, Ordering::Relaxed);
        Reservation { memory: self.clone(), bytes }
    }
}

#[derive(Debug)]
pub(crate) struct Reservation {
    memory: MemoryUsage,
    bytes: usize,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.memory.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What a level says about a place, in one byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Row(u8);

impl Row {
    const NONE: Self = Self(0);
    const INHERIT: Self = Self(1);
    const DENY: Self = Self(2);
    /// With the scope in the two lowest bits; views have the widest scope.
    const ALLOW: u8 = 4;

    const fn view(state: ViewState) -> Self {
        match state {
            ViewState::Allow => Self(Self::ALLOW | Scope::Any as u8),
            ViewState::Deny => Self::DENY,
            ViewState::Inherit => Self::INHERIT,
        }
    }

    const fn rule(rule: FeatureRule) -> Self {
        if rule.value { Self(Self::ALLOW | rule.scope as u8) } else { Self::DENY }
    }

    fn is_deny(self) -> bool {
        self == Self::DENY
    }

    const fn allows(self) -> Option<Scope> {
        if self.0 & Self::ALLOW == 0 { None } else { Some(scope(self.0)) }
    }

    fn as_state(self) -> Option<ViewState> {
        match self {
            Self::NONE => None,
            Self::INHERIT => Some(ViewState::Inherit),
            Self::DENY => Some(ViewState::Deny),
            _ => Some(ViewState::Allow),
        }
    }

    fn as_rule(self) -> Option<FeatureRule> {
        match self {
            Self::NONE | Self::INHERIT => None,
            // A deny has no scope: the scope of the row decides nothing.
            Self::DENY => Some(FeatureRule { value: false, scope: Scope::Own }),
            allow => allow.allows().map(|scope| FeatureRule { value: true, scope }),
        }
    }
}

/// The scope in the two lowest bits.
const fn scope(bits: u8) -> Scope {
    match bits & 3 {
        0 => Scope::Own,
        1 => Scope::Team,
        2 => Scope::Company,
        _ => Scope::Any,
    }
}

/// All rows of one level, as bytes. Shared by all sets that include the level.
#[derive(Debug)]
pub(crate) struct LevelRows {
    level: UserLevelId,
    index: Arc<CatalogIndex>,
    rows: Box<[Row]>,
    /// Rows about actions that the catalog does not list. There should be none, but they take part in decisions.
    unlisted: Box<[(FeatureId, Action, FeatureRule)]>,
    _reservation: Reservation,
}

impl LevelRows {
    pub(crate) fn new(index: &Arc<CatalogIndex>, level: &LevelPermissions, memory: &MemoryUsage) -> Self {
        let mut rows = vec![Row::NONE; index.places()];
        let mut put = |place: Place, row| {
            if let Some(slot) = rows.get_mut(place.get()) {
                *slot = row;
            }
        };
        for (view, state) in &level.views {
            if let Some(place) = index.view_by_id(*view) {
                put(place, Row::view(*state));
            }
        }
        let mut unlisted = Vec::new();
        for (feature, rules) in &level.features {
            let Some(places) = index.feature_by_id(*feature) else { continue };
            for (action, rule) in rules {
                match places.place(action.as_str()) {
                    Some(place) => put(place, Row::rule(*rule)),
                    None => unlisted.push((*feature, action.clone(), *rule)),
                }
            }
        }
        Self::reserved(level.level, Arc::clone(index), rows, unlisted, memory)
    }

    fn reserved(
        level: UserLevelId,
        index: Arc<CatalogIndex>,
        rows: Vec<Row>,
        unlisted: Vec<(FeatureId, Action, FeatureRule)>,
        memory: &MemoryUsage,
    ) -> Self {
        let bytes =
            size_of::<Self>() + rows.len() + unlisted.len() * (size_of::<(FeatureId, Action, FeatureRule)>() + 16);
        Self { level, index, rows: rows.into(), unlisted: unlisted.into(), _reservation: memory.reserve(bytes) }
    }

    pub(crate) const fn level(&self) -> UserLevelId {
        self.level
    }

    pub(crate) fn is_of(&self, index: &Arc<CatalogIndex>) -> bool {
        Arc::ptr_eq(&self.index, index)
    }

    /// The same rows for a newer catalog. `None` if the change of the catalog may have removed rows, so that they must
    /// be read again: a view or feature was deleted and recreated under its old id, or a feature was changed and the
    /// level has rows about one of its own actions.
    pub(crate) fn translated(&self, index: &Arc<CatalogIndex>, memory: &MemoryUsage) -> Option<Self> {
        if !self.unlisted.is_empty() {
            return None;
        }
        let mut rows = vec![Row::NONE; index.places()];
        let mut carry = |from: Place, to: Place| {
            let row = self.row(from);
            if let Some(slot) = rows.get_mut(to.get()) {
                *slot = row;
            }
        };
        for (place, view) in index.views() {
            let Some(old) = self.index.view_by_id(view.id) else { continue };
            if self.index.catalog.view(view.id)?.created_at != view.created_at {
                return None;
            }
            carry(old, place);
        }
        for (places, feature) in index.features() {
            let Some(old_places) = self.index.feature_by_id(feature.id) else { continue };
            let old = self.index.catalog.feature(feature.id)?;
            if old.created_at != feature.created_at {
                return None;
            }
            for (action, place) in old_places.places() {
                let is_standard = Action::STANDARD.contains(&action);
                if !is_standard && self.row(place) != Row::NONE && old.updated_at != feature.updated_at {
                    return None;
                }
                if let Some(new) = places.place(action) {
                    carry(place, new);
                }
            }
        }
        Some(Self::reserved(self.level, Arc::clone(index), rows, Vec::new(), memory))
    }

    fn row(&self, place: Place) -> Row {
        self.rows.get(place.get()).copied().unwrap_or(Row::NONE)
    }

    fn unlisted(&self, feature: FeatureId, action: &Action) -> Row {
        let mut rules = self.unlisted.iter().filter(|(of, named, _)| *of == feature && named == action);
        rules.next().map_or(Row::NONE, |(_, _, rule)| Row::rule(*rule))
    }

    /// The rows in the form that the specification takes.
    fn spelled_out(&self) -> LevelPermissions {
        let views = self.index.views().filter_map(|(place, view)| Some((view.id, self.row(place).as_state()?)));
        let listed = self.index.features().flat_map(|(places, feature)| {
            places.places().filter_map(|(action, place)| {
                Some((feature.id, Action::stored(action).ok()?, self.row(place).as_rule()?))
            })
        });
        LevelPermissions::new(self.level, views, listed.chain(self.unlisted.iter().cloned()))
    }
}

/// A decision in one byte: the reason in the four lowest bits, then the scope, then whether it is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Code(u8);

/// The reasons that a compiled decision can have, by their number.
const REASONS: [Reason; 8] = [
    Reason::NoExplicitAllow,
    Reason::ExplicitDeny,
    Reason::ExplicitAllow,
    Reason::PublicView,
    Reason::ViewModuleMissing,
    Reason::FeatureModuleMissing,
    Reason::FeatureDisabled,
    Reason::NoUserLevels,
];

impl Code {
    const ALLOWED: u8 = 64;
    const NO_EXPLICIT_ALLOW: Self = Self(0);
    const EXPLICIT_DENY: Self = Self(1);
    const EXPLICIT_ALLOW: Self = Self(2);
    const PUBLIC_VIEW: Self = Self(3 | Self::ALLOWED);
    const VIEW_MODULE_MISSING: Self = Self(4);
    const FEATURE_MODULE_MISSING: Self = Self(5);
    const FEATURE_DISABLED: Self = Self(6);
    const NO_USER_LEVELS: Self = Self(7);

    const fn allow(scope: Scope) -> Self {
        Self(Self::EXPLICIT_ALLOW.0 | (scope as u8) << 4 | Self::ALLOWED)
    }

    const fn is_allowed(self) -> bool {
        self.0 & Self::ALLOWED != 0
    }

    const fn scope(self) -> Scope {
        scope(self.0 >> 4)
    }

    fn reason(self) -> Reason {
        REASONS.get(usize::from(self.0 & 15)).copied().unwrap_or(Reason::NoExplicitAllow)
    }
}

/// What the levels decide together, when nothing takes precedence over them.
fn by_levels(rows: impl Iterator<Item = Row>) -> Code {
    let mut code = Code::NO_EXPLICIT_ALLOW;
    let mut has_levels = false;
    for row in rows {
        has_levels = true;
        if row.is_deny() {
            return Code::EXPLICIT_DENY;
        }
        if let Some(scope) = row.allows()
            && (!code.is_allowed() || scope > code.scope())
        {
            code = Code::allow(scope);
        }
    }
    if has_levels { code } else { Code::NO_USER_LEVELS }
}

/// What decides about a feature before its levels do.
fn before_levels(catalog: &Catalog, modules: &BTreeSet<ModuleId>, feature: FeatureId) -> Option<Code> {
    if catalog.feature(feature).is_none_or(|feature| !feature.enabled) {
        return Some(Code::FEATURE_DISABLED);
    }
    (!catalog.is_feature_open(feature, modules)).then_some(Code::FEATURE_MODULE_MISSING)
}

/// The outcome of a question. Allocates nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Whether it is allowed.
    pub allowed: bool,
    /// The scope of an action (`own` when denied); `None` for views.
    pub scope: Option<Scope>,
    /// The reason.
    pub reason: Reason,
}

impl Outcome {
    pub(crate) const fn of_view(allowed: bool, reason: Reason) -> Self {
        Self { allowed, scope: None, reason }
    }

    pub(crate) const fn denied_action(reason: Reason) -> Self {
        Self { allowed: false, scope: Some(Scope::Own), reason }
    }

    /// The same when at least the scope `least` is required.
    pub(crate) fn reaching(self, least: Scope) -> Self {
        match self.scope {
            Some(scope) if self.allowed && scope < least => {
                Self { allowed: false, reason: Reason::ScopeTooNarrow, ..self }
            }
            _ => self,
        }
    }
}

/// The view or action that a question is about, found in the index of the set.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cell<'a> {
    View(Place),
    Action(Place),
    Unlisted(FeatureId, &'a Action),
}

/// What one set of levels may see and do in one company, at one state of the company and of the catalog.
///
/// The fields that a decision reads come first, next to each other: with a hundred thousand users, nearly all of its
/// cost is memory access.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct CompiledSet {
    /// Cleared when the company changes. Every hit checks it.
    is_alive: AtomicBool,
    pub(crate) index: Arc<CatalogIndex>,
    levels: Box<[Arc<LevelRows>]>,
    pub(crate) versions: Versions,
    company_stamp: i64,
    codes: SmallVec<[Code; NEAR]>,
    /// The allowed views, one bit each.
    views: Box<[u64]>,
    modules: Arc<BTreeSet<ModuleId>>,
    /// Unique in this process.
    pub(crate) id: u64,
    _reservation: Reservation,
}

/// How many codes are stored inline: enough for a catalog a little larger than the seeded one.
const NEAR: usize = 192;

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

impl CompiledSet {
    /// Compiles levels, which must ascend by id and belong to the index.
    pub(crate) fn new(
        versions: Versions,
        company_stamp: i64,
        index: &Arc<CatalogIndex>,
        modules: &Arc<BTreeSet<ModuleId>>,
        levels: Vec<Arc<LevelRows>>,
        memory: &MemoryUsage,
    ) -> Self {
        let rows = |place: Place| levels.iter().map(move |level| level.row(place));
        let mut codes = SmallVec::<[Code; NEAR]>::with_capacity(index.places());
        for (place, view) in index.views() {
            codes.push(if !view.requires_auth {
                Code::PUBLIC_VIEW
            } else if index.catalog.is_view_open(view.id, modules) {
                by_levels(rows(place))
            } else {
                Code::VIEW_MODULE_MISSING
            });
        }
        let mut views = vec![0_u64; codes.len().div_ceil(64)];
        for (word, codes) in views.iter_mut().zip(codes.chunks(64)) {
            *word = codes.iter().enumerate().map(|(bit, code)| u64::from(code.is_allowed()) << bit).sum();
        }
        for (places, feature) in index.features() {
            let gate = before_levels(&index.catalog, modules, feature.id);
            codes.extend(places.places().map(|(_, place)| gate.unwrap_or_else(|| by_levels(rows(place)))));
        }
        let far = if codes.spilled() { codes.len() } else { 0 };
        let bytes = size_of::<Self>() + 16 + far + views.len() * 8 + levels.len() * size_of::<usize>();
        Self {
            is_alive: AtomicBool::new(true),
            versions,
            company_stamp,
            codes,
            views: views.into(),
            index: Arc::clone(index),
            levels: levels.into(),
            modules: Arc::clone(modules),
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            _reservation: memory.reserve(bytes),
        }
    }

    /// The state of the company that the set is of.
    pub(crate) const fn company_state(&self) -> StateId {
        StateId { version: self.versions.company, stamp: self.company_stamp }
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.is_alive.load(Ordering::Acquire)
    }

    /// Stops the set from answering.
    pub(crate) fn kill(&self) {
        self.is_alive.store(false, Ordering::Release);
    }

    /// Whether the set has levels, so that its holders are members.
    pub(crate) const fn has_levels(&self) -> bool {
        !self.levels.is_empty()
    }

    pub(crate) fn levels(&self) -> impl Iterator<Item = UserLevelId> {
        self.levels.iter().map(|level| level.level)
    }

    pub(crate) fn level_rows(&self) -> &[Arc<LevelRows>] {
        &self.levels
    }

    pub(crate) const fn modules(&self) -> &Arc<BTreeSet<ModuleId>> {
        &self.modules
    }

    /// Whether a view may be seen: one bit.
    pub(crate) fn sees(&self, view: Place) -> bool {
        self.views.get(view.get() / 64).is_some_and(|word| word >> (view.get() % 64) & 1 == 1)
    }

    pub(crate) fn outcome(&self, cell: Cell<'_>) -> Outcome {
        let code = self.code(cell);
        match cell {
            Cell::View(_) => Outcome::of_view(code.is_allowed(), code.reason()),
            Cell::Action(_) | Cell::Unlisted(..) => {
                Outcome { allowed: code.is_allowed(), scope: Some(code.scope()), reason: code.reason() }
            }
        }
    }

    fn code(&self, cell: Cell<'_>) -> Code {
        match cell {
            Cell::View(place) | Cell::Action(place) => {
                self.codes.get(place.get()).copied().unwrap_or(Code::NO_EXPLICIT_ALLOW)
            }
            Cell::Unlisted(feature, _) => before_levels(&self.index.catalog, &self.modules, feature)
                .unwrap_or_else(|| by_levels(self.rows(cell).map(|(_, row)| row))),
        }
    }

    fn rows(&self, cell: Cell<'_>) -> impl Iterator<Item = (UserLevelId, Row)> {
        self.levels.iter().map(move |level| {
            let row = match cell {
                Cell::View(place) | Cell::Action(place) => level.row(place),
                Cell::Unlisted(feature, action) => level.unlisted(feature, action),
            };
            (level.level, row)
        })
    }

    /// The levels that decided, in ascending order.
    pub(crate) fn decided_by(&self, cell: Cell<'_>) -> impl Iterator<Item = UserLevelId> {
        let code = self.code(cell);
        self.rows(cell)
            .filter(move |(_, row)| match code {
                Code::EXPLICIT_DENY => row.is_deny(),
                code if code.reason() == Reason::ExplicitAllow => row.allows() == Some(code.scope()),
                _ => false,
            })
            .map(|(level, _)| level)
    }

    /// The actions of a feature that the effective permissions list.
    pub(crate) fn listed_actions<'a>(
        &'a self,
        places: &'a FeaturePlaces,
        feature: &'a iam_domain::Feature,
    ) -> BTreeMap<&'a str, Cell<'a>> {
        let is_named = move |place| self.rows(Cell::Action(place)).any(|(_, row)| row != Row::NONE);
        let own = feature.actions.as_deref().unwrap_or_default();
        let listed = places.places().filter(move |(action, place)| {
            Action::LISTED.contains(action) || own.iter().any(|own| own.as_str() == *action) || is_named(*place)
        });
        let unlisted = self.levels.iter().flat_map(|level| &level.unlisted).filter(|(of, ..)| *of == feature.id);
        listed
            .map(|(action, place)| (action, Cell::Action(place)))
            .chain(unlisted.map(|(of, action, _)| (action.as_str(), Cell::Unlisted(*of, action))))
            .collect()
    }

    /// The same state in the form that the specification takes.
    pub(crate) fn spelled_out(&self) -> Snapshot {
        Snapshot {
            catalog: Arc::clone(&self.index.catalog),
            modules: BTreeSet::clone(&self.modules),
            levels: self.levels.iter().map(|level| level.spelled_out()).collect(),
        }
    }
}
