//! How many statements each storage operation costs. The table is a snapshot: an increase shows.

pub mod postgres {
    use std::collections::{BTreeMap, BTreeSet};
    use std::fmt::Write as _;
    use std::sync::Arc;
    use std::time::Duration;

    use iam_domain::{
        Action, ActorKind, ApiKey, ApiKeyDigest, ApiKeyId, ApiKeyPrefix, Assignment, AuditRecord, AuditRecordId,
        CompanyId, Description, EntityType, ExternalId, Feature, FeatureId, FeatureKey, FeaturePermission,
        FeaturePermissionId, Label, MenuItem, MenuItemId, Module, ModuleCode, ModuleId, Name, Priority, Scope,
        ServiceRole, SessionId, SubMenuItem, SubMenuItemId, Timestamp, Url, UserId, UserLevel, UserLevelId, Versions,
        View, ViewId, ViewPermission, ViewPermissionId, ViewState, ViewUrl,
    };
    use iam_storage::{
        AuditFilter, ChangeContext, Health, NewEffectiveFeaturePermission, NewEffectiveViewPermission, NewTrailEntry,
        Reader, Result, Storage, Target, UnitOfWork,
    };
    use iam_storage_postgres::{PostgresOptions, PostgresStorage};
    use uuid::Uuid;

    use crate::support::database::{Content, TestDatabase, run};
    use crate::support::proxy::Proxy;

    /// The adapter through a proxy, with one connection, so that connecting costs its statement once.
    pub fn storage_behind(proxy: &Proxy) -> PostgresStorage {
        let options = PostgresOptions { max_connections: 1, ..TestDatabase::options_for(proxy.url()) };
        PostgresStorage::connect(&options).unwrap()
    }

    // Ids of the rows that SQL makes: the kind, and a number from 1.
    const VIEW: u64 = 1;
    const FEATURE: u64 = 2;
    const MODULE: u64 = 3;
    const LEVEL: u64 = 4;
    const USER: u64 = 5;
    const COMPANY: u64 = 6;
    const MENU: u64 = 7;
    const SUB_MENU: u64 = 8;
    const ROW: u64 = 9;

    fn id(kind: u64, n: u64) -> Uuid {
        Uuid::from_u64_pair(kind, n)
    }

    fn ids<T>(kind: u64, numbers: std::ops::RangeInclusive<u64>, new: fn(Uuid) -> T) -> Vec<T> {
        numbers.map(|n| new(id(kind, n))).collect()
    }

    fn view(n: u64) -> ViewId {
        ViewId::from_uuid(id(VIEW, n))
    }

    fn feature(n: u64) -> FeatureId {
        FeatureId::from_uuid(id(FEATURE, n))
    }

    fn module(n: u64) -> ModuleId {
        ModuleId::from_uuid(id(MODULE, n))
    }

    fn level(n: u64) -> UserLevelId {
        UserLevelId::from_uuid(id(LEVEL, n))
    }

    fn user() -> UserId {
        UserId::from_uuid(id(USER, 1))
    }

    fn company() -> CompanyId {
        CompanyId::from_uuid(id(COMPANY, 1))
    }

    fn at() -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000).unwrap()
    }

    /// `rows` of everything: as many views of a feature, levels of a user, cells of a level, and so on.
    async fn fill(database: &TestDatabase, rows: u64) {
        let sql = format!(
            "CREATE FUNCTION id(kind integer, n bigint) RETURNS uuid IMMUTABLE LANGUAGE sql AS
                $$ SELECT (lpad(to_hex(kind), 16, '0') || lpad(to_hex(n), 16, '0'))::uuid $$;
            INSERT INTO company_states (company_id, version) VALUES (id({COMPANY}, 1), 1);
            INSERT INTO views (id, name, url) SELECT id({VIEW}, n), 'View', '/' || n FROM generate_series(1, 3 * {rows}) n;
            INSERT INTO features (id, name) SELECT id({FEATURE}, n), 'Feature' FROM generate_series(1, 3 * {rows}) n;
            INSERT INTO modules (id, code, name) SELECT id({MODULE}, n), n, 'Module' FROM generate_series(1, 2 * {rows}) n;
            INSERT INTO feature2views (feature_id, view_id)
                SELECT id({FEATURE}, 1), id({VIEW}, n) FROM generate_series(1, {rows}) n
                UNION SELECT id({FEATURE}, n), id({VIEW}, 1) FROM generate_series(1, {rows}) n;
            INSERT INTO module2views (module_id, view_id)
                SELECT id({MODULE}, 1), id({VIEW}, n) FROM generate_series(1, {rows}) n
                UNION SELECT id({MODULE}, n), id({VIEW}, 1) FROM generate_series(1, {rows}) n;
            INSERT INTO module2features (module_id, feature_id)
                SELECT id({MODULE}, 1), id({FEATURE}, n) FROM generate_series(1, {rows}) n
                UNION SELECT id({MODULE}, n), id({FEATURE}, 1) FROM generate_series(1, {rows}) n;
            INSERT INTO company2modules (company_id, module_id)
                SELECT id({COMPANY}, 1), id({MODULE}, n) FROM generate_series(1, {rows}) n
                UNION SELECT id({COMPANY}, n), id({MODULE}, 1) FROM generate_series(1, {rows}) n;
            INSERT INTO user_levels (id, company_id, name)
                SELECT id({LEVEL}, n), id({COMPANY}, 1), n FROM generate_series(1, 2 * {rows}) n;
            INSERT INTO user_level_view_permissions (id, company_id, user_level_id, view_id, state)
                SELECT id({ROW}, n), id({COMPANY}, 1), id({LEVEL}, 1), id({VIEW}, n), 'deny'
                FROM generate_series(1, 2 * {rows}) n;
            INSERT INTO user_level_feature_permissions
                    (id, company_id, user_level_id, feature_id, action, value, scope)
                SELECT id({ROW}, n), id({COMPANY}, 1), id({LEVEL}, 1), id({FEATURE}, n), 'Read', false, 'own'
                FROM generate_series(1, 2 * {rows}) n;
            INSERT INTO user_user_levels (user_id, user_level_id, company_id)
                SELECT id({USER}, 1), id({LEVEL}, n), id({COMPANY}, 1) FROM generate_series(1, {rows}) n
                UNION SELECT id({USER}, n), id({LEVEL}, 1), id({COMPANY}, 1) FROM generate_series(1, {rows}) n;
            INSERT INTO menu_items (id, company_id, label)
                SELECT id({MENU}, n), id({COMPANY}, 1), 'Item' FROM generate_series(1, {rows}) n;
            INSERT INTO sub_menu_items (id, menu_item_id, label)
                SELECT id({SUB_MENU}, n), id({MENU}, 1), 'Item' FROM generate_series(1, {rows}) n;"
        );
        run(&mut database.connect().await, sql).await.unwrap();
    }

    /// Counts of statements by operation.
    struct Counts<'a> {
        proxy: &'a Proxy,
        table: BTreeMap<&'static str, usize>,
    }

    impl Counts<'_> {
        /// Does something that counts as one operation.
        async fn of<T>(&mut self, operation: &'static str, work: impl Future<Output = Result<T>>) -> T {
            let before = self.proxy.statements();
            let answer = work.await.unwrap_or_else(|error| panic!("{operation}: {error:?}"));
            let counted = self.table.insert(operation, self.proxy.statements() - before);
            assert_eq!(counted, None, "{operation} is counted twice");
            answer
        }
    }

    /// The statements of every operation, where each is about `rows` rows.
    async fn operations(rows: u64) -> BTreeMap<&'static str, usize> {
        let database = TestDatabase::new(Content::Schema).await;
        fill(&database, rows).await;
        let proxy = Proxy::to(&database).await;
        let storage = storage_behind(&proxy);
        storage.reader().company_states().versions(None).await.unwrap();
        let mut counts = Counts { proxy: &proxy, table: BTreeMap::new() };
        counts.of("Health::ping", storage.ping()).await;
        beside_decisions(&mut counts, &storage, rows).await;
        reads(&mut counts, storage.reader(), rows).await;
        changes_of_a_company(&mut counts, &storage, rows).await;
        changes_of_the_catalog(&mut counts, &storage, rows).await;
        changes_of_credentials(&mut counts, &storage, rows).await;
        let nothing = counts.of("Storage::begin (nothing)", begin(&storage, Target::Catalog)).await;
        counts.of("UnitOfWork::commit (nothing)", nothing.commit()).await;
        counts.table
    }

    async fn begin(storage: &PostgresStorage, target: Target) -> Result<Box<dyn UnitOfWork>> {
        storage.begin(target, ChangeContext::command_line()).await
    }

    async fn reads(counts: &mut Counts<'_>, reader: &dyn Reader, rows: u64) {
        let users = ids(USER, 1..=rows, UserId::from_uuid);
        let (company, user) = (company(), user());
        let (read, newest) = (Action::read(), AuditFilter::default());
        let (item, sub_item) = (MenuItemId::from_uuid(id(MENU, 1)), SubMenuItemId::from_uuid(id(SUB_MENU, 1)));
        let entity = EntityType::UserLevel;
        let c = counts;
        c.of("Views::find_all", reader.views().find_all()).await;
        c.of("Views::find_by_id", reader.views().find_by_id(view(1))).await;
        c.of("Views::find_by_url", reader.views().find_by_url("/1")).await;
        c.of("Modules::find_all", reader.modules().find_all()).await;
        c.of("Modules::find_by_id", reader.modules().find_by_id(module(1))).await;
        c.of("Modules::find_by_code", reader.modules().find_by_code("1")).await;
        c.of("Features::find_all", reader.features().find_all()).await;
        c.of("Features::find_by_id", reader.features().find_by_id(feature(1))).await;
        c.of("Features::find_by_key", reader.features().find_by_key("key")).await;
        c.of("FeatureViews::get_views_by_feature", reader.feature_views().get_views_by_feature(feature(1))).await;
        c.of("FeatureViews::get_features_by_view", reader.feature_views().get_features_by_view(view(1))).await;
        c.of("ModuleViews::get_views_by_module", reader.module_views().get_views_by_module(module(1))).await;
        c.of("ModuleViews::get_modules_by_view", reader.module_views().get_modules_by_view(view(1))).await;
        let features = reader.module_features();
        c.of("ModuleFeatures::get_features_by_module", features.get_features_by_module(module(1))).await;
        c.of("ModuleFeatures::get_modules_by_feature", features.get_modules_by_feature(feature(1))).await;
        let modules = reader.company_modules();
        c.of("CompanyModules::get_modules_by_company", modules.get_modules_by_company(company)).await;
        c.of("CompanyModules::get_companies_by_module", modules.get_companies_by_module(module(1))).await;
        c.of("UserLevels::find_all", reader.user_levels().find_all(company)).await;
        c.of("UserLevels::find_by_id", reader.user_levels().find_by_id(company, level(1))).await;
        c.of("UserLevels::find_by_name", reader.user_levels().find_by_name(company, "1")).await;
        c.of("UserLevels::count_pinned", reader.user_levels().count_pinned(company, level(1))).await;
        let views = reader.view_permissions();
        c.of("ViewPermissions::find_by_user_level", views.find_by_user_level(company, level(1))).await;
        c.of("ViewPermissions::find_by_view", views.find_by_view(company, view(1))).await;
        c.of("ViewPermissions::find", views.find(company, level(1), view(1))).await;
        let features = reader.feature_permissions();
        c.of("FeaturePermissions::find_by_user_level", features.find_by_user_level(company, level(1))).await;
        c.of("FeaturePermissions::find_by_feature", features.find_by_feature(company, feature(1))).await;
        c.of("FeaturePermissions::find", features.find(company, level(1), feature(1), &read)).await;
        c.of("Assignments::get_user_levels", reader.assignments().get_user_levels(company, user)).await;
        c.of("Assignments::get_users", reader.assignments().get_users(company, level(1))).await;
        let actions = [("key", Action::update())];
        c.of("Assignments::is_holder", reader.assignments().is_holder(company, user, &actions)).await;
        c.of("Assignments::find_holder", reader.assignments().find_holder(company, &actions, Some(level(1)))).await;
        let after = Some(user);
        c.of("Assignments::list_users", reader.assignments().list_users(company, level(1), after, 9)).await;
        c.of("MenuItems::find_all", reader.menu_items().find_all(Some(company))).await;
        c.of("MenuItems::find_by_id", reader.menu_items().find_by_id(Some(company), item)).await;
        c.of("MenuItems::find_using_view", reader.menu_items().find_using_view(view(1))).await;
        c.of("MenuItems::find_using_feature", reader.menu_items().find_using_feature(feature(1))).await;
        let key = FeatureKey::parse("key").unwrap();
        c.of("MenuItems::find_requiring", reader.menu_items().find_requiring(&key)).await;
        c.of("SubMenuItems::find_all", reader.sub_menu_items().find_all(Some(company))).await;
        c.of("SubMenuItems::find_by_menu_id", reader.sub_menu_items().find_by_menu_id(Some(company), item)).await;
        c.of("SubMenuItems::find_by_id", reader.sub_menu_items().find_by_id(Some(company), sub_item)).await;
        let logs = reader.audit_logs();
        c.of("AuditLogs::list_for_company", logs.list_for_company(Some(company), &newest, None, 9)).await;
        c.of("AuditLogs::count_for_company", logs.count_for_company(Some(company), &newest, 9)).await;
        c.of("AuditLogs::list_for_entity", logs.list_for_entity(Some(company), entity, id(LEVEL, 1), 9)).await;
        c.of("AuditLogs::list_for_user", logs.list_for_user(Some(company), user, 9)).await;
        c.of("CompanyStates::read", reader.company_states().read(company)).await;
        c.of("CompanyStates::versions", reader.company_states().versions(Some(company))).await;
        c.of("Snapshots::load_users", reader.snapshots().load_users(company, &users)).await;
        c.of("Snapshots::load_menu", reader.snapshots().load_menu(Some(company))).await;
        c.of("Snapshots::load_user", reader.snapshots().load_user(company, user)).await;
        c.of("Snapshots::load_company", reader.snapshots().load_company(company)).await;
        c.of("Snapshots::load_catalog", reader.snapshots().load_catalog()).await;
        c.of("Users::find", reader.users().find(&users)).await;
        c.of("ApiKeys::find_all", reader.api_keys().find_all()).await;
        c.of("ApiKeys::find_by_id", reader.api_keys().find_by_id(api_key(1).id)).await;
        c.of("Credentials::changes_since", reader.credentials().changes_since(0)).await;
    }

    async fn changes_of_a_company(counts: &mut Counts<'_>, storage: &PostgresStorage, rows: u64) {
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
        // As many cells change as go and as come.
        let cells: Vec<_> = (1..=rows).chain(2 * rows + 1..=3 * rows).map(cell).collect();
        let views = tx.view_permissions_mut();
        c.of("ViewPermissionsMut::replace_for_user_level", views.replace_for_user_level(company, level(1), &cells))
            .await;
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
        };
        c.of("AssignmentsMut::add", tx.assignments_mut().add(&held)).await;
        c.of("AssignmentsMut::remove", tx.assignments_mut().remove(company, user, level(2 * rows))).await;
        let wanted = ids(LEVEL, rows + 1..=2 * rows, UserLevelId::from_uuid);
        let replace = tx.assignments_mut().replace_for_user(company, user, &wanted, None);
        c.of("AssignmentsMut::replace_for_user", replace).await;

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
        // With all the sub-items that were there.
        c.of("MenuItemsMut::delete", tx.menu_items_mut().delete(owner, moved.menu_item_id)).await;

        let record = AuditRecord {
            id: AuditRecordId::generate(at()),
            company_id: owner,
            user_id: Some(user),
            actor_kind: ActorKind::User,
            action: "test.done".to_owned(),
            entity_type: EntityType::Company,
            entity_id: company.as_uuid(),
            changes: None,
            metadata: None,
            timestamp: at(),
        };
        c.of("AuditLogsMut::append", tx.audit_logs_mut().append(&record)).await;
        c.of("CompanyStatesMut::set_provisioned", tx.company_states_mut().set_provisioned(company)).await;
        c.of("UnitOfWork::commit (company)", unit.commit()).await;
    }

    async fn changes_of_the_catalog(counts: &mut Counts<'_>, storage: &PostgresStorage, rows: u64) {
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
        // With all that is mapped to it.
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

    fn api_key(n: u64) -> ApiKey {
        ApiKey {
            id: ApiKeyId::from_uuid(id(ROW, n)),
            prefix: ApiKeyPrefix::parse(format!("{n:012}")).unwrap(),
            name: Name::parse("Key").unwrap(),
            role: ServiceRole::Check,
            company_id: None,
            created_by: None,
            created_at: at(),
            expires_at: None,
            revoked_at: None,
            last_used_at: None,
        }
    }

    async fn changes_of_credentials(counts: &mut Counts<'_>, storage: &PostgresStorage, rows: u64) {
        let c = counts;
        let mut unit = c.of("Storage::begin (credentials)", begin(storage, Target::Credentials)).await;
        let tx = unit.as_mut();
        c.of("ApiKeysMut::create", tx.api_keys_mut().create(&api_key(1), &ApiKeyDigest([1; 32]))).await;
        c.of("ApiKeysMut::revoke", tx.api_keys_mut().revoke(api_key(1).id)).await;
        c.of("UsersMut::cut_off", tx.users_mut().cut_off(user(), at())).await;
        c.of("UsersMut::remember", tx.users_mut().remember(&ExternalId::parse("issuer|user").unwrap())).await;
        c.of("UnitOfWork::commit (credentials)", unit.commit()).await;
        let uses: Vec<_> = (1..=rows).map(|n| (api_key(n).id, at())).collect();
        c.of("ApiKeyUses::record", storage.api_key_uses().record(&uses)).await;
    }

    async fn beside_decisions(counts: &mut Counts<'_>, storage: &PostgresStorage, rows: u64) {
        let (company, user) = (company(), user());
        let c = counts;
        let trail = storage.nav_trail();
        let session = SessionId::parse("session").unwrap();
        let step = NewTrailEntry {
            user_id: user,
            company_id: company,
            session_id: session.clone(),
            view_id: Some(view(1)),
            url: Url::parse("/1").unwrap(),
            label: Label::parse("One").unwrap(),
        };
        c.of("NavTrail::track", trail.track(&step)).await;
        c.of("NavTrail::find_by_session", trail.find_by_session(company, user, &session)).await;
        c.of("NavTrail::find_recent", trail.find_recent(company, user, 9)).await;
        c.of("NavTrail::clear", trail.clear(company, user, &session)).await;

        let versions: Versions = storage.reader().company_states().versions(Some(company)).await.unwrap();
        let hour = Duration::from_secs(3600);
        let effective: Vec<_> = (1..=rows)
            .map(|n| NewEffectiveViewPermission { user_id: user, view_id: view(n), has_access: true })
            .collect();
        let views = storage.effective_view_permissions();
        let write = || views.upsert_many(company, versions, hour, &effective);
        let written = c.of("EffectiveViewPermissions::upsert_many", write()).await;
        assert_eq!(written, rows);
        c.of("EffectiveViewPermissions::find", views.find(company, user, view(1))).await;
        let found = c.of("EffectiveViewPermissions::find_all_for_user", views.find_all_for_user(company, user)).await;
        assert_eq!(found.len(), effective.len());
        let found = c.of("EffectiveViewPermissions::find_active", views.find_active(rows)).await;
        assert_eq!(found, [(company, user)]);
        c.of("EffectiveViewPermissions::delete_for_user_level", views.delete_for_user_level(company, level(1))).await;
        write().await.unwrap();
        c.of("EffectiveViewPermissions::delete_for_user", views.delete_for_user(company, user)).await;
        write().await.unwrap();
        c.of("EffectiveViewPermissions::delete_for_company", views.delete_for_company(company)).await;
        c.of("EffectiveViewPermissions::delete_expired", views.delete_expired(rows)).await;

        let effective: Vec<_> = (1..=rows)
            .map(|n| NewEffectiveFeaturePermission {
                user_id: user,
                feature_id: feature(n),
                action: Action::read(),
                allowed: true,
                scope: Scope::Any,
            })
            .collect();
        let (features, read) = (storage.effective_feature_permissions(), Action::read());
        let write = || features.upsert_many(company, versions, hour, &effective);
        let written = c.of("EffectiveFeaturePermissions::upsert_many", write()).await;
        assert_eq!(written, rows);
        c.of("EffectiveFeaturePermissions::find", features.find(company, user, feature(1), &read)).await;
        let all = features.find_all_for_user(company, user);
        let found = c.of("EffectiveFeaturePermissions::find_all_for_user", all).await;
        assert_eq!(found.len(), effective.len());
        let delete = features.delete_for_user_level(company, level(1));
        c.of("EffectiveFeaturePermissions::delete_for_user_level", delete).await;
        write().await.unwrap();
        c.of("EffectiveFeaturePermissions::delete_for_user", features.delete_for_user(company, user)).await;
        write().await.unwrap();
        c.of("EffectiveFeaturePermissions::delete_for_company", features.delete_for_company(company)).await;
        c.of("EffectiveFeaturePermissions::delete_expired", features.delete_expired(rows)).await;
    }

    /// Every operation in the traits of the contract, read from their sources, except those beside the pool.
    fn operations_of_the_contract() -> BTreeSet<String> {
        let sources = [
            include_str!("../../../crates/storage/src/read.rs"),
            include_str!("../../../crates/storage/src/auxiliary.rs"),
            include_str!("../../../crates/storage/src/storage.rs"),
            include_str!("../../../crates/storage/src/write.rs"),
        ];
        let mut operations = BTreeSet::new();
        let mut of = "";
        for line in sources.iter().flat_map(|source| source.lines()) {
            if let Some(rest) = line.strip_prefix("pub trait ") {
                of = rest.split([':', ' ']).next().unwrap();
            } else if line.starts_with('}') {
                of = "";
            } else if let Some(rest) = line.trim_start().strip_prefix("async fn ")
                && !of.is_empty()
            {
                operations.insert(format!("{of}::{}", rest.split('(').next().unwrap()));
            }
        }
        // Work inside a unit of work is not the adapter's.
        operations.remove("Work::run");
        operations
    }

    pub fn lines<K: std::fmt::Display>(table: &BTreeMap<K, usize>, unit: impl Fn(usize) -> &'static str) -> String {
        table.iter().fold(String::new(), |mut text, (key, count)| {
            writeln!(text, "{key}: {count}{}", unit(*count)).unwrap();
            text
        })
    }

    #[tokio::test]
    async fn an_operation_costs_the_same_for_one_row_and_for_a_thousand() {
        let (one, thousand) = (operations(1).await, operations(1000).await);
        assert_eq!(one, thousand);
        insta::assert_snapshot!("operations", lines(&one, |_| ""));
    }

    #[tokio::test]
    async fn a_change_of_a_company_reads_the_catalog_only_if_it_is_another_than_is_known() {
        let database = TestDatabase::new(Content::Seeded).await;
        let (own, other) = (database.storage(), database.storage());
        let known = own.reader().snapshots().load_catalog().await.unwrap();
        let company = Target::Company(company());

        let unit = begin(&own, company).await.unwrap();
        let within = unit.snapshots().load_user(company.company().unwrap(), user()).await.unwrap().value.catalog;
        assert!(Arc::ptr_eq(&within, &known.value), "the catalog was read again");
        drop(unit);

        let mut unit = begin(&other, Target::Catalog).await.unwrap();
        unit.views_mut().delete(known.value.views().next().unwrap().id).await.unwrap();
        unit.commit().await.unwrap();
        let unit = begin(&own, company).await.unwrap();
        let within = unit.snapshots().load_user(company.company().unwrap(), user()).await.unwrap().value.catalog;
        assert_eq!(within.views().count(), known.value.views().count() - 1, "the catalog is an old one");
        drop(unit);
        for storage in [own, other] {
            storage.close().await;
        }
    }

    #[tokio::test]
    async fn every_operation_of_the_contract_is_counted() {
        let counted = operations(1).await;
        let counted: BTreeSet<_> = counted.keys().map(|name| name.split(' ').next().unwrap().to_owned()).collect();
        assert_eq!(counted, operations_of_the_contract());
    }
}
