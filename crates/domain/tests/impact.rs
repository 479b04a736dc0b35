//! Tests of the impact of a change: it is the difference of all decisions before and after the change.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use common::{
    ACTIONS, FEATURES, LEVELS, Level, VIEWS, World, action, config, feature, level, some_of, uuid, view, world,
};
use iam_domain::escalation::Cell;
use iam_domain::{CellChange, CellCounts, CompanySnapshot, CompanyStatus, Scope, UserId, ViewState, allowed, impact};
use proptest::prelude::*;

const USERS: usize = 4;

/// The numbers of the levels that each user holds.
type Holders = Vec<BTreeSet<usize>>;

fn user(number: usize) -> UserId {
    UserId::from_uuid(uuid(5, number))
}

/// Returns the company with this data. Users without levels are absent, as in a storage.
fn company(world: &World, holders: &Holders, status: CompanyStatus) -> CompanySnapshot {
    let snapshot = world.snapshot();
    let held = |numbers: &BTreeSet<usize>| numbers.iter().map(|number| level(*number)).collect::<BTreeSet<_>>();
    let holders = holders.iter().enumerate().filter(|(_, levels)| !levels.is_empty());
    CompanySnapshot {
        catalog: snapshot.catalog,
        status,
        modules: snapshot.modules,
        ceilings: snapshot.ceilings,
        levels: snapshot.levels.into_iter().map(|level| (level.level, level)).collect(),
        holders: holders.map(|(number, levels)| (user(number), Arc::new(held(levels)))).collect(),
    }
}

fn cells() -> impl Iterator<Item = Cell> {
    let views = (0..=VIEWS).map(|number| Cell::View(view(number)));
    let actions =
        (0..=FEATURES).flat_map(|number| (0..ACTIONS).map(move |name| Cell::Action(feature(number), action(name))));
    views.chain(actions)
}

fn holders() -> impl Strategy<Value = Holders> {
    prop::collection::vec(some_of(LEVELS), USERS)
}

fn status() -> impl Strategy<Value = CompanyStatus> {
    prop::sample::select(vec![CompanyStatus::Active, CompanyStatus::Active, CompanyStatus::Suspended])
}

/// Compares the impact with the difference of all decisions about all users who hold a level.
fn check(before: &CompanySnapshot, after: &CompanySnapshot) -> Result<(), TestCaseError> {
    let (mut users, mut counts) = (BTreeMap::new(), BTreeMap::<Cell, CellCounts>::new());
    for number in 0..USERS {
        let user = user(number);
        if !before.holders.contains_key(&user) && !after.holders.contains_key(&user) {
            continue;
        }
        let (earlier, later) = (before.of_user(user), after.of_user(user));
        let mut changes = Vec::new();
        for cell in cells() {
            let (before, after) = (allowed(&earlier, &cell), allowed(&later, &cell));
            if before != after {
                let counted = counts.entry(cell.clone()).or_default();
                *(if after > before { &mut counted.gaining } else { &mut counted.losing }) += 1;
                changes.push(CellChange { cell, before, after });
            }
        }
        changes.sort_by(|one, other| one.cell.cmp(&other.cell));
        if !changes.is_empty() {
            users.insert(user, changes);
        }
    }
    let found = impact(before, after);
    let listed: BTreeMap<_, _> = found.users.iter().map(|(user, changes)| (*user, changes.to_vec())).collect();
    prop_assert_eq!(listed, users);
    prop_assert_eq!(found.cells, counts);
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_impact_is_the_difference_of_all_decisions(
        (before, after) in (world(), world()),
        (was, is) in (holders(), holders()),
        (earlier, later) in (status(), status()),
    ) {
        check(&company(&before, &was, earlier), &company(&after, &is, later))?;
    }

    /// Changes that alter only levels, only assignments, or both.
    #[test]
    fn the_impact_of_levels_and_assignments_is_the_difference_of_all_decisions(
        (before, other) in (world(), world()),
        (was, is) in (holders(), holders()),
        (alters_levels, alters_holders) in any::<(bool, bool)>(),
    ) {
        let mut after = before.clone();
        if alters_levels {
            after.levels = other.levels;
        }
        let is = if alters_holders { is } else { was.clone() };
        check(&company(&before, &was, CompanyStatus::Active), &company(&after, &is, CompanyStatus::Active))?;
    }
}

#[test]
fn users_with_the_same_levels_share_one_list_and_other_users_are_omitted() {
    let allowing = |scope| Level { number: 0, views: vec![(0, ViewState::Allow)], features: vec![(0, 0, true, scope)] };
    let holders = vec![[0].into(), [0].into(), [1].into(), BTreeSet::new()];
    let of_scope = |scope| {
        let other = Level { number: 1, ..allowing(Scope::Any) };
        company(&World::plain(vec![allowing(scope), other]), &holders, CompanyStatus::Active)
    };
    let found = impact(&of_scope(Scope::Team), &of_scope(Scope::Own));
    assert_eq!(found.users.keys().copied().collect::<Vec<_>>(), [user(0), user(1)]);
    assert!(Arc::ptr_eq(&found.users[&user(0)], &found.users[&user(1)]));
    let cell = Cell::Action(feature(0), action(0));
    let narrowed = CellChange { cell: cell.clone(), before: Some(Scope::Team), after: Some(Scope::Own) };
    assert_eq!(found.users[&user(0)].as_ref(), [narrowed]);
    assert_eq!(found.cells, [(cell, CellCounts { gaining: 0, losing: 2 })].into());
}
