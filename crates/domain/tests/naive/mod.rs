//! Companies for the tests of escalation, the data that a change to them touches, and a naive implementation of the
//! rules, which compares all users and levels.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use iam_domain::escalation::{AssignmentChange, Cell, Grant, LevelChange, OtherReaches, Reach};
use iam_domain::{Catalog, CompanySnapshot, LevelPermissions, Scope, Snapshot, UserId, UserLevelId, ViewState};

use crate::common::{ACTIONS, FEATURES, Level, VIEWS, World, action, feature, level, uuid, view};

pub(crate) const USERS: usize = 4;

pub(crate) fn user(number: usize) -> UserId {
    UserId::from_uuid(uuid(5, number))
}

/// Creates a company with the levels of the world. User `n` holds the levels `held[n]`.
pub(crate) fn company(world: &World, held: &[&[usize]]) -> CompanySnapshot {
    let Snapshot { catalog, status, modules, ceilings, levels } = world.snapshot();
    let levels: BTreeMap<_, _> = levels.into_iter().map(|level| (level.level, level)).collect();
    let mut company = CompanySnapshot { catalog, status, modules, ceilings, levels, holders: BTreeMap::new() };
    for (number, held) in held.iter().enumerate() {
        assign(&mut company, number, held.iter().copied());
    }
    company
}

/// Replaces the levels of the user. Levels that do not exist are skipped.
pub(crate) fn assign(company: &mut CompanySnapshot, number: usize, levels: impl IntoIterator<Item = usize>) {
    let held: BTreeSet<_> = levels.into_iter().map(level).filter(|level| company.levels.contains_key(level)).collect();
    company.holders.remove(&user(number));
    if !held.is_empty() {
        company.holders.insert(user(number), Arc::new(held));
    }
}

/// Replaces the rows of a level, if the level exists.
pub(crate) fn replace(company: &mut CompanySnapshot, rows: &Level) {
    if let Some(there) = company.levels.get_mut(&level(rows.number)) {
        *there = rows.permissions();
    }
}

pub(crate) fn levels_of(company: &CompanySnapshot, number: usize) -> Vec<LevelPermissions> {
    company.of_user(user(number)).levels
}

/// Returns the level whose permissions differ between the two snapshots.
pub(crate) fn level_change(before: &CompanySnapshot, after: &CompanySnapshot) -> Option<LevelChange> {
    let (id, after) = after.levels.iter().find(|(id, level)| before.levels[id] != **level)?;
    Some(LevelChange { before: before.levels[id].clone(), after: after.clone() })
}

/// Returns the user whose levels differ between the two snapshots.
pub(crate) fn assignment_change(
    before: &CompanySnapshot,
    after: &CompanySnapshot,
) -> Option<(usize, AssignmentChange)> {
    let number = (0..USERS).find(|number| before.holders.get(&user(*number)) != after.holders.get(&user(*number)))?;
    Some((number, AssignmentChange { before: levels_of(before, number), after: levels_of(after, number) }))
}

/// Returns what the other levels of the users who hold the level say about these cells.
pub(crate) fn others(
    company: &CompanySnapshot,
    changed: UserLevelId,
    cells: BTreeSet<Cell>,
    without: Option<usize>,
) -> OtherReaches {
    let users = (0..USERS).filter(|number| Some(*number) != without).map(|number| levels_of(company, number));
    let users: Vec<_> = users.filter(|held| held.iter().any(|level| level.level == changed)).collect();
    let reach = |held: &Vec<LevelPermissions>, cell: &Cell| {
        held.iter().filter(|level| level.level != changed).fold(Reach::default(), |reach, level| {
            reach.with(match cell {
                Cell::View(view) => level.views.get(view).copied().into(),
                Cell::Action(feature, action) => {
                    level.features.get(feature).and_then(|rules| rules.get(action)).copied().into()
                }
            })
        })
    };
    let reaches = |cell: &Cell| users.iter().map(|held| reach(held, cell)).collect();
    cells.into_iter().map(|cell| (cell.clone(), reaches(&cell))).collect()
}

/// Returns the permissions that the change from `before` to `after` grants, except those that a caller with the levels
/// `held` holds. Passes only the data that the change touches.
pub(crate) fn not_held(before: &CompanySnapshot, after: &CompanySnapshot, held: &[LevelPermissions]) -> Vec<Grant> {
    if let Some(change) = level_change(before, after) {
        let others = others(after, change.level(), change.denies_removed(), None);
        return change.granted_beyond(&others, &after.catalog, held);
    }
    let change = assignment_change(before, after);
    change.map_or_else(Vec::new, |(_, change)| change.granted_beyond(&after.catalog, held))
}

/// Returns the permissions on the service's own features that another user than `caller` loses by the change from
/// `before` to `after`. Passes only the data that the change touches.
pub(crate) fn revoked_from_others(before: &CompanySnapshot, after: &CompanySnapshot, caller: usize) -> Vec<Grant> {
    if let Some(change) = level_change(before, after) {
        let cells = change.reduced().into_iter().filter(|cell| cell.is_reserved(&after.catalog)).collect();
        return change.revoked(&others(after, change.level(), cells, Some(caller)));
    }
    let change = assignment_change(before, after).filter(|(number, _)| *number != caller);
    change.map_or_else(Vec::new, |(_, change)| change.reserved_revoked(&after.catalog))
}

/// Returns the permissions that the change from `before` to `after` nullifies. Passes only the data that the change
/// touches.
pub(crate) fn nullified(before: &CompanySnapshot, after: &CompanySnapshot) -> Vec<Grant> {
    if let Some(change) = level_change(before, after) {
        return change.nullified(&others(after, change.level(), change.denies_added(), None), &after.catalog);
    }
    assignment_change(before, after).map_or_else(Vec::new, |(_, change)| change.nullified(&after.catalog))
}

/// Returns the permissions that a change grants, except those that the user held before the change.
pub(crate) fn beyond(before: &CompanySnapshot, after: &CompanySnapshot, number: usize) -> Vec<Grant> {
    not_held(before, after, &levels_of(before, number))
}

pub(crate) fn of_view(number: usize) -> Grant {
    Grant::View(view(number))
}
pub(crate) fn of_action(number: usize, name: usize, scope: Scope) -> Grant {
    Grant::Action { feature: feature(number), action: action(name), scope }
}

// --- The naive implementation ---

/// The scope that a user has for each view, and for each action of each feature.
pub(crate) type Reaches = BTreeMap<(bool, usize, usize), Option<Scope>>;

/// Returns the scopes that these levels resolve to, regardless of the catalog.
pub(crate) fn resolved(levels: &[LevelPermissions]) -> Reaches {
    let views = (0..VIEWS).map(|number| {
        let states: Vec<_> = levels.iter().filter_map(|level| level.views.get(&view(number))).collect();
        let is_allowed = states.contains(&&ViewState::Allow) && !states.contains(&&ViewState::Deny);
        ((false, number, 0), is_allowed.then_some(Scope::Any))
    });
    let actions = (0..FEATURES).flat_map(|number| (0..ACTIONS).map(move |name| (number, name)));
    let actions = actions.map(|(number, name)| {
        let rules = || levels.iter().filter_map(|level| level.features.get(&feature(number))?.get(&action(name)));
        let is_denied = rules().any(|rule| !rule.value);
        ((true, number, name), rules().map(|rule| rule.scope).max().filter(|_| !is_denied))
    });
    views.chain(actions).collect()
}

/// Returns the scopes that these levels resolve to if their denies are ignored.
pub(crate) fn granted(levels: &[LevelPermissions]) -> Reaches {
    let mut levels = levels.to_vec();
    for level in &mut levels {
        level.views.retain(|_, state| *state != ViewState::Deny);
        level.features.values_mut().for_each(|rules| rules.retain(|_, rule| rule.value));
    }
    resolved(&levels)
}

/// Returns the permissions that a user with these levels holds: the resolved permissions, and the public views.
pub(crate) fn holdings(catalog: &Catalog, levels: &[LevelPermissions]) -> Reaches {
    let mut holdings = resolved(levels);
    for number in (0..VIEWS).filter(|number| !catalog.view(view(*number)).unwrap().requires_auth) {
        holdings.insert((false, number, 0), Some(Scope::Any));
    }
    holdings
}

/// Returns the granted permissions that the caller does not hold. Compares every cell of every user and level.
pub(crate) fn naive(before: &CompanySnapshot, after: &CompanySnapshot, held: &[LevelPermissions]) -> Vec<Grant> {
    let mut pairs: Vec<_> = (0..USERS).map(|number| (levels_of(before, number), levels_of(after, number))).collect();
    pairs.extend(before.levels.iter().map(|(id, was)| (vec![was.clone()], vec![after.levels[id].clone()])));
    let held = holdings(&after.catalog, held);
    let mut missing = Reaches::new();
    for (was, is) in pairs {
        for reading in [resolved, granted] {
            let was = reading(&was);
            for (cell, scope) in reading(&is) {
                if scope > was[&cell] && scope > held[&cell] {
                    let widest = missing.entry(cell).or_default();
                    *widest = scope.max(*widest);
                }
            }
        }
    }
    grants(missing)
}

pub(crate) fn grants(reaches: Reaches) -> Vec<Grant> {
    let grant = |((is_action, number, name), scope): (_, Option<Scope>)| {
        if is_action { of_action(number, name, scope.unwrap()) } else { of_view(number) }
    };
    reaches.into_iter().map(grant).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Returns the cells for which `is_lost` is true for one of these users, each with the widest scope before the change.
/// The arguments of `is_lost` are the cell, the levels before and the levels after the change.
pub(crate) fn naive_losses(
    before: &CompanySnapshot,
    after: &CompanySnapshot,
    users: impl IntoIterator<Item = usize>,
    is_lost: impl Fn((bool, usize, usize), &[LevelPermissions], &[LevelPermissions]) -> bool,
) -> Vec<Grant> {
    let mut lost = Reaches::new();
    for number in users {
        let (was, is) = (levels_of(before, number), levels_of(after, number));
        for (cell, scope) in resolved(&was) {
            if scope.is_some() && is_lost(cell, &was, &is) {
                let widest = lost.entry(cell).or_default();
                *widest = scope.max(*widest);
            }
        }
    }
    grants(lost)
}

/// The feature of [`World`] that is a feature of the service itself.
pub(crate) const RESERVED: usize = 1;

/// Returns the permissions on the service's own feature that another user than `caller` loses.
pub(crate) fn naive_revoked_from_others(
    before: &CompanySnapshot,
    after: &CompanySnapshot,
    caller: usize,
) -> Vec<Grant> {
    naive_losses(before, after, (0..USERS).filter(|number| *number != caller), |cell, was, is| {
        matches!(cell, (true, RESERVED, _)) && resolved(is)[&cell] < resolved(was)[&cell]
    })
}

/// Returns the permissions that a user had, that one of the user's levels still allows, and that a deny now overrides.
pub(crate) fn naive_nullified(before: &CompanySnapshot, after: &CompanySnapshot) -> Vec<Grant> {
    naive_losses(before, after, 0..USERS, |cell, _, is| {
        let is_public = matches!(cell, (false, number, _) if !after.catalog.view(view(number)).unwrap().requires_auth);
        !is_public && granted(is)[&cell].is_some() && resolved(is)[&cell].is_none()
    })
}
