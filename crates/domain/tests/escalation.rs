//! Tests of the rules against privilege escalation: a comparison with a naive implementation, and individual cases.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;
mod naive;

use std::collections::BTreeSet;

use common::{
    ACTIONS, FEATURES, LEVELS, Level, SCOPES, VIEWS, World, action, config, feature, level, rows, scope, some_of,
    state, view, world,
};
use iam_domain::escalation::Grant;
use iam_domain::{CompanySnapshot, LevelPermissions, Scope, ViewState};
use naive::{
    USERS, assign, beyond, company, holdings, levels_of, naive, naive_nullified, naive_revoked_from_others, not_held,
    nullified, of_action, of_view, replace, revoked_from_others, user,
};
use proptest::prelude::*;

// --- Generated companies and changes ---

/// Removes the rows that refer to missing entities.
fn existing(mut level: Level) -> Level {
    level.views.retain(|(number, _)| *number < VIEWS);
    level.features.retain(|(number, ..)| *number < FEATURES);
    level
}

fn companies() -> impl Strategy<Value = CompanySnapshot> {
    (world(), prop::collection::vec(some_of(LEVELS), USERS)).prop_map(|(mut world, held)| {
        world.levels = world.levels.into_iter().map(existing).collect();
        let held: Vec<Vec<_>> = held.into_iter().map(|held| held.into_iter().collect()).collect();
        company(&world, &held.iter().map(Vec::as_slice).collect::<Vec<_>>())
    })
}

#[derive(Debug, Clone)]
enum Change {
    Assign(usize, BTreeSet<usize>),
    Replace(Level),
    View(usize, usize, Option<ViewState>),
    Action(usize, usize, usize, Option<(bool, Scope)>),
}

impl Change {
    fn apply(&self, before: &CompanySnapshot) -> CompanySnapshot {
        let mut after = before.clone();
        let mut change = |number: usize, change: &dyn Fn(&mut LevelPermissions)| {
            after.levels.get_mut(&level(number)).into_iter().for_each(change);
        };
        match self {
            Self::Assign(number, levels) => assign(&mut after, *number, levels.iter().copied()),
            Self::Replace(rows) => replace(&mut after, rows),
            Self::View(level, number, Some(state)) => change(*level, &|level| {
                level.views.insert(view(*number), *state);
            }),
            Self::View(level, number, None) => change(*level, &|level| {
                level.views.remove(&view(*number));
            }),
            Self::Action(level, number, name, row) => change(*level, &|level| {
                let rules = level.features.entry(feature(*number)).or_default();
                match row {
                    Some((value, scope)) => {
                        rules.insert(action(*name), iam_domain::FeatureRule { value: *value, scope: *scope })
                    }
                    None => rules.remove(&action(*name)),
                };
            }),
        }
        after
    }
}

fn changes() -> impl Strategy<Value = Change> {
    let level = 0..LEVELS;
    let row = prop::option::weighted(0.6, (any::<bool>(), scope()));
    prop_oneof![
        3 => (0..USERS, some_of(LEVELS)).prop_map(|(user, levels)| Change::Assign(user, levels)),
        1 => level.clone().prop_flat_map(rows).prop_map(|level| Change::Replace(existing(level))),
        3 => (level.clone(), 0..VIEWS, prop::option::weighted(0.6, state()))
            .prop_map(|(level, number, state)| Change::View(level, number, state)),
        3 => (level, 0..FEATURES, 0..ACTIONS, row)
            .prop_map(|(level, number, name, row)| Change::Action(level, number, name, row)),
    ]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn only_new_permissions_not_held_are_returned(before in companies(), change in changes(), caller in 0..USERS) {
        let after = change.apply(&before);
        let held = levels_of(&before, caller);
        prop_assert_eq!(not_held(&before, &after, &held), naive(&before, &after, &held));
    }

    #[test]
    fn only_losses_of_other_users_are_returned(before in companies(), change in changes(), caller in 0..USERS) {
        let after = change.apply(&before);
        let expected = naive_revoked_from_others(&before, &after, caller);
        prop_assert_eq!(revoked_from_others(&before, &after, caller), expected);
    }

    #[test]
    fn only_allows_that_a_new_deny_overrides_are_nullified(before in companies(), change in changes()) {
        let after = change.apply(&before);
        prop_assert_eq!(nullified(&before, &after), naive_nullified(&before, &after));
    }

    /// However many changes a caller makes, no other user loses a permission on the service's own features.
    #[test]
    fn a_sequence_of_accepted_changes_deposes_no_other_user(
        start in companies(),
        caller in 0..USERS,
        steps in prop::collection::vec(changes(), 1..40),
    ) {
        let mut company = start.clone();
        for change in steps {
            let after = change.apply(&company);
            if revoked_from_others(&company, &after, caller).is_empty() {
                company = after;
            }
        }
        prop_assert_eq!(naive_revoked_from_others(&start, &company, caller), []);
    }

    #[test]
    fn an_accepted_change_grants_no_user_more_than_the_caller_holds(
        before in companies(),
        change in changes(),
        caller in 0..USERS,
    ) {
        let after = change.apply(&before);
        prop_assume!(beyond(&before, &after, caller).is_empty());
        let held = holdings(&before.catalog, &levels_of(&before, caller));
        for number in 0..USERS {
            let was = holdings(&before.catalog, &levels_of(&before, number));
            for (cell, scope) in holdings(&after.catalog, &levels_of(&after, number)) {
                prop_assert!(scope <= was[&cell].max(held[&cell]), "user {number} {cell:?}");
            }
        }
    }

    /// The members of a group grant permissions to each other. They may use unassigned levels, and add denies that they
    /// remove later. Together, they never hold more permissions than before.
    #[test]
    fn a_group_never_holds_more_than_the_union_of_its_members_permissions(
        start in companies(),
        group in 1..USERS,
        steps in prop::collection::vec((0..USERS, changes()), 1..40),
    ) {
        let mut together = holdings(&start.catalog, &[]);
        for number in 0..group {
            for (cell, scope) in holdings(&start.catalog, &levels_of(&start, number)) {
                let widest = together.get_mut(&cell).unwrap();
                *widest = scope.max(*widest);
            }
        }
        let mut company = start.clone();
        for (caller, change) in steps {
            let after = change.apply(&company);
            if beyond(&company, &after, caller % group).is_empty() {
                company = after;
            }
        }
        for number in 0..USERS {
            let was = holdings(&start.catalog, &levels_of(&start, number));
            for (cell, scope) in holdings(&company.catalog, &levels_of(&company, number)) {
                prop_assert!(scope <= was[&cell].max(together[&cell]), "user {number} {cell:?}");
            }
        }
    }

    #[test]
    fn a_change_without_effect_grants_nothing(company in companies()) {
        prop_assert_eq!(not_held(&company, &company, &[]), []);
    }

    #[test]
    fn a_caller_who_holds_everything_can_grant_everything(before in companies(), change in changes()) {
        let everything = Level {
            number: LEVELS,
            views: (0..VIEWS).map(|number| (number, ViewState::Allow)).collect(),
            features: (0..FEATURES)
                .flat_map(|number| (0..ACTIONS).map(move |name| (number, name, true, Scope::Any)))
                .collect(),
        };
        prop_assert_eq!(not_held(&before, &change.apply(&before), &[everything.permissions()]), []);
    }
}

// --- Individual cases ---

const ALLOW: ViewState = ViewState::Allow;
const DENY: ViewState = ViewState::Deny;

fn says_of_views(number: usize, views: &[(usize, ViewState)]) -> Level {
    Level { number, views: views.to_vec(), features: Vec::new() }
}

fn says_of_actions(number: usize, features: &[(usize, usize, bool, Scope)]) -> Level {
    Level { number, views: Vec::new(), features: features.to_vec() }
}

/// Replaces the rows of level 1 with `wanted`, and returns the granted permissions that user 0 does not hold.
fn by_matrix(levels: Vec<Level>, held: &[&[usize]], wanted: &Level) -> Vec<Grant> {
    let before = company(&World::plain(levels), held);
    let mut after = before.clone();
    replace(&mut after, wanted);
    beyond(&before, &after, 0)
}

/// Replaces the levels of user 1 with `wanted`, and returns the granted permissions that user 0 does not hold.
fn by_assignment(levels: Vec<Level>, held: &[&[usize]], wanted: &[usize]) -> Vec<Grant> {
    let before = company(&World::plain(levels), held);
    let mut after = before.clone();
    assign(&mut after, 1, wanted.iter().copied());
    beyond(&before, &after, 0)
}

#[test]
fn callers_can_grant_what_they_hold() {
    let own = Level { features: vec![(0, 0, true, Scope::Team)], ..says_of_views(0, &[(0, ALLOW)]) };
    let same = Level { number: 1, ..own.clone() };
    assert_eq!(by_matrix(vec![own.clone(), says_of_views(1, &[])], &[&[0], &[1]], &same), []);
    assert_eq!(by_assignment(vec![own, same], &[&[0]], &[0, 1]), []);
}

#[test]
fn permissions_that_the_caller_does_not_hold_are_returned() {
    let levels = || vec![says_of_views(0, &[(0, ALLOW)]), says_of_views(1, &[])];
    let wanted = Level { features: vec![(1, 2, true, Scope::Own)], ..says_of_views(1, &[(0, ALLOW), (2, ALLOW)]) };
    let missing = [of_view(2), of_action(1, 2, Scope::Own)];
    assert_eq!(by_matrix(levels(), &[&[0], &[1]], &wanted), missing);
    assert_eq!(by_matrix(levels(), &[&[0]], &wanted), missing, "a level without holders must be checked too");
    assert_eq!(by_matrix(levels(), &[&[0, 1]], &wanted), missing, "the caller's own level must be checked too");
    assert_eq!(by_assignment(vec![levels().swap_remove(0), wanted], &[&[0]], &[1]), missing);
}

#[test]
fn a_held_scope_includes_the_narrower_scopes() {
    for held in SCOPES {
        for wanted in SCOPES {
            let own = says_of_actions(0, &[(0, 0, true, held)]);
            let missing = by_matrix(
                vec![own, says_of_views(1, &[])],
                &[&[0], &[1]],
                &says_of_actions(1, &[(0, 0, true, wanted)]),
            );
            let expected = if wanted > held { vec![of_action(0, 0, wanted)] } else { vec![] };
            assert_eq!(missing, expected, "{held} {wanted}");
        }
    }
}

#[test]
fn each_permission_is_returned_once_with_the_widest_scope() {
    let levels = vec![
        says_of_views(0, &[]),
        says_of_actions(1, &[]),
        says_of_actions(2, &[(0, 0, true, Scope::Own), (0, 1, false, Scope::Own)]),
    ];
    let wanted = says_of_actions(1, &[(0, 0, true, Scope::Company), (0, 1, true, Scope::Team)]);
    let missing = by_matrix(levels, &[&[0], &[1], &[1, 2], &[2]], &wanted);
    assert_eq!(missing, [of_action(0, 0, Scope::Company), of_action(0, 1, Scope::Team)]);
}

#[test]
fn an_allow_overridden_by_a_deny_is_still_a_grant() {
    let levels = vec![says_of_views(0, &[]), says_of_views(1, &[]), says_of_views(2, &[(0, DENY)])];
    let wanted = says_of_views(1, &[(0, ALLOW)]);
    assert_eq!(by_matrix(levels.clone(), &[&[0], &[1, 2]], &wanted), [of_view(0)]);
    let levels = vec![levels[0].clone(), wanted, levels[2].clone()];
    assert_eq!(by_assignment(levels, &[&[0], &[2]], &[1, 2]), [of_view(0)]);
}

#[test]
fn callers_do_not_hold_what_is_denied_to_them() {
    let levels = vec![says_of_views(0, &[(0, ALLOW)]), says_of_views(1, &[]), says_of_views(2, &[(0, DENY)])];
    let missing = by_matrix(levels, &[&[0, 2], &[1]], &says_of_views(1, &[(0, ALLOW)]));
    assert_eq!(missing, [of_view(0)]);
}

#[test]
fn removing_a_deny_is_a_grant() {
    let levels = vec![says_of_views(0, &[]), says_of_views(1, &[(0, DENY)]), says_of_views(2, &[(0, ALLOW)])];
    assert_eq!(
        by_matrix(levels.clone(), &[&[0], &[1, 2]], &says_of_views(1, &[])),
        [of_view(0)],
        "removing a deny from a matrix must count as a grant"
    );
    assert_eq!(
        by_assignment(levels.clone(), &[&[0], &[1, 2]], &[2]),
        [of_view(0)],
        "unassigning a level with a deny must count as a grant"
    );
    // If the deny overrides no allow, removing the deny grants nothing.
    assert_eq!(by_matrix(levels.clone(), &[&[0], &[1]], &says_of_views(1, &[])), []);
    assert_eq!(by_assignment(levels, &[&[0], &[1, 2]], &[]), []);
}

#[test]
fn unchanged_permissions_are_not_checked() {
    let held = says_of_actions(1, &[(0, 0, true, Scope::Any), (0, 1, true, Scope::Any)]);
    let narrower = says_of_actions(1, &[(0, 0, true, Scope::Any), (0, 1, true, Scope::Own)]);
    let levels = vec![says_of_views(0, &[]), held, says_of_actions(2, &[(0, 0, true, Scope::Company)])];
    assert_eq!(by_matrix(levels.clone(), &[&[0], &[1]], &narrower), []);
    // The assigned level allows nothing beyond what the user's other level allows.
    assert_eq!(by_assignment(levels, &[&[0], &[1]], &[1, 2]), []);
}

#[test]
fn a_caller_cannot_remove_their_own_deny() {
    let levels = vec![says_of_views(0, &[(0, DENY)]), says_of_views(1, &[(0, ALLOW)])];
    let before = company(&World::plain(levels), &[&[0, 1]]);
    let mut after = before.clone();
    assign(&mut after, 0, [1]);
    assert_eq!(beyond(&before, &after, 0), [of_view(0)]);
}

#[test]
fn public_views_are_held_by_every_user() {
    let world = World { public_views: [0].into(), ..World::plain(vec![says_of_views(0, &[]), says_of_views(1, &[])]) };
    let before = company(&world, &[&[0], &[1]]);
    let mut after = before.clone();
    replace(&mut after, &says_of_views(1, &[(0, ALLOW), (1, ALLOW)]));
    assert_eq!(beyond(&before, &after, 0), [of_view(1)]);
}

#[test]
fn module_gates_and_enabled_flags_do_not_affect_grants() {
    let own = Level { features: vec![(0, 0, true, Scope::Own)], ..says_of_views(0, &[(0, ALLOW)]) };
    let shut = |levels| World {
        disabled_features: [1].into(),
        module_views: vec![(0, 0), (0, 1)],
        module_features: vec![(0, 0), (0, 1)],
        ..World::plain(levels)
    };
    let before = company(&shut(vec![own.clone(), says_of_views(1, &[])]), &[&[0], &[1]]);
    assert!(!before.of_user(user(0)).view(view(0)).allowed, "the gate must be closed");
    let mut after = before.clone();
    replace(&mut after, &Level { number: 1, ..own });
    assert_eq!(beyond(&before, &after, 0), [], "a permission that is held behind a closed gate must be grantable");
    let wanted = Level { features: vec![(1, 0, true, Scope::Own)], ..says_of_views(1, &[(1, ALLOW)]) };
    let mut after = before.clone();
    replace(&mut after, &wanted);
    assert_eq!(
        beyond(&before, &after, 0),
        [of_view(1), of_action(1, 0, Scope::Own)],
        "a grant behind a closed gate must be checked"
    );
}
