//! Rules that prevent privilege escalation and lockout when levels and assignments are changed. Callers can grant only
//! permissions that they hold. A company must always have an administrator.
//!
//! The permissions that a change grants are determined by comparing the company before and after the change. The
//! comparison covers each set of levels that a user holds, and each changed level by itself. For each set of levels,
//! two results are compared:
//!
//! * The permissions that the set *resolves* to, with denies applied. As a result, removing a deny counts as a grant.
//! * The permissions that the set *allows* if its denies are ignored. As a result, a grant that is overridden by a deny
//!   counts too. Such a grant takes effect when the deny is removed.
//!
//! Both comparisons ignore module gates and `enabled` flags, because a grant behind a closed gate takes effect when the
//! gate opens. For the same reason, a permission that the caller holds behind a closed gate counts as held.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::{
    Action, Catalog, CompanySnapshot, FeatureId, IamAction, IamPermission, LevelPermissions, LevelRule, Scope,
    Snapshot, UserLevelId, ViewId,
};

/// A permission that a user holds or that a change grants.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grant {
    /// Access to a view.
    View(ViewId),
    /// An action of a feature, with a scope.
    Action {
        /// The feature.
        feature: FeatureId,
        /// The action.
        action: Action,
        /// The scope.
        scope: Scope,
    },
}

/// Returns the permissions that the change from `before` to `after` grants, except those that the caller holds. `held`
/// contains the caller's levels before the change. If the caller holds an action with a narrower scope than the granted
/// scope, the action counts as not held. Public views count as held. The result is in ascending order. It contains each
/// action once, with the widest scope that is granted. Permissions that the change does not affect are not checked.
///
/// The snapshots may contain a subset of the company's users. This subset must include all users whose levels change. A
/// level that exists in only one of the two snapshots is checked only in combination with the other levels of the users
/// who hold it.
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
    // Users with the same levels are checked once, because a `BTreeSet` contains no duplicates.
    let sets: BTreeSet<_> = users
        .map(|user| [before, after].map(|snapshot| snapshot.holders.get(user).unwrap_or(&none)))
        .filter(|[was, is]| was != is || !is.is_disjoint(&changed))
        .chain(alone.iter().map(|level| [level, level]))
        .collect();

    // Only levels that are changed, assigned or unassigned can contribute a grant.
    let of_changed = changed
        .iter()
        .filter_map(|level| Some(differing(before.levels.get(level)?, after.levels.get(level)?)))
        .flatten();
    let moved: BTreeSet<_> = sets.iter().flat_map(|[was, is]| was.symmetric_difference(is)).collect();
    let of_moved =
        moved.into_iter().flat_map(|level| before.levels.get(level).or(after.levels.get(level))).flat_map(grantables);
    let grantables: BTreeSet<_> = of_changed.chain(of_moved).collect();

    let sets: Vec<_> = sets.into_iter().map(|[was, is]| [Levels::of(before, was), Levels::of(after, is)]).collect();
    let own = Levels(held.iter().collect());
    let mut missing = Vec::new();
    for grantable in grantables {
        let held = if grantable.is_public(&after.catalog) { Some(Scope::Any) } else { own.reach(grantable).resolved };
        if held == Some(Scope::Any) {
            // The caller holds the permission with the widest scope, so no grant can exceed it. Skip the loop over the
            // sets, of which there may be many.
            continue;
        }
        let granted_scope = sets.iter().filter_map(|[was, is]| is.reach(grantable).beyond(was.reach(grantable))).max();
        if let Some(scope) = granted_scope.filter(|scope| Some(*scope) > held) {
            missing.push(grantable.grant(scope));
        }
    }
    missing
}

/// A permission that a level can allow or deny: a view, or an action of a feature.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Grantable<'a> {
    View(ViewId),
    Action(FeatureId, &'a Action),
}

impl Grantable<'_> {
    fn in_level(self, level: &LevelPermissions) -> LevelRule {
        match self {
            Self::View(view) => level.views.get(&view).copied().into(),
            Self::Action(feature, action) => level.rule(feature, action).into(),
        }
    }

    pub(crate) fn is_public(self, catalog: &Catalog) -> bool {
        matches!(self, Self::View(view) if catalog.view(view).is_some_and(|view| !view.requires_auth))
    }

    pub(crate) fn grant(self, scope: Scope) -> Grant {
        match self {
            Self::View(view) => Grant::View(view),
            Self::Action(feature, action) => Grant::Action { feature, action: action.clone(), scope },
        }
    }
}

pub(crate) fn grantables(level: &LevelPermissions) -> impl Iterator<Item = Grantable<'_>> {
    let actions = level.features.iter();
    let actions = actions.flat_map(|(feature, rules)| rules.keys().map(|action| Grantable::Action(*feature, action)));
    level.views.keys().copied().map(Grantable::View).chain(actions)
}

/// Returns the permissions for which the level has different rules before (`was`) and after (`is`) a change.
fn differing<'a>(was: &'a LevelPermissions, is: &'a LevelPermissions) -> impl Iterator<Item = Grantable<'a>> {
    grantables(was).chain(grantables(is)).filter(|grantable| grantable.in_level(was) != grantable.in_level(is))
}

/// A set of levels that one user holds.
pub(crate) struct Levels<'a>(pub(crate) Vec<&'a LevelPermissions>);

impl<'a> Levels<'a> {
    pub(crate) fn of(snapshot: &'a CompanySnapshot, ids: &BTreeSet<UserLevelId>) -> Self {
        Self(ids.iter().filter_map(|id| snapshot.levels.get(id)).collect())
    }

    pub(crate) fn reach(&self, grantable: Grantable<'_>) -> Reach {
        let mut granted = None;
        let mut is_denied = false;
        for level in &self.0 {
            match grantable.in_level(level) {
                LevelRule::Allow { scope } => granted = granted.max(Some(scope.unwrap_or(Scope::Any))),
                LevelRule::Deny => is_denied = true,
                LevelRule::Nothing | LevelRule::Inherit => {}
            }
        }
        Reach { granted, resolved: granted.filter(|_| !is_denied) }
    }
}

/// The scopes with which a set of levels allows a permission. A view has no scope, so an allowed view counts as allowed
/// with scope `any`.
#[derive(Clone, Copy)]
pub(crate) struct Reach {
    /// The scope if denies are ignored. `None` if no level allows the permission.
    pub(crate) granted: Option<Scope>,
    /// The scope with denies applied. `None` if no level allows the permission, or if a level denies it.
    pub(crate) resolved: Option<Scope>,
}

impl Reach {
    /// Returns the widest scope of `self` that exceeds the corresponding scope of `other`.
    fn beyond(self, other: Self) -> Option<Scope> {
        let wider = |this: Option<Scope>, other| this.filter(|_| this > other);
        wider(self.granted, other.granted).max(wider(self.resolved, other.resolved))
    }
}

/// The two features on which a user must have `Update` to be an administrator of a company.
const ADMINISTRATOR_FEATURES: [IamPermission; 2] = [IamPermission::ManageLevels, IamPermission::AssignPermissions];

/// Returns the feature key and the action of each permission that an administrator of a company must hold. The required
/// scope is `company` or `any`.
pub fn administrator_permissions() -> impl Iterator<Item = (&'static str, Action)> {
    ADMINISTRATOR_FEATURES.into_iter().map(|permission| (permission.key(), IamAction::Update.action()))
}

impl Snapshot {
    /// Returns `true` if the user of the snapshot is an administrator of the company: `Update` is allowed on both
    /// `iam.manage_levels` and `iam.assign_permissions`, with scope `company` or `any`. Module gates and denies are
    /// applied.
    #[must_use]
    pub fn is_administrator(&self) -> bool {
        ADMINISTRATOR_FEATURES.into_iter().all(|permission| permission.is_held(IamAction::Update, self))
    }
}

impl CompanySnapshot {
    /// Returns the distinct sets of levels whose holders are administrators of the company. The iterator is empty if
    /// the company has no administrator.
    pub fn administrator_level_sets(&self) -> impl Iterator<Item = &BTreeSet<UserLevelId>> {
        let features =
            ADMINISTRATOR_FEATURES.into_iter().filter_map(|permission| self.catalog.feature_by_key(permission.key()));
        let features: Vec<_> = features.map(|feature| feature.id).collect();
        // A company may have many sets of levels. Each level is therefore first reduced to its rules for the two
        // features.
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
        sets.into_iter().filter(move |set| company.of_levels(*set).is_administrator())
    }
}
