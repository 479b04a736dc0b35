//! Tests of the starts and ends of assignments: decisions change when the clock of the storage reaches them, although no
//! change is committed.

use std::sync::Arc;
use std::time::Duration;

use iam_domain::{Assignment, Period, Timestamp};
use iam_permissions_cache::{Consistency, LoadAllowance, Permissions, Subject};
use iam_storage::UnitOfWork;

use crate::replica::{alone, patient};
use crate::store::{Asked, Does, Store, eventually};
use crate::world::{company, hit, holding, sees, user};

/// The start and the end of the assignment of user 9, in seconds after the first time of the clock.
const START: u64 = 1000;
const END: u64 = 2000;

/// Returns a store in which user 9 holds the level of user 0 for a period, and the period.
async fn store() -> (Arc<Store>, Period) {
    let store = Store::with_catalog().await;
    store.company(0, 1).await;
    let mut period = Period::UNLIMITED;
    store
        .change_company(0, async |tx: &mut dyn UnitOfWork| {
            let now = tx.now();
            let after = |seconds| Some(now.plus(Duration::from_secs(seconds)));
            period = Period { starts_at: after(START), expires_at: after(END) };
            tx.assignments_mut().add(&Assignment { period, ..holding(0, 9, 0, now) }).await.map(drop)
        })
        .await;
    (store, period)
}

async fn boundary(permissions: &Permissions, who: usize) -> i64 {
    let access = permissions.access(company(0), Subject::User(user(who)), Consistency::Cached).await.unwrap();
    access.versions().boundary
}

fn micros(time: Option<Timestamp>) -> i64 {
    time.unwrap().micros()
}

/// A replica that has cached the users decides again at each boundary. The versions of all members contain the boundary,
/// and those of non-members do not.
#[tokio::test]
async fn decisions_and_versions_change_at_each_boundary() {
    let (store, period) = store().await;
    let permissions = alone(&store, patient());
    let ask =
        async || (sees(&permissions, 0, 9).await, boundary(&permissions, 9).await, boundary(&permissions, 0).await);
    assert_eq!(ask().await, (false, 0, 0));
    store.advance(START + 100);
    let start = micros(period.starts_at);
    assert_eq!(ask().await, (true, start, start));
    let loads = store.user_loads();
    assert_eq!(ask().await, (true, start, start));
    assert_eq!(store.user_loads(), loads, "the new sets must be served from the cache");
    store.advance(END - START);
    assert_eq!(ask().await, (false, 0, micros(period.expires_at)));
}

/// A request that arrives after a boundary does not receive the result of a load that read before it.
#[tokio::test]
async fn a_load_that_read_before_a_boundary_is_repeated() {
    let (store, _) = store().await;
    store.advance(START + 100);
    let permissions = alone(&store, patient());
    assert_eq!(hit(&permissions, 0, 9), None);
    store.next(Asked::User, Does::ReadThenHold);
    let ask = || {
        let permissions = Arc::clone(&permissions);
        tokio::spawn(async move { sees(&permissions, 0, 9).await })
    };
    let first = ask();
    store.held(Asked::User, 1).await;
    store.advance(END - START);
    // A poll measures the clock.
    sees(&permissions, 0, 8).await;
    let misses = permissions.stats().misses;
    let second = ask();
    eventually("the second request waits", || permissions.stats().misses > misses).await;
    store.let_go(Asked::User);
    assert!(!second.await.unwrap(), "the assignment has ended");
    first.await.unwrap();
}

/// A set that was replaced at a boundary is not served after a later change to the company, even if the clock is set
/// back.
#[tokio::test]
async fn a_change_invalidates_the_sets_of_all_boundaries() {
    let (store, _) = store().await;
    let permissions = alone(&store, patient());
    assert!(sees(&permissions, 0, 0).await);
    store.advance(START + 100);
    assert!(sees(&permissions, 0, 0).await);
    store.say(0, iam_domain::ViewState::Deny).await;
    assert!(!sees(&permissions, 0, 0).await);
}

/// Requests for several users do not receive the results of a load that read before a boundary.
#[tokio::test]
async fn a_load_of_several_users_that_read_before_a_boundary_is_repeated() {
    let (store, _) = store().await;
    store.advance(START + 100);
    let permissions = alone(&store, patient());
    sees(&permissions, 0, 8).await;
    store.next(Asked::Users, Does::ReadThenHold);
    let asking = {
        let permissions = Arc::clone(&permissions);
        tokio::spawn(async move {
            let subjects = [9, 7].map(|number| Subject::User(user(number)));
            let mut loads = LoadAllowance::default();
            let found = permissions.accesses(company(0), &subjects, Consistency::Cached, &mut loads).await.unwrap();
            (found[0].versions().boundary, loads.loads)
        })
    };
    store.held(Asked::Users, 1).await;
    store.advance(END - START);
    // The poll that confirms the cached data measures the clock.
    sees(&permissions, 0, 8).await;
    store.let_go(Asked::Users);
    let (boundary, loads) = asking.await.unwrap();
    assert_eq!((boundary, loads), (0, 4), "the assignment has ended, so its holder is not a member");
}
