//! Tests that the effective-permission rows in the store always match the permissions that are resolved from the
//! current data.

use std::sync::Arc;

use iam_domain::ViewState;
use iam_permissions_cache::{FillOptions, Filled, Permissions, Subject};
use iam_storage::{EffectiveViewPermissions, Storage, Target};

use crate::replica::{Replica, alone, patient};
use crate::store::{Asked, Does, Store};
use crate::world::{company, expected_effective, sees, user};

/// Compares all effective-permission rows of a user with the permissions that are resolved from the current data.
/// Returns the number of view rows.
async fn rows(store: &Store, of: usize, who: usize) -> usize {
    let snapshot = store.snapshot(company(of), user(who)).await.value;
    let effective = expected_effective(&snapshot, Subject::User(user(who)));
    let views = store.find_all_for_user(company(of), user(who)).await.unwrap();
    for row in &views {
        assert_eq!(row.has_access, effective.views[&row.view_id]);
    }
    let features = store.effective_feature_permissions().find_all_for_user(company(of), user(who)).await.unwrap();
    for row in &features {
        let resolved = effective.features[&row.feature_id][&row.action];
        assert_eq!((row.allowed, row.scope), (resolved.allowed, resolved.scope));
    }
    views.len()
}

async fn filled_by(permissions: &Permissions, filled: &mut Filled, options: &FillOptions) -> usize {
    permissions.fill(filled, options).await
}

#[tokio::test]
async fn rows_are_written_once_within_the_bounds_and_active_users_are_warmed() {
    let store = Store::with_catalog().await;
    let options = FillOptions { max_users: 5, max_users_of_company: 2, ..FillOptions::default() };
    for of in 0..4 {
        store.company(of, 3).await;
    }
    let replica = Replica::new(&store, patient()).await;
    let permissions = &replica.permissions;
    for of in 0..4 {
        for who in 0..4 {
            sees(permissions, of, who).await;
        }
    }
    let (mut filled, mut written) = (Filled::default(), Vec::new());
    for _ in 0..5 {
        written.push(filled_by(permissions, &mut filled, &options).await);
    }
    assert!(written.iter().all(|users| *users <= 5) && written.iter().sum::<usize>() == 12, "{written:?}");
    assert_eq!(written.last(), Some(&0), "the last run must write no rows, because all rows are up to date");
    for of in 0..4 {
        for who in 0..4 {
            assert_eq!(rows(&store, of, who).await, if who < 3 { 3 } else { 0 });
        }
    }
    let later = alone(&store, patient());
    assert_eq!(later.warm(100).await.unwrap(), 12);
    assert_eq!(later.stats().members, 12);
}

#[tokio::test]
async fn warming_continues_after_a_load_that_a_change_overtook() {
    let store = Store::with_catalog().await;
    store.company(0, 3).await;
    let earlier = Replica::new(&store, patient()).await;
    for who in 0..3 {
        sees(&earlier.permissions, 0, who).await;
    }
    filled_by(&earlier.permissions, &mut Filled::default(), &FillOptions::default()).await;

    let later = Replica::new(&store, patient()).await;
    store.next(Asked::Users, Does::ReadThenHold);
    let permissions = Arc::clone(&later.permissions);
    let warming = tokio::spawn(async move { permissions.warm(100).await });
    store.held(Asked::Users, 1).await;
    store.say(0, ViewState::Deny).await;
    later.radio.heard_all().await;
    store.let_go(Asked::Users);
    assert_eq!(warming.await.unwrap().unwrap(), 3);
    assert_eq!(later.permissions.stats().members, 3);
    let loads = store.user_loads();
    for who in 0..3 {
        sees(&later.permissions, 0, who).await;
    }
    assert_eq!(store.user_loads(), loads);
}

#[tokio::test]
async fn rows_computed_before_a_change_are_not_written_after_it() {
    for catalog in [false, true] {
        let store = Store::with_catalog().await;
        store.company(0, 1).await;
        let replica = Replica::new(&store, patient()).await;
        let permissions = Arc::clone(&replica.permissions);
        assert!(sees(&permissions, 0, 0).await);
        store.next(Asked::Write, Does::HoldThenRead);
        let filling =
            tokio::spawn(async move { permissions.fill(&mut Filled::default(), &FillOptions::default()).await });
        store.held(Asked::Write, 1).await;
        let (target, versions) = if catalog {
            (Target::Catalog, store.rename_a_view().await)
        } else {
            (Target::Company(company(0)), store.say(0, ViewState::Deny).await)
        };
        replica.permissions.changed(target, versions);
        store.let_go(Asked::Write);
        assert_eq!(filling.await.unwrap(), 0);
        assert_eq!(rows(&store, 0, 0).await, 0);
    }
}
