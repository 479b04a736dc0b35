//! Tests of the number of SQL statements per storage operation. The numbers are stored in a snapshot. Reviewers
//! therefore notice every increase, such as an N+1 query. Polls and look-ups of credentials use connections outside the
//! pool, and are not counted.

pub mod postgres {
    mod changes;
    mod counts;
    mod rows;

    use std::collections::{BTreeMap, BTreeSet};
    use std::fmt::Write as _;
    use std::sync::Arc;
    use std::time::Duration;

    use iam_domain::escalation::Cell;
    use iam_domain::{
        Action, EntityType, FeatureKey, Label, MenuItemId, Quota, Scope, SessionId, SubMenuItemId, Timestamp, Url,
        UserId, UserLevelId, Versions,
    };
    use iam_storage::{
        AuditFilter, CellName, CompanyFilter, CompanyOrder, Direction, Health, IdOrText, LevelRules, MemberFilter,
        NewEffectiveFeaturePermission, NewEffectiveViewPermission, NewTrailEntry, PageBounds, Reader, SessionDigest,
        Storage, StoredSession, Target,
    };
    use iam_storage_postgres::{PostgresOptions, PostgresStorage};

    use self::changes::{changes_of_credentials, changes_to_a_company, changes_to_the_catalog, erasure, imports};
    use self::counts::{Counts, begin};
    use self::rows::{
        LEVEL, MENU, SUB_MENU, USER, api_key, company, feature, fill, id, ids, level, module, user, view,
    };
    use crate::support::database::{Content, TestDatabase};
    use crate::support::proxy::Proxy;

    /// Connects the adapter through a proxy. The pool has one connection, so the statement that initializes a session
    /// is sent only once.
    pub fn storage_behind(proxy: &Proxy) -> PostgresStorage {
        let options = PostgresOptions { max_connections: 1, ..TestDatabase::options_for(proxy.url()) };
        PostgresStorage::connect(&options).unwrap()
    }

    /// Returns the number of SQL statements of every operation when it reads or changes `rows` rows.
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
        changes_to_a_company(&mut counts, &storage, rows).await;
        changes_to_the_catalog(&mut counts, &storage, rows).await;
        changes_of_credentials(&mut counts, &storage, rows).await;
        imports(&mut counts, &storage).await;
        erasure(&mut counts, &storage).await;
        let nothing = counts.of("Storage::begin (nothing)", begin(&storage, Target::Catalog)).await;
        counts.of("UnitOfWork::commit (nothing)", nothing.commit()).await;
        counts.table
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
        c.of("Assignments::get_memberships", reader.assignments().get_memberships(user, None, 9)).await;
        c.of("Assignments::get_users", reader.assignments().get_users(company, level(1))).await;
        c.of("Assignments::get_assigned", reader.assignments().get_assigned(company, user)).await;
        let (ending, before) = (reader.ending_assignments(), Timestamp::from_millis(4_000_000_000_000).unwrap());
        c.of("EndingAssignments::list_ending", ending.list_ending(company, before, None, 9)).await;
        c.of("EndingAssignments::find_expired", ending.find_expired(Duration::ZERO, 9)).await;
        let actions = [("key", Action::update())];
        c.of("Assignments::is_holder", reader.assignments().is_holder(company, user, &actions)).await;
        c.of("Assignments::find_holder", reader.assignments().find_holder(company, &actions, None)).await;
        let (after, all) = (Some(user), MemberFilter::default());
        c.of("Members::list", reader.members().list(company, &all, Direction::Ascending, None, 9)).await;
        c.of("Members::list_by_name", reader.members().list_by_name(company, &all, None, 9)).await;
        c.of("Members::count", reader.members().count(company, &all, 9)).await;
        c.of("Members::count_by_level", reader.members().count_by_level(company)).await;
        let rules = LevelRules { allowing: &[level(1)], denying: &[level(2)] };
        c.of("Members::select", reader.members().select(company, rules, None, 9)).await;
        c.of("Members::count_selected", reader.members().count_selected(company, rules, 9)).await;
        let directory = reader.company_directory();
        let companies = CompanyFilter::default();
        c.of("CompanyDirectory::list", directory.list(&companies, CompanyOrder::Name, None, 9)).await;
        c.of("CompanyDirectory::count", directory.count(&companies, 9)).await;
        c.of("CursorKeys::cursor_key", reader.cursor_keys().cursor_key()).await;
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
        c.of(
            "AuditLogs::list_for_company",
            logs.list_for_company(Some(company), &newest, None, PageBounds::records(9)),
        )
        .await;
        c.of("AuditLogs::count_for_company", logs.count_for_company(Some(company), &newest, 9)).await;
        c.of("AuditLogs::list_for_entity", logs.list_for_entity(Some(company), entity, id(LEVEL, 1), 9)).await;
        c.of("AuditLogs::list_for_user", logs.list_for_user(Some(company), user, 9)).await;
        c.of("CompanyStates::read", reader.company_states().read(company)).await;
        c.of("CompanyStates::versions", reader.company_states().versions(Some(company))).await;
        let quotas = reader.company_quotas();
        let all: Vec<_> = Quota::ALL.iter().map(|quota| (*quota, u64::MAX)).collect();
        c.of("CompanyQuotas::overrides", quotas.overrides(company)).await;
        c.of("CompanyQuotas::usage", quotas.usage(company, &all)).await;
        c.of("CompanyQuotas::exceeds_level_sets", quotas.exceeds_level_sets(company, &[(user, vec![])], 0)).await;
        c.of("CompanyCeilings::ceilings", reader.company_ceilings().ceilings(company)).await;
        c.of("Snapshots::load_users", reader.snapshots().load_users(company, &users)).await;
        c.of("Snapshots::load_menu", reader.snapshots().load_menu(Some(company))).await;
        c.of("Snapshots::load_user", reader.snapshots().load_user(company, user)).await;
        c.of("Snapshots::load_company", reader.snapshots().load_company(company)).await;
        let levels = ids(LEVEL, 1..=rows, UserLevelId::from_uuid);
        c.of("Snapshots::load_levels", reader.snapshots().load_levels(company, &levels)).await;
        let cells: BTreeSet<_> = (1..=rows).map(|n| Cell::View(view(n))).collect();
        let others = reader.snapshots().load_other_rules(company, level(1), &cells, None);
        c.of("Snapshots::load_other_rules", others).await;
        let cell = CellName::View(IdOrText::Id(view(1)));
        c.of("Snapshots::load_cell", reader.snapshots().load_cell(company, &cell)).await;
        c.of("Snapshots::load_matrix", reader.snapshots().load_matrix(company)).await;
        c.of("Snapshots::load_copy", reader.snapshots().load_copy(company)).await;
        c.of("Snapshots::load_catalog", reader.snapshots().load_catalog()).await;
        c.of("UserProfiles::find_all", reader.user_profiles().find_all(company)).await;
        c.of("UserProfiles::find", reader.user_profiles().find(company, &users)).await;
        c.of("Users::find", reader.users().find(&users)).await;
        c.of("ApiKeys::find_all", reader.api_keys().find_all()).await;
        c.of("ApiKeys::find_by_id", reader.api_keys().find_by_id(api_key(1).id)).await;
        c.of("ApiKeys::find_by_company", reader.api_keys().find_by_company(company)).await;
        c.of("Credentials::changes_since", reader.credentials().changes_since(0)).await;
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

        c.of("IdempotencyKeys::delete_expired", storage.idempotency_keys().delete_expired(rows)).await;
        let (sessions, digest, later) =
            (storage.sessions(), SessionDigest([1; 32]), Timestamp::from_millis(4_000_000_000_000).unwrap());
        let stored = StoredSession { content: String::new(), ends_at: later, expires_at: later };
        c.of("Sessions::create", sessions.create(&digest, &stored)).await;
        c.of("Sessions::find", sessions.find(&digest, Timestamp::from_millis(0).unwrap())).await;
        c.of("Sessions::update", sessions.update(&digest, "new", later)).await;
        c.of("Sessions::extend", sessions.extend(&digest, later)).await;
        c.of("Sessions::delete", sessions.delete(&digest)).await;
        c.of("Sessions::delete_expired", sessions.delete_expired(rows)).await;
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

    /// Returns the operations of the storage traits, as read from the source files. Operations that do not use the pool
    /// are omitted.
    fn operations_of_the_contract() -> BTreeSet<String> {
        let sources = [
            include_str!("../../../crates/storage/src/read.rs"),
            include_str!("../../../crates/storage/src/audit_log.rs"),
            include_str!("../../../crates/storage/src/members.rs"),
            include_str!("../../../crates/storage/src/directory.rs"),
            include_str!("../../../crates/storage/src/expiry.rs"),
            include_str!("../../../crates/storage/src/auxiliary.rs"),
            include_str!("../../../crates/storage/src/profiles.rs"),
            include_str!("../../../crates/storage/src/idempotency.rs"),
            include_str!("../../../crates/storage/src/sessions.rs"),
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
        // `Work::run` is implemented by callers of the storage and not by the adapter.
        operations.remove("Work::run");
        // A snapshot opens a connection of its own, with the statements that set up a session.
        operations.remove("Storage::snapshot");
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
    async fn a_change_to_a_company_reads_the_catalog_only_if_it_changed() {
        let database = TestDatabase::new(Content::Seeded).await;
        let (own, other) = (database.storage(), database.storage());
        let known = own.reader().snapshots().load_catalog().await.unwrap();
        let company = Target::Company(company());

        let unit = begin(&own, company).await.unwrap();
        let within = unit.snapshots().load_user(company.company().unwrap(), user()).await.unwrap().value.catalog;
        assert!(Arc::ptr_eq(&within, &known.value), "the cached catalog must not be read again");
        drop(unit);

        let mut unit = begin(&other, Target::Catalog).await.unwrap();
        unit.views_mut().delete(known.value.views().next().unwrap().id).await.unwrap();
        unit.commit().await.unwrap();
        let unit = begin(&own, company).await.unwrap();
        let within = unit.snapshots().load_user(company.company().unwrap(), user()).await.unwrap().value.catalog;
        assert_eq!(within.views().count(), known.value.views().count() - 1, "the new catalog must be read");
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
