//! Test cases for users, API keys, and the data against which credentials are verified.

use std::sync::Arc;

use iam_domain::{
    Actor, ApiKey, ApiKeyDigest, ApiKeyId, ApiKeyPrefix, EntityType, ExternalId, RequestRate, ServiceRole, Timestamp,
    User, UserId,
};
use serde_json::json;
use uuid::Uuid;

use super::concurrency::at_once;
use super::fixtures::{
    at, begin, change, credentials_version, given, level, name, records_about, some_company, some_user, unique,
    versions,
};
use super::outcomes::{assert_conflict, assert_misuse, assert_not_found};
use crate::{ChangeContext, Constraint, Storage, Target};

fn prefix() -> ApiKeyPrefix {
    let random = Uuid::new_v4().simple().to_string();
    ApiKeyPrefix::parse(&random[..ApiKeyPrefix::LENGTH]).unwrap()
}

pub(super) fn key(text: &str) -> ApiKey {
    ApiKey {
        id: ApiKeyId::generate(at(0)),
        prefix: prefix(),
        name: name(text),
        role: ServiceRole::Check,
        company_id: Some(some_company()),
        requests_per_second: None,
        created_by: Some(some_user()),
        created_at: at(1),
        expires_at: Some(at(2)),
        revoked_at: None,
        last_used_at: None,
    }
}

fn external(subject: &str) -> ExternalId {
    ExternalId::parse(&unique(&format!("https://issuer.example|{subject}"))).unwrap()
}

const DIGEST: ApiKeyDigest = ApiKeyDigest([7; 32]);

pub(super) async fn create(storage: &Arc<dyn Storage>, keys: &[&ApiKey]) {
    let mut tx = begin(storage, Target::Credentials).await;
    for key in keys {
        tx.api_keys_mut().create(key, &DIGEST).await.unwrap();
    }
    tx.commit().await.unwrap();
}

pub(super) async fn cut_off(storage: &Arc<dyn Storage>, user: UserId, not_before: Timestamp) -> Option<Timestamp> {
    change!(storage, Target::Credentials, tx => tx.users_mut().cut_off(user, not_before)).unwrap()
}

async fn stored(storage: &Arc<dyn Storage>, users: &[UserId]) -> Vec<User> {
    storage.reader().users().find(users).await.unwrap()
}

/// An API key is returned as it was created, whether its optional fields are set or not. Lists are sorted by name, then
/// by id.
pub async fn a_key_is_read_as_created(storage: Arc<dyn Storage>) {
    let (later, first) = (key("B"), ApiKey { name: name("A"), ..key("A") });
    let bare =
        ApiKey { company_id: None, created_by: None, expires_at: None, role: ServiceRole::Administer, ..key("A") };
    create(&storage, &[&later, &first, &bare]).await;
    let keys = storage.reader().api_keys();
    for key in [&later, &first, &bare] {
        assert_eq!(keys.find_by_id(key.id).await.unwrap().as_ref(), Some(key));
    }
    assert_eq!(keys.find_by_id(ApiKeyId::generate(at(0))).await.unwrap(), None);
    let mine = [later.id, first.id, bare.id];
    let list: Vec<_> = keys.find_all().await.unwrap().into_iter().filter(|key| mine.contains(&key.id)).collect();
    let mut expected = vec![first, bare];
    expected.sort_by_key(|key| key.id);
    expected.push(later);
    assert_eq!(list, expected);
}

/// The rate of an API key is stored with the key and is in its audit record. A revocation preserves the rate.
pub async fn the_rate_of_a_key_is_stored(storage: Arc<dyn Storage>) {
    let credentials = storage.reader().credentials();
    for rate in [Some(1), Some(RequestRate::MAX), None] {
        let requests_per_second = rate.map(|rate| RequestRate::new(rate).unwrap());
        let one = ApiKey { requests_per_second, ..key("One") };
        let before = credentials_version(&storage).await;
        create(&storage, &[&one]).await;
        let keys = storage.reader().api_keys();
        assert_eq!(keys.find_by_id(one.id).await.unwrap().as_ref(), Some(&one));
        assert!(keys.find_all().await.unwrap().contains(&one));
        let changes = credentials.changes_since(before).await.unwrap();
        assert!(changes.api_keys.iter().any(|(key, _)| *key == one), "{rate:?}");
        change!(storage, Target::Credentials, tx => tx.api_keys_mut().revoke(one.id)).unwrap();
        assert_eq!(keys.find_by_id(one.id).await.unwrap().unwrap().requests_per_second, requests_per_second);
        let records = records_about(&storage, None, EntityType::ApiKey, one.id.as_uuid()).await;
        let created = records[0].changes.as_ref().unwrap();
        assert_eq!(
            (records[0].action.as_str(), &created["after"]["requestsPerSecond"]),
            ("api_key.created", &json!(rate))
        );
    }
}

/// The prefix and the id of an API key are unique.
pub async fn the_prefix_and_the_id_of_a_key_are_unique(storage: Arc<dyn Storage>) {
    let one = key("One");
    create(&storage, &[&one]).await;
    for other in [ApiKey { prefix: one.prefix.clone(), ..key("Other") }, ApiKey { id: one.id, ..key("Other") }] {
        let refused = change!(storage, Target::Credentials, tx => tx.api_keys_mut().create(&other, &DIGEST));
        assert_conflict(refused, Constraint::Duplicate);
    }
}

/// Revoking a key is idempotent: only the first unit of work that revokes the key sets the time of revocation. Revoking
/// the key again changes nothing and writes no audit record.
pub async fn a_key_is_revoked_once(storage: Arc<dyn Storage>) {
    let one = key("One");
    create(&storage, &[&one]).await;
    let mut tx = begin(&storage, Target::Credentials).await;
    let now = tx.now();
    assert_eq!(tx.api_keys_mut().revoke(one.id).await.unwrap(), one);
    let revoked = ApiKey { revoked_at: Some(now), ..one.clone() };
    assert_eq!(
        tx.api_keys().find_by_id(one.id).await.unwrap().as_ref(),
        Some(&revoked),
        "a read inside the unit of work must return the revoked key"
    );
    assert_eq!(
        storage.reader().api_keys().find_by_id(one.id).await.unwrap().as_ref(),
        Some(&one),
        "a read outside the unit of work must return the unrevoked key"
    );
    tx.commit().await.unwrap();
    let before = credentials_version(&storage).await;
    assert_eq!(change!(storage, Target::Credentials, tx => tx.api_keys_mut().revoke(one.id)).unwrap(), revoked);
    assert_eq!(credentials_version(&storage).await, before);
    assert_eq!(storage.reader().api_keys().find_by_id(one.id).await.unwrap(), Some(revoked));
    let unknown = ApiKeyId::generate(at(0));
    assert_not_found(change!(storage, Target::Credentials, tx => tx.api_keys_mut().revoke(unknown)));

    let records = records_about(&storage, None, EntityType::ApiKey, one.id.as_uuid()).await;
    let actions: Vec<_> = records.iter().map(|record| record.action.as_str()).collect();
    assert_eq!(actions, ["api_key.created", "api_key.revoked"]);
    assert!(!format!("{records:?}").contains("digest"), "no audit record may contain the digest of an API key");
}

/// Recording that a key was used increments no version. The key's last-used time is the latest recorded time.
pub async fn recording_key_uses_is_no_change(storage: Arc<dyn Storage>) {
    let (one, other) = (key("One"), key("Other"));
    create(&storage, &[&one, &other]).await;
    let before = credentials_version(&storage).await;
    let uses = storage.api_key_uses();
    uses.record(&[]).await.unwrap();
    uses.record(&[(one.id, at(5)), (ApiKeyId::generate(at(0)), at(9)), (one.id, at(4))]).await.unwrap();
    uses.record(&[(one.id, at(3)), (other.id, at(3))]).await.unwrap();
    let keys = storage.reader().api_keys();
    assert_eq!(keys.find_by_id(one.id).await.unwrap().unwrap().last_used_at, Some(at(5)));
    assert_eq!(keys.find_by_id(other.id).await.unwrap().unwrap().last_used_at, Some(at(3)));
    assert_eq!(credentials_version(&storage).await, before);
    change!(storage, Target::Credentials, tx => tx.api_keys_mut().revoke(one.id)).unwrap();
    assert_eq!(
        keys.find_by_id(one.id).await.unwrap().unwrap().last_used_at,
        Some(at(5)),
        "the revocation must preserve the last-used time"
    );
}

/// A user's token cut-off can be set, and can then be replaced by a later or an earlier time.
pub async fn a_cut_off_can_be_set_and_replaced(storage: Arc<dyn Storage>) {
    let (user, other) = (some_user(), some_user());
    assert_eq!(cut_off(&storage, user, at(1)).await, None);
    assert_eq!(cut_off(&storage, user, at(3)).await, Some(at(1)));
    let before = credentials_version(&storage).await;
    assert_eq!(cut_off(&storage, user, at(3)).await, Some(at(3)));
    assert_eq!(
        credentials_version(&storage).await,
        before,
        "setting the same cut-off again must not increment the version"
    );
    assert_eq!(cut_off(&storage, user, at(2)).await, Some(at(3)));
    let expected = User { id: user, external_id: None, not_before: Some(at(2)) };
    assert_eq!(stored(&storage, &[other, user, user]).await, [expected]);

    let records = records_about(&storage, None, EntityType::User, user.as_uuid()).await;
    assert_eq!(records.len(), 3);
    let changes = json!({ "before": { "notBefore": at(3) }, "after": { "notBefore": at(2) } });
    assert_eq!((records[2].action.as_str(), records[2].changes.as_ref()), ("user.cut_off", Some(&changes)));
}

/// Units of work for all targets return the token cut-off of the user who makes the change. If the actor is not a user,
/// they return no cut-off.
pub async fn a_unit_of_work_reads_the_cut_off_of_its_actor(storage: Arc<dyn Storage>) {
    let (user, other) = (some_user(), some_user());
    cut_off(&storage, user, at(3)).await;
    let targets = [Target::Company(some_company()), Target::Catalog, Target::Credentials];
    for target in targets {
        for (actor, expected) in [
            (Actor::User(user), Some(at(3))),
            (Actor::User(other), None),
            (Actor::ApiKey(ApiKeyId::from_uuid(user.as_uuid())), None),
            (Actor::CommandLine, None),
            (Actor::System, None),
        ] {
            let tx = storage.begin(target, ChangeContext::by(actor)).await.unwrap();
            assert_eq!(tx.actor_not_before(), expected, "{actor:?}, {target:?}");
        }
    }
}

/// The external id of a user is stored if the same unit of work also makes another change. Otherwise, it is not stored.
pub async fn external_users_are_registered_by_a_change(storage: Arc<dyn Storage>) {
    let (company, remembered, forgotten) = (some_company(), external("user|1"), external("user|2"));
    let mut tx = begin(&storage, company).await;
    tx.users_mut().remember(&[&remembered]).await.unwrap();
    tx.user_levels_mut().create(&level(company, "Any")).await.unwrap();
    tx.commit().await.unwrap();
    let before = versions(&storage, Some(company)).await;
    change!(storage, company, tx => tx.users_mut().remember(&[&forgotten])).unwrap();
    assert_eq!(versions(&storage, Some(company)).await, before);
    assert_eq!(cut_off(&storage, remembered.user_id(), at(1)).await, None);

    let mut tx = begin(&storage, Target::Credentials).await;
    tx.users_mut().remember(&[&remembered]).await.unwrap();
    tx.users_mut().cut_off(remembered.user_id(), at(2)).await.unwrap();
    tx.commit().await.unwrap();
    let ids = [remembered.user_id(), forgotten.user_id()];
    let expected = User { id: ids[0], external_id: Some(remembered), not_before: Some(at(2)) };
    assert_eq!(stored(&storage, &ids).await, [expected]);
}

/// Two units of work that store the same external id concurrently both succeed.
pub async fn concurrent_changes_register_an_external_user_once(storage: Arc<dyn Storage>) {
    let external = external("user");
    let remember = |storage: Arc<dyn Storage>, external: ExternalId| async move {
        let company = some_company();
        let mut tx = begin(&storage, company).await;
        tx.user_levels_mut().create(&level(company, "Any")).await.unwrap();
        tx.users_mut().remember(&[&external]).await.unwrap();
        tx.commit().await.unwrap();
    };
    let (one, other) = (remember(storage.clone(), external.clone()), remember(storage.clone(), external.clone()));
    at_once(one, other).await;
    assert_eq!(stored(&storage, &[external.user_id()]).await[0].external_id, Some(external));
}

/// `changes_since` returns the changes after a given version, and the current version of the credentials.
pub async fn credentials_are_read_since_a_version(storage: Arc<dyn Storage>) {
    let (user, other, one) = (some_user(), some_user(), key("One"));
    let credentials = storage.reader().credentials();
    let start = credentials_version(&storage).await;
    cut_off(&storage, user, at(1)).await;
    create(&storage, &[&one]).await;
    let all = credentials.changes_since(0).await.unwrap();
    assert_eq!(
        (all.state.version, all.epoch),
        (credentials_version(&storage).await, versions(&storage, None).await.epoch)
    );
    assert!(all.state.version > start);
    assert!(all.cutoffs.contains(&(user, at(1))));
    let (found, digest) = all.api_keys.iter().find(|(key, _)| key.id == one.id).unwrap();
    assert_eq!((found, digest.0), (&one, DIGEST.0));
    assert_eq!((all.latest, all.api_key_count), (Some(all.state.version), all.api_keys.len()));

    cut_off(&storage, other, at(2)).await;
    let next = credentials.changes_since(all.state.version).await.unwrap();
    assert!(next.account_for_the_state(all.state.version));
    assert_eq!((next.cutoffs, next.api_keys.len(), next.api_key_count), (vec![(other, at(2))], 0, all.api_key_count));
    let two = key("Two");
    create(&storage, &[&two]).await;
    let next = credentials.changes_since(next.state.version).await.unwrap();
    let made: Vec<_> = next.api_keys.iter().map(|(key, _)| key).collect();
    assert_eq!((next.cutoffs, made), (vec![], vec![&two]));
    change!(storage, Target::Credentials, tx => tx.api_keys_mut().revoke(one.id)).unwrap();
    let last = credentials.changes_since(next.state.version).await.unwrap();
    assert!(last.account_for_the_state(next.state.version));
    assert_eq!((last.cutoffs.len(), last.api_key_count), (0, all.api_key_count + 1));
    let [(revoked, _)] = last.api_keys.as_slice() else { panic!("expected one key") };
    assert_eq!((revoked.id, revoked.revoked_at.is_some()), (one.id, true));
    let nothing = credentials.changes_since(last.state.version).await.unwrap();
    assert_eq!((nothing.state.version, nothing.cutoffs.len(), nothing.api_keys.len()), (last.state.version, 0, 0));
    assert!(nothing.latest.is_none() && nothing.account_for_the_state(last.state.version));
}

/// A unit of work for the credentials can change cut-offs and API keys, and nothing else. Units of work for other
/// targets cannot change them. The version of the credentials is never returned as the version of a company.
pub async fn a_unit_of_the_credentials_changes_nothing_else(storage: Arc<dyn Storage>) {
    let (company, user) = (some_company(), some_user());
    for target in [Target::Catalog, Target::Company(company)] {
        assert_misuse(change!(storage, target, tx => tx.users_mut().cut_off(user, at(1))));
        assert_misuse(change!(storage, target, tx => tx.api_keys_mut().create(&key("One"), &DIGEST)));
        assert_misuse(change!(storage, target, tx => tx.api_keys_mut().revoke(key("One").id)));
    }
    let level = level(company, "Any");
    assert_misuse(change!(storage, Target::Credentials, tx => tx.user_levels_mut().create(&level)));
    let of_company = versions(&storage, Some(company)).await;
    cut_off(&storage, user, at(1)).await;
    assert_eq!(
        versions(&storage, Some(company)).await,
        of_company,
        "a change to the credentials must not increment other versions"
    );
    given(&storage, &[&level]).await;
    let max = iam_domain::CompanyId::from_uuid(Uuid::max());
    let states = storage.reader().company_states();
    assert_eq!(states.read(max).await.unwrap(), None);
}
