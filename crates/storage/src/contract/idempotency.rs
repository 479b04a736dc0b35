//! Test cases for the records of requests with idempotency keys.

use std::sync::Arc;

use iam_domain::{Actor, ApiKeyId, IdempotencyKey, Timestamp};
use uuid::Uuid;

use super::fixtures::{at, begin, level, some_company, some_user, unique};
use crate::{IdempotencyRecord, IdempotentRequest, RecordOutcome, Storage, Target, UnitOfWork};

fn key() -> IdempotencyKey {
    IdempotencyKey::parse(&unique("key")).unwrap()
}

/// Returns a record that expires a minute after the unit of work, or a minute before it.
fn record(tx: &dyn UnitOfWork, actor: Actor, key: &IdempotencyKey, is_expired: bool) -> IdempotencyRecord {
    let now = tx.now();
    let minute = 60_000_000;
    let expires_at = Timestamp::from_micros(now.micros() + if is_expired { -minute } else { minute }).unwrap();
    let (method, path) = ("POST".to_owned(), "/api/iam/user-levels".to_owned());
    let request = IdempotentRequest { actor, key: key.clone(), method, path, digest: [7; 32] };
    IdempotencyRecord { request, entity: Uuid::new_v4(), expires_at }
}

/// Stores a record together with a new level.
async fn store(
    storage: &Arc<dyn Storage>,
    actor: Actor,
    key: &IdempotencyKey,
    is_expired: bool,
    limit: u32,
) -> (IdempotencyRecord, RecordOutcome) {
    let company = some_company();
    let mut tx = begin(storage, company).await;
    tx.user_levels_mut().create(&level(company, "Level")).await.unwrap();
    let record = record(tx.as_ref(), actor, key, is_expired);
    let outcome = tx.idempotency_keys_mut().record(&record, limit).await.unwrap();
    tx.commit().await.unwrap();
    (record, outcome)
}

async fn find(storage: &Arc<dyn Storage>, actor: Actor, key: &IdempotencyKey) -> Option<IdempotencyRecord> {
    let mut tx = begin(storage, Target::Catalog).await;
    tx.idempotency_keys_mut().find_record(actor, key).await.unwrap()
}

/// A record is read as it was written, by units of work for all targets, and only by its caller with its key.
pub async fn a_record_of_a_request_is_read_as_written(storage: Arc<dyn Storage>) {
    let (user, service) = (Actor::User(some_user()), Actor::ApiKey(ApiKeyId::generate(at(0))));
    let (one, other) = (key(), key());
    let (stored, outcome) = store(&storage, user, &one, false, 9).await;
    assert_eq!(outcome, RecordOutcome::Stored);
    assert_eq!(find(&storage, user, &one).await, Some(stored));
    assert_eq!(find(&storage, user, &other).await, None);
    assert_eq!(find(&storage, service, &one).await, None);
    assert_eq!(store(&storage, service, &one, false, 9).await.1, RecordOutcome::Stored);
}

/// A record is stored only by the commit of a unit of work that changes something.
pub async fn a_record_is_stored_together_with_a_change(storage: Arc<dyn Storage>) {
    let (company, user, own) = (some_company(), Actor::User(some_user()), key());
    for commits in [false, true] {
        let mut tx = begin(&storage, company).await;
        if !commits {
            tx.user_levels_mut().create(&level(company, "Level")).await.unwrap();
        }
        let record = record(tx.as_ref(), user, &own, false);
        tx.idempotency_keys_mut().record(&record, 9).await.unwrap();
        if commits {
            tx.commit().await.unwrap();
        } else {
            drop(tx);
        }
        assert_eq!(find(&storage, user, &own).await, None);
    }
}

/// A key that is in use cannot be recorded again until it expires. The number of valid records of a caller is limited.
pub async fn the_records_of_a_caller_are_limited(storage: Arc<dyn Storage>) {
    let user = Actor::User(some_user());
    let keys = [key(), key(), key()];
    let outcome = async |key: &IdempotencyKey, is_expired, limit| store(&storage, user, key, is_expired, limit).await.1;
    assert_eq!(outcome(&keys[0], true, 2).await, RecordOutcome::Stored);
    assert_eq!(find(&storage, user, &keys[0]).await, None);
    assert_eq!(outcome(&keys[0], false, 2).await, RecordOutcome::Stored);
    assert_eq!(outcome(&keys[0], false, 2).await, RecordOutcome::KeyInUse);
    assert_eq!(outcome(&keys[1], false, 2).await, RecordOutcome::Stored);
    assert_eq!(outcome(&keys[2], false, 2).await, RecordOutcome::LimitReached);
    assert_eq!(find(&storage, user, &keys[2]).await, None);
    assert_eq!(store(&storage, Actor::User(some_user()), &keys[2], false, 2).await.1, RecordOutcome::Stored);
}

/// Expired records are deleted in bounded batches. Valid records remain.
pub async fn expired_records_are_deleted(storage: Arc<dyn Storage>) {
    let user = Actor::User(some_user());
    let (valid, expired) = (key(), [key(), key(), key()]);
    while storage.idempotency_keys().delete_expired(100).await.unwrap() > 0 {}
    let (stored, _) = store(&storage, user, &valid, false, 9).await;
    for key in &expired {
        store(&storage, user, key, true, 9).await;
    }
    let delete = async || storage.idempotency_keys().delete_expired(2).await.unwrap();
    assert_eq!((delete().await, delete().await, delete().await), (2, 1, 0));
    assert_eq!(find(&storage, user, &valid).await, Some(stored));
}
