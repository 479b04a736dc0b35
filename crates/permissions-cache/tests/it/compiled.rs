//! Property test: compiled permissions make the same decisions as the reference implementation.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use iam_domain::{
    Action, Catalog, Ceilings, CompanyStatus, Feature, FeatureId, FeatureRule, LevelPermissions, Module, Scope,
    Snapshot, Timestamp, UserLevelId, Versions, ViewId, ViewState,
};
use iam_permissions_cache::{Consistency, Subject};
use iam_storage::{Stamped, Stamps};
use proptest::prelude::*;

use crate::replica::{alone, patient};
use crate::store::Store;
use crate::world::{
    SCOPES, a_feature, a_module, a_view, action, company, compare, expected, feature, level, module, questions, user,
    view,
};

const VIEWS: usize = 4;
const FEATURES: usize = 3;
const MODULES: usize = 3;
const ACTIONS: [&str; 4] = ["Read", "Publish", "Sign", "Unlisted"];

type ViewRow = (ViewId, ViewState);
type FeatureRow = (FeatureId, Action, FeatureRule);

fn some_of(count: usize) -> impl Strategy<Value = BTreeSet<usize>> {
    prop::collection::btree_set(0..count, 0..=count)
}

/// Generates the permission rows of a level. The rows may refer to entities that the catalog does not have, and may
/// conflict with each other.
fn a_levels_rows() -> impl Strategy<Value = (Vec<ViewRow>, Vec<FeatureRow>)> {
    let states = vec![ViewState::Allow, ViewState::Allow, ViewState::Inherit, ViewState::Deny];
    let views = (0..=VIEWS, prop::sample::select(states)).prop_map(|(number, state)| (view(number), state));
    let scope = prop::sample::select(SCOPES.to_vec());
    let features = (0..=FEATURES, 0..ACTIONS.len(), prop::bool::weighted(0.8), scope).prop_map(
        |(number, name, value, scope): (usize, usize, bool, Scope)| {
            (feature(number), action(ACTIONS[name]), FeatureRule { value, scope })
        },
    );
    (prop::collection::vec(views, 0..6), prop::collection::vec(features, 0..8))
}

/// Generates the ceilings of a company. They may refer to entities that the catalog does not have.
fn ceilings() -> impl Strategy<Value = Ceilings> {
    let max = prop::option::weighted(0.7, prop::sample::select(SCOPES.to_vec()));
    let ceilings = prop::collection::vec((0..=FEATURES, 0..ACTIONS.len(), max), 0..4);
    (some_of(VIEWS + 1), ceilings).prop_map(|(hidden, ceilings)| {
        let mut actions: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for (number, name, max) in ceilings {
            actions.entry(feature(number)).or_default().insert(action(ACTIONS[name]), max);
        }
        Ceilings { hidden_views: hidden.into_iter().take(1).map(view).collect(), actions }
    })
}

fn snapshot() -> impl Strategy<Value = Snapshot> {
    let gates =
        (prop::collection::vec((0..MODULES, 0..VIEWS), 0..4), prop::collection::vec((0..MODULES, 0..FEATURES), 0..4));
    let switches = (some_of(2), some_of(2), some_of(2));
    let of_company = (some_of(MODULES), ceilings(), prop::bool::weighted(0.2));
    (switches, gates, of_company, prop::collection::vec(a_levels_rows(), 0..=4)).prop_map(
        |((public, disabled, off), (module_views, module_features), (modules, ceilings, is_suspended), levels)| {
            let at = Timestamp::from_millis(0).unwrap();
            let views = (0..VIEWS).map(|number| a_view(number, !public.contains(&number), at));
            let features = (0..FEATURES).map(|number| {
                // Feature 2 lists actions: a custom one twice, and a standard one. Feature 1 has no key.
                let own: &[&str] = if number == 2 { &["Sign", "Read", "Sign"] } else { &[] };
                let feature = a_feature(number, !disabled.contains(&number), own, at);
                Feature { key: feature.key.clone().filter(|_| number != 1), ..feature }
            });
            let all = (0..MODULES).map(|number| -> Module { a_module(number, !off.contains(&number), at) });
            let catalog = Catalog::new(
                views,
                features,
                all,
                module_views.into_iter().map(|(gate, number)| (module(gate), view(number))),
                module_features.into_iter().map(|(gate, number)| (module(gate), feature(number))),
            );
            let ids: Vec<UserLevelId> = (0..).map(|number| level(0, number)).take(levels.len()).collect();
            Snapshot {
                catalog: Arc::new(catalog),
                status: if is_suspended { CompanyStatus::Suspended } else { CompanyStatus::Active },
                modules: modules.into_iter().map(module).collect(),
                ceilings: Arc::new(ceilings),
                levels: ids
                    .into_iter()
                    .zip(levels)
                    .map(|(id, (views, features))| LevelPermissions::new(id, views, features))
                    .collect(),
            }
        },
    )
}

async fn check(snapshot: Snapshot) -> std::result::Result<(), String> {
    let store = Store::new();
    let epoch = store.snapshot(company(0), user(0)).await.versions.epoch;
    let versions = Versions { epoch, catalog: 1, company: 1, boundary: 0 };
    store.script(Stamped { versions, stamps: Stamps::default(), next_boundary: None, value: snapshot.clone() });
    let permissions = alone(&store, patient());
    for subject in [Subject::User(user(0)), Subject::SuperAdmin(user(0))] {
        let access = permissions.access(company(0), subject, Consistency::Fresh).await.unwrap();
        compare(&access, &snapshot)?;
        for question in questions(&snapshot) {
            let (outcome, naive) = (access.decide(&question).outcome, expected(&snapshot, subject, &question));
            if (outcome.allowed, outcome.scope, outcome.reason) != (naive.allowed, naive.scope, naive.reason) {
                return Err(format!("{question:?}: the outcome is {outcome:?}, but must be {naive:?}"));
            }
            let explained = access.explain(&question).decision;
            if explained != naive {
                return Err(format!("{question:?}: the explained decision is {explained:?}, but must be {naive:?}"));
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_decision_matches_the_specification(snapshot in snapshot()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let outcome = runtime.block_on(check(snapshot));
        prop_assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
    }
}
