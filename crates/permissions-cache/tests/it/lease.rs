//! Tests of the lease: cached data is served only while it is confirmed to be up to date, except within the outage
//! grace.

use std::sync::Arc;
use std::time::Duration;

use iam_domain::{CommitStamp, Versions, ViewState};
use iam_permissions_cache::{CacheOptions, Consistency, Subject};
use iam_storage::{Stamped, Storage, StorageError, Target, UnitOfWork};
use iam_storage_memory::MemoryStorage;
use tokio::task::yield_now;

use crate::replica::{Replica, alone, patient};
use crate::store::{Asked, Does, Store, eventually, let_others_go_first};
use crate::world::{a_level, company, hit, holding, see, sees, user};

/// Returns options with a lease that is short enough for a test to wait until it expires.
fn brief() -> CacheOptions {
    CacheOptions { lease: Duration::from_millis(100), ..patient() }
}

async fn one_company() -> Arc<Store> {
    let store = Store::with_catalog().await;
    store.company(0, 1).await;
    store
}

#[tokio::test]
async fn without_background_polling_each_request_costs_one_poll_and_no_load() {
    let store = one_company().await;
    let permissions = alone(&store, patient());
    assert!(sees(&permissions, 0, 0).await);
    let (loads, polls) = (store.user_loads(), store.asked(Asked::Poll));
    for number in 1..=3 {
        assert_eq!(hit(&permissions, 0, 0), None);
        assert!(sees(&permissions, 0, 0).await);
        assert_eq!((store.asked(Asked::Poll), store.user_loads()), (polls + number, loads), "request {number}");
    }
    // The poll detects a change that no wake-up announced.
    store.say(0, ViewState::Deny).await;
    assert!(!sees(&permissions, 0, 0).await);
}

#[tokio::test]
async fn a_thousand_waiting_requests_share_one_poll() {
    const MANY: usize = 1000;
    let store = Store::with_catalog().await;
    for of in 0..MANY {
        store.company(of, 1).await;
    }
    let permissions = alone(&store, patient());
    for of in 0..MANY {
        assert!(sees(&permissions, of, 0).await);
    }
    let (loads, polls) = (store.user_loads(), store.asked(Asked::Poll));
    store.next(Asked::Poll, Does::HoldThenRead);
    let before = permissions.stats().confirmations;
    let ask = |of| {
        let permissions = Arc::clone(&permissions);
        tokio::spawn(async move { sees(&permissions, of, 0).await })
    };
    let first = ask(0);
    store.held(Asked::Poll, 1).await;
    let others: Vec<_> = (0..MANY).map(ask).collect();
    eventually("all requests wait", || permissions.stats().confirmations > before + MANY as u64).await;
    store.let_go(Asked::Poll);
    for asking in others.into_iter().chain([first]) {
        assert!(asking.await.unwrap());
    }
    assert_eq!((store.asked(Asked::Poll), store.user_loads()), (polls + 2, loads));
}

/// A failed poll does not confirm the cached data: concurrent and later requests are not served outdated data.
#[tokio::test]
async fn a_failed_poll_loses_no_change() {
    let store = one_company().await;
    let permissions = alone(&store, patient());
    let ask = |turns| {
        let permissions = Arc::clone(&permissions);
        tokio::spawn(async move {
            for _ in 0..turns {
                let_others_go_first().await;
            }
            see(&permissions, 0, 0, Consistency::Cached).await
        })
    };
    // The second request arrives at a different point of the first request's poll in each iteration.
    for turns in 0..12 {
        permissions.changed(Target::Company(company(0)), store.say(0, ViewState::Allow).await);
        assert!(sees(&permissions, 0, 0).await);
        store.say(0, ViewState::Deny).await;
        store.next(Asked::Poll, Does::Fail);
        let (first, second) = (ask(0), ask(turns));
        for answer in [first.await.unwrap(), second.await.unwrap()] {
            assert_ne!(answer.ok(), Some(true), "after {turns} turns");
        }
    }
}

#[tokio::test]
async fn a_valid_lease_causes_no_queries_and_expires_without_polls() {
    let store = one_company().await;
    let replica = Replica::new(&store, brief()).await;
    let permissions = &replica.permissions;
    assert!(sees(permissions, 0, 0).await);
    eventually("a cache hit occurs", || hit(permissions, 0, 0) == Some(true)).await;
    replica.radio.silence();
    store.say(0, ViewState::Deny).await;
    eventually("the lease expires", || hit(permissions, 0, 0).is_none()).await;
    replica.radio.open();
    assert!(!sees(permissions, 0, 0).await);
}

#[tokio::test]
async fn failed_polls_lose_no_change_for_any_length_of_time() {
    let store = one_company().await;
    store.company(1, 1).await;
    let replica = Replica::new(&store, brief()).await;
    let permissions = &replica.permissions;
    assert!(sees(permissions, 0, 0).await && sees(permissions, 1, 0).await);
    let loads = store.user_loads();
    replica.radio.cut();
    eventually("the lease expires", || hit(permissions, 0, 0).is_none()).await;
    // The company changes while polls fail and no request arrives.
    store.say(0, ViewState::Deny).await;
    replica.radio.open();
    eventually("unchanged entries are served again", || hit(permissions, 1, 0) == Some(true)).await;
    assert_eq!(store.user_loads(), loads, "unchanged entries must not be loaded again");
    assert_eq!(hit(permissions, 0, 0), None);
    assert!(!sees(permissions, 0, 0).await);
    eventually("a cache hit occurs", || hit(permissions, 0, 0) == Some(false)).await;
}

#[tokio::test]
async fn thousands_of_cached_companies_cost_no_more_than_one_when_polls_fail() {
    const HOT: usize = 2500;
    let store = Store::with_catalog().await;
    for of in 0..HOT {
        store.company(of, 1).await;
    }
    let replica = Replica::new(&store, patient()).await;
    let permissions = &replica.permissions;
    for of in 0..HOT {
        assert!(sees(permissions, of, 0).await);
    }
    let loads = store.user_loads();
    permissions.distrust(Target::Credentials);
    assert_eq!(hit(permissions, 0, 0), None, "a change of unknown outcome must revoke the lease");
    let polls = store.asked(Asked::Poll);
    let asking: Vec<_> = (0..HOT)
        .map(|of| {
            let permissions = Arc::clone(permissions);
            tokio::spawn(async move { sees(&permissions, of, 0).await })
        })
        .collect();
    for asking in asking {
        assert!(asking.await.unwrap());
    }
    assert!(store.asked(Asked::Poll) <= polls + 3, "all waiting requests must share at most three polls");
    assert!((0..HOT).all(|of| hit(permissions, of, 0) == Some(true)));
    assert_eq!(store.user_loads(), loads);
}

#[tokio::test]
async fn without_the_storage_cached_data_is_served_until_the_lease_expires() {
    let store = one_company().await;
    let replica = Replica::new(&store, patient()).await;
    let permissions = &replica.permissions;
    assert!(sees(permissions, 0, 0).await);
    eventually("a cache hit occurs", || hit(permissions, 0, 0) == Some(true)).await;
    store.all(Does::Fail);
    assert_eq!(hit(permissions, 0, 0), Some(true));
    permissions.distrust(Target::Credentials);
    assert_eq!(hit(permissions, 0, 0), None, "the cache must serve no data after the lease was revoked");
    for consistency in [Consistency::Cached, Consistency::Fresh] {
        let refused = see(permissions, 0, 0, consistency).await;
        assert!(matches!(refused, Err(StorageError::Unavailable { .. })), "{refused:?}");
    }
    store.all(Does::Answer);
    assert!(sees(permissions, 0, 0).await);
}

#[tokio::test]
async fn without_a_grace_period_nothing_is_served_after_the_lease() {
    let store = one_company().await;
    let permissions = alone(&store, patient());
    for _ in 0..50 {
        assert!(sees(&permissions, 0, 0).await);
        store.next(Asked::Poll, Does::Fail);
        assert!(see(&permissions, 0, 0, Consistency::Cached).await.is_err());
    }
}

#[tokio::test]
async fn within_the_grace_period_responses_state_their_age() {
    let store = one_company().await;
    let hour = Duration::from_secs(3600);
    let permissions = alone(&store, CacheOptions { outage_grace: hour, ..patient() });
    assert!(sees(&permissions, 0, 0).await);
    let known = permissions.access(company(0), Subject::User(user(0)), Consistency::Cached).await.unwrap();
    assert_eq!(known.age(), None);
    store.all(Does::Fail);
    let access = async |consistency| permissions.access(company(0), Subject::User(user(0)), consistency).await;
    let old = access(Consistency::Cached).await.unwrap();
    assert!(old.age().is_some_and(|age| age < hour));
    assert_eq!(old.versions(), known.versions());
    let old = access(Consistency::AtLeast(known.versions())).await.unwrap();
    assert!(old.age().is_some());
    let newer = Versions { company: known.versions().company + 1, ..known.versions() };
    assert!(access(Consistency::AtLeast(newer)).await.is_err());
    assert!(access(Consistency::Fresh).await.is_err());
    assert!(
        see(&permissions, 0, 7, Consistency::Cached).await.is_err(),
        "a user who is not cached must receive an error during the outage"
    );
    // An entry that is known to be outdated is not served, even within the outage grace.
    permissions.changed(Target::Company(company(0)), CommitStamp::Company(newer));
    assert!(access(Consistency::Cached).await.is_err());
}

#[tokio::test]
async fn the_grace_period_excludes_data_that_an_unknown_outcome_may_affect() {
    for target in [Target::Company(company(0)), Target::Catalog] {
        let store = one_company().await;
        let permissions = alone(&store, CacheOptions { outage_grace: Duration::from_secs(3600), ..patient() });
        assert!(sees(&permissions, 0, 0).await);
        store.all(Does::Fail);
        assert!(sees(&permissions, 0, 0).await);
        permissions.distrust(target);
        assert!(see(&permissions, 0, 0, Consistency::Cached).await.is_err(), "{target:?}");
        store.all(Does::Answer);
        assert!(sees(&permissions, 0, 0).await);
        store.all(Does::Fail);
        assert!(sees(&permissions, 0, 0).await, "the entry must be served again, because a poll has confirmed it");
    }
}

#[tokio::test]
async fn during_an_outage_requests_do_not_wait_for_a_poll_of_their_own() {
    let store = one_company().await;
    let (lease, minute) = (Duration::from_millis(20), Duration::from_secs(60));
    let options = CacheOptions { lease, load_timeout: minute, outage_grace: minute, ..CacheOptions::default() };
    let replica = Replica::new(&store, options).await;
    let access = async || {
        let cached = replica.permissions.access(company(0), Subject::User(user(0)), Consistency::Cached);
        cached.await.unwrap()
    };
    assert!(sees(&replica.permissions, 0, 0).await);
    store.all(Does::Fail);
    while access().await.age().is_none() {
        yield_now().await;
    }
    // From now on, no poll completes. A request that waited for a poll would wait for a minute.
    store.all(Does::Hang);
    let waited = tokio::time::timeout(minute / 6, access()).await;
    assert!(waited.unwrap().age().is_some());
    store.all(Does::Answer);
}

#[tokio::test]
async fn the_grace_ends() {
    let store = one_company().await;
    let permissions = alone(&store, CacheOptions { outage_grace: Duration::from_millis(50), ..patient() });
    assert!(sees(&permissions, 0, 0).await);
    store.all(Does::Fail);
    while see(&permissions, 0, 0, Consistency::Cached).await.is_ok() {
        yield_now().await;
    }
}

/// Creates another database with the same company. Its versions are lower than those of the first database.
async fn another_database() -> Arc<MemoryStorage> {
    let other = one_company().await;
    other
        .change_company(0, async |tx: &mut dyn UnitOfWork| {
            tx.assignments_mut().replace_for_user(company(0), user(0), &[], None).await.map(drop)
        })
        .await;
    Arc::clone(&other.memory)
}

#[tokio::test]
async fn another_database_invalidates_everything() {
    let store = one_company().await;
    for state in [ViewState::Deny, ViewState::Allow, ViewState::Deny, ViewState::Allow] {
        store.say(0, state).await;
    }
    store.company(1, 1).await;
    let replica = Replica::new(&store, patient()).await;
    let permissions = &replica.permissions;
    assert!(sees(permissions, 0, 0).await && sees(permissions, 1, 0).await);
    let of_old = permissions.access(company(0), Subject::User(user(0)), Consistency::Cached).await.unwrap().versions();
    store.restore(another_database().await);
    // The first read detects the other database by its epoch.
    assert!(!see(permissions, 0, 0, Consistency::Fresh).await.unwrap());
    for of in [0, 1] {
        assert_eq!(hit(permissions, of, 0), None);
        assert!(!sees(permissions, of, 0).await);
    }
    // A caller that requires the versions of the old database immediately receives a result from the new database.
    assert!(!see(permissions, 0, 0, Consistency::AtLeast(of_old)).await.unwrap());
}

/// If a load returns a version that is lower than the known version, requests fail until the epoch has been renewed.
/// After that, the epoch is not renewed again.
#[tokio::test]
async fn a_lower_version_in_a_load_ends_the_lease_and_renews_the_epoch_once() {
    let store = one_company().await;
    store.say(0, ViewState::Allow).await;
    let permissions = alone(&store, patient());
    assert!(sees(&permissions, 0, 0).await);
    let stored = store.memory.reader().snapshots().load_user(company(0), user(0)).await.unwrap();
    let versions = Versions { company: stored.versions.company - 1, ..stored.versions };
    store.script(Stamped { versions, ..stored });
    // No poll runs until the epoch has been renewed.
    store.always(Asked::Renew, Does::Fail);
    let polls = store.asked(Asked::Poll);
    for renewals in 1..=3 {
        let refused = see(&permissions, 0, 0, Consistency::Fresh).await;
        assert!(matches!(refused, Err(StorageError::Unavailable { .. })), "{refused:?}");
        assert_eq!((store.asked(Asked::Renew), store.asked(Asked::Poll)), (renewals, polls));
    }
    store.always(Asked::Renew, Does::Answer);
    for _ in 0..3 {
        assert!(see(&permissions, 0, 0, Consistency::Fresh).await.unwrap());
        assert_eq!(
            store.asked(Asked::Renew),
            4,
            "the epoch must not be renewed again after it was renewed successfully"
        );
    }
}

#[tokio::test]
async fn a_minimum_version_of_another_database_is_served_by_a_later_load() {
    let store = one_company().await;
    let replica = Replica::new(&store, patient()).await;
    let permissions = &replica.permissions;
    assert!(sees(permissions, 0, 0).await);
    let known = permissions.access(company(0), Subject::User(user(0)), Consistency::Cached).await.unwrap().versions();
    let loads = store.user_loads();
    let elsewhere = Versions { epoch: known.epoch ^ 1, ..known };
    assert!(see(permissions, 0, 0, Consistency::AtLeast(elsewhere)).await.unwrap());
    assert_eq!(store.user_loads(), loads + 1);
    assert!(see(permissions, 0, 0, Consistency::AtLeast(known)).await.unwrap());
    assert_eq!(store.user_loads(), loads + 1, "the cached set must satisfy the required versions without a load");
}

#[tokio::test]
async fn a_future_minimum_version_fails_at_once_and_discloses_nothing_to_non_members() {
    let store = one_company().await;
    let replica = Replica::new(&store, patient()).await;
    let permissions = &replica.permissions;
    let known = permissions.access(company(0), Subject::User(user(0)), Consistency::Cached).await.unwrap().versions();
    for newer in [Versions { company: known.company + 1, ..known }, Versions { catalog: known.catalog + 1, ..known }] {
        let refused = see(permissions, 0, 0, Consistency::AtLeast(newer)).await;
        assert!(matches!(refused, Err(StorageError::Unavailable { .. })), "{refused:?}");
        let non_member = Subject::User(user(9));
        let access = permissions.access(company(0), non_member, Consistency::AtLeast(newer)).await.unwrap();
        assert!(access.is_non_member() && access.versions().company == 0);
    }
    let versions = store
        .change_company(0, async |tx: &mut dyn UnitOfWork| {
            let now = tx.now();
            tx.user_levels_mut().create(&a_level(0, 1, now)).await?;
            tx.assignments_mut().add(&holding(0, 9, 1, now)).await.map(drop)
        })
        .await
        .versions()
        .unwrap();
    let access = permissions.access(company(0), Subject::User(user(9)), Consistency::AtLeast(versions)).await.unwrap();
    assert!(access.is_member() && access.versions() == versions);
}
