//! Tests of loads. A request must receive the result of a load that began after every change that the request must
//! observe. A failed load must not cache any data.

use std::sync::Arc;

use iam_domain::{ApiKeyId, Caller, Decision, Reason, Service, ServiceRole, ViewState};
use iam_permissions_cache::{CacheOptions, Consistency, LoadAllowance, Subject};
use iam_storage::{StorageError, Target};

use crate::replica::{Replica, alone, ask, patient, waiting};
use crate::store::{Asked, Does, Store, eventually, let_others_go_first};
use crate::world::{company, hit, see, sees, sees_view_0, user};

async fn one_company() -> Arc<Store> {
    let store = Store::with_catalog().await;
    store.company(0, 3).await;
    store
}

/// A service holds no levels, so its decisions, its access id and its versions equal those of a non-member.
#[tokio::test]
async fn a_service_is_treated_as_a_non_member() {
    let store = one_company().await;
    let replica = Replica::new(&store, patient()).await;
    let key = ApiKeyId::from_uuid(user(0).as_uuid());
    let service =
        Subject::from(Caller::Service(Service { key, role: ServiceRole::Administer, company: None, rate: None }));
    let subjects = [Subject::User(user(0)), Subject::User(user(9)), service];
    let accesses = replica
        .permissions
        .accesses(company(0), &subjects, Consistency::Cached, &mut LoadAllowance::default())
        .await
        .unwrap();
    let [member, non_member, together] = accesses.as_slice() else { panic!("{accesses:?}") };
    let alone = replica.permissions.access(company(0), service, Consistency::Cached).await.unwrap();
    assert!(member.decide(&sees_view_0()).outcome.allowed);
    for access in [together, &alone] {
        assert!(access.is_non_member() && !access.is_member());
        assert_eq!((access.id(), access.versions()), (non_member.id(), non_member.versions()));
        assert_eq!(access.check(&sees_view_0()), Decision::of_view(false, Reason::NoUserLevels));
    }
}

#[tokio::test]
async fn a_thousand_waiting_requests_cause_one_load() {
    let store = one_company().await;
    let replica = Replica::new(&store, patient()).await;
    store.next(Asked::User, Does::HoldThenRead);
    let asking: Vec<_> = (0..1000).map(|_| ask(&replica.permissions, 0, Consistency::Cached)).collect();
    waiting(&replica.permissions, 1000).await;
    store.held(Asked::User, 1).await;
    store.let_go(Asked::User);
    for asking in asking {
        assert!(asking.await.unwrap().unwrap());
    }
    assert_eq!(store.user_loads(), 1);
}

#[tokio::test]
async fn a_request_for_the_current_state_is_not_served_by_an_earlier_load() {
    let store = one_company().await;
    let replica = Replica::new(&store, patient()).await;
    store.next(Asked::User, Does::ReadThenHold);
    let early = ask(&replica.permissions, 0, Consistency::Fresh);
    store.held(Asked::User, 1).await;
    // The load has read the old data. Another replica now changes the company, and this replica is not notified.
    replica.radio.silence();
    store.say(0, ViewState::Deny).await;
    let late: Vec<_> = (0..100).map(|_| ask(&replica.permissions, 0, Consistency::Fresh)).collect();
    waiting(&replica.permissions, 101).await;
    store.let_go(Asked::User);
    assert!(early.await.unwrap().unwrap());
    for late in late {
        assert!(!late.await.unwrap().unwrap());
    }
    assert_eq!(store.user_loads(), 2);
}

#[tokio::test]
async fn a_load_that_missed_a_change_is_not_cached_and_serves_no_later_request() {
    for consistency in [Consistency::Cached, Consistency::Fresh] {
        for here in [true, false] {
            let store = one_company().await;
            let replica = Replica::new(&store, patient()).await;
            let permissions = &replica.permissions;
            store.next(Asked::User, Does::ReadThenHold);
            let early = ask(permissions, 0, Consistency::Cached);
            store.held(Asked::User, 1).await;
            let versions = store.say(0, ViewState::Deny).await;
            if here {
                permissions.changed(Target::Company(company(0)), versions);
            } else {
                replica.radio.heard_all().await;
            }
            let late = ask(permissions, 0, consistency);
            waiting(permissions, 2).await;
            store.let_go(Asked::User);
            assert!(
                early.await.unwrap().unwrap(),
                "the early request must receive the result of its load, which read the old data"
            );
            assert!(!late.await.unwrap().unwrap());
            assert!(!sees(permissions, 0, 0).await);
            assert_eq!(store.user_loads(), 2);
        }
    }
}

#[tokio::test]
async fn a_load_that_missed_a_catalog_change_is_not_cached() {
    let store = one_company().await;
    let replica = Replica::new(&store, patient()).await;
    let permissions = &replica.permissions;
    store.next(Asked::User, Does::ReadThenHold);
    let early = ask(permissions, 0, Consistency::Cached);
    store.held(Asked::User, 1).await;
    permissions.changed(Target::Catalog, store.rename_a_view().await);
    store.let_go(Asked::User);
    assert!(early.await.unwrap().unwrap());
    assert_eq!(hit(permissions, 0, 0), None);
    let access = permissions.access(company(0), Subject::User(user(0)), Consistency::Cached).await.unwrap();
    assert_eq!(access.versions(), store.snapshot(company(0), user(0)).await.versions);
}

#[tokio::test]
async fn a_load_that_began_before_an_unknown_outcome_is_not_cached() {
    let store = one_company().await;
    let replica = Replica::new(&store, patient()).await;
    let permissions = &replica.permissions;
    store.next(Asked::User, Does::ReadThenHold);
    let early = ask(permissions, 0, Consistency::Cached);
    store.held(Asked::User, 1).await;
    replica.radio.silence();
    store.say(0, ViewState::Deny).await;
    permissions.distrust(Target::Company(company(0)));
    let late = ask(permissions, 0, Consistency::Cached);
    waiting(permissions, 2).await;
    store.let_go(Asked::User);
    assert!(early.await.unwrap().unwrap());
    assert!(!late.await.unwrap().unwrap());
    replica.radio.open();
    eventually("the entry is served again", || hit(permissions, 0, 0).is_some()).await;
    assert_eq!(hit(permissions, 0, 0), Some(false));
}

/// If a load misses a change while polls fail, its result is not cached, and later requests do not receive it. No other
/// data of the company is cached, so only the poll reveals that the load may have missed a change.
#[tokio::test]
async fn a_load_from_before_failed_polls_is_not_cached_and_serves_no_later_caller() {
    let store = one_company().await;
    let replica = Replica::new(&store, patient()).await;
    let permissions = &replica.permissions;
    store.next(Asked::User, Does::ReadThenHold);
    let early = ask(permissions, 0, Consistency::Cached);
    store.held(Asked::User, 1).await;
    replica.radio.cut();
    store.say(0, ViewState::Deny).await;
    replica.radio.open();
    replica.radio.heard_all().await;
    let late = ask(permissions, 0, Consistency::Cached);
    waiting(permissions, 2).await;
    store.let_go(Asked::User);
    assert!(
        early.await.unwrap().unwrap(),
        "the early request must receive the result of its load, which read the old data"
    );
    assert!(!late.await.unwrap().unwrap());
    assert_eq!(hit(permissions, 0, 0), Some(false));
}

/// The result of a load that missed a change is not cached, even if the company was evicted before the load ended.
#[tokio::test]
async fn a_load_that_missed_a_change_is_not_cached_after_its_company_was_evicted() {
    let store = one_company().await;
    let replica = Replica::new(&store, patient()).await;
    let permissions = &replica.permissions;
    store.next(Asked::User, Does::ReadThenHold);
    let early = ask(permissions, 0, Consistency::Cached);
    store.held(Asked::User, 1).await;
    permissions.changed(Target::Company(company(0)), store.say(0, ViewState::Deny).await);
    let (store, asking) = (Arc::clone(&store), Arc::clone(permissions));
    let late = tokio::spawn(async move {
        store.let_go(Asked::User);
        // The load ends, and the company is no longer tracked. The waiting requests have no result yet.
        let_others_go_first().await;
        sees(&asking, 0, 0).await
    });
    assert!(!late.await.unwrap());
    assert!(
        early.await.unwrap().unwrap(),
        "the early request must receive the result of its load, which read the old data"
    );
}

#[tokio::test]
async fn a_load_survives_the_end_of_the_request_that_began_it() {
    let store = one_company().await;
    let replica = Replica::new(&store, patient()).await;
    let permissions = &replica.permissions;
    store.next(Asked::User, Does::HoldThenRead);
    let first = ask(permissions, 0, Consistency::Cached);
    store.held(Asked::User, 1).await;
    let second = ask(permissions, 0, Consistency::Cached);
    waiting(permissions, 2).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    store.let_go(Asked::User);
    assert!(second.await.unwrap().unwrap());
    assert_eq!((store.user_loads(), hit(permissions, 0, 0)), (1, Some(true)));

    // A load also continues if no request waits for it.
    store.next(Asked::User, Does::HoldThenRead);
    let only = ask(permissions, 1, Consistency::Cached);
    store.held(Asked::User, 1).await;
    only.abort();
    assert!(only.await.unwrap_err().is_cancelled());
    store.let_go(Asked::User);
    eventually("the result of the load is cached", || hit(permissions, 0, 1) == Some(true)).await;
}

/// If a load fails, hangs or panics, the waiting requests fail, and the next request begins a new load. The paused
/// clock advances only while all tasks are idle, so only a load that hangs times out.
#[tokio::test(start_paused = true)]
async fn a_load_that_failed_is_repeated() {
    for does in [Does::Fail, Does::Hang, Does::Panic] {
        let store = one_company().await;
        let replica = Replica::new(&store, patient()).await;
        let permissions = &replica.permissions;
        store.next(Asked::User, does);
        let together = [0; 3].map(|who| ask(permissions, who, Consistency::Cached));
        for asking in together {
            let refused = asking.await.unwrap();
            assert!(matches!(refused, Err(StorageError::Unavailable { .. })), "{does:?}: {refused:?}");
        }
        assert_eq!(hit(permissions, 0, 0), None, "{does:?}");
        assert_eq!((permissions.stats().members, permissions.stats().non_members), (0, 0), "{does:?}");
        eventually("the load has ended", || permissions.stats().companies == 0).await;
        // The next request succeeds, both for another user of the company and for the same user.
        assert!(sees(permissions, 0, 1).await, "{does:?}");
        assert!(sees(permissions, 0, 0).await, "{does:?}");
    }
}

/// If a poll, a load of the catalog, or a load of several users fails, the request fails, and the next request
/// succeeds. The paused clock advances only while all tasks are idle, so only a load that hangs times out.
#[tokio::test(start_paused = true)]
async fn failures_of_other_reads_are_not_cached() {
    for does in [Does::Fail, Does::Hang, Does::Panic] {
        let store = one_company().await;
        let permissions = alone(&store, patient());
        assert!(sees(&permissions, 0, 0).await);
        store.next(Asked::Poll, does);
        assert!(see(&permissions, 0, 0, Consistency::Cached).await.is_err(), "{does:?}");
        assert!(sees(&permissions, 0, 0).await, "{does:?}");
        store.rename_a_view().await;
        store.next(Asked::Catalog, does);
        assert!(see(&permissions, 0, 0, Consistency::Cached).await.is_err(), "{does:?}");
        assert!(sees(&permissions, 0, 0).await, "{does:?}");
        store.next(Asked::Users, does);
        let subjects = [0, 1, 2].map(|who| Subject::User(user(who)));
        if does != Does::Panic {
            assert!(
                permissions
                    .accesses(company(0), &subjects, Consistency::Fresh, &mut LoadAllowance::default())
                    .await
                    .is_err(),
                "{does:?}"
            );
            assert_eq!(
                permissions
                    .accesses(company(0), &subjects, Consistency::Fresh, &mut LoadAllowance::default())
                    .await
                    .unwrap()
                    .len(),
                3
            );
        }
    }
}

#[tokio::test]
async fn the_number_of_concurrent_loads_is_bounded() {
    const AT_ONCE: usize = 3;
    let store = Store::with_catalog().await;
    for of in 0..20 {
        store.company(of, 1).await;
    }
    let replica = Replica::new(&store, CacheOptions { max_loads: AT_ONCE, ..patient() }).await;
    store.always(Asked::User, Does::HoldThenRead);
    let asking: Vec<_> = (0..20)
        .map(|of| {
            let permissions = Arc::clone(&replica.permissions);
            tokio::spawn(async move { sees(&permissions, of, 0).await })
        })
        .collect();
    waiting(&replica.permissions, 20).await;
    for done in 0..20_usize {
        store.held(Asked::User, AT_ONCE.min(20 - done)).await;
        assert_eq!(store.user_loads(), (done + AT_ONCE).min(20));
        store.let_go(Asked::User);
        eventually("one load is done", || replica.permissions.stats().members == done + 1).await;
    }
    for asking in asking {
        assert!(asking.await.unwrap());
    }
}

#[tokio::test]
async fn companies_and_users_are_loaded_by_both_ids() {
    let store = Store::with_catalog().await;
    store.company(0, 1).await;
    store.company(1, 2).await;
    store.say(1, ViewState::Deny).await;
    let replica = Replica::new(&store, patient()).await;
    for _ in 0..2 {
        assert!(sees(&replica.permissions, 0, 0).await);
        assert!(!sees(&replica.permissions, 0, 1).await);
        assert!(!sees(&replica.permissions, 1, 0).await);
    }
}
