//! Hearing of changes, for adapters that tell of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use iam_domain::{Feature, Label, MenuItem, Module, Scope, SessionId, Url, UserLevel, View, ViewState};

use super::Told;
use super::audit::record;
use super::credentials::{create, cut_off, key, version};
use super::fixtures::{
    Given, action, all, assert_conflict, at, begin, change, feature_cell, given, given_all, holding, level,
    menu_item, name, some_company, some_feature, some_module, some_user, some_view, sub_item, unique, versions,
    view_cell,
};
use crate::{
    Beat, Constraint, Heard, NewEffectiveFeaturePermission, NewEffectiveViewPermission, NewTrailEntry, Notice, Subscription, Target,
};

impl Told {
    async fn subscribe(&self) -> Box<dyn Subscription> {
        self.feed.subscribe().await.unwrap()
    }

    /// What was told until now and not heard yet. It is all that comes before a sign of life that is sent now.
    async fn heard(&self, subscription: &mut dyn Subscription) -> Vec<Heard> {
        let beat = Beat::new();
        self.feed.beat(beat).await.unwrap();
        let mut heard = Vec::new();
        let hear = async {
            loop {
                match subscription.next().await {
                    Heard::Beat(back) if back == beat => break,
                    other => heard.push(other),
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), hear).await.expect("a sign of life comes back");
        heard
    }

    /// The notice of the latest change.
    async fn latest(&self, target: Target) -> Heard {
        let versions = versions(&self.storage, target.company()).await;
        let version = if target == Target::Catalog { versions.catalog } else { versions.company };
        Heard::Changed(Notice { target, version })
    }
}

/// A change is heard once, with its version, when it is committed and not before.
pub async fn a_change_is_heard_once_when_it_is_committed(told: Told) {
    let (company, user) = (some_company(), some_user());
    let admin = level(company, "Admin");
    given(&told.storage, &[&admin]).await;
    let mut subscription = told.subscribe().await;
    assert_eq!(told.heard(subscription.as_mut()).await, [], "what was before is not heard");

    let mut tx = begin(&told.storage, company).await;
    holding(user, &admin).store(tx.as_mut()).await.unwrap();
    tx.assignments_mut().remove(company, user, admin.id).await.unwrap();
    holding(user, &admin).store(tx.as_mut()).await.unwrap();
    assert_eq!(told.heard(subscription.as_mut()).await, [], "not yet");
    let committed = tx.commit().await.unwrap();
    let notice = Notice { target: Target::Company(company), version: committed.company };
    assert_eq!(told.heard(subscription.as_mut()).await, [Heard::Changed(notice)]);
    assert_eq!(told.heard(subscription.as_mut()).await, [], "once");

    let mut tx = begin(&told.storage, Target::Catalog).await;
    some_view().store(tx.as_mut()).await.unwrap();
    some_module().store(tx.as_mut()).await.unwrap();
    assert_eq!(told.heard(subscription.as_mut()).await, []);
    let committed = tx.commit().await.unwrap();
    let notice = Notice { target: Target::Catalog, version: committed.catalog };
    assert_eq!(told.heard(subscription.as_mut()).await, [Heard::Changed(notice)]);
}

/// Every kind of change that can change a decision or a menu is heard, in its company or in the catalog.
pub async fn what_can_change_a_decision_or_a_menu_is_heard(told: Told) {
    let storage = &told.storage;
    let (company, user, view, feature, module) =
        (some_company(), some_user(), some_view(), some_feature(), some_module());
    let (admin, unused) = (level(company, "Admin"), level(company, "Unused"));
    given(storage, &[&view, &feature, &module, &admin, &unused]).await;
    let mut subscription = told.subscribe().await;

    macro_rules! heard {
        ($($about:expr, $tx:ident => $work:expr;)+) => {$({
            let target = super::fixtures::About::target($about);
            change!(*storage, target, $tx => $work).unwrap();
            assert_eq!(told.heard(subscription.as_mut()).await, [told.latest(target).await], "{}", stringify!($work));
        })+};
    }
    let (view_cell, feature_cell) =
        (view_cell(&admin, view.id, ViewState::Allow), feature_cell(&admin, feature.id, "Read"));
    let held = holding(user, &admin);
    heard! {
        company, tx => tx.view_permissions_mut().upsert(&view_cell);
        company, tx => tx.view_permissions_mut().delete(company, admin.id, view.id);
        company, tx => tx.view_permissions_mut().replace_for_user_level(company, admin.id, &[view_cell.clone()]);
        company, tx => tx.feature_permissions_mut().upsert(&feature_cell);
        company, tx => tx.feature_permissions_mut().delete(company, admin.id, feature.id, &action("Read"));
        company, tx => tx.feature_permissions_mut().replace_for_user_level(company, admin.id, &[feature_cell.clone()]);
        company, tx => tx.assignments_mut().add(&held);
        company, tx => tx.assignments_mut().remove(company, user, admin.id);
        company, tx => tx.user_levels_mut().delete(company, unused.id);
        company, tx => tx.company_modules_mut().add(company, module.id);
        company, tx => tx.company_modules_mut().set_enabled(company, module.id, false);
        company, tx => tx.company_modules_mut().remove(company, module.id);
        company, tx => tx.company_modules_mut().replace_for_company(company, &[module.id]);
    }

    let (item, common) = (menu_item(Some(company), "Item"), menu_item(None, "Common"));
    let (below, below_common) = (sub_item(&item, "Below"), sub_item(&common, "Below"));
    heard! {
        company, tx => tx.menu_items_mut().create(&item);
        company, tx => tx.sub_menu_items_mut().create(Some(company), &below);
        company, tx => tx.menu_items_mut().update(&MenuItem { sort_order: 7, ..item.clone() });
        company, tx => tx.sub_menu_items_mut().delete(Some(company), below.id);
        company, tx => tx.menu_items_mut().delete(Some(company), item.id);
        Target::Catalog, tx => tx.menu_items_mut().create(&common);
        Target::Catalog, tx => tx.sub_menu_items_mut().create(None, &below_common);
        Target::Catalog, tx => tx.menu_items_mut().delete(None, common.id);
        Target::Catalog, tx => tx.module_views_mut().add(module.id, view.id);
        Target::Catalog, tx => tx.module_views_mut().remove(module.id, view.id);
        Target::Catalog, tx => tx.module_features_mut().replace_for_module(module.id, &[feature.id]);
        Target::Catalog, tx => tx.views_mut().update(&View { requires_auth: false, ..view.clone() });
        Target::Catalog, tx => tx.features_mut().update(&Feature { enabled: false, ..feature.clone() });
        Target::Catalog, tx => tx.modules_mut().update(&Module { enabled: false, ..module.clone() });
        Target::Catalog, tx => tx.views_mut().delete(view.id);
        Target::Catalog, tx => tx.features_mut().delete(feature.id);
        Target::Catalog, tx => tx.modules_mut().delete(module.id);
    }
}

/// What came to nothing is not heard, nor what can change no decision and no menu.
pub async fn what_changes_no_decision_is_not_heard(told: Told) {
    let storage = &told.storage;
    let (company, user, view, feature) = (some_company(), some_user(), some_view(), some_feature());
    let admin = level(company, "Admin");
    let held = holding(user, &admin);
    given(storage, &[&view, &feature, &admin, &held]).await;
    let mut subscription = told.subscribe().await;

    // Rolled back, without a change, or refused.
    let mut tx = begin(storage, company).await;
    view_cell(&admin, view.id, ViewState::Deny).store(tx.as_mut()).await.unwrap();
    drop(tx);
    begin(storage, company).await.commit().await.unwrap();
    change!(*storage, company, tx => tx.assignments_mut().add(&held)).unwrap();
    let other_admin = level(company, "Admin");
    let refused = change!(*storage, company, tx => tx.user_levels_mut().create(&other_admin));
    assert_conflict(refused, Constraint::UserLevelName);
    assert_eq!(told.heard(subscription.as_mut()).await, []);

    // Changes of what nobody decides by.
    let made = level(company, "Made");
    given(storage, &[&made]).await;
    let renamed = UserLevel { name: name("Renamed"), ..made };
    change!(*storage, company, tx => tx.user_levels_mut().update(&renamed)).unwrap();
    change!(*storage, company, tx => tx.company_states_mut().set_provisioned(company)).unwrap();
    change!(*storage, Target::Catalog, tx => tx.feature_views_mut().add(feature.id, view.id)).unwrap();
    for owner in [Some(company), None] {
        let record = record(owner, at(0));
        change!(*storage, Target::of_menu(owner), tx => tx.audit_logs_mut().append(&record)).unwrap();
    }
    assert_eq!(told.heard(subscription.as_mut()).await, []);

    // What is written beside decisions, and reads.
    let step = NewTrailEntry {
        user_id: user,
        company_id: company,
        session_id: SessionId::parse(unique("session")).unwrap(),
        view_id: Some(view.id),
        url: Url::parse("/somewhere").unwrap(),
        label: Label::parse("Somewhere").unwrap(),
    };
    storage.nav_trail().track(&step).await.unwrap();
    storage.nav_trail().clear(company, user, &step.session_id).await.unwrap();
    let (now, hour) = (versions(storage, Some(company)).await, Duration::from_secs(3600));
    let rows = [NewEffectiveViewPermission { user_id: user, view_id: view.id, has_access: true }];
    storage.effective_view_permissions().upsert_many(company, now, hour, &rows).await.unwrap();
    storage.effective_view_permissions().delete_for_company(company).await.unwrap();
    let rows = [NewEffectiveFeaturePermission {
        user_id: user,
        feature_id: feature.id,
        action: action("Read"),
        allowed: false,
        scope: Scope::Own,
    }];
    storage.effective_feature_permissions().upsert_many(company, now, Duration::ZERO, &rows).await.unwrap();
    storage.effective_feature_permissions().delete_expired(1000).await.unwrap();
    storage.reader().snapshots().load_company(company).await.unwrap();
    storage.reader().audit_logs().list_for_user(Some(company), user, 10).await.unwrap();
    assert_eq!(told.heard(subscription.as_mut()).await, []);
}

/// Changes are heard in the order of their commits, of whatever they are; also those that are made at once.
pub async fn changes_are_heard_in_the_order_of_their_commits(told: Told) {
    let companies = [(); 3].map(|()| some_company());
    let levels = companies.map(|company| level(company, "Admin"));
    given_all(&told.storage, &levels).await;
    let mut subscription = told.subscribe().await;
    let [a, b, _] = &levels;
    let mut expected = Vec::new();
    for level in [Some(a), Some(b), None, Some(a), None, Some(b), Some(b), Some(a)] {
        match level {
            Some(level) => given(&told.storage, &[&holding(some_user(), level)]).await,
            None => given(&told.storage, &[&some_view()]).await,
        }
        expected.push(told.latest(level.map_or(Target::Catalog, |level| Target::Company(level.company_id))).await);
    }
    assert_eq!(told.heard(subscription.as_mut()).await, expected);

    let before = versions(&told.storage, None).await.catalog;
    let tasks = levels.iter().cloned().map(Some).chain([None]).map(|level| {
        let storage = Arc::clone(&told.storage);
        tokio::spawn(async move {
            for _ in 0..15 {
                match &level {
                    Some(level) => given(&storage, &[&holding(some_user(), level)]).await,
                    None => given(&storage, &[&some_view()]).await,
                }
            }
        })
    });
    let tasks: Vec<_> = tasks.collect();
    all(tasks).await;
    let mut heard: BTreeMap<_, Vec<i64>> = BTreeMap::new();
    for notice in told.heard(subscription.as_mut()).await {
        let Heard::Changed(Notice { target, version }) = notice else { panic!("{notice:?}") };
        heard.entry(target.company()).or_default().push(version);
    }
    assert_eq!(heard.remove(&None), Some((before + 1..=before + 15).collect()));
    for company in companies {
        let last = versions(&told.storage, Some(company)).await.company;
        assert_eq!(heard.remove(&Some(company)), Some((last - 14..=last).collect()));
    }
    assert_eq!(heard, BTreeMap::new());
}

/// Every subscriber hears every change and every sign of life, and whose it is; those who have left are not missed.
pub async fn all_subscribers_hear_all(told: Told) {
    let admin = level(some_company(), "Admin");
    given(&told.storage, &[&admin]).await;
    let (mut one, mut other, gone) = (told.subscribe().await, told.subscribe().await, told.subscribe().await);
    drop(gone);
    given(&told.storage, &[&holding(some_user(), &admin)]).await;
    let notice = told.latest(Target::Company(admin.company_id)).await;
    let beats = [Beat::new(), Beat::new()];
    assert_ne!(beats[0], beats[1]);
    for beat in beats {
        told.feed.beat(beat).await.unwrap();
    }
    let expected = [notice, Heard::Beat(beats[0]), Heard::Beat(beats[1])];
    assert_eq!(told.heard(one.as_mut()).await, expected);
    let by_other = told.heard(other.as_mut()).await;
    assert_eq!(by_other[..3], expected);
    // And the sign of life that the first one waited for.
    assert!(matches!(by_other[3..], [Heard::Beat(_)]), "{by_other:?}");
    let mut late = told.subscribe().await;
    assert_eq!(told.heard(late.as_mut()).await, []);
}

/// Whoever sees a change committed, and then sends a sign of life, hears the change first; also while others go on.
pub async fn a_sign_of_life_comes_after_what_committed_before_it(told: Told) {
    let admin = level(some_company(), "Admin");
    given(&told.storage, &[&admin]).await;
    let company = admin.company_id;
    let mut subscription = told.subscribe().await;
    let mut latest = versions(&told.storage, Some(company)).await.company;
    let storage = Arc::clone(&told.storage);
    let writer = tokio::spawn(async move {
        for _ in 0..40 {
            given(&storage, &[&holding(some_user(), &admin)]).await;
        }
    });
    while latest < 41 {
        let seen = versions(&told.storage, Some(company)).await.company;
        for heard in told.heard(subscription.as_mut()).await {
            let Heard::Changed(Notice { version, .. }) = heard else { panic!("{heard:?}") };
            latest = latest.max(version);
        }
        assert!(latest >= seen, "saw {seen} before, and heard of {latest} only");
    }
    writer.await.unwrap();
}

/// Whoever stops waiting, and waits again, has missed nothing.
pub async fn waiting_may_be_given_up(told: Told) {
    let admin = level(some_company(), "Admin");
    given(&told.storage, &[&admin]).await;
    let mut subscription = told.subscribe().await;
    let storage = Arc::clone(&told.storage);
    let writer = tokio::spawn(async move {
        for _ in 0..20 {
            given(&storage, &[&holding(some_user(), &admin)]).await;
        }
    });
    let mut versions = Vec::new();
    while versions.len() < 20 {
        tokio::select! {
            biased;
            heard = subscription.next() => {
                let Heard::Changed(notice) = heard else { panic!("{heard:?}") };
                versions.push(notice.version);
            }
            () = tokio::task::yield_now() => {}
        }
    }
    assert_eq!(versions, (2..=21).collect::<Vec<_>>());
    writer.await.unwrap();
}

/// Changes of credentials are heard with their version.
pub async fn changes_of_credentials_are_heard(told: Told) {
    let (user, one) = (some_user(), key("One"));
    let mut subscription = told.feed.subscribe().await.unwrap();
    let mut expected = Vec::new();
    cut_off(&told.storage, user, at(1)).await;
    expected.push(version(&told.storage).await);
    create(&told.storage, &[&one]).await;
    expected.push(version(&told.storage).await);
    change!(told.storage, Target::Credentials, tx => tx.api_keys_mut().revoke(one.id)).unwrap();
    expected.push(version(&told.storage).await);
    told.storage.api_key_uses().record(&[(one.id, at(1))]).await.unwrap();
    let company = some_company();
    given(&told.storage, &[&level(company, "Not heard")]).await;
    for version in expected {
        let notice = Notice { target: Target::Credentials, version };
        assert_eq!(subscription.next().await, Heard::Changed(notice));
    }
    cut_off(&told.storage, user, at(2)).await;
    let notice = Notice { target: Target::Credentials, version: version(&told.storage).await };
    assert_eq!(subscription.next().await, Heard::Changed(notice), "and nothing in between");
}
