//! Test cases for the content of companies, which exports read and imports install, and for snapshots.

use std::sync::Arc;

use iam_domain::{
    CompanyDetails, CompanyId, CompanyModule, CompanyStatus, EntityType, Period, Quota, QuotaOverrides, ViewState,
};

use super::fixtures::{
    at, begin, change, feature_cell, given, given_all, level, menu_item, name, records_about, some_company,
    some_feature, some_module, some_user, some_view, sub_item, versions, view_cell,
};
use super::outcomes::{assert_conflict, assert_misuse};
use super::profiles::profile;
use crate::{AuditFilter, CompanyContent, Constraint, CopiedLevel, PageBounds, Storage};

/// Returns content with rows of each kind. The catalog entries to which it refers are stored.
async fn some_content(storage: &Arc<dyn Storage>, company: CompanyId) -> CompanyContent {
    let (view, feature, module) = (some_view(), some_feature(), some_module());
    given(storage, &[&view, &feature, &module]).await;
    let (level, other) = (level(company, "Level"), level(company, "Other"));
    let period = Period { starts_at: Some(at(5)), expires_at: Some(at(4_000_000_000_000_000)) };
    let (user, second) = (some_user(), some_user());
    let item = menu_item(Some(company), "Item");
    let sub_item = sub_item(&item, "Sub-item");
    CompanyContent {
        company,
        provisioned_at: Some(at(3)),
        details: CompanyDetails { name: Some(name("Ärzte")), status: CompanyStatus::Suspended },
        modules: vec![CompanyModule {
            company_id: company,
            module_id: module.id,
            enabled: false,
            created_at: at(6),
            updated_at: at(7),
        }],
        ceilings: iam_domain::Ceilings { hidden_views: [view.id].into(), ..Default::default() },
        quotas: QuotaOverrides([(Quota::Levels, 7)].into()),
        holders: [
            (user, Arc::new([(level.id, Period::UNLIMITED), (other.id, period)].into())),
            (second, Arc::new([(other.id, Period::UNLIMITED)].into())),
        ]
        .into(),
        levels: vec![
            CopiedLevel {
                views: vec![view_cell(&level, view.id, ViewState::Deny)],
                features: vec![feature_cell(&level, feature.id, "Read"), feature_cell(&level, feature.id, "Sign")],
                level,
            },
            CopiedLevel { level: other, views: Vec::new(), features: Vec::new() },
        ],
        menu: iam_domain::Menu { items: vec![item], sub_items: vec![sub_item] },
        profiles: vec![profile(company, user, "Zoe")],
    }
}

async fn stored(storage: &Arc<dyn Storage>, company: CompanyId) -> CompanyContent {
    let copy = storage.reader().snapshots().load_copy(company).await.unwrap().value;
    CompanyContent::new(copy, storage.reader().user_profiles().find_all(company).await.unwrap())
}

/// Content is read as it was installed, also if it replaces other content. Each installation writes one audit record.
/// Other companies do not change.
pub async fn content_is_read_as_installed(storage: Arc<dyn Storage>) {
    let (company, other) = (some_company(), some_company());
    let first = some_content(&storage, company).await;
    let beside = some_content(&storage, other).await;
    change!(storage, other, tx => tx.company_contents_mut().install(&beside)).unwrap();
    let second = some_content(&storage, company).await;
    let empty = CompanyContent::empty(company);
    for content in [&first, &second, &first, &empty] {
        let before = versions(&storage, Some(company)).await.company;
        change!(storage, company, tx => tx.company_contents_mut().install(content)).unwrap();
        assert_eq!(stored(&storage, company).await, *content);
        assert_eq!(versions(&storage, Some(company)).await.company, before + 1);
    }
    assert_eq!(stored(&storage, other).await, beside);
    let records = records_about(&storage, Some(company), EntityType::Company, company.as_uuid()).await;
    assert_eq!(records.len(), 4);
    assert!(records.iter().all(|record| record.action == "company.imported"), "{records:?}");
    let rows = &records.iter().find(|record| record.changes.as_ref().unwrap()["rows"]["levels"] == 2).unwrap().changes;
    let rows = &rows.as_ref().unwrap()["rows"];
    assert_eq!((&rows["cells"], &rows["assignments"], &rows["menuItems"]), (&3.into(), &3.into(), &2.into()));
}

/// Content with the ids of rows of another company is rejected as a whole.
pub async fn content_cannot_use_the_ids_of_another_company(storage: Arc<dyn Storage>) {
    let (company, other) = (some_company(), some_company());
    let theirs = some_content(&storage, other).await;
    change!(storage, other, tx => tx.company_contents_mut().install(&theirs)).unwrap();
    let own = some_content(&storage, company).await;
    let with_their_level = {
        let mut content = CompanyContent { holders: Default::default(), ..own.clone() };
        content.levels[1].level.id = theirs.levels[1].level.id;
        content
    };
    let with_their_cell = {
        let mut content = own.clone();
        content.levels[0].views[0].id = theirs.levels[0].views[0].id;
        content
    };
    let with_their_item = {
        let mut content = own.clone();
        content.menu.items[0].id = theirs.menu.items[0].id;
        content.menu.sub_items.clear();
        content
    };
    for content in [with_their_level, with_their_cell, with_their_item] {
        let mut tx = begin(&storage, company).await;
        assert_conflict(tx.company_contents_mut().install(&content).await, Constraint::Duplicate);
    }
    assert_eq!(stored(&storage, company).await, CompanyContent::empty(company));
    assert_eq!(stored(&storage, other).await, theirs);
}

/// Content that refers to views, features or modules that do not exist is rejected.
pub async fn content_must_refer_to_the_catalog(storage: Arc<dyn Storage>) {
    let company = some_company();
    let own = some_content(&storage, company).await;
    let changed = |change: fn(&mut CompanyContent)| {
        let mut content = own.clone();
        change(&mut content);
        content
    };
    for (entity, content) in [
        (EntityType::View, changed(|content| content.levels[0].views[0].view_id = some_view().id)),
        (EntityType::Feature, changed(|content| content.levels[0].features[0].feature_id = some_feature().id)),
        (EntityType::Module, changed(|content| content.modules[0].module_id = some_module().id)),
        (EntityType::View, changed(|content| content.menu.items[0].view_id = Some(some_view().id))),
    ] {
        let mut tx = begin(&storage, company).await;
        match tx.company_contents_mut().install(&content).await {
            Err(crate::StorageError::Unknown { entity: unknown, .. }) => assert_eq!(unknown, entity),
            other => panic!("{entity}: {other:?}"),
        }
    }
}

/// Restored audit records keep their ids and times. Restoring them again adds nothing. A record of another owner is
/// rejected.
pub async fn audit_records_are_restored_once(storage: Arc<dyn Storage>) {
    let (source, company) = (some_company(), some_company());
    given_all(&storage, &[level(source, "A"), level(source, "B"), level(source, "C")]).await;
    let list = async |company| {
        let logs = storage.reader().audit_logs();
        let page = logs.list_for_company(Some(company), &AuditFilter::default(), None, PageBounds::records(99)).await;
        page.unwrap().records
    };
    let mut records = list(source).await;
    for (record, n) in records.iter_mut().zip(0..) {
        record.company_id = Some(company);
        record.id = iam_domain::AuditRecordId::generate(at(n));
        record.timestamp = at(n);
    }
    records.reverse();
    let restore = async |records: &[iam_domain::AuditRecord]| {
        let mut tx = begin(&storage, company).await;
        let added = tx.audit_logs_mut().restore(Some(company), records).await.unwrap();
        tx.commit().await.unwrap();
        added
    };
    assert_eq!(restore(&records[..2]).await, 2);
    assert_eq!(restore(&records).await, 1);
    let before = versions(&storage, Some(company)).await;
    let mut tx = begin(&storage, company).await;
    assert_eq!(tx.audit_logs_mut().restore(Some(company), &records).await.unwrap(), 0);
    tx.commit().await.unwrap();
    assert_eq!(versions(&storage, Some(company)).await, before, "nothing was added");
    assert_eq!(list(company).await, records);
    let mut tx = begin(&storage, source).await;
    assert_misuse(tx.audit_logs_mut().restore(Some(source), &records).await);
}

/// A snapshot contains what was committed before it, and nothing that was committed later.
pub async fn a_snapshot_does_not_change(storage: Arc<dyn Storage>) {
    let company = some_company();
    let content = some_content(&storage, company).await;
    change!(storage, company, tx => tx.company_contents_mut().install(&content)).unwrap();
    let snapshot = storage.snapshot().await.unwrap();
    let view = some_view();
    given(&storage, &[&view, &level(company, "Later")]).await;
    let read = snapshot.snapshots().load_copy(company).await.unwrap().value;
    let profiles = snapshot.user_profiles().find_all(company).await.unwrap();
    assert_eq!(CompanyContent::new(read, profiles), content);
    assert_eq!(snapshot.views().find_by_id(view.id).await.unwrap(), None);
    assert_eq!(storage.reader().views().find_by_id(view.id).await.unwrap(), Some(view));
    assert_eq!(stored(&storage, company).await.levels.len(), 3);
}
