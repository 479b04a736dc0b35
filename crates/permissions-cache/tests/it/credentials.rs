//! Tests that token cut-offs and API keys have the same staleness bound as permissions.

use std::sync::Arc;
use std::time::Duration;

use iam_domain::{ApiKey, ApiKeyDigest, ApiKeyId, ApiKeyPrefix, CommitStamp, Name, ServiceRole, Timestamp};
use iam_permissions_cache::{CacheOptions, FillOptions, Permissions};
use iam_storage::{Storage, StorageError, Target};
use iam_storage_memory::MemoryStorage;
use tokio::task::yield_now;
use tokio::time::timeout;

use crate::replica::{Replica, alone, patient};
use crate::store::{Asked, Does, Store, clock, eventually, let_others_go_first};
use crate::world::{hit, sees, user};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + seconds * 1000).unwrap()
}

const DIGEST: ApiKeyDigest = ApiKeyDigest([3; 32]);

fn key() -> ApiKey {
    ApiKey {
        id: ApiKeyId::generate(at(0)),
        prefix: ApiKeyPrefix::parse("abcdefABCDEF").unwrap(),
        name: Name::parse("Key").unwrap(),
        role: ServiceRole::Check,
        company_id: None,
        requests_per_second: None,
        created_by: None,
        created_at: at(0),
        expires_at: None,
        revoked_at: None,
        last_used_at: None,
    }
}

impl Store {
    async fn cut_off(&self, number: usize, not_before: Timestamp) -> CommitStamp {
        self.change(Target::Credentials, async |tx| {
            tx.users_mut().cut_off(user(number), not_before).await?;
            Ok(())
        })
        .await
    }

    /// Creates an API key.
    async fn key(&self) -> ApiKey {
        let key = key();
        let create = async |tx: &mut dyn iam_storage::UnitOfWork| tx.api_keys_mut().create(&key, &DIGEST).await;
        self.change(Target::Credentials, create).await;
        key
    }

    async fn last_use(&self, key: ApiKeyId) -> Option<Timestamp> {
        self.memory.reader().api_keys().find_by_id(key).await.unwrap().unwrap().last_used_at
    }
}

async fn not_before(permissions: &Permissions, number: usize) -> Option<Timestamp> {
    permissions.credentials().not_before(user(number)).await.unwrap()
}

#[tokio::test]
async fn under_the_lease_credentials_are_read_once_and_then_only_their_changes() {
    let store = Store::with_catalog().await;
    store.cut_off(0, at(1)).await;
    let replica = Replica::new(&store, patient()).await;
    let permissions = &replica.permissions;
    assert_eq!(not_before(permissions, 0).await, Some(at(1)));
    for number in 0..10 {
        not_before(permissions, number).await;
    }
    assert_eq!(store.asked(Asked::Credentials), 1);
    // A poll reports a change of another process.
    store.cut_off(1, at(2)).await;
    replica.radio.heard_all().await;
    assert_eq!((not_before(permissions, 1).await, not_before(permissions, 0).await), (Some(at(2)), Some(at(1))));
    assert_eq!(store.asked(Asked::Credentials), 2);
    // A change to a company does not invalidate the credentials.
    store.company(0, 1).await;
    not_before(permissions, 0).await;
    assert_eq!(store.asked(Asked::Credentials), 2);
}

#[tokio::test]
async fn a_change_is_visible_to_the_replica_that_made_it() {
    let store = Store::with_catalog().await;
    let replica = Replica::new(&store, patient()).await;
    replica.radio.silence();
    for second in 1..10 {
        let versions = store.cut_off(0, at(second)).await;
        replica.permissions.changed(Target::Credentials, versions);
        assert_eq!(not_before(&replica.permissions, 0).await, Some(at(second)));
    }
}

#[tokio::test]
async fn without_a_follower_each_request_polls() {
    let store = Store::with_catalog().await;
    let permissions = alone(&store, patient());
    for second in 1..5 {
        store.cut_off(0, at(second)).await;
        assert_eq!(not_before(&permissions, 0).await, Some(at(second)));
    }
}

#[tokio::test]
async fn changes_missed_during_a_lost_connection_are_found() {
    let store = Store::with_catalog().await;
    store.company(0, 1).await;
    let replica = Replica::new(&store, patient()).await;
    assert_eq!(not_before(&replica.permissions, 0).await, None);
    assert!(sees(&replica.permissions, 0, 0).await);
    replica.radio.cut();
    store.cut_off(0, at(1)).await;
    replica.radio.open();
    replica.radio.heard_all().await;
    // The lease is valid again, so requests do not wait for a poll.
    eventually("cached data is served", || hit(&replica.permissions, 0, 0).is_some()).await;
    assert_eq!(not_before(&replica.permissions, 0).await, Some(at(1)));
}

#[tokio::test]
async fn a_load_from_before_a_change_serves_no_later_request() {
    let store = Store::with_catalog().await;
    let permissions = alone(&store, patient());
    store.next(Asked::Credentials, Does::ReadThenHold);
    let ask = || {
        let permissions = Arc::clone(&permissions);
        tokio::spawn(async move { not_before(&permissions, 0).await })
    };
    let early = ask();
    store.held(Asked::Credentials, 1).await;
    let versions = store.cut_off(0, at(1)).await;
    permissions.changed(Target::Credentials, versions);
    let late = ask();
    let_others_go_first().await;
    store.let_go(Asked::Credentials);
    assert_eq!(late.await.unwrap(), Some(at(1)));
    // A request that arrived before the change may receive the old or the new cut-off. Here the change is reported
    // before the load returns, so the request receives the new cut-off.
    assert_eq!(early.await.unwrap(), Some(at(1)));
}

#[tokio::test]
async fn a_thousand_waiting_requests_share_one_load_of_credentials() {
    let store = Store::with_catalog().await;
    let permissions = alone(&store, patient());
    store.next(Asked::Credentials, Does::HoldThenRead);
    let ask = || {
        let permissions = Arc::clone(&permissions);
        tokio::spawn(async move { not_before(&permissions, 0).await })
    };
    let first = ask();
    store.held(Asked::Credentials, 1).await;
    let others: Vec<_> = (0..1000).map(|_| ask()).collect();
    let_others_go_first().await;
    store.let_go(Asked::Credentials);
    first.await.unwrap();
    for other in others {
        other.await.unwrap();
    }
    assert!(store.asked(Asked::Credentials) <= 3, "{}", store.asked(Asked::Credentials));
}

#[tokio::test]
async fn authentication_does_not_wait_for_loads_of_users() {
    let store = Store::with_catalog().await;
    store.company(0, 1).await;
    store.cut_off(0, at(1)).await;
    let permissions = alone(&store, CacheOptions { max_loads: 1, ..patient() });
    store.always(Asked::User, Does::HoldThenRead);
    let others: Vec<_> = (0..5)
        .map(|number| {
            let permissions = Arc::clone(&permissions);
            tokio::spawn(async move {
                // Each company has a load of its own.
                crate::world::see(&permissions, number, 0, iam_permissions_cache::Consistency::Cached).await
            })
        })
        .collect();
    store.held(Asked::User, 1).await;
    assert_eq!(not_before(&permissions, 0).await, Some(at(1)));
    others.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_storage_failure_is_an_error_except_within_the_grace_period() {
    let store = Store::with_catalog().await;
    store.cut_off(0, at(1)).await;
    let strict = alone(&store, patient());
    let lenient = alone(&store, CacheOptions { outage_grace: std::time::Duration::from_secs(3600), ..patient() });
    assert_eq!(not_before(&strict, 0).await, Some(at(1)));
    assert_eq!(not_before(&lenient, 0).await, Some(at(1)));
    let never_asked = alone(&store, CacheOptions { outage_grace: std::time::Duration::from_secs(3600), ..patient() });
    store.all(Does::Fail);
    for permissions in [&strict, &never_asked] {
        assert!(matches!(permissions.credentials().not_before(user(0)).await, Err(StorageError::Unavailable { .. })));
    }
    assert_eq!(not_before(&lenient, 0).await, Some(at(1)));
    // The outage grace does not apply to cached data that a committed change may have made outdated.
    lenient.distrust(Target::Credentials);
    assert!(matches!(lenient.credentials().not_before(user(0)).await, Err(StorageError::Unavailable { .. })));
}

#[tokio::test]
async fn after_a_change_with_unknown_outcome_every_request_reads_the_storage() {
    let store = Store::with_catalog().await;
    let replica = Replica::new(&store, patient()).await;
    replica.radio.silence();
    let permissions = &replica.permissions;
    assert_eq!(not_before(permissions, 0).await, None);
    store.cut_off(0, at(1)).await;
    permissions.distrust(Target::Credentials);
    assert_eq!(not_before(permissions, 0).await, Some(at(1)));
}

#[tokio::test]
async fn a_load_from_before_a_change_with_unknown_outcome_confirms_nothing() {
    let store = Store::with_catalog().await;
    let replica = Replica::new(&store, patient()).await;
    replica.radio.silence();
    let permissions = &replica.permissions;
    store.next(Asked::Credentials, Does::ReadThenHold);
    let early = tokio::spawn({
        let permissions = Arc::clone(permissions);
        async move { not_before(&permissions, 0).await }
    });
    store.held(Asked::Credentials, 1).await;
    store.cut_off(0, at(1)).await;
    permissions.distrust(Target::Credentials);
    store.let_go(Asked::Credentials);
    early.await.unwrap();
    assert_eq!(not_before(permissions, 0).await, Some(at(1)));
}

#[tokio::test]
async fn the_grace_ends() {
    let store = Store::with_catalog().await;
    store.cut_off(0, at(1)).await;
    let permissions = alone(&store, CacheOptions { outage_grace: Duration::from_millis(50), ..patient() });
    assert_eq!(not_before(&permissions, 0).await, Some(at(1)));
    store.all(Does::Fail);
    let ends = async {
        while permissions.credentials().not_before(user(0)).await.is_ok() {
            yield_now().await;
        }
    };
    assert!(timeout(Duration::from_secs(30), ends).await.is_ok(), "the outage grace must expire");
}

#[tokio::test]
async fn credentials_of_two_databases_are_never_mixed() {
    let store = Store::with_catalog().await;
    store.cut_off(0, at(1)).await;
    store.cut_off(1, at(1)).await;
    let permissions = alone(&store, patient());
    assert_eq!(not_before(&permissions, 0).await, Some(at(1)));
    let other = Arc::new(MemoryStorage::new(clock()));
    let mut tx = other.begin(Target::Credentials, iam_storage::ChangeContext::command_line()).await.unwrap();
    tx.users_mut().cut_off(user(1), at(9)).await.unwrap();
    tx.commit().await.unwrap();
    store.restore(other);
    assert_eq!((not_before(&permissions, 0).await, not_before(&permissions, 1).await), (None, Some(at(9))));
}

#[tokio::test]
async fn keys_are_found_by_prefix_until_revoked_and_their_use_is_recorded_once_a_minute() {
    let store = Store::with_catalog().await;
    let key = store.key().await;
    let permissions = alone(&store, patient());
    let known = permissions.credentials().api_key(&key.prefix).await.unwrap().unwrap();
    assert_eq!((&known.key, known.digest.0), (&key, DIGEST.0));
    assert!(permissions.credentials().api_key(&ApiKeyPrefix::parse("000000000000").unwrap()).await.unwrap().is_none());
    for second in [100, 101, 159, 160, 161] {
        permissions.credentials().note_use(&known, at(second));
        permissions.note_uses().await;
    }
    assert_eq!(store.last_use(key.id).await, Some(at(160)));
    // A replica that reads the key for the first time also reads the time of its last recorded use.
    let other = alone(&store, patient());
    let known = other.credentials().api_key(&key.prefix).await.unwrap().unwrap();
    other.credentials().note_use(&known, at(219));
    other.note_uses().await;
    assert_eq!(store.last_use(key.id).await, Some(at(160)));
    store
        .change(Target::Credentials, async |tx| {
            tx.api_keys_mut().revoke(key.id).await?;
            Ok(())
        })
        .await;
    let known = permissions.credentials().api_key(&key.prefix).await.unwrap().unwrap();
    assert!(!known.key.is_good(at(0)));
}

#[tokio::test]
async fn maintenance_records_when_keys_were_used() {
    let store = Store::with_catalog().await;
    let key = store.key().await;
    let permissions = alone(&store, patient());
    let known = permissions.credentials().api_key(&key.prefix).await.unwrap().unwrap();
    permissions.credentials().note_use(&known, at(100));
    let noted = async {
        while store.last_use(key.id).await != Some(at(100)) {
            yield_now().await;
        }
    };
    tokio::select! {
        () = permissions.maintain(FillOptions { every: Duration::from_millis(1), ..FillOptions::default() }) => {}
        noted = timeout(Duration::from_secs(30), noted) => assert!(noted.is_ok(), "the use must be stored"),
    }
}
