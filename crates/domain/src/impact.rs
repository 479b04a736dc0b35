//! The impact of a change on the users of a company: the decisions that differ before and after the change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::escalation::Cell;
use crate::{CompanySnapshot, LevelPermissions, Scope, Snapshot, UserId, UserLevelId};

/// A decision that a change alters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellChange {
    /// The view, or the action of a feature.
    pub cell: Cell,
    /// The scope before the change. `any` for a view that the user may see. `None` if access is denied.
    pub before: Option<Scope>,
    /// The scope after the change, as `before`.
    pub after: Option<Scope>,
}

impl CellChange {
    /// Returns `true` if the user gains the permission, or if its scope becomes wider. Otherwise, the user loses the
    /// permission, or its scope becomes narrower.
    #[must_use]
    pub fn is_gain(&self) -> bool {
        self.after > self.before
    }
}

/// The numbers of users whose decision on one cell a change alters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CellCounts {
    /// The number of users who gain the permission, or for whom its scope becomes wider.
    pub gaining: usize,
    /// The number of users who lose the permission, or for whom its scope becomes narrower.
    pub losing: usize,
}

/// The decisions about the users of a company that a change alters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Impact {
    /// The users with at least one altered decision, each with these decisions, in ascending order of the cells. Users
    /// with the same levels before and after the change share one list.
    pub users: BTreeMap<UserId, Arc<[CellChange]>>,
    /// The cells with at least one altered decision.
    pub cells: BTreeMap<Cell, CellCounts>,
}

/// Returns the decisions that differ between two snapshots of a company, for all users who hold levels in at least one
/// of them. All users with the same levels are decided once.
#[must_use]
pub fn impact(before: &CompanySnapshot, after: &CompanySnapshot) -> Impact {
    let comparison = Comparison::new(before, after);
    let none = BTreeSet::new();
    // A level set that users share is compared once, not once for each user.
    let mut shared: BTreeMap<_, (Option<&Held>, Option<&Held>, Vec<UserId>)> = BTreeMap::new();
    for (user, was, is) in before_and_after(&before.holders, &after.holders) {
        let addresses = (was.map(Arc::as_ptr), is.map(Arc::as_ptr));
        shared.entry(addresses).or_insert((was, is, Vec::new())).2.push(user);
    }
    let mut groups: BTreeMap<(&BTreeSet<UserLevelId>, &BTreeSet<UserLevelId>), Vec<UserId>> = BTreeMap::new();
    for (was, is, users) in shared.into_values() {
        let (was, is) = (was.map_or(&none, Arc::as_ref), is.map_or(&none, Arc::as_ref));
        if comparison.may_differ(was, is) {
            groups.entry((was, is)).or_default().extend(users);
        }
    }
    let mut impact = Impact::default();
    let mut affected = Vec::new();
    for ((was, is), users) in groups {
        let changes: Arc<[CellChange]> = comparison.changes(was, is).into();
        if changes.is_empty() {
            continue;
        }
        for change in changes.iter() {
            let counts = impact.cells.entry(change.cell.clone()).or_default();
            let count = if change.is_gain() { &mut counts.gaining } else { &mut counts.losing };
            *count += users.len();
        }
        affected.extend(users.into_iter().map(|user| (user, Arc::clone(&changes))));
    }
    impact.users = affected.into_iter().collect();
    impact
}

/// The levels that a user holds.
type Held = Arc<BTreeSet<UserLevelId>>;

/// Returns the users who hold levels before or after the change, in ascending order of id, with the levels that they hold
/// before and after it.
fn before_and_after<'a>(
    before: &'a BTreeMap<UserId, Held>,
    after: &'a BTreeMap<UserId, Held>,
) -> impl Iterator<Item = (UserId, Option<&'a Held>, Option<&'a Held>)> {
    let (mut before, mut after) = (before.iter().peekable(), after.iter().peekable());
    std::iter::from_fn(move || {
        let user = match (before.peek(), after.peek()) {
            (Some((was, _)), Some((is, _))) => **was.min(is),
            (Some((user, _)), None) | (None, Some((user, _))) => **user,
            (None, None) => return None,
        };
        let was = before.next_if(|(id, _)| **id == user).map(|(_, held)| held);
        let is = after.next_if(|(id, _)| **id == user).map(|(_, held)| held);
        Some((user, was, is))
    })
}

/// Returns the scope that the snapshot allows for a cell: `any` for a view. `None` if access is denied.
#[must_use]
pub fn allowed(snapshot: &Snapshot, cell: &Cell) -> Option<Scope> {
    let decision = match cell {
        Cell::View(view) => snapshot.view(*view),
        Cell::Action(feature, action) => snapshot.feature(*feature, action),
    };
    decision.allowed.then(|| decision.scope.unwrap_or(Scope::Any))
}

/// Two snapshots of a company, and what differs between them apart from the levels that users hold.
struct Comparison<'a> {
    before: &'a CompanySnapshot,
    after: &'a CompanySnapshot,
    /// `true` if the catalog, the status, the modules or the ceilings differ. Every decision may then differ.
    is_company_wide: bool,
    /// The levels whose rules differ, each with the cells of these rules.
    levels: BTreeMap<UserLevelId, BTreeSet<Cell>>,
}

impl<'a> Comparison<'a> {
    fn new(before: &'a CompanySnapshot, after: &'a CompanySnapshot) -> Self {
        let is_company_wide = before.status != after.status
            || before.modules != after.modules
            || before.ceilings != after.ceilings
            || before.catalog != after.catalog;
        let ids: BTreeSet<_> = before.levels.keys().chain(after.levels.keys()).copied().collect();
        let differing = ids.into_iter().filter_map(|id| {
            let (was, is) = (before.levels.get(&id), after.levels.get(&id));
            (was != is).then(|| (id, differing_rules(was, is)))
        });
        Self { before, after, is_company_wide, levels: differing.collect() }
    }

    /// Returns `true` if a decision about a user who holds the levels `was` before and `is` after the change may differ.
    fn may_differ(&self, was: &BTreeSet<UserLevelId>, is: &BTreeSet<UserLevelId>) -> bool {
        self.is_company_wide || was != is || was.iter().any(|level| self.levels.contains_key(level))
    }

    /// Returns the decisions that differ for a user who holds the levels `was` before and `is` after the change.
    fn changes(&self, was: &BTreeSet<UserLevelId>, is: &BTreeSet<UserLevelId>) -> Vec<CellChange> {
        let cells = self.cells(was, is);
        let (earlier, later) = (only(self.before, was, &cells), only(self.after, is, &cells));
        let change = |cell: Cell| {
            let (before, after) = (allowed(&earlier, &cell), allowed(&later, &cell));
            (before != after).then_some(CellChange { cell, before, after })
        };
        cells.into_iter().filter_map(change).collect()
    }

    /// Returns the cells whose decisions may differ. A decision on a cell for which no level has a rule differs only if
    /// the cell is a public view.
    fn cells(&self, was: &BTreeSet<UserLevelId>, is: &BTreeSet<UserLevelId>) -> BTreeSet<Cell> {
        let mut cells = BTreeSet::new();
        for (company, held, other) in [(self.before, was, is), (self.after, is, was)] {
            for level in held {
                if self.is_company_wide || !other.contains(level) {
                    cells.extend(company.levels.get(level).into_iter().flat_map(rules));
                } else {
                    cells.extend(self.levels.get(level).into_iter().flatten().cloned());
                }
            }
            if self.is_company_wide {
                let public = company.catalog.views().filter(|view| !view.requires_auth);
                cells.extend(public.map(|view| Cell::View(view.id)));
            }
        }
        cells
    }
}

/// Returns the cells for which a level has a rule.
fn rules(level: &LevelPermissions) -> impl Iterator<Item = Cell> {
    let views = level.views.keys().copied().map(Cell::View);
    let actions = level
        .features
        .iter()
        .flat_map(|(feature, actions)| actions.keys().map(|action| Cell::Action(*feature, action.clone())));
    views.chain(actions)
}

/// Returns the cells for which the rules of a level differ. `None` stands for a level that does not exist.
fn differing_rules(before: Option<&LevelPermissions>, after: Option<&LevelPermissions>) -> BTreeSet<Cell> {
    let both = before.into_iter().chain(after).flat_map(rules);
    let differs = |cell: &Cell| match cell {
        Cell::View(view) => {
            let rule = |level: Option<&LevelPermissions>| level.and_then(|level| level.views.get(view).copied());
            rule(before) != rule(after)
        }
        Cell::Action(feature, action) => {
            let rule = |level: Option<&LevelPermissions>| level.and_then(|level| level.rule(*feature, action));
            rule(before) != rule(after)
        }
    };
    both.filter(differs).collect()
}

/// Returns the snapshot of a user who holds these levels, with only the rules for these cells. Decisions on other cells
/// are undefined.
fn only(company: &CompanySnapshot, held: &BTreeSet<UserLevelId>, cells: &BTreeSet<Cell>) -> Snapshot {
    let restricted = |level: &LevelPermissions| {
        let mut own = LevelPermissions::new(level.level, [], []);
        for cell in cells {
            match cell {
                Cell::View(view) => own.views.extend(level.views.get(view).map(|state| (*view, *state))),
                Cell::Action(feature, action) => {
                    if let Some(rule) = level.rule(*feature, action) {
                        own.features.entry(*feature).or_default().insert(action.clone(), rule);
                    }
                }
            }
        }
        own
    };
    Snapshot {
        catalog: Arc::clone(&company.catalog),
        status: company.status,
        modules: company.modules.clone(),
        ceilings: Arc::clone(&company.ceilings),
        levels: held.iter().filter_map(|level| company.levels.get(level)).map(restricted).collect(),
    }
}
