//! Tests of permission resolution: each rule in the order of evaluation, and invariants over generated data.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;

use common::{
    ACTIONS, FEATURES, LEVELS, Level, MODULES, SCOPES, VIEWS, World, action, config, feature, level, module, rows,
    scope, some_of, uuid, view, world,
};
use iam_domain::{Action, Catalog, CompanySnapshot, Decision, Reason, Scope, Snapshot, UserId, ViewState};
use proptest::prelude::*;

impl World {
    fn view(&self, number: usize) -> Decision {
        self.snapshot().view(view(number))
    }

    fn feature(&self, number: usize) -> Decision {
        self.snapshot().feature(feature(number), &action(0))
    }

    /// Returns `true` if the module gate of a view or feature is open for this company.
    fn is_open(&self, gates: &[(usize, usize)], number: usize) -> bool {
        let mut modules = gates.iter().filter(|(_, gated)| *gated == number).map(|(module, _)| module).peekable();
        modules.peek().is_none()
            || modules.any(|module| self.company_modules.contains(module) && !self.disabled_modules.contains(module))
    }
}

/// Returns all decisions for the user of a snapshot: one for each view and for each action of each feature, including
/// entities that do not exist.
fn decisions(snapshot: &Snapshot) -> Vec<Decision> {
    let views = (0..=VIEWS).map(|number| snapshot.view(view(number)));
    let cells = (0..=FEATURES).flat_map(|number| (0..ACTIONS).map(move |name| (number, name)));
    views.chain(cells.map(|(number, name)| snapshot.feature(feature(number), &action(name)))).collect()
}

/// Reorders rows by `keys`. If there are fewer keys than rows, the keys are repeated.
fn reordered<T: Clone>(rows: &[T], keys: &[u8]) -> Vec<T> {
    let mut keyed: Vec<_> = keys.iter().cycle().zip(rows).collect();
    keyed.sort_by_key(|(key, _)| **key);
    keyed.into_iter().map(|(_, row)| row.clone()).collect()
}

/// Generates a world in which the user holds at least one level.
fn held_world() -> impl Strategy<Value = World> {
    world().prop_filter("a user holds a level", |world| !world.levels.is_empty())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn adding_a_deny_for_a_view_allows_nothing(world in held_world(), which: prop::sample::Index, number in 0..VIEWS) {
        let mut after = world.clone();
        let which = which.index(after.levels.len());
        after.levels[which].views.push((number, ViewState::Deny));
        allows_no_more(&world.snapshot(), &after.snapshot())?;
        prop_assert!(after.view(number).reason == Reason::PublicView || !after.view(number).allowed);
    }

    #[test]
    fn adding_a_deny_for_an_action_allows_nothing(
        world in held_world(),
        which: prop::sample::Index,
        number in 0..FEATURES,
        name in 0..ACTIONS,
        scope in scope(),
    ) {
        let mut after = world.clone();
        let which = which.index(after.levels.len());
        after.levels[which].features.push((number, name, false, scope));
        allows_no_more(&world.snapshot(), &after.snapshot())?;
        prop_assert!(!after.snapshot().feature(feature(number), &action(name)).allowed);
    }

    #[test]
    fn adding_a_level_that_only_denies_allows_nothing(world in world(), mut denying in rows(LEVELS)) {
        denying.views.iter_mut().for_each(|(_, state)| *state = ViewState::Deny);
        denying.features.iter_mut().for_each(|(_, _, value, _)| *value = false);
        let mut after = world.clone();
        after.levels.push(denying);
        allows_no_more(&world.snapshot(), &after.snapshot())?;
    }

    #[test]
    fn the_order_of_levels_and_rows_never_matters(world in world(), keys in prop::collection::vec(any::<u8>(), 1..16)) {
        let mut other = world.clone();
        other.module_views = reordered(&world.module_views, &keys);
        other.module_features = reordered(&world.module_features, &keys);
        for level in &mut other.levels {
            level.views = reordered(&level.views, &keys);
            level.features = reordered(&level.features, &keys);
        }
        other.levels = reordered(&other.levels, &keys);
        let (one, other) = (world.snapshot(), other.snapshot());
        prop_assert_eq!(decisions(&one), decisions(&other));
        for feature in one.catalog.features() {
            prop_assert_eq!(one.actions(feature), other.actions(feature));
        }
    }

    #[test]
    fn widening_a_row_never_narrows_access(
        world in held_world(),
        which: prop::sample::Index,
        row: prop::sample::Index,
        to in scope(),
    ) {
        let mut after = world.clone();
        let which = which.index(after.levels.len());
        let allowing: Vec<_> = after.levels[which].features.iter_mut().filter(|(_, _, value, _)| *value).collect();
        prop_assume!(!allowing.is_empty());
        let row = row.index(allowing.len());
        for (index, (_, _, _, scope)) in allowing.into_iter().enumerate() {
            if index == row {
                *scope = to.max(*scope);
            }
        }
        narrows_nothing(&world.snapshot(), &after.snapshot())?;
    }

    #[test]
    fn adding_a_level_that_only_allows_never_narrows_access(world in world(), mut allowing in rows(LEVELS)) {
        allowing.views.iter_mut().for_each(|(_, state)| *state = ViewState::Allow);
        allowing.features.iter_mut().for_each(|(_, _, value, _)| *value = true);
        let mut after = world.clone();
        after.levels.push(allowing);
        narrows_nothing(&world.snapshot(), &after.snapshot())?;
    }

    #[test]
    fn a_company_without_the_module_is_denied_everything_that_the_module_gates(world in world()) {
        let snapshot = world.snapshot();
        for number in (0..VIEWS).filter(|number| !world.is_open(&world.module_views, *number)) {
            let decision = snapshot.view(view(number));
            let is_public = world.public_views.contains(&number);
            let expected = if is_public { Reason::PublicView } else { Reason::ViewModuleMissing };
            prop_assert_eq!((decision.allowed, decision.reason), (is_public, expected));
        }
        for number in (0..FEATURES).filter(|number| !world.is_open(&world.module_features, *number)) {
            let decision = snapshot.feature(feature(number), &action(0));
            prop_assert!(!decision.allowed);
            prop_assert!(matches!(decision.reason, Reason::FeatureModuleMissing | Reason::FeatureDisabled));
        }
    }

    #[test]
    fn the_catalog_determines_which_gates_the_modules_of_a_company_open(world in world()) {
        let snapshot = world.snapshot();
        let (catalog, modules) = (&snapshot.catalog, &snapshot.modules);
        for number in 0..=VIEWS {
            let is_open = world.is_open(&world.module_views, number);
            prop_assert_eq!(catalog.is_view_open(view(number), modules), is_open);
        }
        for number in 0..=FEATURES {
            let is_open = world.is_open(&world.module_features, number);
            prop_assert_eq!(catalog.is_feature_open(feature(number), modules), is_open);
        }
        for number in 0..=MODULES {
            let is_enabled = number < MODULES && !world.disabled_modules.contains(&number);
            prop_assert_eq!(catalog.is_module_enabled(module(number)), is_enabled);
        }
    }

    #[test]
    fn the_catalog_is_ordered_by_id_for_any_order_of_rows(keys in prop::collection::vec(any::<u8>(), 1..16)) {
        let snapshot = World::plain(Vec::new()).snapshot();
        let views: Vec<_> = snapshot.catalog.views().cloned().collect();
        let features: Vec<_> = snapshot.catalog.features().cloned().collect();
        let again = Catalog::new(reordered(&views, &keys), reordered(&features, &keys), [], [], []);
        prop_assert!(again.views().map(|row| row.id).eq((0..VIEWS).map(view)));
        prop_assert!(again.features().map(|row| row.id).eq((0..FEATURES).map(feature)));
    }

    #[test]
    fn an_open_gate_does_not_affect_the_decision(world in world()) {
        let mut gateless = world.clone();
        gateless.module_views.retain(|(_, number)| !world.is_open(&world.module_views, *number));
        gateless.module_features.retain(|(_, number)| !world.is_open(&world.module_features, *number));
        prop_assert_eq!(decisions(&world.snapshot()), decisions(&gateless.snapshot()));
    }

    #[test]
    fn nothing_is_allowed_that_no_level_allows(world in world()) {
        let snapshot = world.snapshot();
        for number in 0..=VIEWS {
            let row = (number, ViewState::Allow);
            let is_said = world.levels.iter().any(|level| level.views.contains(&row));
            prop_assert!(is_said || world.public_views.contains(&number) || !snapshot.view(view(number)).allowed);
        }
        for (number, name) in (0..=FEATURES).flat_map(|number| (0..ACTIONS).map(move |name| (number, name))) {
            let decision = snapshot.feature(feature(number), &action(name));
            let said = |scope| world.levels.iter().any(|level| level.features.contains(&(number, name, true, scope)));
            // No action is allowed with a wider scope than a level allows. A denied action has the scope `own`.
            let scope = decision.scope.unwrap();
            let is_said = SCOPES.into_iter().any(|farther| farther >= scope && said(farther));
            prop_assert!(is_said || !decision.allowed);
            prop_assert!(decision.allowed || scope == Scope::Own);
        }
    }

    #[test]
    fn the_deciding_levels_alone_yield_the_same_decision(world in world()) {
        let snapshot = world.snapshot();
        let held: BTreeSet<_> = snapshot.levels.iter().map(|level| level.level).collect();
        let alone = |decision: &Decision| {
            let mut alone = snapshot.clone();
            alone.levels.retain(|level| decision.decided_by.contains(&level.level));
            alone
        };
        let explains = |decision: &Decision, again: &dyn Fn(&Snapshot) -> Decision| {
            prop_assert!(decision.decided_by.is_sorted_by(|a, b| a < b), "{decision:?}");
            prop_assert!(decision.decided_by.iter().all(|level| held.contains(level)), "{decision:?}");
            let by_levels = matches!(decision.reason, Reason::ExplicitAllow | Reason::ExplicitDeny);
            prop_assert_eq!(by_levels, !decision.decided_by.is_empty());
            // Without any level, the reason would be `NoUserLevels` instead of `NoExplicitAllow`.
            if decision.reason != Reason::NoExplicitAllow {
                prop_assert_eq!(&again(&alone(decision)), decision);
            }
            // Each of the levels that determined the decision also leads to the same reason by itself.
            for level in &decision.decided_by {
                let mut one = snapshot.clone();
                one.levels.retain(|other| other.level == *level);
                let one = again(&one);
                let expected = Decision { decided_by: vec![*level], ..decision.clone() };
                prop_assert_eq!(one, expected);
            }
            Ok(())
        };
        for id in (0..=VIEWS).map(view) {
            explains(&snapshot.view(id), &|snapshot| snapshot.view(id))?;
        }
        for (id, name) in (0..=FEATURES).flat_map(|id| (0..ACTIONS).map(move |name| (feature(id), action(name)))) {
            explains(&snapshot.feature(id, &name), &|snapshot| snapshot.feature(id, &name))?;
        }
    }

    #[test]
    fn a_wide_scope_includes_the_narrower_ones(world in world(), near in scope(), far in scope()) {
        let (near, far) = (near.min(far), near.max(far));
        for decision in decisions(&world.snapshot()) {
            let reaching = |least| decision.clone().reaching(least);
            prop_assert!(reaching(near).allowed || !reaching(far).allowed);
            prop_assert_eq!(reaching(far).allowed, decision.allowed && decision.scope.is_none_or(|scope| scope >= far));
            prop_assert_eq!(reaching(Scope::Own), decision.clone());
            let is_narrowed = decision.allowed && !reaching(far).allowed;
            prop_assert_eq!(reaching(far).reason, if is_narrowed { Reason::ScopeTooNarrow } else { decision.reason });
            prop_assert_eq!(reaching(far).decided_by, decision.decided_by);
        }
    }

    #[test]
    fn a_disabled_feature_is_denied_to_every_user(mut world in world(), number in 0..FEATURES, name in 0..ACTIONS) {
        world.disabled_features.insert(number);
        let snapshot = world.snapshot();
        let decision = snapshot.feature(feature(number), &action(name));
        let is_known = snapshot.catalog.feature(feature(number)).unwrap().knows(&action(name));
        let reason = if is_known { Reason::FeatureDisabled } else { Reason::UnknownAction };
        prop_assert_eq!(decision, Decision::denied_action(reason));
    }

    #[test]
    fn views_and_features_that_do_not_exist_are_denied_regardless_of_rows(mut world in world(), name in 0..ACTIONS) {
        for level in &mut world.levels {
            level.views.push((VIEWS, ViewState::Allow));
            level.features.push((FEATURES, name, true, Scope::Any));
        }
        let snapshot = world.snapshot();
        prop_assert_eq!(snapshot.view(view(VIEWS)), Decision::of_view(false, Reason::UnknownView));
        let decision = snapshot.feature(feature(FEATURES), &action(name));
        prop_assert_eq!(decision, Decision::denied_action(Reason::UnknownFeature));
    }

    #[test]
    fn exactly_the_levels_of_the_user_determine_the_decision(world in world(), held in some_of(LEVELS)) {
        let snapshot = world.snapshot();
        let [user, other, non_member] = [0, 1, 2].map(|number| UserId::from_uuid(uuid(5, number)));
        let all: BTreeSet<_> = snapshot.levels.iter().map(|level| level.level).collect();
        let held: BTreeSet<_> = held.into_iter().map(level).collect();
        let Snapshot { catalog, status, modules, ceilings, levels } = snapshot.clone();
        let levels = levels.into_iter().map(|level| (level.level, level)).collect();
        let holders = [(user, held.clone()), (other, all)].map(|(user, held)| (user, Arc::new(held))).into();
        let company = CompanySnapshot { catalog, status, modules, ceilings, levels, holders };
        let mut expected = snapshot.clone();
        expected.levels.retain(|level| held.contains(&level.level));
        prop_assert_eq!(decisions(&company.of_user(user)), decisions(&expected));
        prop_assert_eq!(decisions(&company.of_user(other)), decisions(&snapshot));
        prop_assert_eq!(company.of_user(non_member).levels, Vec::new());
    }
}

/// Checks that `after` does not allow more than `before`: no additional access, and no wider scope.
fn allows_no_more(before: &Snapshot, after: &Snapshot) -> Result<(), TestCaseError> {
    for (before, after) in decisions(before).into_iter().zip(decisions(after)) {
        prop_assert!(before.allowed || !after.allowed, "a denial must not become an allow: {before:?}, {after:?}");
        prop_assert!(after.scope <= before.scope, "the scope must not become wider: {before:?}, {after:?}");
    }
    Ok(())
}

/// Checks that `after` allows everything that `before` allows, with at least the same scope.
fn narrows_nothing(before: &Snapshot, after: &Snapshot) -> Result<(), TestCaseError> {
    allows_no_more(after, before)
}

// These tests check each rule in order (rule 3: `ceilings.rs`). The world of a test also satisfies the conditions of
// later rules, which would decide differently. So the test fails if a rule is evaluated too late.

fn allowing(number: usize) -> Level {
    Level { number, views: vec![(0, ViewState::Allow)], features: vec![(0, 0, true, Scope::Company)] }
}

fn denying(number: usize) -> Level {
    Level { number, views: vec![(0, ViewState::Deny)], features: vec![(0, 0, false, Scope::Any)] }
}

fn silent(number: usize) -> Level {
    // The level has rows only for another view, and for another action of the same feature.
    Level { number, views: vec![(1, ViewState::Allow)], features: vec![(0, 1, true, Scope::Any)] }
}

fn denied_by(reason: Reason, levels: &[usize]) -> Decision {
    Decision { decided_by: levels.iter().map(|number| level(*number)).collect(), ..Decision::of_view(false, reason) }
}

#[test]
fn view_rule_1_a_public_view_is_allowed_to_every_user() {
    let mut world = World::plain(vec![denying(0)]);
    world.public_views = [0].into();
    world.module_views = vec![(0, 0)];
    assert_eq!(world.view(0), Decision::of_view(true, Reason::PublicView));
    world.levels.clear();
    assert_eq!(world.view(0), Decision::of_view(true, Reason::PublicView));
}

#[test]
fn view_rule_2_one_module_enabled_by_both_switches_opens_a_gate() {
    let mut world = World::plain(vec![allowing(0)]);
    world.module_views = vec![(0, 0), (1, 0)];
    let missing = Decision::of_view(false, Reason::ViewModuleMissing);
    assert_eq!(world.view(0), missing, "a company that has neither module must be denied");
    // A snapshot does not contain the modules that are disabled for the company.
    world.company_modules = [2].into();
    assert_eq!(world.view(0), missing, "a module that does not gate the view must not open its gate");
    world.company_modules = [1].into();
    assert_eq!(world.view(0).reason, Reason::ExplicitAllow, "one of the gating modules must suffice to open the gate");
    world.disabled_modules = [1].into();
    assert_eq!(world.view(0), missing, "a module that is disabled for every company must not open the gate");
    world.levels.clear();
    assert_eq!(world.view(0), missing, "the gate must be checked before the levels");
    world.levels = vec![denying(0)];
    assert_eq!(world.view(0), missing, "the gate must be checked before a deny");
}

#[test]
fn view_rule_4_a_user_without_a_level_is_denied() {
    assert_eq!(World::plain(Vec::new()).view(0), Decision::of_view(false, Reason::NoUserLevels));
}

#[test]
fn view_rule_5_one_deny_wins_over_every_allow() {
    let world = World::plain(vec![allowing(3), denying(2), allowing(1), denying(0)]);
    assert_eq!(world.view(0), denied_by(Reason::ExplicitDeny, &[0, 2]));
}

#[test]
fn view_rule_6_one_allow_suffices() {
    let inheriting = Level { number: 1, views: vec![(0, ViewState::Inherit)], features: Vec::new() };
    let world = World::plain(vec![allowing(2), inheriting, silent(3), allowing(0)]);
    let expected = Decision { allowed: true, ..denied_by(Reason::ExplicitAllow, &[0, 2]) };
    assert_eq!(world.view(0), expected);
}

#[test]
fn view_rule_7_a_view_that_no_level_allows_is_denied() {
    let inheriting = Level { number: 1, views: vec![(0, ViewState::Inherit)], features: Vec::new() };
    assert_eq!(World::plain(vec![inheriting]).view(0), denied_by(Reason::NoExplicitAllow, &[]));
    assert_eq!(World::plain(vec![silent(0)]).view(0), denied_by(Reason::NoExplicitAllow, &[]));
}

#[test]
fn feature_rule_1_a_disabled_feature_is_denied_before_anything_else() {
    let mut world = World::plain(vec![denying(0)]);
    world.disabled_features = [0].into();
    world.module_features = vec![(0, 0)];
    assert_eq!(world.feature(0), Decision::denied_action(Reason::FeatureDisabled));
    world.levels.clear();
    assert_eq!(world.feature(0), Decision::denied_action(Reason::FeatureDisabled));
}

#[test]
fn feature_rule_2_one_module_enabled_by_both_switches_opens_a_gate() {
    let mut world = World::plain(vec![allowing(0)]);
    world.module_features = vec![(0, 0), (1, 0)];
    let missing = Decision::denied_action(Reason::FeatureModuleMissing);
    assert_eq!(world.feature(0), missing, "a company that has neither module must be denied");
    world.company_modules = [2].into();
    assert_eq!(world.feature(0), missing, "a module that does not gate the feature must not open its gate");
    world.company_modules = [1].into();
    assert_eq!(
        world.feature(0).reason,
        Reason::ExplicitAllow,
        "one of the gating modules must suffice to open the gate"
    );
    world.disabled_modules = [1].into();
    assert_eq!(world.feature(0), missing, "a module that is disabled for every company must not open the gate");
    world.levels.clear();
    assert_eq!(world.feature(0), missing, "the gate must be checked before the levels");
    world.levels = vec![denying(0)];
    assert_eq!(world.feature(0), missing, "the gate must be checked before a deny");
}

#[test]
fn feature_rule_4_a_user_without_a_level_is_denied() {
    assert_eq!(World::plain(Vec::new()).feature(0), Decision::denied_action(Reason::NoUserLevels));
}

#[test]
fn feature_rule_5_one_deny_wins_over_every_allow() {
    let world = World::plain(vec![allowing(3), denying(2), allowing(1), denying(0)]);
    let expected = Decision { scope: Some(Scope::Own), ..denied_by(Reason::ExplicitDeny, &[0, 2]) };
    assert_eq!(world.feature(0), expected);
}

#[test]
fn feature_rule_6_the_widest_allow_wins_and_its_levels_are_the_deciding_levels() {
    let reaching = |number, scope| Level { number, features: vec![(0, 0, true, scope)], ..Level::default() };
    let allowed = |scope, levels: &[usize]| Decision {
        allowed: true,
        scope: Some(scope),
        ..denied_by(Reason::ExplicitAllow, levels)
    };
    for (narrow, wide) in [(Scope::Own, Scope::Team), (Scope::Team, Scope::Company), (Scope::Company, Scope::Any)] {
        let world = World::plain(vec![reaching(3, wide), reaching(2, narrow), silent(1), reaching(0, wide)]);
        assert_eq!(world.feature(0), allowed(wide, &[0, 3]));
        let world = World::plain(vec![reaching(2, narrow), silent(1)]);
        assert_eq!(world.feature(0), allowed(narrow, &[2]));
    }
}

#[test]
fn feature_rule_7_an_action_that_no_level_allows_is_denied() {
    assert_eq!(World::plain(vec![silent(0)]).feature(0), Decision::denied_action(Reason::NoExplicitAllow));
}

#[test]
fn of_two_rows_for_one_cell_the_stricter_applies() {
    let said = |views: &[ViewState], rules: &[(bool, Scope)]| {
        let views = views.iter().map(|state| (0, *state)).collect();
        let features = rules.iter().map(|(value, scope)| (0, 0, *value, *scope)).collect();
        let world = World::plain(vec![Level { number: 0, views, features }]);
        (world.view(0).reason, world.feature(0).reason, world.feature(0).scope.unwrap())
    };
    let (allow, inherit, deny) = (ViewState::Allow, ViewState::Inherit, ViewState::Deny);
    let (none, denied) = (Reason::NoExplicitAllow, Reason::ExplicitDeny);
    for reverse in [false, true] {
        let order = |mut states: [ViewState; 2], mut rules: [(bool, Scope); 2]| {
            if reverse {
                states.reverse();
                rules.reverse();
            }
            said(&states, &rules)
        };
        let narrow = order([allow, inherit], [(true, Scope::Any), (true, Scope::Team)]);
        assert_eq!(narrow, (none, Reason::ExplicitAllow, Scope::Team));
        let deny = order([inherit, deny], [(true, Scope::Any), (false, Scope::Any)]);
        assert_eq!(deny, (denied, denied, Scope::Own));
    }
}

#[test]
fn a_scope_that_is_too_narrow_is_reported() {
    let decision = World::plain(vec![allowing(1)]).feature(0);
    for enough in [Scope::Own, Scope::Team, Scope::Company] {
        assert_eq!(decision.clone().reaching(enough), decision);
    }
    let expected = Decision { allowed: false, reason: Reason::ScopeTooNarrow, ..decision.clone() };
    assert_eq!(decision.reaching(Scope::Any), expected);
}

#[test]
fn the_actions_are_the_listed_actions_and_those_of_rows() {
    let features = vec![(2, 2, false, Scope::Own), (0, 2, true, Scope::Any)];
    let snapshot = World::plain(vec![Level { features, ..Level::default() }]).snapshot();
    let names = |number| {
        let feature = snapshot.catalog.feature(feature(number)).unwrap();
        snapshot.actions(feature).into_iter().map(Action::into_string).collect::<Vec<_>>()
    };
    assert_eq!(names(2), ["Approve", "Create", "Delete", "Export", "Read", "Sign", "Update"]);
    // An action that the feature does not have is not listed, even if a level has a row for it.
    assert_eq!(names(0), ["Approve", "Create", "Delete", "Export", "Read", "Update"]);
    assert_eq!(snapshot.feature(feature(0), &action(2)), Decision::denied_action(Reason::UnknownAction));
}
