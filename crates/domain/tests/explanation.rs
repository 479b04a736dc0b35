//! Tests of explanations: they contain the decision and its derivation, and suggest the smallest change that would
//! allow access.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::collections::BTreeSet;

use common::{
    ACTIONS, FEATURES, LEVELS, Level, MODULES, VIEWS, World, action, config, feature, level, module, scope, uuid, view,
    world,
};
use iam_domain::{
    AppliedCeiling, Decision, Explanation, FeatureId, GatingModule, LevelContribution, LevelRule, ModuleId, Scope,
    Step, UserLevelId, ViewId, ViewState,
};
use proptest::prelude::*;

/// A decision request: for a view, or for an action of a feature with a required scope.
#[derive(Debug, Clone, Copy)]
enum Asked {
    View(usize),
    Action(usize, usize, Scope),
}

fn asked() -> impl Strategy<Value = Asked> {
    prop_oneof![
        (0..=VIEWS).prop_map(Asked::View),
        (0..=FEATURES, 0..ACTIONS, scope()).prop_map(|(number, name, least)| Asked::Action(number, name, least)),
    ]
}

/// Generates a world and a request that is denied in this world. Some change to the world would allow the request.
fn denied() -> impl Strategy<Value = (World, Asked)> {
    (world(), asked())
        .prop_filter("denied, and exists", |(world, asked)| asked.exists(world) && !asked.decision(world).allowed)
}

impl Asked {
    fn explained(self, world: &World) -> Explanation {
        match self {
            Self::View(number) => world.snapshot().explain_view(view(number)),
            Self::Action(number, name, least) => {
                world.snapshot().explain_feature(feature(number), &action(name), least)
            }
        }
    }

    fn decision(self, world: &World) -> Decision {
        match self {
            Self::View(number) => world.snapshot().view(view(number)),
            Self::Action(number, name, least) => {
                world.snapshot().feature_reaching(feature(number), &action(name), least)
            }
        }
    }

    /// Returns `true` if some change can allow the request. This is the case if the view, or the feature and its
    /// action, exist.
    fn exists(self, world: &World) -> bool {
        match self {
            Self::View(number) => number < VIEWS,
            Self::Action(number, name, _) => {
                let snapshot = world.snapshot();
                snapshot.catalog.feature(feature(number)).is_some_and(|feature| feature.knows(&action(name)))
            }
        }
    }

    /// Returns the level's rule for the requested view or action, computed from the level's rows.
    fn says(self, level: &Level) -> LevelRule {
        match self {
            Self::View(number) => match level.permissions().views.get(&view(number)) {
                None => LevelRule::Nothing,
                Some(ViewState::Inherit) => LevelRule::Inherit,
                Some(ViewState::Allow) => LevelRule::Allow { scope: None },
                Some(ViewState::Deny) => LevelRule::Deny,
            },
            Self::Action(number, name, _) => {
                let rules = level.permissions().features.remove(&feature(number)).unwrap_or_default();
                match rules.get(&action(name)) {
                    None => LevelRule::Nothing,
                    Some(rule) if rule.value => LevelRule::Allow { scope: Some(rule.scope) },
                    Some(_) => LevelRule::Deny,
                }
            }
        }
    }

    fn gate(self, world: &World) -> BTreeSet<usize> {
        let (gates, number) = match self {
            Self::View(number) => (&world.module_views, number),
            Self::Action(number, ..) => (&world.module_features, number),
        };
        gates.iter().filter(|(_, gated)| *gated == number).map(|(gate, _)| *gate).collect()
    }

    /// Removes the level's rule for the requested view or action. If `allow` is `true`, adds an allow.
    fn rewrite(self, level: &mut Level, allow: bool) {
        match self {
            Self::View(number) => {
                level.views.retain(|row| row.0 != number);
                level.views.extend(allow.then_some((number, ViewState::Allow)));
            }
            Self::Action(number, name, least) => {
                level.features.retain(|row| (row.0, row.1) != (number, name));
                level.features.extend(allow.then_some((number, name, true, least)));
            }
        }
    }

    /// Returns the world after one step of a suggestion.
    fn after(self, world: &World, step: Step) -> World {
        let mut after = world.clone();
        let held = |after: &World, id| after.levels.iter().position(|held| level(held.number) == id).unwrap();
        match step {
            // The company of a world is active.
            Step::ActivateCompany => {}
            Step::EnableFeature(id) => after.disabled_features.retain(|number| feature(*number) != id),
            Step::EnableModule(id) => after.disabled_modules.retain(|number| module(*number) != id),
            Step::GrantModule(id) => after.company_modules.extend((0..MODULES).find(|number| module(*number) == id)),
            Step::ShowView(id) => after.hidden_views.retain(|number| view(*number) != id),
            Step::RaiseCeiling(id) => {
                if let Self::Action(number, name, least) = self
                    && feature(number) == id
                    && let Some(max) = after.ceilings.get_mut(&(number, name))
                {
                    *max = (*max).max(Some(least));
                }
            }
            Step::AssignLevel => {
                let mut assigned = Level { number: LEVELS, ..Level::default() };
                self.rewrite(&mut assigned, true);
                after.levels.push(assigned);
            }
            Step::Undeny(id) => {
                let held = held(&after, id);
                if self.says(&after.levels[held]) == LevelRule::Deny {
                    self.rewrite(&mut after.levels[held], false);
                }
            }
            Step::Allow(id) => {
                let held = held(&after, id);
                self.rewrite(&mut after.levels[held], true);
            }
        }
        after
    }

    fn after_all(self, world: &World, steps: &[Step]) -> World {
        steps.iter().fold(world.clone(), |world, step| self.after(&world, *step))
    }

    /// Returns all steps that have an effect in this world.
    fn steps(self, world: &World) -> Vec<Step> {
        let enable_features = (0..FEATURES).map(|number| Step::EnableFeature(feature(number)));
        let enable_modules = (0..MODULES).map(|number| Step::EnableModule(module(number)));
        let grants = (0..MODULES).map(|number| Step::GrantModule(module(number)));
        let shown = (0..VIEWS).map(|number| Step::ShowView(view(number)));
        let raised = (0..FEATURES).map(|number| Step::RaiseCeiling(feature(number)));
        let undenials = world.levels.iter().map(|held| Step::Undeny(level(held.number)));
        let allows = world.levels.iter().map(|held| Step::Allow(level(held.number)));
        let all = enable_features.chain(enable_modules).chain(grants).chain(shown).chain(raised);
        let all = all.chain(undenials).chain(allows);
        all.chain([Step::AssignLevel]).filter(|step| self.after(world, *step) != *world).collect()
    }
}

/// Returns `true` if at most `count` of the steps suffice to allow the request.
fn can_allow(asked: Asked, world: &World, steps: &[Step], count: usize) -> bool {
    asked.decision(world).allowed
        || count > 0
            && steps
                .iter()
                .enumerate()
                .any(|(index, step)| can_allow(asked, &asked.after(world, *step), &steps[index + 1..], count - 1))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn an_explanation_contains_the_decision(world in world(), asked in asked()) {
        prop_assert_eq!(asked.explained(&world).decision, asked.decision(&world));
    }

    #[test]
    fn it_lists_exactly_the_gating_modules_the_ceiling_and_the_levels(world in world(), asked in asked()) {
        let explained = asked.explained(&world);
        let max_scope = match asked {
            Asked::View(number) => (!world.hidden_views.contains(&number)).then_some(Scope::Any),
            Asked::Action(number, name, _) => world.ceilings.get(&(number, name)).copied().unwrap_or(Some(Scope::Any)),
        };
        let ceiling = (max_scope != Some(Scope::Any)).then_some(AppliedCeiling { max_scope });
        prop_assert_eq!(explained.ceiling, ceiling);
        let gate = asked.gate(&world).into_iter().map(|number| GatingModule {
            module_id: module(number),
            enabled: !world.disabled_modules.contains(&number),
            granted: world.company_modules.contains(&number),
        });
        prop_assert_eq!(explained.gate, gate.collect::<Vec<_>>());
        let mut levels: Vec<_> = world.levels.iter().collect();
        levels.sort_by_key(|held| held.number);
        let levels = levels
            .into_iter()
            .map(|held| LevelContribution { user_level_id: level(held.number), says: asked.says(held) });
        prop_assert_eq!(explained.levels, levels.collect::<Vec<_>>());
    }

    #[test]
    fn it_suggests_steps_exactly_when_an_existing_permission_is_denied(world in world(), asked in asked()) {
        let explained = asked.explained(&world);
        let is_needed = !explained.decision.allowed && asked.exists(&world);
        prop_assert_eq!(!explained.suggestion.is_empty(), is_needed);
    }

    #[test]
    fn the_suggestion_allows_access_and_is_minimal((world, asked) in denied()) {
        let suggestion = asked.explained(&world).suggestion;
        prop_assert!(asked.decision(&asked.after_all(&world, &suggestion)).allowed, "{suggestion:?}");
        let steps = asked.steps(&world);
        prop_assert!(suggestion.iter().all(|step| steps.contains(step)), "{suggestion:?}");
        prop_assert!(!can_allow(asked, &world, &steps, suggestion.len() - 1), "{suggestion:?}");
    }

    #[test]
    fn the_order_of_its_steps_does_not_matter((world, asked) in denied()) {
        let mut suggestion = asked.explained(&world).suggestion;
        let after = asked.decision(&asked.after_all(&world, &suggestion));
        suggestion.reverse();
        prop_assert_eq!(asked.decision(&asked.after_all(&world, &suggestion)), after);
    }
}

const VIEW: Asked = Asked::View(0);
const FAR: Asked = Asked::Action(0, 0, Scope::Company);

fn allowing(number: usize, scope: Scope) -> Level {
    Level { number, views: vec![(0, ViewState::Allow)], features: vec![(0, 0, true, scope)] }
}

fn denying(number: usize) -> Level {
    Level { number, views: vec![(0, ViewState::Deny)], features: vec![(0, 0, false, Scope::Any)] }
}

fn silent(number: usize) -> Level {
    Level { number, ..Level::default() }
}

#[test]
fn a_user_without_levels_is_suggested_a_level() {
    let world = World::plain(Vec::new());
    assert_eq!(VIEW.explained(&world).suggestion, [Step::AssignLevel]);
    assert_eq!(FAR.explained(&world).suggestion, [Step::AssignLevel]);
}

#[test]
fn all_denies_must_be_removed_but_one_allow_suffices() {
    let world = World::plain(vec![denying(2), allowing(1, Scope::Any), denying(0)]);
    let undenied = [Step::Undeny(level(0)), Step::Undeny(level(2))];
    assert_eq!(VIEW.explained(&world).suggestion, undenied);
    assert_eq!(FAR.explained(&world).suggestion, undenied);
}

#[test]
fn a_denying_level_is_changed_to_allow_if_no_other_level_allows() {
    let world = World::plain(vec![denying(2), silent(1), denying(0)]);
    let turned = [Step::Undeny(level(2)), Step::Allow(level(0))];
    assert_eq!(VIEW.explained(&world).suggestion, turned);
    assert_eq!(FAR.explained(&world).suggestion, turned);
}

#[test]
fn the_level_with_the_widest_scope_is_widened() {
    let world =
        World::plain(vec![silent(0), allowing(1, Scope::Own), allowing(3, Scope::Team), allowing(2, Scope::Team)]);
    assert_eq!(FAR.explained(&world).suggestion, [Step::Allow(level(2))]);
    assert_eq!(Asked::Action(0, 0, Scope::Team).explained(&world).suggestion, []);
}

#[test]
fn of_several_modules_the_one_with_the_fewest_steps_is_enabled() {
    let mut world = World::plain(vec![allowing(0, Scope::Any)]);
    world.module_views = vec![(0, 0), (1, 0), (2, 0)];
    world.disabled_modules = [0, 2].into();
    world.company_modules = [2].into();
    // Module 0 is neither enabled nor granted. Module 1 is enabled but not granted. Module 2 is granted but not
    // enabled.
    assert_eq!(VIEW.explained(&world).suggestion, [Step::GrantModule(module(1))]);
    world.module_views = vec![(0, 0)];
    let both = [Step::EnableModule(module(0)), Step::GrantModule(module(0))];
    assert_eq!(VIEW.explained(&world).suggestion, both);
}

#[test]
fn all_obstacles_are_reported_together() {
    let mut world = World::plain(vec![denying(0)]);
    world.disabled_features = [0].into();
    world.module_features = vec![(0, 0)];
    world.ceilings = [((0, 0), Some(Scope::Team))].into();
    let (enable, grant) = (Step::EnableFeature(feature(0)), Step::GrantModule(module(0)));
    let all = [enable, grant, Step::RaiseCeiling(feature(0)), Step::Allow(level(0))];
    assert_eq!(FAR.explained(&world).suggestion, all);
    world.hidden_views = [0].into();
    assert_eq!(VIEW.explained(&world).suggestion, [Step::ShowView(view(0)), Step::Allow(level(0))]);
}

#[test]
fn no_step_allows_an_action_that_the_feature_does_not_have() {
    let world = World::plain(vec![silent(0)]);
    assert_eq!(Asked::Action(0, 2, Scope::Own).explained(&world).suggestion, []);
    // Feature 2 has this custom action, so a step can allow the action.
    assert_eq!(Asked::Action(2, 2, Scope::Own).explained(&world).suggestion, [Step::Allow(level(0))]);
}

#[test]
fn programs_read_codes() {
    let id = uuid(9, 0);
    let steps = [
        (Step::EnableFeature(FeatureId::from_uuid(id)), "enableFeature"),
        (Step::EnableModule(ModuleId::from_uuid(id)), "enableModule"),
        (Step::GrantModule(ModuleId::from_uuid(id)), "grantModule"),
        (Step::ShowView(ViewId::from_uuid(id)), "showView"),
        (Step::RaiseCeiling(FeatureId::from_uuid(id)), "raiseCeiling"),
        (Step::Undeny(UserLevelId::from_uuid(id)), "undeny"),
        (Step::Allow(UserLevelId::from_uuid(id)), "allow"),
    ];
    for (step, code) in steps {
        assert_eq!(serde_json::to_value(step).unwrap(), serde_json::json!({"step": code, "id": id}));
    }
    assert_eq!(serde_json::to_value(Step::AssignLevel).unwrap(), serde_json::json!({"step": "assignLevel"}));

    let said =
        |says| serde_json::to_value(LevelContribution { user_level_id: UserLevelId::from_uuid(id), says }).unwrap();
    assert_eq!(said(LevelRule::Nothing), serde_json::json!({"userLevelId": id, "says": "nothing"}));
    assert_eq!(said(LevelRule::Inherit), serde_json::json!({"userLevelId": id, "says": "inherit"}));
    assert_eq!(said(LevelRule::Deny), serde_json::json!({"userLevelId": id, "says": "deny"}));
    assert_eq!(said(LevelRule::Allow { scope: None }), serde_json::json!({"userLevelId": id, "says": "allow"}));
    let far = said(LevelRule::Allow { scope: Some(Scope::Team) });
    assert_eq!(far, serde_json::json!({"userLevelId": id, "says": "allow", "scope": "team"}));

    let module = GatingModule { module_id: ModuleId::from_uuid(id), enabled: true, granted: false };
    let expected = serde_json::json!({"moduleId": id, "enabled": true, "granted": false});
    assert_eq!(serde_json::to_value(module).unwrap(), expected);
}
