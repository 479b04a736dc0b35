//! Tests of the loads of different users of one company, which share statements.

use std::sync::Arc;

use iam_domain::ViewState;
use iam_permissions_cache::{Access, Consistency, Permissions, Subject};
use iam_storage::{Result, StorageError, Target, UnitOfWork};
use tokio::task::JoinHandle;

use crate::replica::{Replica, ask, patient, waiting};
use crate::store::{Asked, Does, Store, eventually};
use crate::world::{a_level, company, compare, hit, holding, sees, user, view, view_cell};

/// The number of users of company 0 who hold levels.
const MEMBERS: usize = 6;

/// Creates a store with two companies. In company 0, users 0 to 5 hold level 0, and users 3 to 5 also hold level 1, which
/// denies view 0. In company 1, user 0 holds level 0.
async fn two_companies() -> Arc<Store> {
    let store = Store::with_catalog().await;
    store.company(0, MEMBERS).await;
    store.company(1, 1).await;
    store
        .change_company(0, async |tx: &mut dyn UnitOfWork| {
            let now = tx.now();
            tx.user_levels_mut().create(&a_level(0, 1, now)).await?;
            tx.view_permissions_mut().upsert(&view_cell(0, 1, view(0), ViewState::Deny, now)).await?;
            for who in 3..MEMBERS {
                tx.assignments_mut().add(&holding(0, who, 1, now)).await?;
            }
            Ok(())
        })
        .await;
    store
}

/// Reads the access of a user of company 0 in a separate task.
fn access(permissions: &Arc<Permissions>, who: usize, consistency: Consistency) -> JoinHandle<Result<Access>> {
    let permissions = Arc::clone(permissions);
    tokio::spawn(async move { permissions.access(company(0), Subject::User(user(who)), consistency).await })
}

/// Begins two loads of other users of company 0, which are blocked until the test releases them.
async fn two_loads(store: &Store, permissions: &Arc<Permissions>) -> [JoinHandle<Result<bool>>; 2] {
    let before = permissions.stats().misses;
    store.next(Asked::User, Does::HoldThenRead);
    let first = ask(permissions, 90, Consistency::Cached);
    store.held(Asked::User, 1).await;
    store.next(Asked::User, Does::HoldThenRead);
    let second = ask(permissions, 91, Consistency::Cached);
    store.held(Asked::User, 2).await;
    waiting(permissions, before + 2).await;
    [first, second]
}

#[tokio::test]
async fn waiting_users_of_a_company_share_one_load_and_receive_their_own_permissions() {
    for consistency in [Consistency::Cached, Consistency::Fresh] {
        let store = two_companies().await;
        let replica = Replica::new(&store, patient()).await;
        let permissions = &replica.permissions;
        let first = two_loads(&store, permissions).await;
        // User 6 is a non-member.
        let asking: Vec<_> = (0..=MEMBERS).map(|who| (who, access(permissions, who, consistency))).collect();
        waiting(permissions, 9).await;
        assert_eq!(store.user_loads(), 2, "a company must have at most two loads in progress");
        store.let_go(Asked::User);
        for (who, asking) in asking {
            let access = asking.await.unwrap().unwrap();
            let stored = store.snapshot(company(0), user(who)).await;
            compare(&access, &stored.value).unwrap();
            assert_eq!(access.is_member(), who < MEMBERS);
            if access.is_member() {
                assert_eq!(access.versions(), stored.versions);
            }
            assert_eq!(hit(permissions, 0, who), Some(who < 3), "the result must be cached");
        }
        assert_eq!((store.asked(Asked::User), store.asked(Asked::Users)), (2, 1));
        store.let_go(Asked::User);
        for first in first {
            assert!(!first.await.unwrap().unwrap());
        }
    }
}

#[tokio::test]
async fn loads_of_a_company_that_hang_delay_no_other_company() {
    let store = two_companies().await;
    let replica = Replica::new(&store, patient()).await;
    let permissions = &replica.permissions;
    let first = two_loads(&store, permissions).await;
    let waiting_users = [0, 3].map(|who| ask(permissions, who, Consistency::Cached));
    waiting(permissions, 4).await;
    assert!(sees(permissions, 1, 0).await);
    assert_eq!((store.asked(Asked::User), store.asked(Asked::Users)), (3, 0));
    store.let_go(Asked::User);
    store.let_go(Asked::User);
    let [allowed, denied] = waiting_users;
    assert!(allowed.await.unwrap().unwrap() && !denied.await.unwrap().unwrap());
    for first in first {
        assert!(!first.await.unwrap().unwrap());
    }
}

/// The paused clock advances only while all tasks are idle, so only loads that hang time out.
#[tokio::test(start_paused = true)]
async fn a_company_whose_loads_hung_loads_again_after_the_timeout() {
    let store = two_companies().await;
    let replica = Replica::new(&store, patient()).await;
    let permissions = &replica.permissions;
    let mut hanging = Vec::new();
    for who in [0, 1] {
        store.next(Asked::User, Does::Hang);
        hanging.push(ask(permissions, who, Consistency::Cached));
        eventually("the load hangs", || store.asked(Asked::User) == who + 1).await;
    }
    // This user waits, and is loaded when the two loads have timed out.
    let next = tokio::spawn({
        let permissions = Arc::clone(permissions);
        async move {
            tokio::time::sleep(patient().load_timeout / 2).await;
            sees(&permissions, 0, 2).await
        }
    });
    for hanging in hanging {
        assert!(matches!(hanging.await.unwrap(), Err(StorageError::Unavailable { .. })));
    }
    assert!(next.await.unwrap());
    assert!(sees(permissions, 0, 0).await && sees(permissions, 0, 1).await);
}

/// If a load of several users fails or panics, only the requests that wait for this load fail.
#[tokio::test]
async fn a_batch_that_fails_affects_only_its_own_requests() {
    for does in [Does::Fail, Does::Panic] {
        let store = two_companies().await;
        let replica = Replica::new(&store, patient()).await;
        let permissions = &replica.permissions;
        let first = two_loads(&store, permissions).await;
        store.next(Asked::Users, does);
        let batch = [0, 1, 4].map(|who| ask(permissions, who, Consistency::Cached));
        waiting(permissions, 5).await;
        store.let_go(Asked::User);
        for asking in batch {
            assert!(matches!(asking.await.unwrap(), Err(StorageError::Unavailable { .. })), "{does:?}");
        }
        assert_eq!(hit(permissions, 0, 0), None, "{does:?}");
        store.let_go(Asked::User);
        for first in first {
            assert!(!first.await.unwrap().unwrap(), "{does:?}");
        }
        assert!(sees(permissions, 0, 0).await && !sees(permissions, 0, 4).await, "{does:?}");
    }
}

/// If the data of one user of a batch cannot be parsed, the other users of the batch are loaded.
#[tokio::test]
async fn a_row_that_cannot_be_parsed_affects_only_the_users_who_depend_on_it() {
    let store = two_companies().await;
    let replica = Replica::new(&store, patient()).await;
    let permissions = &replica.permissions;
    let first = two_loads(&store, permissions).await;
    store.next(Asked::Users, Does::Corrupt);
    store.next(Asked::User, Does::Answer);
    store.next(Asked::User, Does::Corrupt);
    let [good, bad, other] = [0, 1, 4].map(|who| ask(permissions, who, Consistency::Cached));
    waiting(permissions, 5).await;
    store.let_go(Asked::User);
    assert!(good.await.unwrap().unwrap() && !other.await.unwrap().unwrap());
    let refused = bad.await.unwrap();
    assert!(matches!(refused, Err(StorageError::Corrupt { .. })), "{refused:?}");
    assert_eq!([0, 1, 4].map(|who| hit(permissions, 0, who)), [Some(true), None, Some(false)]);
    store.let_go(Asked::User);
    for first in first {
        assert!(!first.await.unwrap().unwrap());
    }
}

/// A batch that missed a change is not cached, and a request that arrived after the change receives a later load.
#[tokio::test]
async fn a_batch_that_missed_a_change_is_not_cached_and_serves_no_later_request() {
    for consistency in [Consistency::Cached, Consistency::Fresh] {
        let store = two_companies().await;
        let replica = Replica::new(&store, patient()).await;
        let permissions = &replica.permissions;
        let first = two_loads(&store, permissions).await;
        store.next(Asked::Users, Does::ReadThenHold);
        let early = [0, 1].map(|who| ask(permissions, who, Consistency::Cached));
        waiting(permissions, 4).await;
        store.let_go(Asked::User);
        store.held(Asked::Users, 1).await;
        let stamp = store.say(0, ViewState::Deny).await;
        permissions.changed(Target::Company(company(0)), stamp);
        store.next(Asked::Users, Does::HoldThenRead);
        let late = [0, 1].map(|who| ask(permissions, who, consistency));
        waiting(permissions, 6).await;
        store.let_go(Asked::Users);
        for early in early {
            assert!(early.await.unwrap().unwrap(), "the batch read the old data");
        }
        store.held(Asked::Users, 1).await;
        assert_eq!([0, 1].map(|who| hit(permissions, 0, who)), [None; 2]);
        store.let_go(Asked::Users);
        for late in late {
            assert!(!late.await.unwrap().unwrap());
        }
        store.let_go(Asked::User);
        assert_eq!([0, 1].map(|who| hit(permissions, 0, who)), [Some(false); 2]);
        for first in first {
            assert!(!first.await.unwrap().unwrap());
        }
    }
}

/// A request joins a batch that began earlier, if it accepts the state that the batch reads and its user is in the batch.
#[tokio::test]
async fn a_request_for_a_user_of_a_batch_in_progress_causes_no_load() {
    let store = two_companies().await;
    let replica = Replica::new(&store, patient()).await;
    let permissions = &replica.permissions;
    let first = two_loads(&store, permissions).await;
    store.next(Asked::Users, Does::HoldThenRead);
    let early = [0, 1].map(|who| ask(permissions, who, Consistency::Cached));
    waiting(permissions, 4).await;
    store.let_go(Asked::User);
    store.held(Asked::Users, 1).await;
    let late = ask(permissions, 1, Consistency::Cached);
    waiting(permissions, 5).await;
    store.let_go(Asked::Users);
    for asking in early.into_iter().chain([late]) {
        assert!(asking.await.unwrap().unwrap());
    }
    assert_eq!(store.user_loads(), 3);
    store.let_go(Asked::User);
    for first in first {
        assert!(!first.await.unwrap().unwrap());
    }
}

#[tokio::test]
async fn a_batch_contains_at_most_64_users() {
    const USERS: usize = 130;
    let store = two_companies().await;
    store
        .change_company(0, async |tx: &mut dyn UnitOfWork| {
            let now = tx.now();
            tx.user_levels_mut().create(&a_level(0, 2, now)).await?;
            for who in MEMBERS..USERS {
                tx.assignments_mut().add(&holding(0, who, who % 3, now)).await?;
            }
            Ok(())
        })
        .await;
    let replica = Replica::new(&store, patient()).await;
    let permissions = &replica.permissions;
    let first = two_loads(&store, permissions).await;
    let others: Vec<_> = (0..USERS).filter(|who| ![90, 91].contains(who)).collect();
    let asking: Vec<_> = others.iter().map(|who| (*who, access(permissions, *who, Consistency::Cached))).collect();
    waiting(permissions, 130).await;
    store.let_go(Asked::User);
    store.let_go(Asked::User);
    for (who, asking) in asking {
        compare(&asking.await.unwrap().unwrap(), &store.snapshot(company(0), user(who)).await.value).unwrap();
    }
    for first in first {
        first.await.unwrap().unwrap();
    }
    // 128 users: two batches of 64.
    assert_eq!((store.asked(Asked::User), store.asked(Asked::Users)), (2, 2));
}
