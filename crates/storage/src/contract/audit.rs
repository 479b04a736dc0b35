//! The audit trail: a record with each change, and how records are found.

use std::collections::BTreeSet;
use std::sync::Arc;

use iam_domain::{
    Action, ActorKind, AuditRecord, AuditRecordId, CompanyId, EntityType, Feature, FeaturePermission, Icon, MenuItem,
    Module, Scope, SubMenuItem, Timestamp, UserLevel, UserLevelId, View, ViewPermission, ViewState,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::fixtures::{
    Below, Given, at, begin, begin_as, change, feature_cell, given, given_all, holding, keys, level, menu_item, name,
    records_about, some_company, some_feature, some_module, some_user, some_view, sub_item, unique, view_cell,
};
use super::outcomes::{assert_conflict, assert_misuse};
use crate::{AuditCursor, AuditFilter, ChangeContext, Constraint, Result, Storage, Target, UnitOfWork};

/// A minimal record.
pub(super) fn record(company: Option<CompanyId>, timestamp: Timestamp) -> AuditRecord {
    AuditRecord {
        id: AuditRecordId::generate(timestamp),
        company_id: company,
        user_id: None,
        actor_kind: ActorKind::CommandLine,
        action: "test.recorded".to_owned(),
        entity_type: EntityType::UserLevel,
        entity_id: Uuid::new_v4(),
        changes: None,
        metadata: None,
        timestamp,
    }
}

/// Appends records in this order, in one unit.
async fn append(storage: &Arc<dyn Storage>, records: &[AuditRecord]) {
    let mut tx = begin(storage, Target::of_menu(records[0].company_id)).await;
    for record in records {
        tx.audit_logs_mut().append(record).await.unwrap();
    }
    tx.commit().await.unwrap();
}

/// All records of a company that a filter asks for.
async fn listed(storage: &Arc<dyn Storage>, company: Option<CompanyId>, filter: &AuditFilter) -> Vec<AuditRecord> {
    let logs = storage.reader().audit_logs();
    let records = logs.list_for_company(company, filter, None, 1000).await.unwrap();
    assert_eq!(logs.count_for_company(company, filter, 1000).await.unwrap(), records.len() as u64);
    assert_eq!(logs.count_for_company(company, filter, 2).await.unwrap(), records.len().min(2) as u64);
    assert!(records.iter().all(|record| record.company_id == company && filter.matches(record)));
    records
}

fn json_of(entity: &impl serde::Serialize) -> Value {
    serde_json::to_value(entity).unwrap()
}

/// Checks the newest record about an entity.
async fn assert_recorded(
    storage: &Arc<dyn Storage>,
    company: Option<CompanyId>,
    (action, entity_type, entity): (&str, EntityType, Uuid),
    changes: Value,
) {
    let records = records_about(storage, company, entity_type, entity).await;
    let newest = records.last().unwrap_or_else(|| panic!("{action} was not recorded"));
    assert_eq!(
        (newest.action.as_str(), newest.entity_type, newest.entity_id, newest.company_id),
        (action, entity_type, entity, company)
    );
    assert_eq!(newest.changes, Some(changes), "{action}");
    assert_eq!(newest.metadata, None, "{action}");
    assert_eq!((newest.user_id, newest.actor_kind), (None, ActorKind::CommandLine), "{action}");
}

/// A level's life is recorded: made, changed where it differs, removed.
pub async fn the_life_of_a_level_is_recorded(storage: Arc<dyn Storage>) {
    let company = some_company();
    let old = level(company, "Old");
    let recorded = async |action: &str, changes| {
        let what = (action, EntityType::UserLevel, old.id.as_uuid());
        assert_recorded(&storage, Some(company), what, changes).await;
    };
    given(&storage, &[&old]).await;
    recorded("user_level.created", json!({ "after": json_of(&old) })).await;

    let new = UserLevel { name: name("New"), updated_at: at(77), ..old.clone() };
    change!(storage, company, tx => tx.user_levels_mut().update(&new)).unwrap();
    recorded("user_level.updated", json!({ "before": { "name": "Old" }, "after": { "name": "New" } })).await;

    change!(storage, company, tx => tx.user_levels_mut().delete(company, old.id)).unwrap();
    recorded("user_level.deleted", json!({ "before": json_of(&new) })).await;
}

/// The lives of views, modules and features are recorded as the platform's.
pub async fn the_lives_of_catalog_parts_are_recorded(storage: Arc<dyn Storage>) {
    let recorded = async |action: &str, kind, id, changes| {
        assert_recorded(&storage, None, (action, kind, id), changes).await;
    };
    let (view, feature, module) = (some_view(), some_feature(), some_module());
    let (v, f, m) = (view.id.as_uuid(), feature.id.as_uuid(), module.id.as_uuid());
    given(&storage, &[&view, &feature, &module]).await;
    recorded("view.created", EntityType::View, v, json!({ "after": json_of(&view) })).await;
    recorded("feature.created", EntityType::Feature, f, json!({ "after": json_of(&feature) })).await;
    recorded("module.created", EntityType::Module, m, json!({ "after": json_of(&module) })).await;

    let new_view = View { requires_auth: false, ..view.clone() };
    let new_feature = Feature { enabled: false, ..feature.clone() };
    let new_module = Module { icon: Some(Icon::parse("star").unwrap()), ..module.clone() };
    change!(storage, Target::Catalog, tx => async {
        tx.views_mut().update(&new_view).await?;
        tx.features_mut().update(&new_feature).await?;
        tx.modules_mut().update(&new_module).await
    })
    .unwrap();
    let differs = |key: &str, before: bool| json!({ "before": { key: before }, "after": { key: !before } });
    recorded("view.updated", EntityType::View, v, differs("requiresAuth", true)).await;
    recorded("feature.updated", EntityType::Feature, f, differs("enabled", true)).await;
    recorded("module.updated", EntityType::Module, m, json!({ "before": {}, "after": { "icon": "star" } })).await;

    change!(storage, Target::Catalog, tx => async {
        tx.views_mut().delete(view.id).await?;
        tx.features_mut().delete(feature.id).await?;
        tx.modules_mut().delete(module.id).await
    })
    .unwrap();
    recorded("view.deleted", EntityType::View, v, json!({ "before": json_of(&new_view) })).await;
    recorded("feature.deleted", EntityType::Feature, f, json!({ "before": json_of(&new_feature) })).await;
    recorded("module.deleted", EntityType::Module, m, json!({ "before": json_of(&new_module) })).await;
}

/// The lives of menu entries are recorded where they belong: with their company, or as the platform's.
pub async fn the_lives_of_menu_entries_are_recorded(storage: Arc<dyn Storage>) {
    for owner in [None, Some(some_company())] {
        let recorded = async |action: &str, id, changes| {
            assert_recorded(&storage, owner, (action, EntityType::Menu, id), changes).await;
        };
        let item = menu_item(owner, "Item");
        let below = sub_item(&item, "Below");
        let (i, b) = (item.id.as_uuid(), below.id.as_uuid());
        given(&storage, &[&item, &Below(owner, &below)]).await;
        recorded("menu.created", i, json!({ "after": json_of(&item) })).await;
        recorded("sub_menu.created", b, json!({ "after": json_of(&below) })).await;

        let new_item = MenuItem { sort_order: 9, ..item.clone() };
        let new_below = SubMenuItem { enabled: false, ..below.clone() };
        change!(storage, Target::of_menu(owner), tx => async {
            tx.menu_items_mut().update(&new_item).await?;
            tx.sub_menu_items_mut().update(owner, &new_below).await
        })
        .unwrap();
        recorded("menu.updated", i, json!({ "before": { "sortOrder": 0 }, "after": { "sortOrder": 9 } })).await;
        recorded("sub_menu.updated", b, json!({ "before": { "enabled": true }, "after": { "enabled": false } })).await;

        change!(storage, Target::of_menu(owner), tx => async {
            tx.sub_menu_items_mut().delete(owner, below.id).await?;
            tx.menu_items_mut().delete(owner, item.id).await
        })
        .unwrap();
        recorded("menu.deleted", i, json!({ "before": json_of(&new_item) })).await;
        recorded("sub_menu.deleted", b, json!({ "before": json_of(&new_below) })).await;
    }
}

/// A matrix is recorded with its counts, and with the cells that differ before and after.
pub async fn changes_of_a_view_matrix_are_recorded(storage: Arc<dyn Storage>) {
    let company = some_company();
    let admin = level(company, "Admin");
    let views = [(); 4].map(|()| some_view());
    given_all(&storage, &views).await;
    given(&storage, &[&admin]).await;
    let [a, b, c, d] = views.each_ref().map(|view| view.id);
    let recorded = async |changes| {
        let what = ("permissions.views_updated", EntityType::Permission, admin.id.as_uuid());
        assert_recorded(&storage, Some(company), what, changes).await;
    };
    let cell = |view, state| view_cell(&admin, view, state);
    let says = |state: &str, modifiable: bool| json!({ "state": state, "modifiable": modifiable });

    given(&storage, &[&cell(a, ViewState::Allow)]).await;
    recorded(json!({
        "counts": { "allow": 1, "deny": 0, "inherit": 0 }, "before": {}, "after": { a.to_string(): says("allow", true) },
    }))
    .await;

    let matrix = [cell(a, ViewState::Deny), cell(b, ViewState::Allow), cell(c, ViewState::Inherit)];
    change!(storage, company, tx => tx.view_permissions_mut().replace_for_user_level(company, admin.id, &matrix))
        .unwrap();
    recorded(json!({
        "counts": { "allow": 1, "deny": 1, "inherit": 1 },
        "before": { a.to_string(): says("allow", true) },
        "after": {
            a.to_string(): says("deny", true), b.to_string(): says("allow", true), c.to_string(): says("inherit", true),
        },
    }))
    .await;

    let pinned = ViewPermission { modifiable: false, ..cell(b, ViewState::Allow) };
    let matrix = [cell(a, ViewState::Deny), pinned, cell(d, ViewState::Deny)];
    change!(storage, company, tx => tx.view_permissions_mut().replace_for_user_level(company, admin.id, &matrix))
        .unwrap();
    recorded(json!({
        "counts": { "allow": 1, "deny": 2, "inherit": 0 },
        "before": { b.to_string(): says("allow", true), c.to_string(): says("inherit", true) },
        "after": { b.to_string(): says("allow", false), d.to_string(): says("deny", true) },
    }))
    .await;

    change!(storage, company, tx => tx.view_permissions_mut().delete(company, admin.id, d)).unwrap();
    recorded(json!({
        "counts": { "allow": 1, "deny": 1, "inherit": 0 },
        "before": { d.to_string(): says("deny", true) }, "after": {},
    }))
    .await;
}

/// The same for a matrix of features, whose cells are named by feature and action.
pub async fn changes_of_a_feature_matrix_are_recorded(storage: Arc<dyn Storage>) {
    let company = some_company();
    let (admin, feature) = (level(company, "Admin"), some_feature());
    given(&storage, &[&feature, &admin]).await;
    let recorded = async |changes| {
        let what = ("permissions.features_updated", EntityType::Permission, admin.id.as_uuid());
        assert_recorded(&storage, Some(company), what, changes).await;
    };
    let cell = |word: &str| feature_cell(&admin, feature.id, word);
    let place = |word: &str| format!("{}/{word}", feature.id);
    let says = |value: bool, scope: &str| json!({ "value": value, "scope": scope, "modifiable": true });

    let matrix = [cell("Read"), FeaturePermission { value: false, scope: Scope::Own, ..cell("Update") }];
    change!(storage, company, tx => tx.feature_permissions_mut().replace_for_user_level(company, admin.id, &matrix))
        .unwrap();
    recorded(json!({
        "counts": { "allow": 1, "deny": 1 },
        "before": {},
        "after": { place("Read"): says(true, "company"), place("Update"): says(false, "own") },
    }))
    .await;

    given(&storage, &[&FeaturePermission { scope: Scope::Any, ..cell("Read") }]).await;
    recorded(json!({
        "counts": { "allow": 1, "deny": 1 },
        "before": { place("Read"): says(true, "company") },
        "after": { place("Read"): says(true, "any") },
    }))
    .await;

    let update = Action::update();
    change!(storage, company, tx => tx.feature_permissions_mut().delete(company, admin.id, feature.id, &update))
        .unwrap();
    recorded(json!({
        "counts": { "allow": 1, "deny": 0 }, "before": { place("Update"): says(false, "own") }, "after": {},
    }))
    .await;
}

/// A user's levels are recorded with what was held before and after, what was added and what removed.
pub async fn changes_of_assignments_are_recorded(storage: Arc<dyn Storage>) {
    let (company, user) = (some_company(), some_user());
    let levels = [(); 3].map(|()| level(company, unique("Level")));
    given_all(&storage, &levels).await;
    let mut ids = levels.map(|level| level.id);
    ids.sort_unstable();
    let [a, b, c] = ids;
    let recorded =
        async |before: &[UserLevelId], after: &[UserLevelId], added: &[UserLevelId], removed: &[UserLevelId]| {
            let what = ("assignment.user_levels_updated", EntityType::Assignment, user.as_uuid());
            let changes = json!({ "before": before, "after": after, "added": added, "removed": removed });
            assert_recorded(&storage, Some(company), what, changes).await;
        };
    let held = UserLevel { id: b, ..level(company, "Held") };
    given(&storage, &[&holding(user, &held)]).await;
    recorded(&[], &[b], &[b], &[]).await;
    change!(storage, company, tx => tx.assignments_mut().replace_for_user(company, user, &[c, a], None)).unwrap();
    recorded(&[b], &[a, c], &[a, c], &[b]).await;
    change!(storage, company, tx => tx.assignments_mut().remove(company, user, c)).unwrap();
    recorded(&[a, c], &[a], &[], &[c]).await;
}

/// What a company has, and how it is switched, is recorded with the company; other mappings as the platform's.
pub async fn changes_of_mappings_are_recorded(storage: Arc<dyn Storage>) {
    let (company, module, view, feature) = (some_company(), some_module(), some_view(), some_feature());
    given(&storage, &[&module, &view, &feature]).await;
    let id = company.as_uuid();
    let of_company = async |action: &str, changes| {
        assert_recorded(&storage, Some(company), (action, EntityType::Company, id), changes).await;
    };
    let m = module.id;
    change!(storage, company, tx => tx.company_modules_mut().add(company, m)).unwrap();
    of_company("company.modules_updated", json!({ "added": [m], "removed": [] })).await;
    change!(storage, company, tx => tx.company_modules_mut().set_enabled(company, m, false)).unwrap();
    let switched = json!({ "moduleId": m, "before": { "enabled": true }, "after": { "enabled": false } });
    of_company("company.module_updated", switched).await;
    change!(storage, company, tx => tx.company_modules_mut().replace_for_company(company, &[])).unwrap();
    of_company("company.modules_updated", json!({ "added": [], "removed": [m] })).await;
    change!(storage, company, tx => tx.company_states_mut().set_provisioned(company)).unwrap();
    of_company("company.provisioned", json!({})).await;

    let (f, m) = (feature.id.as_uuid(), module.id.as_uuid());
    let of_catalog = async |action: &str, kind, id, changes| {
        assert_recorded(&storage, None, (action, kind, id), changes).await;
    };
    change!(storage, Target::Catalog, tx => tx.feature_views_mut().add(feature.id, view.id)).unwrap();
    of_catalog("feature.views_updated", EntityType::Feature, f, json!({ "added": [view.id], "removed": [] })).await;
    change!(storage, Target::Catalog, tx => tx.module_views_mut().replace_for_module(module.id, &[view.id])).unwrap();
    of_catalog("module.views_updated", EntityType::Module, m, json!({ "added": [view.id], "removed": [] })).await;
    change!(storage, Target::Catalog, tx => tx.module_features_mut().add(module.id, feature.id)).unwrap();
    of_catalog("module.features_updated", EntityType::Module, m, json!({ "added": [feature.id], "removed": [] })).await;
    change!(storage, Target::Catalog, tx => tx.module_features_mut().remove(module.id, feature.id)).unwrap();
    of_catalog("module.features_updated", EntityType::Module, m, json!({ "added": [], "removed": [feature.id] })).await;
}

/// Records name the actor, with the request, the use of a super admin's rights, and whether the change was forced.
pub async fn records_name_the_actor(storage: Arc<dyn Storage>) {
    let (company, user) = (some_company(), some_user());
    let contexts = [
        (ChangeContext::user(user), None),
        (ChangeContext { super_admin: true, ..ChangeContext::user(user) }, Some(json!({ "superAdmin": true }))),
        (
            ChangeContext {
                actor_kind: ActorKind::Service,
                user_id: None,
                super_admin: false,
                forced: false,
                request_id: Some("request \"1\"".to_owned()),
            },
            Some(json!({ "requestId": "request \"1\"" })),
        ),
        (
            ChangeContext {
                super_admin: true,
                forced: true,
                request_id: Some("2".to_owned()),
                ..ChangeContext::user(user)
            },
            Some(json!({ "requestId": "2", "superAdmin": true, "forced": true })),
        ),
        (ChangeContext::command_line(), None),
    ];
    for (context, metadata) in contexts {
        let made = level(company, unique("Level"));
        let mut tx = begin_as(&storage, company, context.clone()).await;
        let now = tx.now();
        made.store(tx.as_mut()).await.unwrap();
        tx.commit().await.unwrap();
        let records = records_about(&storage, Some(company), EntityType::UserLevel, made.id.as_uuid()).await;
        let [record] = &records[..] else { panic!("one record, not {records:?}") };
        assert_eq!((record.user_id, record.actor_kind), (context.user_id, context.actor_kind));
        assert_eq!((&record.metadata, record.timestamp), (&metadata, now));
    }
}

/// The records of one unit ascend in the order of its changes, all at one time.
pub async fn records_of_one_unit_ascend_in_its_order(storage: Arc<dyn Storage>) {
    let company = some_company();
    let levels: Vec<_> = (0..12).map(|n| level(company, format!("Level {n}"))).collect();
    given_all(&storage, &levels).await;
    let mut records = listed(&storage, Some(company), &AuditFilter::default()).await;
    records.reverse();
    assert_eq!(keys(&records, |record| record.entity_id), keys(&levels, |level| level.id.as_uuid()));
    assert!(records.is_sorted_by_key(|record| record.id));
}

/// A unit that is dropped or fails records nothing, not even what was appended.
pub async fn what_is_not_committed_is_not_recorded(storage: Arc<dyn Storage>) {
    async fn write(tx: &mut dyn UnitOfWork, company: CompanyId) -> Result<()> {
        level(company, "Level").store(tx).await?;
        let now = tx.now();
        tx.audit_logs_mut().append(&record(Some(company), now)).await
    }
    let company = some_company();
    let mut dropped = begin(&storage, company).await;
    write(dropped.as_mut(), company).await.unwrap();
    drop(dropped);
    let mut failed = begin(&storage, company).await;
    write(failed.as_mut(), company).await.unwrap();
    assert_conflict(write(failed.as_mut(), company).await, Constraint::UserLevelName);
    assert_misuse(failed.commit().await);
    assert_eq!(listed(&storage, Some(company), &AuditFilter::default()).await, []);
}

/// An appended record is found as it was appended, with the change that it came with.
pub async fn an_appended_record_is_found_as_it_was(storage: Arc<dyn Storage>) {
    let (company, user) = (some_company(), some_user());
    let mut tx = begin(&storage, company).await;
    let now = tx.now();
    let full = AuditRecord {
        user_id: Some(user),
        actor_kind: ActorKind::Service,
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

/// A record of another company, or of the platform, cannot be appended to a company's unit, nor the reverse.
pub async fn a_record_belongs_to_its_unit(storage: Arc<dyn Storage>) {
    let (mine, theirs) = (some_company(), some_company());
    for (target, company) in
        [(Target::Company(mine), Some(theirs)), (Target::Company(mine), None), (Target::Catalog, Some(mine))]
    {
        let foreign = record(company, at(0));
        assert_misuse(change!(storage, target, tx => tx.audit_logs_mut().append(&foreign)));
        assert_eq!(records_about(&storage, company, foreign.entity_type, foreign.entity_id).await, []);
    }
}

/// The platform's records are apart from the companies', and each company's from the others'.
pub async fn records_of_companies_and_platform_stay_apart(storage: Arc<dyn Storage>) {
    let (mine, theirs, user) = (Some(some_company()), Some(some_company()), some_user());
    let entity_id = Uuid::new_v4();
    let owners = [mine, theirs, None];
    let records = owners.map(|owner| AuditRecord { user_id: Some(user), entity_id, ..record(owner, at(0)) });
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

/// Each filter narrows the list, alone and together with the others; `from` is included, `to` is not.
pub async fn records_are_filtered(storage: Arc<dyn Storage>) {
    let company = Some(some_company());
    let (user, entity_id) = (some_user(), Uuid::new_v4());
    let base = record(company, at(100));
    let mine = || AuditRecord { id: AuditRecordId::generate(at(0)), ..base.clone() };
    let records = [
        AuditRecord { entity_type: EntityType::Menu, ..mine() },
        AuditRecord { entity_id, ..mine() },
        AuditRecord { action: "test.Recorded".to_owned(), ..mine() },
        AuditRecord { user_id: Some(user), ..mine() },
        AuditRecord { timestamp: at(99), ..mine() },
        AuditRecord { timestamp: at(101), entity_id, user_id: Some(user), ..mine() },
        mine(),
    ];
    append(&storage, &records).await;
    let any = AuditFilter::default;
    let cases: [(AuditFilter, &[usize]); 11] = [
        (any(), &[5, 6, 3, 2, 1, 0, 4]),
        (AuditFilter { entity_type: Some(EntityType::Menu), ..any() }, &[0]),
        (AuditFilter { entity_id: Some(entity_id), ..any() }, &[5, 1]),
        (AuditFilter { action: Some("test.Recorded".to_owned()), ..any() }, &[2]),
        (AuditFilter { action: Some("test.%".to_owned()), ..any() }, &[]),
        (AuditFilter { user_id: Some(user), ..any() }, &[5, 3]),
        (AuditFilter { from: Some(at(100)), ..any() }, &[5, 6, 3, 2, 1, 0]),
        (AuditFilter { to: Some(at(100)), ..any() }, &[4]),
        (AuditFilter { from: Some(at(101)), to: Some(at(102)), ..any() }, &[5]),
        (AuditFilter { from: Some(at(100)), to: Some(at(100)), ..any() }, &[]),
        (AuditFilter { user_id: Some(user), entity_id: Some(entity_id), from: Some(at(100)), ..any() }, &[5]),
    ];
    for (filter, expected) in cases {
        let found = keys(&listed(&storage, company, &filter).await, |record| record.id);
        assert_eq!(found, expected.iter().map(|n| records[*n].id).collect::<Vec<_>>(), "{filter:?}");
    }
}

/// Pages of ten walk through twenty-five records: each once, newest first, ties by id descending.
pub async fn pages_walk_through_all_records_once(storage: Arc<dyn Storage>) {
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
        let page = logs.list_for_company(company, &filter, cursor, 10).await.unwrap();
        sizes.push(page.len());
        assert!(sizes.len() <= 4, "the walk does not end: pages of {sizes:?}");
        let Some(last) = page.last() else { break };
        cursor = Some(AuditCursor { timestamp: last.timestamp, id: last.id });
        walked.extend(page);
        // What is appended while a client pages is newer than all that is still to come.
        append(&storage, &[record(company, at(1000 + sizes.len() as i64))]).await;
    }
    assert_eq!(sizes, [10, 10, 5, 0]);
    assert_eq!(keys(&walked, |record| record.id), keys(&records, |record| record.id));
    assert_eq!(logs.count_for_company(company, &filter, 28).await.unwrap(), 28);
    assert_eq!(logs.count_for_company(company, &filter, 27).await.unwrap(), 27);
    assert_eq!(logs.count_for_company(company, &filter, 0).await.unwrap(), 0);
    assert_eq!(logs.list_for_company(company, &filter, None, 0).await.unwrap(), []);
}

/// The newest records about an entity, and by a user, are limited and newest first.
pub async fn the_newest_records_come_first_and_limited(storage: Arc<dyn Storage>) {
    let (company, user, entity_id) = (Some(some_company()), some_user(), Uuid::new_v4());
    let records: Vec<_> =
        (0..5).map(|n| AuditRecord { user_id: Some(user), entity_id, ..record(company, at(n)) }).collect();
    let others = [
        AuditRecord { entity_id, entity_type: EntityType::View, ..record(company, at(50)) },
        AuditRecord { user_id: Some(some_user()), ..record(company, at(51)) },
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

/// Two records cannot have one id.
pub async fn a_record_is_appended_once(storage: Arc<dyn Storage>) {
    let company = some_company();
    let once = record(Some(company), at(0));
    append(&storage, std::slice::from_ref(&once)).await;
    let again = AuditRecord { action: "test.again".to_owned(), ..once.clone() };
    let outcome = change!(storage, company, tx => tx.audit_logs_mut().append(&again));
    assert_conflict(outcome, Constraint::Duplicate);
    assert_eq!(listed(&storage, Some(company), &AuditFilter::default()).await, [once]);
}

/// Every kind of thing and of actor is kept.
pub async fn every_kind_of_record_is_kept(storage: Arc<dyn Storage>) {
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
    let actors = [ActorKind::User, ActorKind::Service, ActorKind::CommandLine];
    let records: Vec<_> = kinds
        .iter()
        .zip(actors.iter().cycle())
        .map(|(kind, actor)| AuditRecord { entity_type: *kind, actor_kind: *actor, ..record(company, at(0)) })
        .collect();
    append(&storage, &records).await;
    let found: BTreeSet<_> = listed(&storage, company, &AuditFilter::default())
        .await
        .iter()
        .map(|r| (r.entity_type, r.actor_kind))
        .collect();
    assert_eq!(found, records.iter().map(|record| (record.entity_type, record.actor_kind)).collect());
}
