//! Test cases for the change feed: polls and wake-ups.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use iam_domain::{CompanyId, Feature, Label, MenuItem, Module, Scope, SessionId, Url, UserLevel, View, ViewState};

use super::audit::record;
use super::credentials::{create, cut_off, key};
use super::fixtures::{
    Given, HasTarget, action, at, begin, change, feature_cell, given, given_all, holding, level, menu_item, name,
    some_company, some_feature, some_module, some_user, some_view, sub_item, unique, versions, view_cell,
};
use super::outcomes::assert_conflict;
use crate::{
    Changes, Constraint, NewEffectiveFeaturePermission, NewEffectiveViewPermission, NewTrailEntry, Polled, Position,
    StateId, Storage, Target,
};

/// Timeout for the arrival of an expected wake-up.
const WAKE_UP_TIMEOUT: Duration = Duration::from_secs(60);

async fn poll(storage: &Arc<dyn Storage>, since: Option<&Position>) -> Changes {
    match storage.changes().poll(since).await.unwrap() {
        Polled::Primary(changes) => changes,
        other => panic!("{other:?}"),
    }
}

/// Returns the new states of the companies that changed between two polls, keyed by company. If the catalog changed,
/// the key `None` maps to its new state.
fn between(before: &Changes, after: &Changes) -> BTreeMap<Option<CompanyId>, StateId> {
    assert!(after.is_continuous, "{after:?}");
    let mut changed: BTreeMap<_, _> = after.companies.iter().map(|(id, state)| (Some(*id), *state)).collect();
    assert_eq!(changed.len(), after.companies.len(), "a poll must list each company once: {after:?}");
    if before.catalog != after.catalog {
        changed.insert(None, after.catalog);
    }
    let count = changed.len() + usize::from(before.credentials != after.credentials);
    let has_delays = after.delays.is_empty() || after.delays.len() == count;
    assert!(has_delays, "a storage that records the time of changes must state it for each change: {after:?}");
    changed
}

/// Reads the state (version and stamp) of a target without a poll, and returns it.
async fn state(storage: &Arc<dyn Storage>, target: Target) -> StateId {
    let snapshots = storage.reader().snapshots();
    match target {
        Target::Catalog => snapshots.load_catalog().await.unwrap().catalog_state(),
        Target::Company(company) => snapshots.load_company(company).await.unwrap().company_state(),
        Target::Credentials => storage.reader().credentials().changes_since(0).await.unwrap().state,
    }
}

/// A poll without a position lists no companies, and returns the current states of the catalog and of the credentials.
pub async fn the_first_poll_returns_the_current_versions(storage: Arc<dyn Storage>) {
    given(&storage, &[&level(some_company(), "Before"), &some_view()]).await;
    cut_off(&storage, some_user(), at(1)).await;
    let first = poll(&storage, None).await;
    assert!(!first.is_continuous && first.companies.is_empty(), "{first:?}");
    assert_eq!(first.catalog, state(&storage, Target::Catalog).await);
    assert_eq!(first.credentials, state(&storage, Target::Credentials).await);
    assert_eq!(first.epoch, versions(&storage, None).await.epoch);
    let next = poll(&storage, Some(&first.position)).await;
    assert_eq!(between(&first, &next), BTreeMap::new());
    assert_eq!((next.epoch, next.identity), (first.epoch, first.identity));
}

/// A change is reported only after its commit. Exactly one of several successive polls reports the change. The reported
/// state equals the state that other reads return.
pub async fn a_change_is_reported_once_when_it_is_committed(storage: Arc<dyn Storage>) {
    let (company, user) = (some_company(), some_user());
    let admin = level(company, "Admin");
    given(&storage, &[&admin]).await;
    let before = poll(&storage, None).await;

    let mut tx = begin(&storage, company).await;
    holding(user, &admin).store(tx.as_mut()).await.unwrap();
    tx.assignments_mut().remove(company, user, admin.id).await.unwrap();
    holding(user, &admin).store(tx.as_mut()).await.unwrap();
    let not_yet = poll(&storage, Some(&before.position)).await;
    assert_eq!(between(&before, &not_yet), BTreeMap::new());
    let committed = tx.commit().await.unwrap();
    let then = poll(&storage, Some(&not_yet.position)).await;
    let new = state(&storage, Target::Company(company)).await;
    assert_eq!(Some(new.version), committed.versions().map(|versions| versions.company));
    assert_eq!(between(&not_yet, &then), BTreeMap::from([(Some(company), new)]));
    let after = poll(&storage, Some(&then.position)).await;
    assert_eq!(between(&then, &after), BTreeMap::new(), "a change must be reported once");
    // Polls can be repeated: each poll from a position before the change reports the change.
    for _ in 0..2 {
        let again = poll(&storage, Some(&before.position)).await;
        assert_eq!(between(&before, &again), BTreeMap::from([(Some(company), new)]));
    }
}

/// Every kind of mutation is reported as a change of its target: a company, the catalog or the credentials.
pub async fn every_kind_of_change_is_reported(storage: Arc<dyn Storage>) {
    let (company, user, view, feature, module) =
        (some_company(), some_user(), some_view(), some_feature(), some_module());
    let (admin, unused) = (level(company, "Admin"), level(company, "Unused"));
    given(&storage, &[&view, &feature, &module, &admin, &unused]).await;
    let mut last = poll(&storage, None).await;

    macro_rules! reported {
        ($($about:expr, $tx:ident => $work:expr;)+) => {$({
            let target = HasTarget::target($about);
            change!(storage, target, $tx => $work).unwrap();
            let next = poll(&storage, Some(&last.position)).await;
            let expected = [(target.company(), state(&storage, target).await)];
            assert_eq!(between(&last, &next), expected.into(), "{}", stringify!($work));
            last = next;
        })+};
    }
    let (view_cell, feature_cell) =
        (view_cell(&admin, view.id, ViewState::Allow), feature_cell(&admin, feature.id, "Read"));
    let held = holding(user, &admin);
    let renamed = UserLevel { name: name("Renamed"), ..admin.clone() };
    let made = level(company, "Made");
    reported! {
        company, tx => tx.view_permissions_mut().upsert(&view_cell);
        company, tx => tx.view_permissions_mut().delete(company, admin.id, view.id);
        company, tx => tx.view_permissions_mut().replace_for_user_level(company, admin.id, &[view_cell.clone()]);
        company, tx => tx.feature_permissions_mut().upsert(&feature_cell);
        company, tx => tx.feature_permissions_mut().delete(company, admin.id, feature.id, &action("Read"));
        company, tx => tx.feature_permissions_mut().replace_for_user_level(company, admin.id, &[feature_cell.clone()]);
        company, tx => tx.assignments_mut().add(&held);
        company, tx => tx.assignments_mut().remove(company, user, admin.id);
        company, tx => tx.user_levels_mut().create(&made);
        company, tx => tx.user_levels_mut().update(&renamed);
        company, tx => tx.user_levels_mut().delete(company, unused.id);
        company, tx => tx.company_states_mut().set_provisioned(company);
        company, tx => tx.company_modules_mut().add(company, module.id);
        company, tx => tx.company_modules_mut().set_enabled(company, module.id, false);
        company, tx => tx.company_modules_mut().remove(company, module.id);
        company, tx => tx.company_modules_mut().replace_for_company(company, &[module.id]);
    }

    let (item, common) = (menu_item(Some(company), "Item"), menu_item(None, "Common"));
    let (below, below_common) = (sub_item(&item, "Below"), sub_item(&common, "Below"));
    reported! {
        company, tx => tx.menu_items_mut().create(&item);
        company, tx => tx.sub_menu_items_mut().create(Some(company), &below);
        company, tx => tx.menu_items_mut().update(&MenuItem { sort_order: 7, ..item.clone() });
        company, tx => tx.sub_menu_items_mut().delete(Some(company), below.id);
        company, tx => tx.menu_items_mut().delete(Some(company), item.id);
        Target::Catalog, tx => tx.menu_items_mut().create(&common);
        Target::Catalog, tx => tx.sub_menu_items_mut().create(None, &below_common);
        Target::Catalog, tx => tx.menu_items_mut().delete(None, common.id);
        Target::Catalog, tx => tx.feature_views_mut().add(feature.id, view.id);
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

    let one = key("One");
    cut_off(&storage, user, at(1)).await;
    let mut states = vec![last.credentials];
    for step in 0..3 {
        let next = poll(&storage, Some(&last.position)).await;
        assert_eq!(between(&last, &next), BTreeMap::new());
        assert_eq!(next.credentials, state(&storage, Target::Credentials).await);
        assert!(!states.contains(&next.credentials), "{states:?}");
        states.push(next.credentials);
        last = next;
        match step {
            0 => create(&storage, &[&one]).await,
            1 => drop(change!(storage, Target::Credentials, tx => tx.api_keys_mut().revoke(one.id)).unwrap()),
            _ => {}
        }
    }
}

/// Polls do not report units of work without an effect, writes of auxiliary data, or reads.
pub async fn a_unit_without_changes_is_not_reported(storage: Arc<dyn Storage>) {
    let (company, user, view, feature) = (some_company(), some_user(), some_view(), some_feature());
    let admin = level(company, "Admin");
    let held = holding(user, &admin);
    given(&storage, &[&view, &feature, &admin, &held]).await;
    let one = key("One");
    create(&storage, &[&one]).await;
    let before = poll(&storage, None).await;

    // The following units of work are rolled back, change nothing, or fail.
    let mut tx = begin(&storage, company).await;
    view_cell(&admin, view.id, ViewState::Deny).store(tx.as_mut()).await.unwrap();
    drop(tx);
    begin(&storage, company).await.commit().await.unwrap();
    change!(storage, company, tx => tx.assignments_mut().add(&held)).unwrap();
    let other_admin = level(company, "Admin");
    let refused = change!(storage, company, tx => tx.user_levels_mut().create(&other_admin));
    assert_conflict(refused, Constraint::UserLevelName);

    // The following operations write auxiliary data or read.
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
    storage.api_key_uses().record(&[(one.id, at(1))]).await.unwrap();
    let (now, hour) = (versions(&storage, Some(company)).await, Duration::from_secs(3600));
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
    storage.changes().acknowledge().await.unwrap();

    let after = poll(&storage, Some(&before.position)).await;
    assert_eq!(between(&before, &after), BTreeMap::new());
    assert_eq!(before.credentials, after.credentials);

    // Appending an audit record is a change.
    change!(storage, company, tx => tx.audit_logs_mut().append(&record(Some(company), at(0)))).unwrap();
    let then = poll(&storage, Some(&after.position)).await;
    assert_eq!(between(&after, &then).keys().collect::<Vec<_>>(), [&Some(company)]);
}

/// A change that is committed before a poll begins is reported by this poll or by an earlier one, even if other changes
/// are committed concurrently.
pub async fn a_poll_sees_what_committed_before_it_began(storage: Arc<dyn Storage>) {
    const CHANGES: usize = 40;
    let companies = [(); 4].map(|()| some_company());
    let levels = companies.map(|company| level(company, "Admin"));
    given_all(&storage, &levels).await;
    let first = poll(&storage, None).await;
    let writers = levels.iter().cloned().map(Some).chain([None]).map(|level| {
        let storage = Arc::clone(&storage);
        tokio::spawn(async move {
            for _ in 0..CHANGES {
                match &level {
                    Some(level) => given(&storage, &[&holding(some_user(), level)]).await,
                    None => given(&storage, &[&some_view()]).await,
                }
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let mut known: BTreeMap<_, _> = companies.map(|company| (company, 1_i64)).into();
    let (mut position, mut catalog) = (first.position, first.catalog.version);
    loop {
        let is_over = writers.iter().all(tokio::task::JoinHandle::is_finished);
        let mut seen = Vec::new();
        for company in companies {
            seen.push((company, versions(&storage, Some(company)).await));
        }
        let polled = poll(&storage, Some(&position)).await;
        for (company, state) in polled.companies {
            let before = known.insert(company, state.version);
            assert!(
                before.is_some_and(|before| before < state.version),
                "the version of {company} must increase: {before:?}, then {state:?}"
            );
        }
        catalog = catalog.max(polled.catalog.version);
        for (company, seen) in seen {
            assert!(
                known[&company] >= seen.company,
                "{company}: a read returned {seen} before the poll, but the polls reported only version {}",
                known[&company]
            );
            assert!(catalog >= seen.catalog);
        }
        position = polled.position;
        if is_over {
            break;
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
    for company in companies {
        assert_eq!(known[&company], versions(&storage, Some(company)).await.company);
    }
}

/// A commit notifies all listeners, and a subsequent poll reports the change. Dropping one listener does not affect the
/// other listeners.
pub async fn a_commit_wakes_the_listeners(storage: Arc<dyn Storage>) {
    let admin = level(some_company(), "Admin");
    given(&storage, &[&admin]).await;
    let company = admin.company_id;
    let mut listeners = Vec::new();
    for _ in 0..3 {
        listeners.push(storage.changes().listen().await.unwrap());
    }
    drop(listeners.pop());
    let mut last = poll(&storage, None).await;
    for _ in 0..5 {
        given(&storage, &[&holding(some_user(), &admin)]).await;
        let expected = state(&storage, Target::Company(company)).await;
        for listener in &mut listeners {
            // The wake-up of an earlier commit may arrive first. The loop therefore waits for further wake-ups.
            let found = async {
                loop {
                    listener.next().await.unwrap();
                    let polled = poll(&storage, Some(&last.position)).await;
                    if between(&last, &polled).get(&Some(company)) == Some(&expected) {
                        return;
                    }
                }
            };
            tokio::time::timeout(WAKE_UP_TIMEOUT, found).await.expect("a wake-up must arrive after the commit");
        }
        last = poll(&storage, Some(&last.position)).await;
    }
}

/// Waiting for a wake-up is cancel-safe: a listener that cancels a wait and waits again receives the wake-up.
pub async fn waiting_for_a_wake_up_is_cancel_safe(storage: Arc<dyn Storage>) {
    let admin = level(some_company(), "Admin");
    given(&storage, &[&admin]).await;
    let mut listener = storage.changes().listen().await.unwrap();
    let writer = tokio::spawn({
        let storage = Arc::clone(&storage);
        async move { given(&storage, &[&holding(some_user(), &admin)]).await }
    });
    let woken = async {
        loop {
            tokio::select! {
                biased;
                woken = listener.next() => return woken.unwrap(),
                () = tokio::task::yield_now() => {}
            }
        }
    };
    tokio::time::timeout(WAKE_UP_TIMEOUT, woken).await.expect("a wake-up must arrive");
    writer.await.unwrap();
}
