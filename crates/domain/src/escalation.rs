//! Rules that prevent privilege escalation: the permissions that a change grants, revokes or nullifies.
//!
//! A change replaces a matrix of one level ([`LevelChange`]) or the levels of one user ([`AssignmentChange`]). The
//! rules need only the data that the change touches. For a level, this is the level itself, and for some cells what the
//! other levels of its holders say about them ([`OtherRules`]).
//!
//! For each set of levels that a user holds, two results are compared before and after the change:
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
    Action, Catalog, FeatureId, LevelPermissions, LevelRule, Scope, UserLevelId, ViewId, ViewState, is_reserved,
};

/// A permission that a user holds, or that a change grants or revokes.
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

impl Grant {
    /// Returns the cell that the permission belongs to.
    #[must_use]
    pub fn cell(&self) -> Cell {
        match self {
            Self::View(view) => Cell::View(*view),
            Self::Action { feature, action, .. } => Cell::Action(*feature, action.clone()),
        }
    }
}

/// The position of a cell in the matrices of a level: a view, or an action of a feature.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cell {
    /// The cell for a view.
    View(ViewId),
    /// The cell for an action of a feature.
    Action(FeatureId, Action),
}

impl Cell {
    /// Returns `true` if the cell is for an action of one of the service's own features (`iam.*`). A feature that the
    /// catalog does not contain counts as one of them.
    #[must_use]
    pub fn is_reserved(&self, catalog: &Catalog) -> bool {
        match self {
            Self::View(_) => false,
            Self::Action(feature, _) => {
                catalog.feature(*feature).is_none_or(|feature| feature.key.as_ref().is_some_and(is_reserved))
            }
        }
    }

    fn is_public(&self, catalog: &Catalog) -> bool {
        matches!(self, Self::View(view) if catalog.view(*view).is_some_and(|view| !view.requires_auth))
    }

    fn in_level(&self, level: &LevelPermissions) -> LevelRule {
        match self {
            Self::View(view) => level.views.get(view).copied().into(),
            Self::Action(feature, action) => level.rule(*feature, action).into(),
        }
    }

    fn grant(self, scope: Scope) -> Grant {
        match self {
            Self::View(view) => Grant::View(view),
            Self::Action(feature, action) => Grant::Action { feature, action, scope },
        }
    }
}

/// What a set of levels says about one cell. A view has no scope, so an allowed view counts as allowed with scope
/// `any`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reach {
    /// The widest scope that one of the levels allows, if denies are ignored. `None` if no level allows the cell.
    pub granted: Option<Scope>,
    /// `true` if one of the levels denies the cell.
    pub is_denied: bool,
}

impl Reach {
    /// Returns the reach of the set with one more level, which has this rule for the cell.
    #[must_use]
    pub fn with(self, rule: LevelRule) -> Self {
        match rule {
            LevelRule::Allow { scope } => Self { granted: self.granted.max(scope.or(Some(Scope::Any))), ..self },
            LevelRule::Deny => Self { is_denied: true, ..self },
            LevelRule::Nothing | LevelRule::Inherit => self,
        }
    }

    fn of(levels: &[LevelPermissions], cell: &Cell) -> Self {
        levels.iter().fold(Self::default(), |reach, level| reach.with(cell.in_level(level)))
    }

    /// Returns the scope with denies applied. `None` if no level allows the cell, or if a level denies it.
    fn resolved(self) -> Option<Scope> {
        self.granted.filter(|_| !self.is_denied)
    }
}

/// What a set of levels says about a cell before and after a change.
#[derive(Clone, Copy)]
struct Transition {
    was: Reach,
    is: Reach,
}

impl Transition {
    /// Returns the scope that the change grants: the widest scope of the set that exceeds the corresponding scope
    /// before the change.
    fn granted(self) -> Option<Scope> {
        let wider = |is: Option<Scope>, was| is.filter(|_| is > was);
        wider(self.is.granted, self.was.granted).max(wider(self.is.resolved(), self.was.resolved()))
    }

    /// Returns the scope before the change, if the change removes or narrows it.
    fn revoked(self) -> Option<Scope> {
        self.was.resolved().filter(|_| self.was.resolved() > self.is.resolved())
    }

    /// Returns the scope before the change, if a level still allows the cell, and another level now denies it.
    fn nullified(self) -> Option<Scope> {
        self.was.resolved().filter(|_| self.is.granted.is_some() && self.is.is_denied)
    }
}

impl LevelPermissions {
    /// Returns the level with its deny rules only.
    #[must_use]
    pub fn only_denies(mut self) -> Self {
        self.views.retain(|_, state| *state == ViewState::Deny);
        for rules in self.features.values_mut() {
            rules.retain(|_, rule| !rule.value);
        }
        self
    }
}

/// Returns the scope with which the caller holds a cell. `held` contains the levels of the caller. Public views count
/// as held.
fn held_scope(cell: &Cell, catalog: &Catalog, held: &[LevelPermissions]) -> Option<Scope> {
    if cell.is_public(catalog) { Some(Scope::Any) } else { Reach::of(held, cell).resolved() }
}

fn cells_of(level: &LevelPermissions) -> impl Iterator<Item = Cell> {
    let actions = level.features.iter();
    let actions =
        actions.flat_map(|(feature, rules)| rules.keys().map(|action| Cell::Action(*feature, action.clone())));
    level.views.keys().copied().map(Cell::View).chain(actions)
}

/// For some cells, what the other levels of the users who hold a level say about them. Each distinct result occurs
/// once, even if many users have it. A user whose other levels say nothing about the cell has the default [`Reach`].
pub type OtherReaches = BTreeMap<Cell, BTreeSet<Reach>>;

/// The rules of the other levels of the users who hold a level, together with the catalog.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OtherRules {
    /// The catalog.
    pub catalog: Arc<Catalog>,
    /// What the other levels say.
    pub reaches: OtherReaches,
}

/// A change to the permissions of one level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelChange {
    /// The permissions of the level before the change.
    pub before: LevelPermissions,
    /// The permissions of the level after the change.
    pub after: LevelPermissions,
}

impl LevelChange {
    /// Returns the id of the level.
    #[must_use]
    pub const fn level(&self) -> UserLevelId {
        self.after.level
    }

    /// Returns the cells that the level denies before the change but not after it.
    #[must_use]
    pub fn denies_removed(&self) -> BTreeSet<Cell> {
        self.cells_where(|Transition { was, is }| was.is_denied && !is.is_denied)
    }

    /// Returns the cells that the level denies after the change but not before it.
    #[must_use]
    pub fn denies_added(&self) -> BTreeSet<Cell> {
        self.cells_where(|Transition { was, is }| is.is_denied && !was.is_denied)
    }

    /// Returns the cells that the level newly denies, no longer allows, or allows with a narrower scope. A user can
    /// lose only permissions for these cells.
    #[must_use]
    pub fn reduced(&self) -> BTreeSet<Cell> {
        self.cells_where(|Transition { was, is }| was.granted > is.granted || (is.is_denied && !was.is_denied))
    }

    fn cells_where(&self, test: impl Fn(Transition) -> bool) -> BTreeSet<Cell> {
        self.cells().filter(|cell| test(self.transition(cell, Reach::default()))).collect()
    }

    fn cells(&self) -> impl Iterator<Item = Cell> {
        cells_of(&self.before).chain(cells_of(&self.after))
    }

    /// Returns the transition of a set that contains the level, and whose other levels have the reach `others`.
    fn transition(&self, cell: &Cell, others: Reach) -> Transition {
        Transition { was: others.with(cell.in_level(&self.before)), is: others.with(cell.in_level(&self.after)) }
    }

    /// Returns the permissions that the change grants, except those that the caller holds. `held` contains the caller's
    /// levels before the change. If the caller holds an action with a narrower scope than the granted scope, the action
    /// counts as not held. The result is in ascending order. It contains each action once, with the widest scope that
    /// is granted. Permissions that the change does not affect are not checked.
    ///
    /// The level is checked by itself, and in combination with the other levels of the users who hold it. The other
    /// levels make a difference only where the change removes a deny, so `others` must contain the reaches for
    /// [`Self::denies_removed`].
    #[must_use]
    pub fn granted_beyond(&self, others: &OtherReaches, catalog: &Catalog, held: &[LevelPermissions]) -> Vec<Grant> {
        let alone = Reach::default();
        let cells: BTreeSet<_> = self.cells().collect();
        let grant = |cell: Cell| {
            let reaches = std::iter::once(&alone).chain(others.get(&cell).into_iter().flatten());
            let scope = reaches.filter_map(|others| self.transition(&cell, *others).granted()).max()?;
            (Some(scope) > held_scope(&cell, catalog, held)).then(|| cell.grant(scope))
        };
        cells.into_iter().filter_map(grant).collect()
    }

    /// Returns the permissions that a user of `others` loses by the change: those that the user no longer holds, or
    /// holds with a narrower scope. The result is in ascending order. It contains each action once, with the widest
    /// scope before the change. Only the cells in `others` are checked.
    #[must_use]
    pub fn revoked(&self, others: &OtherReaches) -> Vec<Grant> {
        self.lost(others, Transition::revoked)
    }

    /// Returns the permissions that the change nullifies: a user had the permission before, one of the user's other
    /// levels still allows it, and the changed level now denies it. The result is in ascending order. It contains each
    /// action once, with the widest scope before the change. `others` must contain the reaches for
    /// [`Self::denies_added`]. A deny has no effect on public views.
    #[must_use]
    pub fn nullified(&self, others: &OtherReaches, catalog: &Catalog) -> Vec<Grant> {
        let others = others.iter().filter(|(cell, _)| !cell.is_public(catalog));
        self.lost(others, Transition::nullified)
    }

    fn lost<'a>(
        &self,
        others: impl IntoIterator<Item = (&'a Cell, &'a BTreeSet<Reach>)>,
        scope: impl Fn(Transition) -> Option<Scope>,
    ) -> Vec<Grant> {
        let lost = |(cell, reaches): (&Cell, &BTreeSet<Reach>)| {
            let widest = reaches.iter().filter_map(|others| scope(self.transition(cell, *others))).max()?;
            Some(cell.clone().grant(widest))
        };
        others.into_iter().filter_map(lost).collect()
    }
}

/// A change to the levels that one user holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignmentChange {
    /// The permissions of the levels that the user holds before the change.
    pub before: Vec<LevelPermissions>,
    /// The permissions of the levels that the user holds after the change.
    pub after: Vec<LevelPermissions>,
}

impl AssignmentChange {
    /// Returns the permissions that the change grants, except those that the caller holds. See
    /// [`LevelChange::granted_beyond`].
    #[must_use]
    pub fn granted_beyond(&self, catalog: &Catalog, held: &[LevelPermissions]) -> Vec<Grant> {
        self.grants(|cell, transition| {
            transition.granted().filter(|scope| Some(*scope) > held_scope(cell, catalog, held))
        })
    }

    /// Returns the permissions on the service's own features that the user loses by the change. See
    /// [`LevelChange::revoked`].
    #[must_use]
    pub fn reserved_revoked(&self, catalog: &Catalog) -> Vec<Grant> {
        self.grants(|cell, transition| transition.revoked().filter(|_| cell.is_reserved(catalog)))
    }

    /// Returns the permissions that the change nullifies. See [`LevelChange::nullified`].
    #[must_use]
    pub fn nullified(&self, catalog: &Catalog) -> Vec<Grant> {
        self.grants(|cell, transition| transition.nullified().filter(|_| !cell.is_public(catalog)))
    }

    /// Returns a permission for each cell for which `scope` returns a scope. Only levels that are assigned or
    /// unassigned can make a difference, so only their cells are checked.
    fn grants(&self, scope: impl Fn(&Cell, Transition) -> Option<Scope>) -> Vec<Grant> {
        let ids = |levels: &[LevelPermissions]| -> BTreeSet<_> { levels.iter().map(|level| level.level).collect() };
        let (before, after) = (ids(&self.before), ids(&self.after));
        let moved = self.before.iter().chain(&self.after);
        let moved = moved.filter(|level| !before.contains(&level.level) || !after.contains(&level.level));
        let cells: BTreeSet<_> = moved.flat_map(cells_of).collect();
        let grant = |cell: Cell| {
            let transition = Transition { was: Reach::of(&self.before, &cell), is: Reach::of(&self.after, &cell) };
            let scope = scope(&cell, transition)?;
            Some(cell.grant(scope))
        };
        cells.into_iter().filter_map(grant).collect()
    }
}
