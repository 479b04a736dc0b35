//! Property test: after any sequence of changes, decisions match the data in the store.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use iam_domain::{CommitStamp, Feature, Module, Name, Scope, UserLevel, View, ViewState, ViewUrl};
use iam_permissions_cache::{CacheOptions, Consistency, Permissions, Subject};
use iam_storage::{Result, Target, UnitOfWork};
use proptest::prelude::*;

use crate::replica::{Replica, patient};
use crate::store::{Asked, Does, Store, eventually};
use crate::world::{
    SCOPES, a_feature, a_level, a_module, a_view, action, company, compare, feature, feature_cell, hit, holding, level,
    module, sees, user, view, view_cell,
};

const COMPANIES: usize = 2;
const VIEWS: usize = 3;
const FEATURES: usize = 2;
const MODULES: usize = 2;
const LEVELS: usize = 3;
const USERS: usize = 4;
const ACTIONS: [&str; 4] = ["Read", "Publish", "Sign", "Stamp"];

/// A random change to the store. The test skips changes that the store rejects.
#[derive(Debug, Clone)]
enum Change {
    CreateView(usize, bool),
    UpdateView(usize, bool, bool),
    DeleteView(usize),
    RecreateView(usize),
    CreateFeature(usize, bool, BTreeSet<usize>),
    UpdateFeature(usize, bool, BTreeSet<usize>),
    DeleteFeature(usize),
    RecreateFeature(usize),
    CreateModule(usize, bool),
    UpdateModule(usize, bool),
    DeleteModule(usize),
    RecreateModule(usize),
    GateView(usize, usize, bool),
    GateFeature(usize, usize, bool),
    /// Removes a module from a company (`None`), grants it, or sets its `enabled` flag.
    CompanyModule(usize, usize, Option<bool>),
    ViewCell(usize, usize, usize, Option<ViewState>),
    FeatureCell(usize, usize, usize, usize, Option<(bool, Scope)>),
    Assign(usize, usize, BTreeSet<usize>),
    CreateLevel(usize, usize),
    DeleteLevel(usize, usize),
    RenameLevel(usize, usize),
}

impl Change {
    fn target(&self) -> Target {
        match self {
            Self::CompanyModule(of, ..)
            | Self::ViewCell(of, ..)
            | Self::FeatureCell(of, ..)
            | Self::Assign(of, ..)
            | Self::CreateLevel(of, _)
            | Self::DeleteLevel(of, _)
            | Self::RenameLevel(of, _) => Target::Company(company(*of)),
            _ => Target::Catalog,
        }
    }

    async fn make(&self, tx: &mut dyn UnitOfWork) -> Result<()> {
        let now = tx.now();
        let own = |own: &BTreeSet<usize>| own.iter().map(|number| ACTIONS[*number]).collect::<Vec<_>>();
        match self {
            Self::CreateView(number, requires_auth) => {
                tx.views_mut().create(&a_view(*number, *requires_auth, now)).await
            }
            Self::UpdateView(number, requires_auth, moves) => {
                let url = ViewUrl::parse(format!("/{}{number}", if *moves { "moved/" } else { "" })).unwrap();
                tx.views_mut().update(&View { url, ..a_view(*number, *requires_auth, now) }).await.map(drop)
            }
            Self::DeleteView(number) => tx.views_mut().delete(view(*number)).await.map(drop),
            Self::RecreateView(number) => {
                tx.views_mut().delete(view(*number)).await?;
                tx.views_mut().create(&a_view(*number, true, now)).await
            }
            Self::CreateFeature(number, enabled, actions) => {
                tx.features_mut().create(&a_feature(*number, *enabled, &own(actions), now)).await
            }
            Self::UpdateFeature(number, enabled, actions) => {
                let keyed = a_feature(*number, *enabled, &own(actions), now);
                let key = keyed.key.clone().filter(|_| *enabled);
                tx.features_mut().update(&Feature { key, ..keyed }).await.map(drop)
            }
            Self::DeleteFeature(number) => tx.features_mut().delete(feature(*number)).await.map(drop),
            Self::RecreateFeature(number) => {
                let before = tx.features_mut().delete(feature(*number)).await?;
                tx.features_mut().create(&Feature { created_at: now, updated_at: now, ..before }).await
            }
            Self::CreateModule(number, enabled) => tx.modules_mut().create(&a_module(*number, *enabled, now)).await,
            Self::UpdateModule(number, enabled) => {
                tx.modules_mut().update(&a_module(*number, *enabled, now)).await.map(drop)
            }
            Self::DeleteModule(number) => tx.modules_mut().delete(module(*number)).await.map(drop),
            Self::RecreateModule(number) => {
                let before = tx.modules_mut().delete(module(*number)).await?;
                tx.modules_mut().create(&Module { created_at: now, updated_at: now, ..before }).await?;
                tx.module_views_mut().add(module(*number), view(0)).await?;
                tx.module_features_mut().add(module(*number), feature(0)).await.map(drop)
            }
            Self::GateView(gate, number, true) => {
                tx.module_views_mut().add(module(*gate), view(*number)).await.map(drop)
            }
            Self::GateView(gate, number, false) => {
                tx.module_views_mut().remove(module(*gate), view(*number)).await.map(drop)
            }
            Self::GateFeature(gate, number, true) => {
                tx.module_features_mut().add(module(*gate), feature(*number)).await.map(drop)
            }
            Self::GateFeature(gate, number, false) => {
                tx.module_features_mut().remove(module(*gate), feature(*number)).await.map(drop)
            }
            Self::CompanyModule(of, number, None) => {
                tx.company_modules_mut().remove(company(*of), module(*number)).await.map(drop)
            }
            Self::CompanyModule(of, number, Some(enabled)) => {
                tx.company_modules_mut().add(company(*of), module(*number)).await?;
                tx.company_modules_mut().set_enabled(company(*of), module(*number), *enabled).await
            }
            Self::ViewCell(of, number, about, None) => {
                tx.view_permissions_mut().delete(company(*of), level(*of, *number), view(*about)).await.map(drop)
            }
            Self::ViewCell(of, number, about, Some(state)) => {
                tx.view_permissions_mut().upsert(&view_cell(*of, *number, view(*about), *state, now)).await
            }
            Self::FeatureCell(of, number, about, name, None) => {
                let (level, about, name) = (level(*of, *number), feature(*about), action(ACTIONS[*name]));
                tx.feature_permissions_mut().delete(company(*of), level, about, &name).await.map(drop)
            }
            Self::FeatureCell(of, number, about, name, Some(rule)) => {
                let about = (feature(*about), action(ACTIONS[*name]));
                tx.feature_permissions_mut().upsert(&feature_cell(*of, *number, about, *rule, now)).await
            }
            Self::Assign(of, who, levels) => {
                let levels: Vec<_> = levels.iter().map(|number| level(*of, *number)).collect();
                tx.assignments_mut().replace_for_user(company(*of), user(*who), &levels, None).await.map(drop)
            }
            Self::CreateLevel(of, number) => tx.user_levels_mut().create(&a_level(*of, *number, now)).await,
            Self::DeleteLevel(of, number) => {
                tx.user_levels_mut().delete(company(*of), level(*of, *number)).await.map(drop)
            }
            Self::RenameLevel(of, number) => {
                let name = Name::parse(format!("Renamed {number}")).unwrap();
                let level = UserLevel { name, ..a_level(*of, *number, now) };
                tx.user_levels_mut().update(&level).await.map(drop)
            }
        }
    }
}

/// A step of the test: a change, individual checks of some users of a company, or a check of several users in one call.
#[derive(Debug, Clone)]
enum Step {
    Change(Change),
    Ask(usize, BTreeSet<usize>),
    AskTogether(usize, BTreeSet<usize>),
}

fn some_of(count: usize) -> impl Strategy<Value = BTreeSet<usize>> {
    prop::collection::btree_set(0..count, 0..=count)
}

fn own_actions() -> impl Strategy<Value = BTreeSet<usize>> {
    prop::collection::btree_set(2..ACTIONS.len(), 0..=2)
}

fn state() -> impl Strategy<Value = ViewState> {
    prop::sample::select(vec![ViewState::Allow, ViewState::Allow, ViewState::Deny, ViewState::Inherit])
}

fn rule() -> impl Strategy<Value = (bool, Scope)> {
    (prop::bool::weighted(0.8), prop::sample::select(SCOPES.to_vec()))
}

fn change() -> impl Strategy<Value = Change> {
    use Change::*;
    let (of, lev) = (0..COMPANIES, 0..LEVELS);
    let catalog = prop_oneof![
        1 => (0..VIEWS, any::<bool>()).prop_map(|(n, auth)| CreateView(n, auth)),
        1 => (0..VIEWS, prop::bool::weighted(0.8), any::<bool>())
            .prop_map(|(n, auth, moves)| UpdateView(n, auth, moves)),
        1 => (0..VIEWS).prop_map(DeleteView),
        1 => (0..VIEWS).prop_map(RecreateView),
        1 => (0..FEATURES, prop::bool::weighted(0.8), own_actions()).prop_map(|(n, on, own)| CreateFeature(n, on, own)),
        3 => (0..FEATURES, prop::bool::weighted(0.8), own_actions()).prop_map(|(n, on, own)| UpdateFeature(n, on, own)),
        1 => (0..FEATURES).prop_map(DeleteFeature),
        1 => (0..FEATURES).prop_map(RecreateFeature),
        1 => (0..MODULES, prop::bool::weighted(0.8)).prop_map(|(n, on)| CreateModule(n, on)),
        1 => (0..MODULES, any::<bool>()).prop_map(|(n, on)| UpdateModule(n, on)),
        1 => (0..MODULES).prop_map(DeleteModule),
        1 => (0..MODULES).prop_map(RecreateModule),
        1 => (0..MODULES, 0..VIEWS, any::<bool>()).prop_map(|(m, n, on)| GateView(m, n, on)),
        1 => (0..MODULES, 0..FEATURES, any::<bool>()).prop_map(|(m, n, on)| GateFeature(m, n, on)),
    ];
    let own = prop_oneof![
        1 => (of.clone(), 0..MODULES, prop::option::weighted(0.8, prop::bool::weighted(0.8)))
            .prop_map(|(of, n, on)| CompanyModule(of, n, on)),
        2 => (of.clone(), lev.clone(), 0..VIEWS, prop::option::weighted(0.9, state()))
            .prop_map(|(of, level, n, state)| ViewCell(of, level, n, state)),
        3 => (of.clone(), lev.clone(), 0..FEATURES, 0..ACTIONS.len(), prop::option::weighted(0.9, rule()))
            .prop_map(|(of, level, n, name, rule)| FeatureCell(of, level, n, name, rule)),
        2 => (of.clone(), 0..USERS, some_of(LEVELS)).prop_map(|(of, who, levels)| Assign(of, who, levels)),
        1 => (of.clone(), lev.clone()).prop_map(|(of, n)| CreateLevel(of, n)),
        1 => (of.clone(), lev.clone()).prop_map(|(of, n)| DeleteLevel(of, n)),
        1 => (of, lev).prop_map(|(of, n)| RenameLevel(of, n)),
    ];
    prop_oneof![catalog, own]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => change().prop_map(Step::Change),
        2 => (0..COMPANIES, some_of(USERS)).prop_map(|(of, users)| Step::Ask(of, users)),
        1 => (0..COMPANIES, some_of(USERS)).prop_map(|(of, users)| Step::AskTogether(of, users)),
    ]
}

/// Creates a catalog and two companies. In each company, users 0 to 2 hold levels, and user 3 holds none.
async fn begin(store: &Store) {
    store
        .change(Target::Catalog, async |tx: &mut dyn UnitOfWork| {
            let now = tx.now();
            for number in 0..VIEWS {
                tx.views_mut().create(&a_view(number, true, now)).await?;
            }
            for number in 0..FEATURES {
                tx.features_mut().create(&a_feature(number, true, &["Sign"], now)).await?;
            }
            for number in 0..MODULES {
                tx.modules_mut().create(&a_module(number, true, now)).await?;
            }
            tx.module_views_mut().add(module(0), view(0)).await?;
            tx.module_features_mut().add(module(0), feature(0)).await.map(drop)
        })
        .await;
    for of in 0..COMPANIES {
        store
            .change_company(of, async |tx: &mut dyn UnitOfWork| {
                let now = tx.now();
                tx.company_modules_mut().add(company(of), module(0)).await?;
                for (number, scope) in SCOPES.into_iter().enumerate().take(LEVELS) {
                    tx.user_levels_mut().create(&a_level(of, number, now)).await?;
                    for about in 0..VIEWS {
                        let cell = view_cell(of, number, view(about), ViewState::Allow, now);
                        tx.view_permissions_mut().upsert(&cell).await?;
                    }
                    for about in 0..FEATURES {
                        for name in ["Read", "Sign"] {
                            let about = (feature(about), action(name));
                            let cell = feature_cell(of, number, about, (true, scope), now);
                            tx.feature_permissions_mut().upsert(&cell).await?;
                        }
                    }
                }
                // Users 0 and 1 hold the same level, so they share a compiled set.
                for (who, number) in [(0, 0), (1, 0), (2, 1), (2, 0)] {
                    tx.assignments_mut().add(&holding(of, who, number, now)).await?;
                }
                Ok(())
            })
            .await;
    }
}

/// Compares all decisions about a user with the data in the store, both after a cache miss and after a cache hit.
async fn check(permissions: &Permissions, store: &Store, of: usize, who: usize) -> std::result::Result<(), String> {
    let snapshot = store.snapshot(company(of), user(who)).await.value;
    for subject in [Subject::User(user(who)), Subject::SuperAdmin(user(who))] {
        let access = permissions.access(company(of), subject, Consistency::Cached).await.unwrap();
        compare(&access, &snapshot)?;
    }
    // The user is cached now, and a cache hit returns the same decisions.
    let access = permissions.try_access(company(of), Subject::User(user(who)), Consistency::Cached);
    compare(&access.ok_or_else(|| format!("user {who} of company {of} is not cached"))?, &snapshot)
}

async fn check_together(
    permissions: &Permissions,
    store: &Store,
    of: usize,
    users: &BTreeSet<usize>,
) -> std::result::Result<(), String> {
    let asked: Vec<_> = users.iter().map(|who| Subject::User(user(*who))).collect();
    let found = permissions.accesses(company(of), &asked, Consistency::Cached, &mut Default::default()).await.unwrap();
    assert_eq!(found.len(), asked.len());
    for (access, who) in found.iter().zip(users) {
        assert_eq!(access.subject(), Subject::User(user(*who)));
        compare(access, &store.snapshot(company(of), user(*who)).await.value)?;
    }
    Ok(())
}

fn tell(permissions: &Permissions, target: Target, versions: Option<CommitStamp>) {
    if let Some(versions) = versions {
        permissions.changed(target, versions);
    }
}

async fn run(steps: &[Step]) -> std::result::Result<(), String> {
    let store = Store::new();
    begin(&store).await;
    let here = Replica::new(&store, patient()).await;
    let there = Replica::new(&store, patient()).await;
    for step in steps {
        match step {
            Step::Change(change) => {
                let versions = store.try_change(change.target(), async |tx: &mut dyn UnitOfWork| change.make(tx).await);
                tell(&here.permissions, change.target(), versions.await);
            }
            Step::Ask(of, users) => {
                for who in users {
                    check(&here.permissions, &store, *of, *who).await?;
                }
                there.radio.heard_all().await;
                for who in users {
                    check(&there.permissions, &store, *of, *who).await?;
                }
            }
            Step::AskTogether(of, users) => {
                check_together(&here.permissions, &store, *of, users).await?;
                there.radio.heard_all().await;
                check_together(&there.permissions, &store, *of, users).await?;
            }
        }
    }
    there.radio.heard_all().await;
    for permissions in [&here.permissions, &there.permissions] {
        for of in 0..COMPANIES {
            for who in 0..USERS {
                check(permissions, &store, of, who).await?;
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reads_after_a_change_agree_with_the_storage(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let outcome = runtime.block_on(run(&steps));
        prop_assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
    }
}

#[tokio::test]
async fn users_with_a_shared_set_all_see_a_change_after_a_catalog_change() {
    let store = Store::with_catalog().await;
    store.company(0, 2).await;
    let replica = Replica::new(&store, patient()).await;
    let permissions = &replica.permissions;
    assert!(sees(permissions, 0, 0).await && sees(permissions, 0, 1).await);
    permissions.changed(Target::Catalog, store.rename_a_view().await);
    replica.radio.heard_all().await;
    // Before the company changes, the permissions of user 0 are requested, but not those of user 1.
    assert!(sees(permissions, 0, 0).await);
    permissions.changed(Target::Company(company(0)), store.say(0, ViewState::Deny).await);
    assert!(!sees(permissions, 0, 1).await, "the shared set must be invalidated for both users");
    assert!(!sees(permissions, 0, 0).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrently_loaded_users_with_a_shared_set_all_see_a_change() {
    // Two users are loaded alone, and the others in one batch.
    let (alone, together) = (2, 8);
    let store = Store::with_catalog().await;
    store.company(0, together).await;
    for round in 0..300 {
        let replica = Replica::new(&store, patient()).await;
        store.say(0, ViewState::Allow).await;
        replica.radio.heard_all().await;
        store.always(Asked::User, Does::ReadThenHold);
        let mut asking = Vec::new();
        for who in 0..together {
            let permissions = Arc::clone(&replica.permissions);
            asking.push(tokio::spawn(async move { sees(&permissions, 0, who).await }));
            store.held(Asked::User, alone.min(who + 1)).await;
        }
        store.always(Asked::User, Does::Answer);
        (0..alone).for_each(|_| store.let_go(Asked::User));
        for asking in asking {
            assert!(asking.await.unwrap());
        }
        replica.permissions.changed(Target::Company(company(0)), store.say(0, ViewState::Deny).await);
        for who in 0..together {
            assert_ne!(hit(&replica.permissions, 0, who), Some(true), "round {round}, user {who}");
        }
    }
}

#[tokio::test]
async fn a_catalog_change_costs_one_catalog_read_for_any_number_of_cached_companies() {
    const HOT: usize = 1000;
    let store = Store::with_catalog().await;
    for of in 0..HOT {
        store.company(of, 1).await;
    }
    let replica = Replica::new(&store, patient()).await;
    let permissions = &replica.permissions;
    for of in 0..HOT {
        assert!(sees(permissions, of, 0).await);
    }
    let (users, catalogs) = (store.user_loads(), store.asked(Asked::Catalog));
    assert_eq!((users, catalogs), (HOT, 0));
    store.rename_a_view().await;
    replica.radio.heard_all().await;
    let confirmations = permissions.stats().confirmations;
    let asking: Vec<_> = (0..HOT)
        .map(|of| {
            let permissions = Arc::clone(permissions);
            tokio::spawn(async move { sees(&permissions, of, 0).await })
        })
        .collect();
    for asking in asking {
        assert!(asking.await.unwrap());
    }
    assert_eq!((store.user_loads(), store.asked(Asked::Catalog)), (users, 1));
    assert_eq!(
        permissions.stats().confirmations,
        confirmations,
        "a change that a poll has reported must not cause another poll"
    );
}

/// If a user loses a permission while its feature is disabled, the user does not regain the permission when the feature
/// is enabled again.
#[tokio::test]
async fn a_catalog_is_never_combined_with_rows_deleted_before_it() {
    let store = Store::with_catalog().await;
    store
        .change(Target::Catalog, async |tx: &mut dyn UnitOfWork| {
            let now = tx.now();
            tx.features_mut().update(&a_feature(0, false, &[], now)).await.map(drop)
        })
        .await;
    store.company(0, 1).await;
    let replica = Replica::new(&store, patient()).await;
    let permissions = &replica.permissions;
    let reads = async || {
        let access = permissions.access(company(0), Subject::User(user(0)), Consistency::Cached).await.unwrap();
        let snapshot = store.snapshot(company(0), user(0)).await;
        (access.versions(), compare(&access, &snapshot.value), snapshot.versions)
    };
    reads().await.1.unwrap();
    // Another replica removes all levels of the user; a poll may not have reported it yet. Then this replica enables
    // the feature.
    store
        .change_company(0, async |tx: &mut dyn UnitOfWork| {
            tx.assignments_mut().replace_for_user(company(0), user(0), &[], None).await.map(drop)
        })
        .await;
    let versions = store
        .change(Target::Catalog, async |tx: &mut dyn UnitOfWork| {
            let now = tx.now();
            tx.features_mut().update(&a_feature(0, true, &[], now)).await.map(drop)
        })
        .await;
    permissions.changed(Target::Catalog, versions);
    let (answered, same, current) = reads().await;
    same.unwrap();
    assert_eq!(answered.catalog, current.catalog);
    replica.radio.heard_all().await;
    reads().await.1.unwrap();
}

#[tokio::test]
async fn a_change_with_unknown_outcome_invalidates_everything() {
    let store = Store::with_catalog().await;
    store.company(0, 1).await;
    let replica = Replica::new(&store, CacheOptions { lease: Duration::from_secs(2), ..patient() }).await;
    let permissions = &replica.permissions;
    assert!(sees(permissions, 0, 0).await);
    // The change was committed, but the response to the commit was lost, and polls receive no response.
    replica.radio.silence();
    store.say(0, ViewState::Deny).await;
    permissions.distrust(Target::Company(company(0)));
    assert_eq!(hit(permissions, 0, 0), None);
    assert!(!sees(permissions, 0, 0).await);

    store
        .change(Target::Catalog, async |tx: &mut dyn UnitOfWork| {
            let now = tx.now();
            tx.views_mut().update(&a_view(0, false, now)).await.map(drop)
        })
        .await;
    permissions.distrust(Target::Catalog);
    assert_eq!(hit(permissions, 0, 0), None);
    replica.radio.open();
    assert!(sees(permissions, 0, 0).await, "the view must be allowed, because it is public now");
    eventually("the entry is served again", || hit(permissions, 0, 0) == Some(true)).await;
}
