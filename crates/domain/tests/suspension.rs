//! Tests of suspended companies: every decision about a level holder has the same reason.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::{ACTIONS, FEATURES, Level, VIEWS, World, action, config, feature, scope, view, world};
use iam_domain::{
    CompanyStatus, Decision, EssentialRight, FeatureRule, IamAction, IamPermission, Reason, Scope, Snapshot, Step,
};
use proptest::prelude::*;

fn suspended(world: &World) -> Snapshot {
    Snapshot { status: CompanyStatus::Suspended, ..world.snapshot() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_suspended_company_denies_everything_for_one_reason(world in world()) {
        let snapshot = suspended(&world);
        let reason = if world.levels.is_empty() { Reason::NoUserLevels } else { Reason::CompanySuspended };
        for number in 0..=VIEWS {
            prop_assert_eq!(snapshot.view(view(number)), Decision::of_view(false, reason));
        }
        for (number, name) in (0..=FEATURES).flat_map(|number| (0..ACTIONS).map(move |name| (number, name))) {
            let decision = snapshot.feature(feature(number), &action(name));
            prop_assert_eq!(decision, Decision::denied_action(reason));
        }
    }

    #[test]
    fn the_suggestion_for_a_suspended_company_begins_with_its_activation(
        world in world(),
        number in 0..VIEWS,
        which in 0..FEATURES,
        least in scope(),
    ) {
        let (snapshot, active) = (suspended(&world), world.snapshot());
        let explained = [
            (snapshot.explain_view(view(number)), active.explain_view(view(number))),
            (
                snapshot.explain_feature(feature(which), &action(0), least),
                active.explain_feature(feature(which), &action(0), least),
            ),
        ];
        for (suspended, active) in explained {
            let expected: Vec<_> = [Step::ActivateCompany].into_iter().chain(active.suggestion).collect();
            prop_assert_eq!(suspended.suggestion, expected);
        }
    }
}

#[test]
fn the_permissions_to_administer_do_not_apply_but_the_essential_rights_are_still_held() {
    let mut snapshot = World::plain(vec![Level { number: 0, ..Level::default() }]).snapshot();
    let rule = FeatureRule { value: true, scope: Scope::Company };
    let approving: std::collections::BTreeMap<_, _> = [(IamAction::Approve.action(), rule)].into();
    snapshot.levels.iter_mut().for_each(|level| level.features = [(feature(1), approving.clone())].into());
    let held = |snapshot: &Snapshot| {
        let permission = IamPermission::AssignPermissions.is_held(IamAction::Approve, snapshot);
        (permission, EssentialRight::Approve.is_held(snapshot))
    };
    assert_eq!(held(&snapshot), (true, true));
    snapshot.status = CompanyStatus::Suspended;
    assert_eq!(held(&snapshot), (false, true));
}

#[test]
fn programs_read_the_code_of_the_activation() {
    assert_eq!(serde_json::to_value(Step::ActivateCompany).ok(), Some(serde_json::json!({"step": "activateCompany"})));
}
