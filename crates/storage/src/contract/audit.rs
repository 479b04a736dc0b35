//! Test cases for the audit log: each change is recorded with its actor.

use std::collections::BTreeSet;
use std::sync::Arc;

use iam_domain::{
    Action, Actor, ApiKeyId, AuditRecord, AuditRecordId, CompanyId, EntityType, Feature, FeaturePermission, Icon,
    MenuItem, Module, Scope, SubMenuItem, Timestamp, UserLevel, UserLevelId, View, ViewPermission, ViewState,
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::fixtures::{
    Given, OwnedSubItem, at, begin, begin_as, change, feature_cell, given, given_all, holding, keys, level, menu_item,
    name, records_about, some_company, some_feature, some_module, some_user, some_view, sub_item, unique, view_cell,
};
use super::outcomes::{assert_conflict, assert_misuse};
use crate::{AuditFilter, ChangeContext, Constraint, PageBounds, Result, Storage, Target, UnitOfWork};

/// Returns an audit record without optional fields.
pub(super) fn record(company: Option<CompanyId>, timestamp: Timestamp) -> AuditRecord {
    AuditRecord {
        id: AuditRecordId::generate(timestamp),
        company_id: company,
        actor: Actor::CommandLine,
        action: "test.recorded".to_owned(),
        entity_type: EntityType::UserLevel,
        entity_id: Uuid::new_v4(),
        changes: None,
        metadata: None,
        timestamp,
    }
}

/// Appends audit records in this order, in one unit of work.
pub(super) async fn append(storage: &Arc<dyn Storage>, records: &[AuditRecord]) {
    let mut tx = begin(storage, Target::of_menu(records[0].company_id)).await;
    for record in records {
        tx.audit_logs_mut().append(record).await.unwrap();
    }
    tx.commit().await.unwrap();
}

/// Returns all audit records of a company that match a filter, and asserts that `count_for_company` returns their
/// number.
pub(super) async fn listed(
    storage: &Arc<dyn Storage>,
    company: Option<CompanyId>,
    filter: &AuditFilter,
) -> Vec<AuditRecord> {
    let logs = storage.reader().audit_logs();
    let records = logs.list_for_company(company, filter, None, PageBounds::records(1000)).await.unwrap().records;
    assert_eq!(logs.count_for_company(company, filter, 1000).await.unwrap(), records.len() as u64);
    assert_eq!(logs.count_for_company(company, filter, 2).await.unwrap(), records.len().min(2) as u64);
    assert!(records.iter().all(|record| record.company_id == company && filter.matches(record)));
    records
}

fn json_of(entity: &impl serde::Serialize) -> Value {
    serde_json::to_value(entity).unwrap()
}

/// Asserts that the newest audit record about an entity has this action and these changes.
async fn assert_recorded(
    storage: &Arc<dyn Storage>,
    company: Option<CompanyId>,
    (action, entity_type, entity): (&str, EntityType, Uuid),
    changes: Value,
) {
    let records = records_about(storage, company, entity_type, entity).await;
    let newest = records.last().unwrap_or_else(|| panic!("the action {action} must be recorded"));
    assert_eq!(
        (newest.action.as_str(), newest.entity_type, newest.entity_id, newest.company_id),
        (action, entity_type, entity, company)
    );
    assert_eq!(newest.changes, Some(changes), "{action}");
    assert_eq!(newest.metadata, None, "{action}");
    assert_eq!(newest.actor, Actor::CommandLine, "{action}");
}

/// The creation, update and deletion of a level are recorded. The record of an update contains only the fields that
/// differ.
pub async fn creation_update_and_deletion_of_a_level_are_recorded(storage: Arc<dyn Storage>) {
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

/// The creation, update and deletion of views, modules and features are recorded in the audit log of the platform.
pub async fn creation_update_and_deletion_of_catalog_entries_are_recorded(storage: Arc<dyn Storage>) {
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

/// The creation, update and deletion of menu entries are recorded in the audit log of their owner: the company or the
/// platform.
pub async fn creation_update_and_deletion_of_menu_entries_are_recorded(storage: Arc<dyn Storage>) {
    for owner in [None, Some(some_company())] {
        let recorded = async |action: &str, id, changes| {
            assert_recorded(&storage, owner, (action, EntityType::Menu, id), changes).await;
        };
        let item = menu_item(owner, "Item");
        let below = sub_item(&item, "Below");
        let (i, b) = (item.id.as_uuid(), below.id.as_uuid());
        given(&storage, &[&item, &OwnedSubItem(owner, &below)]).await;
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

/// The audit record of a change to a view matrix contains the number of cells in each state. It also contains the
/// changed cells before and after the change.
pub async fn changes_to_a_view_matrix_are_recorded(storage: Arc<dyn Storage>) {
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
        "counts": { "allow": 1, "deny": 0, "inherit": 0 },
        "before": {}, "after": { a.to_string(): says("allow", true) },
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

/// The audit record of a change to a feature matrix contains the numbers of allowing and denying cells. It also
/// contains the changed cells before and after the change, keyed by feature and action.
pub async fn changes_to_a_feature_matrix_are_recorded(storage: Arc<dyn Storage>) {
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

/// The audit record of a change to a user's levels contains the levels before and after the change. It also contains
/// the added and the removed levels.
pub async fn changes_to_assignments_are_recorded(storage: Arc<dyn Storage>) {
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

/// Asserts that consecutive records with the metadata `part` are the parts of one change: they have the same entity,
/// action, metadata and time, are numbered from 1, and are not large. Returns the number of such changes.
fn assert_numbered(records: &[AuditRecord]) -> usize {
    let part = |record: &AuditRecord| record.metadata.as_ref()?.get("part")?.as_u64();
    let mut changes = 0;
    let mut rest = records;
    while let Some((first, others)) = rest.split_first() {
        rest = others;
        assert!(first.changes.iter().all(|changes| changes.to_string().len() <= 64 * 1024));
        let Some(number) = part(first) else { continue };
        assert_eq!(number, 1);
        let parts = first.metadata.as_ref().unwrap()["parts"].as_u64().unwrap();
        let (own, others) = rest.split_at(usize::try_from(parts).unwrap() - 1);
        rest = others;
        for (number, record) in (2..).zip(own) {
            let metadata = json!({ "requestId": "r", "part": number, "parts": parts });
            assert_eq!(record.metadata, Some(metadata));
            let expected = AuditRecord { id: record.id, changes: record.changes.clone(), ..first.clone() };
            assert_eq!(AuditRecord { metadata: first.metadata.clone(), ..record.clone() }, expected);
            assert!(record.changes.as_ref().unwrap().to_string().len() <= 64 * 1024);
        }
        changes += 1;
    }
    changes
}

/// A change with a large difference is recorded in several small records. A reader that applies the records of a level
/// from the oldest to the newest obtains the matrix of the level, after each change.
pub async fn large_changes_to_a_matrix_are_recorded_in_parts(storage: Arc<dyn Storage>) {
    let company = some_company();
    let admin = level(company, "Admin");
    let words: Vec<String> = (0..2_000).map(|n| format!("Action {n:05}")).collect();
    let feature =
        Feature { actions: Some(words.iter().map(Action::parse).map(Result::unwrap).collect()), ..some_feature() };
    given(&storage, &[&feature, &admin]).await;
    let context = ChangeContext { request_id: Some("r".to_owned()), ..ChangeContext::command_line() };
    let of_scope = |words: &[String], scope| -> Vec<FeaturePermission> {
        words.iter().map(|word| FeaturePermission { scope, ..feature_cell(&admin, feature.id, word) }).collect()
    };
    for matrix in [
        of_scope(&words[..1_500], Scope::Company),
        of_scope(&words[500..], Scope::Team),
        of_scope(&words[700..701], Scope::Own),
        of_scope(&words[..10], Scope::Own),
    ] {
        let mut tx = begin_as(&storage, company, context.clone()).await;
        tx.feature_permissions_mut().replace_for_user_level(company, admin.id, &matrix).await.unwrap();
        tx.commit().await.unwrap();

        let records = records_about(&storage, Some(company), EntityType::Permission, admin.id.as_uuid()).await;
        let mut rebuilt = Map::new();
        for changes in records.iter().filter_map(|record| record.changes.as_ref()) {
            for (place, before) in changes["before"].as_object().unwrap() {
                assert_eq!(rebuilt.remove(place).as_ref(), Some(before));
            }
            rebuilt.extend(changes["after"].as_object().unwrap().clone());
        }
        let stored = storage.reader().feature_permissions().find_by_user_level(company, admin.id).await.unwrap();
        let stored: Map<_, _> = stored
            .iter()
            .map(|cell| {
                let value = json!({ "value": cell.value, "scope": cell.scope, "modifiable": cell.modifiable });
                (format!("{}/{}", cell.feature_id, cell.action), value)
            })
            .collect();
        assert_eq!(stored, rebuilt);
    }
    let records = records_about(&storage, Some(company), EntityType::Permission, admin.id.as_uuid()).await;
    assert!(records.is_sorted_by_key(|record| record.id));
    assert_eq!(assert_numbered(&records), 3);
}

/// A large change to a user's levels is recorded in several small records, which together contain all levels.
pub async fn large_changes_to_assignments_are_recorded_in_parts(storage: Arc<dyn Storage>) {
    let (company, user) = (some_company(), some_user());
    let levels: Vec<_> = (0..900).map(|n| level(company, format!("Level {n}"))).collect();
    given_all(&storage, &levels).await;
    let ids = keys(&levels, |level| level.id);
    let context = ChangeContext { request_id: Some("r".to_owned()), ..ChangeContext::command_line() };
    let mut tx = begin_as(&storage, company, context).await;
    tx.assignments_mut().replace_for_user(company, user, &ids, None).await.unwrap();
    tx.commit().await.unwrap();
    let records = records_about(&storage, Some(company), EntityType::Assignment, user.as_uuid()).await;
    assert_eq!(assert_numbered(&records), 1);
    let all = json!(ids.into_iter().collect::<BTreeSet<_>>());
    for (list, expected) in [("before", json!([])), ("after", all.clone()), ("added", all), ("removed", json!([]))] {
        let listed =
            records.iter().flat_map(|record| record.changes.as_ref().unwrap()[list].as_array().unwrap().clone());
        assert_eq!(Value::Array(listed.collect()), expected, "{list}");
    }
}

/// Changes to a company's modules, their `enabled` flags and its provisioning are recorded in the company's audit log.
/// Changes to the catalog's mappings are recorded in the audit log of the platform.
pub async fn changes_to_mappings_are_recorded(storage: Arc<dyn Storage>) {
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

/// Audit records contain the actor, the request id, whether the actor acted as a super admin or in the console, and
/// whether the change was forced.
pub async fn records_contain_the_actor(storage: Arc<dyn Storage>) {
    let (company, user, key) = (some_company(), some_user(), ApiKeyId::generate(at(0)));
    let contexts = [
        (ChangeContext::user(user), None),
        (ChangeContext { super_admin: true, ..ChangeContext::user(user) }, Some(json!({ "superAdmin": true }))),
        (
            ChangeContext { request_id: Some("request \"1\"".to_owned()), ..ChangeContext::by(Actor::ApiKey(key)) },
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
        (ChangeContext { console: true, ..ChangeContext::user(user) }, Some(json!({ "console": true }))),
        (ChangeContext::command_line(), None),
    ];
    for (context, metadata) in contexts {
        let made = level(company, unique("Level"));
        let mut tx = begin_as(&storage, company, context.clone()).await;
        let now = tx.now();
        made.store(tx.as_mut()).await.unwrap();
        tx.commit().await.unwrap();
        let records = records_about(&storage, Some(company), EntityType::UserLevel, made.id.as_uuid()).await;
        let [record] = &records[..] else { panic!("expected one record, got {records:?}") };
        assert_eq!(record.actor, context.actor);
        assert_eq!((&record.metadata, record.timestamp), (&metadata, now));
    }
}

/// The audit records of one unit of work have ascending ids, in the order of the mutations.
pub async fn records_of_one_unit_have_ascending_ids(storage: Arc<dyn Storage>) {
    let company = some_company();
    let levels: Vec<_> = (0..12).map(|n| level(company, format!("Level {n}"))).collect();
    given_all(&storage, &levels).await;
    let mut records = listed(&storage, Some(company), &AuditFilter::default()).await;
    records.reverse();
    assert_eq!(keys(&records, |record| record.entity_id), keys(&levels, |level| level.id.as_uuid()));
    assert!(records.is_sorted_by_key(|record| record.id));
}

/// A unit of work that is dropped or fails stores no audit records, not even explicitly appended ones.
pub async fn uncommitted_changes_are_not_recorded(storage: Arc<dyn Storage>) {
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
