//! Tests of ceilings: their place in the order of evaluation, and invariants over generated data.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::{ACTIONS, FEATURES, Level, VIEWS, World, action, config, feature, level, scope, view, world};
use iam_domain::{Decision, Reason, Scope, ViewState};
use proptest::prelude::*;

fn allowing(number: usize) -> Level {
    Level { number, views: vec![(0, ViewState::Allow)], features: vec![(0, 0, true, Scope::Company)] }
}

fn denying(number: usize) -> Level {
    Level { number, views: vec![(0, ViewState::Deny)], features: vec![(0, 0, false, Scope::Any)] }
}

fn of_view(world: &World, number: usize) -> Decision {
    world.snapshot().view(view(number))
}

fn of_action(world: &World) -> Decision {
    world.snapshot().feature(feature(0), &action(0))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_ceiling_allows_nothing_and_limits_every_scope(
        world in world(),
        hidden in 0..VIEWS,
        (number, name) in (0..FEATURES, 0..ACTIONS),
        max in prop::option::of(scope()),
    ) {
        let mut after = world.clone();
        after.hidden_views.insert(hidden);
        let lower = |old: &mut Option<Scope>| *old = (*old).min(max);
        after.ceilings.entry((number, name)).and_modify(lower).or_insert(max);
        let (before, after) = (world.snapshot(), after.snapshot());
        let views = (0..=VIEWS).map(|number| (before.view(view(number)), after.view(view(number))));
        let actions = (0..=FEATURES).flat_map(|number| (0..ACTIONS).map(move |name| (feature(number), action(name))));
        let actions = actions.map(|(id, name)| (before.feature(id, &name), after.feature(id, &name)));
        for (before, after) in views.chain(actions) {
            prop_assert!(before.allowed || !after.allowed, "{before:?}, {after:?}");
            prop_assert!(after.scope <= before.scope, "{before:?}, {after:?}");
        }
        prop_assert!(after.view(view(hidden)).reason == Reason::PublicView || !after.view(view(hidden)).allowed);
        let decision = after.feature(feature(number), &action(name));
        prop_assert!(!decision.allowed || decision.scope <= max);
    }

    #[test]
    fn a_required_scope_beyond_the_ceiling_is_denied_by_the_ceiling(world in world(), least in scope()) {
        let snapshot = world.snapshot();
        for (number, name) in (0..=FEATURES).flat_map(|number| (0..ACTIONS).map(move |name| (number, name))) {
            let (id, action) = (feature(number), action(name));
            let (decision, reaching) = (snapshot.feature(id, &action), snapshot.feature_reaching(id, &action, least));
            let max = world.ceilings.get(&(number, name)).copied().unwrap_or(Some(Scope::Any));
            let by_levels = matches!(
                decision.reason,
                Reason::ExplicitAllow | Reason::ExplicitDeny | Reason::NoExplicitAllow | Reason::NoUserLevels
            );
            if by_levels && max < Some(least) {
                prop_assert_eq!(reaching, Decision::denied_action(Reason::CompanyCeiling));
            } else {
                prop_assert_eq!(reaching, decision.reaching(least));
            }
        }
    }
}

#[test]
fn a_hidden_view_is_denied_to_every_user() {
    let mut world = World::plain(vec![allowing(0)]);
    world.hidden_views = [0].into();
    let hidden = Decision::of_view(false, Reason::CompanyCeiling);
    assert_eq!(of_view(&world, 0), hidden);
    assert_eq!(of_view(&world, 1).reason, Reason::NoExplicitAllow, "a ceiling must not affect other views");
    world.levels = vec![denying(0)];
    assert_eq!(of_view(&world, 0), hidden, "the ceiling must be checked before a deny");
    world.levels.clear();
    assert_eq!(of_view(&world, 0), hidden, "the ceiling must be checked before the levels");
    world.module_views = vec![(0, 0)];
    assert_eq!(of_view(&world, 0).reason, Reason::ViewModuleMissing, "the gate must be checked before the ceiling");
    world.public_views = [0].into();
    assert_eq!(of_view(&world, 0).reason, Reason::PublicView, "a public view must not be hidden");
}

#[test]
fn a_ceiling_limits_every_user() {
    let mut world = World::plain(vec![allowing(0)]);
    let ceiling = Decision::denied_action(Reason::CompanyCeiling);
    world.ceilings = [((0, 0), None)].into();
    assert_eq!(of_action(&world), ceiling);
    world.levels = vec![denying(0)];
    assert_eq!(of_action(&world), ceiling, "the ceiling must be checked before a deny");
    world.levels.clear();
    assert_eq!(of_action(&world), ceiling, "the ceiling must be checked before the levels");
    world.module_features = vec![(0, 0)];
    assert_eq!(of_action(&world).reason, Reason::FeatureModuleMissing, "the gate must be checked before the ceiling");

    let narrow = Level { number: 1, features: vec![(0, 0, true, Scope::Own)], ..Level::default() };
    let mut world = World::plain(vec![allowing(0), narrow]);
    world.ceilings = [((0, 0), Some(Scope::Team))].into();
    let allowed =
        Decision { allowed: true, scope: Some(Scope::Team), reason: Reason::ExplicitAllow, decided_by: vec![level(0)] };
    assert_eq!(of_action(&world), allowed, "a ceiling must limit the scope");
    let reaching = |world: &World, least| world.snapshot().feature_reaching(feature(0), &action(0), least);
    assert_eq!(reaching(&world, Scope::Team), allowed);
    assert_eq!(reaching(&world, Scope::Company), ceiling);
    world.levels.push(denying(2));
    assert_eq!(reaching(&world, Scope::Company), ceiling, "the ceiling must be checked before a deny");
    assert_eq!(reaching(&world, Scope::Team).reason, Reason::ExplicitDeny);
}
