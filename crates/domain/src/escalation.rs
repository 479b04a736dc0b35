//! What no change of levels and of who holds them may do: hand on what its maker does not hold, and leave a company that
//! nobody manages.
//!
//! What is handed on is found by comparing the company before and after, for each set of levels that somebody holds and
//! for each level alone. Two things are compared: what a set *resolves* to (a deny wins), so that taking a deny away
//! counts like a grant, and what it *grants* (as if nothing were denied), so that nothing is hidden behind a deny to come
//! out when the deny goes. Module gates and switches are left out of both, on either side of the comparison: what is
//! handed on behind a shut gate comes out when the gate opens, and what one holds behind a shut gate one may prepare.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::{
    Action, Catalog, CompanySnapshot, FeatureId, IamAction, IamPermission, LevelPermissions, Says, Scope, Snapshot,
    UserLevelId, ViewId,
};

/// What is held, or handed on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grant {
    /// A view.
    View(ViewId),
    /// An action of a feature.
    Action {
        /// Of which feature.
        feature: FeatureId,
        /// Which.
        action: Action,
        /// How far.
        scope: Scope,
    },
}

/// What the change from `before` to `after` hands on that the holder of `held`, as it was before, does not hold himself, or
/// not as far: ascending, each action once, with the widest scope. Every public view is held by everybody. What stays as
/// it is, is not looked at, whoever holds it.
///
/// The snapshots may be of some users only, if these are all whose levels change. A level that only one of the two has is
/// seen in the sets that it belongs to, not alone.
#[must_use]
pub fn not_held(before: &CompanySnapshot, after: &CompanySnapshot, held: &[LevelPermissions]) -> Vec<Grant> {
    let changed: BTreeSet<UserLevelId> = after
        .levels
        .iter()
        .filter(|(id, level)| before.levels.get(id).is_some_and(|was| was != *level))
        .map(|(id, _)| *id)
        .collect();
    let alone: Vec<_> = changed.iter().map(|level| BTreeSet::from([*level])).collect();
    let none = BTreeSet::new();
    let users = before.holders.keys().chain(after.holders.keys());
    // Many users hold the same levels.
    let sets: BTreeSet<_> = users
        .map(|user| [before, after].map(|snapshot| snapshot.holders.get(user).unwrap_or(&none)))
        .filter(|[was, is]| was != is || !is.is_disjoint(&changed))
        .chain(alone.iter().map(|level| [level, level]))
        .collect();

    // What stands in a level that neither changes, comes nor goes is as it was.
    let of_changed = changed
        .iter()
        .filter_map(|level| Some(differing(before.levels.get(level)?, after.levels.get(level)?)))
        .flatten();
    let moved: BTreeSet<_> = sets.iter().flat_map(|[was, is]| was.symmetric_difference(is)).collect();
    let of_moved =
        moved.into_iter().flat_map(|level| before.levels.get(level).or(after.levels.get(level))).flat_map(cells);
    let cells: BTreeSet<_> = of_changed.chain(of_moved).collect();

    let sets: Vec<_> = sets.into_iter().map(|[was, is]| [Levels::of(before, was), Levels::of(after, is)]).collect();
    let own = Levels(held.iter().collect());
    let mut missing = Vec::new();
    for cell in cells {
        let held = if cell.is_public(&after.catalog) { Some(Scope::Any) } else { own.reach(cell).resolved };
        if held == Some(Scope::Any) {
            // Nothing is wider, and there may be many sets.
            continue;
        }
        let handed_on = sets.iter().filter_map(|[was, is]| is.reach(cell).beyond(was.reach(cell))).max();
        if let Some(scope) = handed_on.filter(|scope| Some(*scope) > held) {
            missing.push(cell.grant(scope));
        }
    }
    missing
}

/// A place in a matrix.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cell<'a> {
    View(ViewId),
    Action(FeatureId, &'a Action),
}

impl Cell<'_> {
    fn in_level(self, level: &LevelPermissions) -> Says {
        match self {
            Self::View(view) => level.views.get(&view).copied().into(),
            Self::Action(feature, action) => level.rule(feature, action).into(),
        }
    }

    fn is_public(self, catalog: &Catalog) -> bool {
        matches!(self, Self::View(view) if catalog.view(view).is_some_and(|view| !view.requires_auth))
    }

    fn grant(self, scope: Scope) -> Grant {
        match self {
            Self::View(view) => Grant::View(view),
            Self::Action(feature, action) => Grant::Action { feature, action: action.clone(), scope },
        }
    }
}

fn cells(level: &LevelPermissions) -> impl Iterator<Item = Cell<'_>> {
    let actions = level.features.iter();
    let actions = actions.flat_map(|(feature, rules)| rules.keys().map(|action| Cell::Action(*feature, action)));
    level.views.keys().copied().map(Cell::View).chain(actions)
}

/// Where a level says one thing and then another.
fn differing<'a>(was: &'a LevelPermissions, is: &'a LevelPermissions) -> impl Iterator<Item = Cell<'a>> {
    cells(was).chain(cells(is)).filter(|cell| cell.in_level(was) != cell.in_level(is))
}

/// Some levels, held together.
struct Levels<'a>(Vec<&'a LevelPermissions>);

impl<'a> Levels<'a> {
    fn of(snapshot: &'a CompanySnapshot, ids: &BTreeSet<UserLevelId>) -> Self {
        Self(ids.iter().filter_map(|id| snapshot.levels.get(id)).collect())
    }

    fn reach(&self, cell: Cell<'_>) -> Reach {
        let mut granted = None;
        let mut is_denied = false;
        for level in &self.0 {
            match cell.in_level(level) {
                Says::Allow { scope } => granted = granted.max(Some(scope.unwrap_or(Scope::Any))),
                Says::Deny => is_denied = true,
                Says::Nothing | Says::Inherit => {}
            }
        }
        Reach { granted, resolved: granted.filter(|_| !is_denied) }
    }
}

/// How far somebody gets in a cell; with a view, which has no scope, all the way.
#[derive(Clone, Copy)]
struct Reach {
    /// If nothing were denied.
    granted: Option<Scope>,
    /// As it is.
    resolved: Option<Scope>,
}

impl Reach {
    /// How far it gets where the other does not.
    fn beyond(self, other: Self) -> Option<Scope> {
        let wider = |this: Option<Scope>, other| this.filter(|_| this > other);
        wider(self.granted, other.granted).max(wider(self.resolved, other.resolved))
    }
}

/// What a manager of a company may update.
const TO_MANAGE: [IamPermission; 2] = [IamPermission::ManageLevels, IamPermission::AssignPermissions];

/// The actions of features, by their keys, that a manager of a company is allowed for the whole of it.
pub fn to_manage() -> impl Iterator<Item = (&'static str, Action)> {
    TO_MANAGE.into_iter().map(|permission| (permission.key(), IamAction::Update.action()))
}

impl Snapshot {
    /// Whether the user manages the company: both its levels and its permissions, effectively and for the whole of it.
    #[must_use]
    pub fn manages(&self) -> bool {
        TO_MANAGE.into_iter().all(|permission| permission.is_held(IamAction::Update, self))
    }
}

impl CompanySnapshot {
    /// The sets of levels that somebody holds who [manages](Snapshot::manages) the company, each once. None: nobody does.
    pub fn managing(&self) -> impl Iterator<Item = &BTreeSet<UserLevelId>> {
        let features = TO_MANAGE.into_iter().filter_map(|permission| self.catalog.feature_by_key(permission.key()));
        let features: Vec<_> = features.map(|feature| feature.id).collect();
        // There may be many sets, of which nothing else is asked.
        let about_these = |level: &LevelPermissions| LevelPermissions {
            level: level.level,
            views: BTreeMap::new(),
            features: features.iter().filter_map(|id| Some((*id, level.features.get(id)?.clone()))).collect(),
        };
        let company = Self {
            catalog: Arc::clone(&self.catalog),
            modules: self.modules.clone(),
            levels: self.levels.iter().map(|(id, level)| (*id, about_these(level))).collect(),
            holders: BTreeMap::new(),
        };
        let sets: BTreeSet<_> = self.holders.values().collect();
        sets.into_iter().filter(move |set| company.of_levels(*set).manages())
    }
}
