//! Tests that the memory usage of the cache is bounded for any sequence of requests, and that the memory of evicted or
//! invalidated data is freed completely.

use std::sync::Arc;

use iam_domain::ViewState;
use iam_permissions_cache::CacheOptions;
use iam_storage::Target;

use crate::replica::{Replica, patient};
use crate::store::Store;
use crate::world::{company, hit, sees};

/// Creates a store with `companies` companies, each with `users` users.
async fn store_with(companies: usize, users: usize) -> Arc<Store> {
    let store = Store::with_catalog().await;
    for of in 0..companies {
        store.company(of, users).await;
    }
    store
}

/// Returns a deterministic sequence of pseudo-random numbers.
fn churn() -> impl Iterator<Item = usize> {
    std::iter::successors(Some(88_172_645_463_325_252_u64), |x| {
        let x = x ^ (x << 13);
        let x = x ^ (x >> 7);
        Some(x ^ (x << 17))
    })
    .map(|x| usize::try_from(x >> 33).unwrap())
}

#[tokio::test]
async fn members_non_members_and_companies_stay_within_their_bounds() {
    let store = store_with(30, 10).await;
    let options = CacheOptions { max_entries: 50, max_non_members: 20, ..patient() };
    let replica = Replica::new(&store, options).await;
    let permissions = &replica.permissions;
    let mut numbers = churn();
    for _ in 0..3000 {
        // Most of the requested companies and half of the requested users do not exist.
        let (of, who) = (numbers.next().unwrap() % 100, numbers.next().unwrap() % 20);
        assert_eq!(sees(permissions, of, who).await, of < 30 && who < 10);
        let stats = permissions.stats();
        assert!(stats.members <= 50 && stats.non_members <= 20, "{stats:?}");
        assert!(stats.companies <= 70 && stats.sets <= 70, "{stats:?}");
    }
    let stats = permissions.stats();
    assert_eq!((stats.members, stats.non_members), (50, 20));
    assert!(stats.evictions > 0);
    assert_eq!(stats.misses, stats.evictions + 70, "each miss must add an entry that is still cached or was evicted");
}

#[tokio::test]
async fn memory_usage_stays_within_its_bound_and_is_released() {
    let store = store_with(200, 1).await;
    let max_bytes = 40_000;
    let replica = Replica::new(&store, CacheOptions { max_bytes, ..patient() }).await;
    let permissions = &replica.permissions;
    for round in 0..5 {
        for of in 0..200 {
            assert!(sees(permissions, of, 0).await);
            assert!(permissions.stats().bytes <= max_bytes, "round {round}: {:?}", permissions.stats());
        }
    }
    let stats = permissions.stats();
    assert!(stats.evictions > 0 && stats.members > 0, "{stats:?}");
}

#[tokio::test]
async fn with_bounds_of_zero_nothing_is_cached_or_counted() {
    let store = store_with(20, 2).await;
    let options = CacheOptions { max_entries: 0, max_non_members: 0, ..patient() };
    let replica = Replica::new(&store, options).await;
    let permissions = &replica.permissions;
    for of in 0..40 {
        assert_eq!(sees(permissions, of, 0).await, of < 20);
        let stats = permissions.stats();
        assert_eq!((stats.members, stats.non_members, stats.companies, stats.sets), (0, 0, 0, 0), "{stats:?}");
    }
    // The map frees memory lazily. The memory that it has not freed yet is small and does not grow.
    assert!(permissions.stats().bytes < 64 * 1024, "{:?}", permissions.stats());
}

#[tokio::test]
async fn users_in_use_are_not_evicted() {
    let store = store_with(1, 200).await;
    let replica = Replica::new(&store, CacheOptions { max_entries: 10, ..patient() }).await;
    let permissions = &replica.permissions;
    for who in 0..200 {
        assert!(sees(permissions, 0, who).await);
        assert!(sees(permissions, 0, 0).await);
        assert_eq!(hit(permissions, 0, 0), Some(true), "after user {who}");
    }
    assert_eq!(store.user_loads(), 200);
}

#[tokio::test]
async fn non_members_evict_no_member() {
    let store = store_with(1, 10).await;
    let options = CacheOptions { max_entries: 10, max_non_members: 5, ..patient() };
    let replica = Replica::new(&store, options).await;
    let permissions = &replica.permissions;
    for who in 0..10 {
        assert!(sees(permissions, 0, who).await);
    }
    for who in 10..200 {
        assert!(!sees(permissions, who % 7, who).await);
    }
    for who in 0..10 {
        assert_eq!(hit(permissions, 0, who), Some(true));
    }
}

#[tokio::test]
async fn a_change_to_one_company_evicts_no_entries_of_others() {
    let store = store_with(50, 4).await;
    let replica = Replica::new(&store, patient()).await;
    let permissions = &replica.permissions;
    for of in 0..50 {
        for who in 0..4 {
            assert!(sees(permissions, of, who).await);
        }
    }
    let before = permissions.stats();
    assert_eq!(before.misses, 200);
    for round in 0..20 {
        let state = if round % 2 == 0 { ViewState::Deny } else { ViewState::Allow };
        permissions.changed(Target::Company(company(7)), store.say(7, state).await);
        for of in (0..50).filter(|of| *of != 7) {
            for who in 0..4 {
                assert_eq!(hit(permissions, of, who), Some(true));
            }
        }
    }
    let after = permissions.stats();
    assert_eq!((after.misses, after.loads, after.evictions), (before.misses, before.loads, before.evictions));
    assert_eq!(after.hits, before.hits + 20 * 49 * 4);
    assert!(after.invalidations >= 1);
}
