//! Counts the SQL statements of every change.

use iam_domain::{
    Action, Actor, ApiKeyDigest, Assignment, AuditRecord, AuditRecordId, Ceilings, CompanyDetails, CompanyStatus,
    Description, EntityType, ExternalId, Feature, FeatureId, FeatureKey, FeaturePermission, FeaturePermissionId,
    IdempotencyKey, Label, MenuItem, MenuItemId, Module, ModuleCode, ModuleId, Name, Period, Priority, ProfileSource,
    Quota, QuotaOverrides, Scope, SubMenuItem, SubMenuItemId, UserId, UserLevel, UserLevelId, UserProfile, View,
    ViewId, ViewPermission, ViewPermissionId, ViewState, ViewUrl,
};
use iam_storage::{
    AuditFilter, CompanyContent, IdempotencyRecord, IdempotentRequest, LevelsEdit, PageBounds, Storage, Target,
};
use iam_storage_postgres::PostgresStorage;

use super::counts::{Counts, begin};
use super::rows::{
    FEATURE, LEVEL, MENU, MODULE, SUB_MENU, USER, VIEW, api_key, at, company, feature, id, ids, level, module, user,
    view,
};

pub async fn changes_to_a_company(counts: &mut Counts<'_>, storage: &PostgresStorage, rows: u64) {
    let (company, user) = (company(), user());
    let name = |text: &str| Name::parse(text).unwrap();
    let c = counts;
    let mut unit = c.of("Storage::begin (company)", begin(storage, Target::Company(company))).await;
    let tx = unit.as_mut();

    let made = UserLevel {
        id: level(0),
        company_id: company,
        name: name("Made"),
        description: Description::parse("").unwrap(),
        is_default: false,
        created_at: at(),
        updated_at: at(),
    };
    c.of("UserLevelsMut::create", tx.user_levels_mut().create(&made)).await;
    let renamed = UserLevel { name: name("Renamed"), ..made };
    c.of("UserLevelsMut::update", tx.user_levels_mut().update(&renamed)).await;
    c.of("UserLevelsMut::delete", tx.user_levels_mut().delete(company, level(0))).await;

    let cell = |n| ViewPermission {
        id: ViewPermissionId::generate(at()),
        company_id: company,
        user_level_id: level(1),
        view_id: view(n),
        state: ViewState::Allow,
        modifiable: true,
        created_at: at(),
        updated_at: at(),
    };
    // The replacement changes `rows` cells, deletes `rows` cells and adds `rows` cells.
    let cells: Vec<_> = (1..=rows).chain(2 * rows + 1..=3 * rows).map(cell).collect();
    let views = tx.view_permissions_mut();
    c.of("ViewPermissionsMut::replace_for_user_level", views.replace_for_user_level(company, level(1), &cells)).await;
    c.of("ViewPermissionsMut::upsert", views.upsert(&ViewPermission { state: ViewState::Deny, ..cell(1) })).await;
    c.of("ViewPermissionsMut::delete", views.delete(company, level(1), view(1))).await;

    let cell = |n| FeaturePermission {
        id: FeaturePermissionId::generate(at()),
        company_id: company,
        user_level_id: level(1),
        feature_id: feature(n),
        action: Action::read(),
        value: true,
        scope: Scope::Any,
        modifiable: true,
        created_at: at(),
        updated_at: at(),
    };
    let cells: Vec<_> = (1..=rows).chain(2 * rows + 1..=3 * rows).map(cell).collect();
    let features = tx.feature_permissions_mut();
    let replace = features.replace_for_user_level(company, level(1), &cells);
    c.of("FeaturePermissionsMut::replace_for_user_level", replace).await;
    c.of("FeaturePermissionsMut::upsert", features.upsert(&FeaturePermission { value: false, ..cell(1) })).await;
    let read = Action::read();
    let delete = features.delete(company, level(1), feature(1), &read);
    c.of("FeaturePermissionsMut::delete", delete).await;

    let held = Assignment {
        user_id: user,
        user_level_id: level(2 * rows),
        company_id: company,
        assigned_by: None,
        created_at: at(),
        period: Period::UNLIMITED,
    };
    c.of("AssignmentsMut::add", tx.assignments_mut().add(&held)).await;
    c.of("AssignmentsMut::remove", tx.assignments_mut().remove(company, user, level(2 * rows))).await;
    let wanted = ids(LEVEL, rows + 1..=2 * rows, UserLevelId::from_uuid);
    let replace = tx.assignments_mut().replace_for_user(company, user, &wanted, None);
    c.of("AssignmentsMut::replace_for_user", replace).await;
    // Each user receives one level and loses another level.
    let edit = |n| LevelsEdit {
        user: UserId::from_uuid(id(USER, n)),
        add: [(level(n), Some(Period { starts_at: None, expires_at: Some(at()) }))].into(),
        remove: [level(rows + n)].into(),
    };
    let edits: Vec<_> = (1..=rows).map(edit).collect();
    c.of("AssignmentsMut::edit", tx.assignments_mut().edit(company, &edits, None)).await;
    c.of("AssignmentsMut::remove_expired", tx.assignments_mut().remove_expired(company, at(), rows)).await;

    let modules = tx.company_modules_mut();
    c.of("CompanyModulesMut::add", modules.add(company, module(2 * rows))).await;
    c.of("CompanyModulesMut::remove", modules.remove(company, module(2 * rows))).await;
    c.of("CompanyModulesMut::set_enabled", modules.set_enabled(company, module(1), false)).await;
    let wanted = ids(MODULE, rows + 1..=2 * rows, ModuleId::from_uuid);
    c.of("CompanyModulesMut::replace_for_company", modules.replace_for_company(company, &wanted)).await;

    let owner = Some(company);
    let item = MenuItem {
        id: MenuItemId::from_uuid(id(MENU, 0)),
        company_id: owner,
        label: Label::parse("Item").unwrap(),
        icon: None,
        priority: Priority::Standard,
        required_permissions: None,
        sort_order: 0,
        view_id: Some(view(1)),
        feature_id: Some(feature(1)),
        is_entrypoint: true,
        created_at: at(),
        updated_at: at(),
    };
    c.of("MenuItemsMut::create", tx.menu_items_mut().create(&item)).await;
    c.of("MenuItemsMut::update", tx.menu_items_mut().update(&MenuItem { sort_order: 1, ..item.clone() })).await;
    let sub_item = SubMenuItem {
        id: SubMenuItemId::from_uuid(id(SUB_MENU, 0)),
        menu_item_id: item.id,
        label: Label::parse("Item").unwrap(),
        view_id: Some(view(1)),
        feature_id: None,
        icon: None,
        sort_order: 0,
        enabled: true,
        created_at: at(),
        updated_at: at(),
    };
    let sub_items = tx.sub_menu_items_mut();
    c.of("SubMenuItemsMut::create", sub_items.create(owner, &sub_item)).await;
    let moved = SubMenuItem { menu_item_id: MenuItemId::from_uuid(id(MENU, 1)), ..sub_item };
    c.of("SubMenuItemsMut::update", sub_items.update(owner, &moved)).await;
    c.of("SubMenuItemsMut::delete", sub_items.delete(owner, moved.id)).await;
    // The deletion also deletes the sub-items of the item.
    c.of("MenuItemsMut::delete", tx.menu_items_mut().delete(owner, moved.menu_item_id)).await;

    let record = AuditRecord {
        id: AuditRecordId::generate(at()),
        company_id: owner,
        actor: Actor::User(user),
        action: "test.done".to_owned(),
        entity_type: EntityType::Company,
        entity_id: company.as_uuid(),
        changes: None,
        metadata: None,
        timestamp: at(),
    };
    c.of("AuditLogsMut::append", tx.audit_logs_mut().append(&record)).await;
    c.of("CompanyStatesMut::set_provisioned", tx.company_states_mut().set_provisioned(company)).await;
    let details = CompanyDetails { name: Some(name("Company")), status: CompanyStatus::Suspended };
    c.of("CompanyStatesMut::replace_details", tx.company_states_mut().replace_details(company, &details)).await;
    let profile = UserProfile {
        company_id: company,
        user_id: user,
        display_name: Some(name("Ada")),
        email: None,
        source: ProfileSource::Api,
        created_at: at(),
        updated_at: at(),
    };
    c.of("UserProfilesMut::replace", tx.user_profiles_mut().replace(&profile)).await;
    c.of("UserProfilesMut::forget", tx.user_profiles_mut().forget(company, user)).await;
    let quotas = QuotaOverrides([(Quota::Levels, 7)].into());
    let replace = tx.company_quotas_mut().replace_overrides(company, &quotas);
    c.of("CompanyQuotasMut::replace_overrides", replace).await;
    let ceilings =
        Ceilings { hidden_views: [ViewId::from_uuid(uuid::Uuid::from_u128(1))].into(), ..Ceilings::default() };
    let replace = tx.company_ceilings_mut().replace_ceilings(company, &ceilings);
    c.of("CompanyCeilingsMut::replace_ceilings", replace).await;
    let key = IdempotencyKey::parse("key").unwrap();
    let actor = Actor::User(user);
    let (method, path) = ("POST".to_owned(), "/api/iam/user-levels".to_owned());
    let request = IdempotentRequest { actor, key: key.clone(), method, path, digest: [1; 32] };
    let record = IdempotencyRecord { request, entity: id(LEVEL, 0), expires_at: at() };
    let keys = tx.idempotency_keys_mut();
    c.of("IdempotencyKeysMut::record", keys.record(&record, 9)).await;
    c.of("IdempotencyKeysMut::find_record", keys.find_record(actor, &key)).await;
    c.of("UnitOfWork::commit (company)", unit.commit()).await;
}

pub async fn changes_to_the_catalog(counts: &mut Counts<'_>, storage: &PostgresStorage, rows: u64) {
    let c = counts;
    let mut unit = c.of("Storage::begin (catalog)", begin(storage, Target::Catalog)).await;
    let tx = unit.as_mut();
    let (gone, wanted) = (2 * rows, rows + 1..=2 * rows);
    let views = ids(VIEW, wanted.clone(), ViewId::from_uuid);
    let features = ids(FEATURE, wanted, FeatureId::from_uuid);

    let mapping = tx.feature_views_mut();
    c.of("FeatureViewsMut::add", mapping.add(feature(1), view(gone))).await;
    c.of("FeatureViewsMut::remove", mapping.remove(feature(1), view(gone))).await;
    c.of("FeatureViewsMut::replace_for_feature", mapping.replace_for_feature(feature(1), &views)).await;
    let mapping = tx.module_views_mut();
    c.of("ModuleViewsMut::add", mapping.add(module(1), view(gone))).await;
    c.of("ModuleViewsMut::remove", mapping.remove(module(1), view(gone))).await;
    c.of("ModuleViewsMut::replace_for_module", mapping.replace_for_module(module(1), &views)).await;
    let mapping = tx.module_features_mut();
    c.of("ModuleFeaturesMut::add", mapping.add(module(1), feature(gone))).await;
    c.of("ModuleFeaturesMut::remove", mapping.remove(module(1), feature(gone))).await;
    c.of("ModuleFeaturesMut::replace_for_module", mapping.replace_for_module(module(1), &features)).await;

    let made = View {
        id: view(0),
        name: Name::parse("Made").unwrap(),
        url: ViewUrl::parse("/made").unwrap(),
        category: None,
        description: None,
        icon: None,
        requires_auth: true,
        created_at: at(),
        updated_at: at(),
    };
    c.of("ViewsMut::create", tx.views_mut().create(&made)).await;
    c.of("ViewsMut::update", tx.views_mut().update(&View { requires_auth: false, ..made })).await;
    // The deletion also deletes the mappings and permissions of the view.
    c.of("ViewsMut::delete", tx.views_mut().delete(view(rows + 1))).await;
    let made = Feature {
        id: feature(0),
        key: Some(FeatureKey::parse("made").unwrap()),
        name: Name::parse("Made").unwrap(),
        description: None,
        resource_type: None,
        actions: Some(vec![Action::parse("Sign").unwrap()]),
        category: None,
        enabled: true,
        created_at: at(),
        updated_at: at(),
    };
    c.of("FeaturesMut::create", tx.features_mut().create(&made)).await;
    c.of("FeaturesMut::update", tx.features_mut().update(&Feature { actions: None, ..made })).await;
    c.of("FeaturesMut::delete", tx.features_mut().delete(feature(rows + 1))).await;
    let made = Module {
        id: module(0),
        code: ModuleCode::parse("made").unwrap(),
        name: Name::parse("Made").unwrap(),
        description: None,
        icon: None,
        enabled: true,
        priority: Priority::Premium,
        created_at: at(),
        updated_at: at(),
    };
    c.of("ModulesMut::create", tx.modules_mut().create(&made)).await;
    c.of("ModulesMut::update", tx.modules_mut().update(&Module { enabled: false, ..made })).await;
    c.of("ModulesMut::delete", tx.modules_mut().delete(module(1))).await;
    c.of("UnitOfWork::commit (catalog)", unit.commit()).await;
}

/// Installs the content that the company has, and restores no audit records.
pub async fn imports(counts: &mut Counts<'_>, storage: &PostgresStorage) {
    let company = company();
    let copy = storage.reader().snapshots().load_copy(company).await.unwrap().value;
    let content = CompanyContent::new(copy, storage.reader().user_profiles().find_all(company).await.unwrap());
    let logs = storage.reader().audit_logs();
    let newest = AuditFilter::default();
    let page = logs.list_for_company(Some(company), &newest, None, PageBounds::records(9)).await.unwrap();
    let mut unit = begin(storage, Target::Company(company)).await.unwrap();
    counts.of("CompanyContentsMut::install", unit.company_contents_mut().install(&content)).await;
    counts.of("AuditLogsMut::restore", unit.audit_logs_mut().restore(Some(company), &page.records)).await;
}

pub async fn erasure(counts: &mut Counts<'_>, storage: &PostgresStorage) {
    let company = company();
    let mut unit = begin(storage, Target::Company(company)).await.unwrap();
    counts.of("CompanyStatesMut::erase", unit.company_states_mut().erase(company)).await;
    counts.of("UnitOfWork::commit (erasure)", unit.commit()).await;
}

pub async fn changes_of_credentials(counts: &mut Counts<'_>, storage: &PostgresStorage, rows: u64) {
    let c = counts;
    let mut unit = c.of("Storage::begin (credentials)", begin(storage, Target::Credentials)).await;
    let tx = unit.as_mut();
    c.of("ApiKeysMut::create", tx.api_keys_mut().create(&api_key(1), &ApiKeyDigest([1; 32]))).await;
    c.of("ApiKeysMut::revoke", tx.api_keys_mut().revoke(api_key(1).id)).await;
    c.of("UsersMut::cut_off", tx.users_mut().cut_off(user(), at())).await;
    c.of("UsersMut::remember", tx.users_mut().remember(&[&ExternalId::parse("issuer|user").unwrap()])).await;
    c.of("UnitOfWork::commit (credentials)", unit.commit()).await;
    let uses: Vec<_> = (1..=rows).map(|n| (api_key(n).id, at())).collect();
    c.of("ApiKeyUses::record", storage.api_key_uses().record(&uses)).await;
}
