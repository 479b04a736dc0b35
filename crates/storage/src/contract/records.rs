//! Test cases for audit records. Records are stored exactly as they were appended. Lists of records can be filtered,
//! and are returned page by page.

use std::collections::BTreeSet;
use std::sync::Arc;

use iam_domain::{
    Actor, ApiKeyId, AuditRecord, AuditRecordId, Description, EntityType, UserId, UserLevel, UserLevelId,
    ViewPermission, ViewState,
};
use serde_json::json;
use uuid::Uuid;

use super::audit::{append, listed, record};
use super::fixtures::{
    Given, at, begin, change, given, keys, level, name, records_about, some_company, some_user, some_view, view_cell,
};
use super::outcomes::{assert_conflict, assert_misuse};
use crate::{AuditCursor, AuditFilter, Constraint, PageBounds, Recorded, Storage, Target};

/// An appended record is returned unchanged, together with the derived record of the mutation in the same unit of work.
pub async fn an_appended_record_is_read_as_written(storage: Arc<dyn Storage>) {
    let company = some_company();
    let mut tx = begin(&storage, company).await;
    let now = tx.now();
    let full = AuditRecord {
        actor: Actor::ApiKey(ApiKeyId::generate(now)),
        changes: Some(json!({ "text": "ä\"\\'%_𝕏", "nested": [1, 2.5, null, true, { "": [] }] })),
        metadata: Some(json!({ "requestId": "r" })),
        ..record(Some(company), now)
    };
    let bare = record(Some(company), now);
    tx.audit_logs_mut().append(&full).await.unwrap();
    tx.audit_logs_mut().append(&bare).await.unwrap();
    level(company, "Level").store(tx.as_mut()).await.unwrap();
    tx.commit().await.unwrap();

    for appended in [full, bare] {
        let found = records_about(&storage, Some(company), appended.entity_type, appended.entity_id).await;
        assert_eq!(found, [appended]);
    }
    assert_eq!(listed(&storage, Some(company), &AuditFilter::default()).await.len(), 3);
}

/// A unit of work for a company rejects records of other companies and of the platform. A unit of work for the catalog
/// rejects records of a company.
pub async fn a_unit_of_work_rejects_records_of_other_targets(storage: Arc<dyn Storage>) {
    let (mine, theirs) = (some_company(), some_company());
    for (target, company) in
        [(Target::Company(mine), Some(theirs)), (Target::Company(mine), None), (Target::Catalog, Some(mine))]
    {
        let foreign = record(company, at(0));
        assert_misuse(change!(storage, target, tx => tx.audit_logs_mut().append(&foreign)));
        assert_eq!(records_about(&storage, company, foreign.entity_type, foreign.entity_id).await, []);
    }
}

/// The records of each company and of the platform are isolated from one another.
pub async fn records_of_companies_and_platform_are_separate(storage: Arc<dyn Storage>) {
    let (mine, theirs, user) = (Some(some_company()), Some(some_company()), some_user());
    let entity_id = Uuid::new_v4();
    let owners = [mine, theirs, None];
    let records = owners.map(|owner| AuditRecord { actor: Actor::User(user), entity_id, ..record(owner, at(0)) });
    for record in &records {
        append(&storage, std::slice::from_ref(record)).await;
    }
    let logs = storage.reader().audit_logs();
    let about = AuditFilter { entity_id: Some(entity_id), ..AuditFilter::default() };
    for (owner, own) in owners.into_iter().zip(records) {
        let own = [own];
        assert_eq!(listed(&storage, owner, &about).await, own);
        assert_eq!(logs.list_for_user(owner, user, 10).await.unwrap(), own);
        assert_eq!(logs.list_for_entity(owner, own[0].entity_type, entity_id, 10).await.unwrap(), own);
    }
    assert_eq!(listed(&storage, Some(some_company()), &about).await, []);
}

/// Each field of the filter restricts the list, individually and combined with other fields. `from` is inclusive, and
/// `to` is exclusive.
pub async fn records_are_filtered(storage: Arc<dyn Storage>) {
    let company = Some(some_company());
    let (user, entity_id) = (some_user(), Uuid::new_v4());
    let base = record(company, at(100));
    let mine = || AuditRecord { id: AuditRecordId::generate(at(0)), ..base.clone() };
    let records = [
        AuditRecord { entity_type: EntityType::Menu, ..mine() },
        AuditRecord { entity_id, ..mine() },
        AuditRecord { action: "test.Recorded".to_owned(), ..mine() },
        AuditRecord { actor: Actor::User(user), ..mine() },
        AuditRecord { timestamp: at(99), ..mine() },
        AuditRecord { timestamp: at(101), entity_id, actor: Actor::User(user), ..mine() },
        mine(),
    ];
    append(&storage, &records).await;
    let (any, actor_id) = (AuditFilter::default, Some(user.as_uuid()));
    let cases: [(AuditFilter, &[usize]); 11] = [
        (any(), &[5, 6, 3, 2, 1, 0, 4]),
        (AuditFilter { entity_type: Some(EntityType::Menu), ..any() }, &[0]),
        (AuditFilter { entity_id: Some(entity_id), ..any() }, &[5, 1]),
        (AuditFilter { action: Some("test.Recorded".to_owned()), ..any() }, &[2]),
        (AuditFilter { action: Some("test.%".to_owned()), ..any() }, &[]),
        (AuditFilter { actor_id, ..any() }, &[5, 3]),
        (AuditFilter { from: Some(at(100)), ..any() }, &[5, 6, 3, 2, 1, 0]),
        (AuditFilter { to: Some(at(100)), ..any() }, &[4]),
        (AuditFilter { from: Some(at(101)), to: Some(at(102)), ..any() }, &[5]),
        (AuditFilter { from: Some(at(100)), to: Some(at(100)), ..any() }, &[]),
        (AuditFilter { actor_id, entity_id: Some(entity_id), from: Some(at(100)), ..any() }, &[5]),
    ];
    for (filter, expected) in cases {
        let found = keys(&listed(&storage, company, &filter).await, |record| record.id);
        assert_eq!(found, expected.iter().map(|n| records[*n].id).collect::<Vec<_>>(), "{filter:?}");
    }
}

/// Keyset pagination in pages of ten returns twenty-five records, each once, newest first. Records with the same
/// timestamp are sorted by descending id.
pub async fn pages_contain_all_records_exactly_once(storage: Arc<dyn Storage>) {
    let company = Some(some_company());
    let mut records: Vec<_> = (0..25)
        .map(|n| AuditRecord { id: AuditRecordId::generate(at(0)), ..record(company, at(i64::from(n) / 7)) })
        .collect();
    let mut shuffled = records.clone();
    shuffled.sort_by_key(|record| record.entity_id);
    append(&storage, &shuffled).await;
    records.reverse();

    let filter = AuditFilter { action: Some("test.recorded".to_owned()), ..AuditFilter::default() };
    let logs = storage.reader().audit_logs();
    let (mut walked, mut sizes, mut cursor) = (Vec::new(), Vec::new(), None);
    loop {
        let page = logs.list_for_company(company, &filter, cursor, PageBounds::records(10)).await.unwrap();
        assert_eq!(page.has_more, sizes.len() < 2, "{sizes:?}");
        let page = page.records;
        sizes.push(page.len());
        assert!(sizes.len() <= 4, "the pagination must terminate: pages of {sizes:?}");
        let Some(last) = page.last() else { break };
        cursor = Some(AuditCursor { timestamp: last.timestamp, id: last.id });
        walked.extend(page);
        // Records that are appended during the pagination are newer than all remaining records, so no later page
        // contains them.
        append(&storage, &[record(company, at(1000 + sizes.len() as i64))]).await;
    }
    assert_eq!(sizes, [10, 10, 5, 0]);
    assert_eq!(keys(&walked, |record| record.id), keys(&records, |record| record.id));
    assert_eq!(logs.count_for_company(company, &filter, 28).await.unwrap(), 28);
    assert_eq!(logs.count_for_company(company, &filter, 27).await.unwrap(), 27);
    assert_eq!(logs.count_for_company(company, &filter, 0).await.unwrap(), 0);
    assert_eq!(logs.list_for_company(company, &filter, None, PageBounds::records(0)).await.unwrap().records, []);
}

/// A page ends before the first record with which it would exceed the bound in bytes. However, it contains at least one
/// record. Pagination still returns every record exactly once.
pub async fn pages_are_bounded_by_bytes(storage: Arc<dyn Storage>) {
    let company = Some(some_company());
    let sized = |n: usize, length: usize| AuditRecord {
        id: AuditRecordId::generate(at(0)),
        changes: Some(json!(["x".repeat(length)])),
        metadata: Some(json!(["y".repeat(100)])),
        ..record(company, at(1000 - n as i64))
    };
    let lengths = [300, 300, 300, 5_000, 300, 300, 2_000];
    let records: Vec<_> = lengths.into_iter().enumerate().map(|(n, length)| sized(n, length)).collect();
    append(&storage, &records).await;

    let (logs, filter) = (storage.reader().audit_logs(), AuditFilter::default());
    let bounds = PageBounds { records: 3, bytes: 1_000 };
    let (mut walked, mut sizes, mut cursor) = (Vec::new(), Vec::new(), None);
    loop {
        let page = logs.list_for_company(company, &filter, cursor, bounds).await.unwrap();
        let last = page.records.last().expect("a page contains at least one record");
        cursor = Some(AuditCursor { timestamp: last.timestamp, id: last.id });
        sizes.push(page.records.len());
        walked.extend(page.records);
        if !page.has_more {
            break;
        }
    }
    assert_eq!(sizes, [2, 1, 1, 2, 1]);
    assert_eq!(walked, records);
    let page = logs.list_for_company(company, &filter, None, PageBounds { records: 3, bytes: 10_000 }).await.unwrap();
    assert_eq!((page.records.len(), page.has_more), (3, true));
    let about = AuditFilter { entity_id: Some(records[6].entity_id), ..filter };
    let page = logs.list_for_company(company, &about, None, PageBounds { records: 1, bytes: 1 }).await.unwrap();
    assert_eq!((page.records.as_slice(), page.has_more), (&records[6..], false));
}

/// The lists of an entity's records and of a user's changes are sorted from newest to oldest, and contain at most
/// `limit` records.
pub async fn records_are_ordered_newest_first_and_limited(storage: Arc<dyn Storage>) {
    let (company, user, entity_id) = (Some(some_company()), some_user(), Uuid::new_v4());
    let records: Vec<_> =
        (0..5).map(|n| AuditRecord { actor: Actor::User(user), entity_id, ..record(company, at(n)) }).collect();
    let others = [
        AuditRecord { entity_id, entity_type: EntityType::View, ..record(company, at(50)) },
        AuditRecord { actor: Actor::User(some_user()), ..record(company, at(51)) },
    ];
    append(&storage, &records).await;
    append(&storage, &others).await;
    let newest: Vec<_> = records.iter().rev().take(3).cloned().collect();
    let logs = storage.reader().audit_logs();
    assert_eq!(logs.list_for_entity(company, EntityType::UserLevel, entity_id, 3).await.unwrap(), newest);
    assert_eq!(logs.list_for_user(company, user, 3).await.unwrap(), newest);
    assert_eq!(logs.list_for_user(company, user, 100).await.unwrap().len(), 5);
    assert_eq!(logs.list_for_entity(company, EntityType::UserLevel, Uuid::new_v4(), 3).await.unwrap(), []);
}

/// The id of a record is unique.
pub async fn a_record_is_appended_once(storage: Arc<dyn Storage>) {
    let company = some_company();
    let once = record(Some(company), at(0));
    append(&storage, std::slice::from_ref(&once)).await;
    let again = AuditRecord { action: "test.again".to_owned(), ..once.clone() };
    let outcome = change!(storage, company, tx => tx.audit_logs_mut().append(&again));
    assert_conflict(outcome, Constraint::Duplicate);
    assert_eq!(listed(&storage, Some(company), &AuditFilter::default()).await, [once]);
}

/// Records of all entity types and all kinds of actors are stored.
pub async fn every_kind_of_record_is_stored(storage: Arc<dyn Storage>) {
    let company = Some(some_company());
    let kinds = [
        EntityType::UserLevel,
        EntityType::Permission,
        EntityType::Assignment,
        EntityType::View,
        EntityType::Feature,
        EntityType::Module,
        EntityType::Menu,
        EntityType::Company,
        EntityType::ApiKey,
        EntityType::User,
    ];
    // Actors of different kinds remain distinct even if their ids are equal.
    let id = Uuid::new_v4();
    let actors =
        [Actor::User(UserId::from_uuid(id)), Actor::ApiKey(ApiKeyId::from_uuid(id)), Actor::CommandLine, Actor::System];
    let records: Vec<_> = kinds
        .iter()
        .zip(actors.iter().cycle())
        .map(|(kind, actor)| AuditRecord { entity_type: *kind, actor: *actor, ..record(company, at(0)) })
        .collect();
    append(&storage, &records).await;
    let found = listed(&storage, company, &AuditFilter::default()).await;
    let kinds_of = |records: &[AuditRecord]| -> BTreeSet<_> {
        records.iter().map(|record| (record.entity_type, record.actor)).collect()
    };
    assert_eq!(kinds_of(&found), kinds_of(&records));
    let by_id = listed(&storage, company, &AuditFilter { actor_id: Some(id), ..AuditFilter::default() }).await;
    assert_eq!(by_id, found.iter().filter(|r| r.actor.id().is_some()).cloned().collect::<Vec<_>>());
    for record in found {
        let json = serde_json::to_value(&record).unwrap();
        assert_eq!(serde_json::from_value::<AuditRecord>(json).unwrap(), record);
    }
}

/// A unit of work knows the approximate size of its records, and whether it only removes data.
pub async fn a_unit_of_work_measures_its_records(storage: Arc<dyn Storage>) {
    let (company, user) = (some_company(), some_user());
    let (first, second) = (level(company, "First"), level(company, "Second"));
    let view = some_view();
    given(&storage, &[&view]).await;
    let mut tx = begin(&storage, company).await;
    assert_eq!(tx.recorded(), Recorded { bytes: 0, only_removes: true });
    first.store(tx.as_mut()).await.unwrap();
    second.store(tx.as_mut()).await.unwrap();
    assert!(!tx.recorded().only_removes);
    let before = tx.recorded().bytes;
    let described = UserLevel { description: Description::parse("x".repeat(1_500)).unwrap(), ..first.clone() };
    tx.user_levels_mut().update(&described).await.unwrap();
    assert!((1_500..3_000).contains(&(tx.recorded().bytes - before)), "{}", tx.recorded().bytes - before);
    tx.commit().await.unwrap();

    let (one, both, none) = ([first.id], [first.id, second.id], []);
    let allow = [view_cell(&first, view.id, ViewState::Allow)];
    let deny = [view_cell(&first, view.id, ViewState::Deny)];
    let assigned = async |levels: &[UserLevelId], only_removes: bool| {
        let mut tx = begin(&storage, company).await;
        tx.assignments_mut().replace_for_user(company, user, levels, None).await.unwrap();
        assert_eq!(tx.recorded().only_removes, only_removes, "{levels:?}");
        tx.commit().await.unwrap();
    };
    assigned(&both, false).await;
    assigned(&one, true).await;
    assigned(&[second.id], false).await;
    assigned(&none, true).await;
    let cells = async |cells: &[ViewPermission], only_removes: bool| {
        let mut tx = begin(&storage, company).await;
        tx.view_permissions_mut().replace_for_user_level(company, first.id, cells).await.unwrap();
        assert_eq!(tx.recorded().only_removes, only_removes, "{cells:?}");
        tx.commit().await.unwrap();
    };
    cells(&allow, false).await;
    cells(&deny, false).await;
    cells(&[], true).await;
    let mut tx = begin(&storage, company).await;
    tx.user_levels_mut().delete(company, second.id).await.unwrap();
    assert!(tx.recorded().only_removes);
    tx.user_levels_mut().update(&UserLevel { name: name("Renamed"), ..described }).await.unwrap();
    assert!(!tx.recorded().only_removes);
}
