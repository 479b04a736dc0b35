//! Test cases for companies themselves: their details, and their erasure.

use std::collections::BTreeMap;
use std::sync::Arc;

use iam_domain::{
    Actor, ApiKey, CompanyDetails, CompanyId, CompanyStatus, EntityType, IdempotencyKey, Label, Scope, SessionId, Url,
    UserId, ViewState,
};
use serde_json::json;
use uuid::Uuid;

use super::credentials::{create, key};
use super::effective_rows::HOUR;
use super::fixtures::{
    OwnedSubItem, action, begin, change, feature_cell, given, given_all, holding, level, menu_item, name,
    records_about, some_company, some_feature, some_module, some_user, some_view, sub_item, unique, versions,
    view_cell,
};
use super::outcomes::{assert_conflict, assert_stale};
use super::profiles::profile;
use crate::{
    AuditFilter, ChangeContext, Constraint, ERASED_TABLES, ErasedRows, IdempotencyRecord, IdempotentRequest,
    NewEffectiveFeaturePermission, NewEffectiveViewPermission, NewTrailEntry, PageBounds, Storage, Target, UnitOfWork,
};

fn details(text: &str, status: CompanyStatus) -> CompanyDetails {
    CompanyDetails { name: Some(name(text)), status }
}

/// The name and the status of a company are read as written. Each change is recorded with the fields that changed.
/// Writing equal details changes nothing. Other companies are not affected.
pub async fn details_of_a_company_are_read_as_written(storage: Arc<dyn Storage>) {
    let (company, other) = (some_company(), some_company());
    given_all(&storage, &[level(company, "One"), level(other, "One")]).await;
    let read = async |company| storage.reader().company_states().read(company).await.unwrap().unwrap().details;
    let mut before = CompanyDetails::default();
    assert_eq!(read(company).await, before);
    let suspended = details("Ärzte & Söhne", CompanyStatus::Suspended);
    for after in [details("First", CompanyStatus::Active), suspended.clone(), suspended, CompanyDetails::default()] {
        let replaced = change!(storage, company, tx => tx.company_states_mut().replace_details(company, &after));
        assert_eq!(replaced.unwrap(), before);
        assert_eq!(read(company).await, after);
        before = after;
    }
    assert_eq!(read(other).await, CompanyDetails::default());
    let records = records_about(&storage, Some(company), EntityType::Company, company.as_uuid()).await;
    assert!(records.iter().all(|record| record.action == "company.updated"));
    let changes: Vec<_> = records.into_iter().map(|record| record.changes.unwrap()).collect();
    let expected = [
        json!({ "before": { "name": null }, "after": { "name": "First" } }),
        json!({
            "before": { "name": "First", "status": "active" },
            "after": { "name": "Ärzte & Söhne", "status": "suspended" },
        }),
        json!({
            "before": { "name": "Ärzte & Söhne", "status": "suspended" },
            "after": { "name": null, "status": "active" },
        }),
    ];
    assert_eq!(changes, expected);
}

/// Only a suspension without a new name counts as a removal.
pub async fn a_suspension_only_removes(storage: Arc<dyn Storage>) {
    let company = some_company();
    let (active, suspended) = (details("A", CompanyStatus::Active), details("A", CompanyStatus::Suspended));
    for (after, only_removes) in
        [(active.clone(), false), (suspended, true), (active, false), (details("B", CompanyStatus::Suspended), false)]
    {
        let mut tx = begin(&storage, company).await;
        tx.company_states_mut().replace_details(company, &after).await.unwrap();
        assert_eq!(tx.recorded().only_removes, only_removes, "{after:?}");
        tx.commit().await.unwrap();
    }
}

/// Every snapshot of a company contains the status of the company, also inside the unit of work that changes it.
pub async fn every_snapshot_contains_the_status(storage: Arc<dyn Storage>) {
    let (company, other, user) = (some_company(), some_company(), some_user());
    let (held, of_other) = (level(company, "Held"), level(other, "Held"));
    given(&storage, &[&held, &holding(user, &held), &of_other, &holding(user, &of_other)]).await;
    let suspended = details("Name", CompanyStatus::Suspended);
    let mut tx = begin(&storage, company).await;
    tx.company_states_mut().replace_details(company, &suspended).await.unwrap();
    let inside = tx.snapshots().load_user(company, user).await.unwrap().value;
    assert_eq!(inside.status, CompanyStatus::Suspended);
    tx.commit().await.unwrap();
    let snapshots = storage.reader().snapshots();
    for (id, level, expected) in
        [(company, held.id, CompanyStatus::Suspended), (other, of_other.id, CompanyStatus::Active)]
    {
        let statuses = [
            snapshots.load_user(id, user).await.unwrap().value.status,
            snapshots.load_levels(id, &[level]).await.unwrap().value.status,
            snapshots.load_users(id, &[user]).await.unwrap().value.status,
            snapshots.load_company(id).await.unwrap().value.status,
            snapshots.load_company(id).await.unwrap().value.of_user(user).status,
        ];
        assert_eq!(statuses, [expected; 5]);
    }
}

/// The companies of a user are listed with their names and status.
pub async fn memberships_contain_the_details_of_the_company(storage: Arc<dyn Storage>) {
    let (company, other, user) = (some_company(), some_company(), some_user());
    let (held, of_other) = (level(company, "Held"), level(other, "Held"));
    given(&storage, &[&held, &holding(user, &held), &of_other, &holding(user, &of_other)]).await;
    let suspended = details("Name", CompanyStatus::Suspended);
    change!(storage, company, tx => tx.company_states_mut().replace_details(company, &suspended)).unwrap();
    let memberships = storage.reader().assignments().get_memberships(user, None, 10).await.unwrap();
    let listed: Vec<_> = memberships.into_iter().map(|of| (of.company, of.details, of.levels)).collect();
    assert_eq!(listed, [(company, suspended, vec![held]), (other, CompanyDetails::default(), vec![of_other])]);
}

fn request_key() -> IdempotencyKey {
    IdempotencyKey::parse("key").unwrap()
}

fn record_of_request(tx: &dyn UnitOfWork, user: UserId) -> IdempotencyRecord {
    let (actor, path) = (Actor::User(user), "/api/iam/user-levels".to_owned());
    let request = IdempotentRequest { actor, key: request_key(), method: "POST".to_owned(), path, digest: [7; 32] };
    IdempotencyRecord { request, entity: Uuid::new_v4(), expires_at: tx.now().plus(HOUR) }
}

/// Creates rows of a company in every table, and returns a user of the company and an API key of the company.
async fn fill(storage: &Arc<dyn Storage>, company: CompanyId) -> (UserId, ApiKey) {
    let user = some_user();
    let (view, feature, module) = (some_view(), some_feature(), some_module());
    given(storage, &[&view, &feature, &module]).await;
    let (one, two) = (level(company, "One"), level(company, "Two"));
    let item = menu_item(Some(company), "Item");
    let (cell, action_cell) = (view_cell(&one, view.id, ViewState::Allow), feature_cell(&one, feature.id, "Read"));
    given(storage, &[&one, &two, &cell, &action_cell, &holding(user, &one), &holding(user, &two), &item]).await;
    given(storage, &[&OwnedSubItem(Some(company), &sub_item(&item, "Sub"))]).await;
    let mut tx = begin(storage, company).await;
    tx.company_modules_mut().add(company, module.id).await.unwrap();
    tx.company_states_mut().set_provisioned(company).await.unwrap();
    tx.user_profiles_mut().replace(&profile(company, user, "Ada")).await.unwrap();
    let record = record_of_request(tx.as_ref(), user);
    tx.idempotency_keys_mut().record(&record, 9).await.unwrap();
    let suspended = details("Name", CompanyStatus::Suspended);
    tx.company_states_mut().replace_details(company, &suspended).await.unwrap();
    tx.commit().await.unwrap();
    let key = ApiKey { company_id: Some(company), ..key("Key") };
    create(storage, &[&key]).await;
    storage.nav_trail().track(&step(company, user)).await.unwrap();
    let now = versions(storage, Some(company)).await;
    let views = [NewEffectiveViewPermission { user_id: user, view_id: view.id, has_access: false }];
    storage.effective_view_permissions().upsert_many(company, now, HOUR, &views).await.unwrap();
    let features = [NewEffectiveFeaturePermission {
        user_id: user,
        feature_id: feature.id,
        action: action("Read"),
        allowed: false,
        scope: Scope::Own,
    }];
    storage.effective_feature_permissions().upsert_many(company, now, HOUR, &features).await.unwrap();
    (user, key)
}

fn step(company: CompanyId, user: UserId) -> NewTrailEntry {
    NewTrailEntry {
        user_id: user,
        company_id: company,
        session_id: SessionId::parse(unique("session")).unwrap(),
        view_id: None,
        url: Url::parse("/a").unwrap(),
        label: Label::parse("A").unwrap(),
    }
}

async fn erase(storage: &Arc<dyn Storage>, company: CompanyId) -> ErasedRows {
    let mut tx = begin(storage, company).await;
    let rows = tx.company_states_mut().erase(company).await.unwrap();
    tx.commit().await.unwrap();
    rows
}

/// An erasure deletes all rows of the company, and returns their numbers. It leaves a tombstone, which keeps the version,
/// and one record in the audit log of the platform. The rows of other companies remain.
pub async fn an_erasure_deletes_all_rows_of_the_company(storage: Arc<dyn Storage>) {
    let (company, other) = (some_company(), some_company());
    let (user, key) = fill(&storage, company).await;
    let (neighbour, others_key) = fill(&storage, other).await;
    let all = AuditFilter::default();
    let records = storage.reader().audit_logs().count_for_company(Some(company), &all, 100).await.unwrap();
    let is_recorded = async |user| {
        let mut tx = begin(&storage, some_company()).await;
        tx.idempotency_keys_mut().find_record(Actor::User(user), &request_key()).await.unwrap().is_some()
    };
    assert!(is_recorded(user).await);
    let before = versions(&storage, Some(company)).await.company;

    let ErasedRows(rows) = erase(&storage, company).await;
    let mut expected: BTreeMap<_, _> = ERASED_TABLES.into_iter().map(|table| (table, 1)).collect();
    expected.extend([("user_levels", 2), ("user_user_levels", 2), ("iam_audit_logs", records)]);
    assert_eq!(rows, expected);

    let reader = storage.reader();
    let state = reader.company_states().read(company).await.unwrap().unwrap();
    assert_eq!((state.version, state.provisioned_at), (before + 1, None));
    assert_eq!(state.details, CompanyDetails { name: None, status: CompanyStatus::Suspended });
    assert!(state.erased_at.is_some());
    let snapshot = reader.snapshots().load_company(company).await.unwrap().value;
    assert!(snapshot.levels.is_empty() && snapshot.holders.is_empty() && snapshot.modules.is_empty());
    assert_eq!(snapshot.status, CompanyStatus::Suspended);
    assert_eq!(reader.user_levels().find_all(company).await.unwrap(), []);
    assert_eq!(reader.company_modules().get_modules_by_company(company).await.unwrap(), []);
    assert_eq!(reader.assignments().get_memberships(user, None, 10).await.unwrap(), []);
    assert_eq!(reader.user_profiles().find(company, &[user]).await.unwrap(), []);
    assert_eq!((is_recorded(user).await, is_recorded(neighbour).await), (false, true));
    assert_eq!(reader.menu_items().find_all(Some(company)).await.unwrap().len(), {
        reader.menu_items().find_all(None).await.unwrap().len()
    });
    assert_eq!(reader.api_keys().find_by_company(company).await.unwrap(), []);
    assert_eq!(reader.api_keys().find_by_id(key.id).await.unwrap(), None);
    assert_eq!(storage.nav_trail().find_recent(company, user, 10).await.unwrap(), []);
    let all = PageBounds { records: 10, bytes: u64::MAX };
    let logs = reader.audit_logs();
    let left = logs.list_for_company(Some(company), &AuditFilter::default(), None, all).await.unwrap();
    assert_eq!(left.records, []);

    let records = records_about(&storage, None, EntityType::Company, company.as_uuid()).await;
    let recorded: Vec<_> = records.iter().map(|record| (record.action.as_str(), record.company_id)).collect();
    assert_eq!(recorded, [("company.erased", None)]);
    assert_eq!(records[0].changes, Some(json!({ "rows": expected })));

    assert_eq!(reader.user_levels().find_all(other).await.unwrap().len(), 2);
    assert_eq!(reader.api_keys().find_by_company(other).await.unwrap(), [others_key]);
    assert_eq!(storage.nav_trail().find_recent(other, neighbour, 10).await.unwrap().len(), 1);
    assert_eq!(reader.user_profiles().find(other, &[neighbour]).await.unwrap().len(), 1);
    assert_eq!(storage.effective_view_permissions().delete_for_company(other).await.unwrap(), 1);
    assert_eq!(storage.effective_view_permissions().delete_for_company(company).await.unwrap(), 0);
    assert_eq!(storage.effective_feature_permissions().delete_for_company(company).await.unwrap(), 0);
}

/// No unit of work for an erased company can begin, and no auxiliary data of it can be stored. Its version stays.
pub async fn an_erased_company_cannot_be_changed(storage: Arc<dyn Storage>) {
    let company = some_company();
    let (user, _) = fill(&storage, company).await;
    erase(&storage, company).await;
    let before = versions(&storage, Some(company)).await;
    let again = storage.begin(Target::Company(company), ChangeContext::command_line()).await;
    assert_conflict(again.map(drop), Constraint::CompanyErased);
    assert_conflict(storage.nav_trail().track(&step(company, user)).await, Constraint::CompanyErased);
    let view = some_view();
    given(&storage, &[&view]).await;
    let now = versions(&storage, Some(company)).await;
    let views = [NewEffectiveViewPermission { user_id: user, view_id: view.id, has_access: false }];
    assert_stale(storage.effective_view_permissions().upsert_many(company, now, HOUR, &views).await);
    assert_eq!(now.company, before.company);
}

/// An erasure that is not committed deletes nothing.
pub async fn an_erasure_that_is_rolled_back_deletes_nothing(storage: Arc<dyn Storage>) {
    let company = some_company();
    let (user, key) = fill(&storage, company).await;
    let mut tx = begin(&storage, company).await;
    tx.company_states_mut().erase(company).await.unwrap();
    drop(tx);
    let reader = storage.reader();
    assert_eq!(reader.user_levels().find_all(company).await.unwrap().len(), 2);
    assert_eq!(reader.api_keys().find_by_company(company).await.unwrap(), [key]);
    assert_eq!(storage.nav_trail().find_recent(company, user, 10).await.unwrap().len(), 1);
    assert_eq!(records_about(&storage, None, EntityType::Company, company.as_uuid()).await, []);
}

/// The ids of erased rows can be used again.
pub async fn the_ids_of_erased_rows_can_be_used_again(storage: Arc<dyn Storage>) {
    let (company, other) = (some_company(), some_company());
    let one = level(company, "One");
    given(&storage, &[&one]).await;
    erase(&storage, company).await;
    let again = iam_domain::UserLevel { company_id: other, ..one };
    given(&storage, &[&again]).await;
    assert_eq!(storage.reader().user_levels().find_all(other).await.unwrap(), [again]);
}
