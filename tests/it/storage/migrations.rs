//! Tests of the schema and the seed data that `migration` creates.

mod postgres {
    use std::collections::BTreeMap;

    use futures_util::future::join_all;
    use iam_identity::system_clock;
    use iam_storage::{AuditFilter, PageBounds, Storage, StorageError};
    use iam_storage_memory::MemoryStorage;
    use migration::{MigrationError, Migrator, SeedReport, TABLES, VIEWS};
    use sea_orm::sqlx::{AssertSqlSafe, PgConnection, query_scalar};
    use sea_orm::{ConnectOptions, ConnectionTrait, Database};
    use sea_orm_migration::prelude::{DbErr, DynIden, MigrationName, MigrationTrait, MigratorTrait, SchemaManager};

    use crate::support::database::{Content, OWNER, TestDatabase, run};

    /// The names of all migrations.
    const MIGRATIONS: [&str; 19] = [
        "m20261122_000001_create_iam_schema",
        "m20261122_000002_add_credentials",
        "m20261122_000003_row_level_security",
        "m20261125_000004_states_and_histories",
        "m20261125_000005_indexes_without_rivals",
        "m20261126_000006_seeded_rows",
        "m20261126_000007_company_quotas",
        "m20261126_000008_change_lock",
        "m20261127_000009_api_key_rates",
        "m20261127_000010_company_ceilings",
        "m20261127_000011_company_directory",
        "m20261127_000012_cursor_key",
        "m20261127_000013_idempotency_keys",
        "m20261127_000014_assignment_periods",
        "m20261127_000015_member_names",
        "m20261127_000016_last_backup",
        "m20261128_000017_engine",
        "m20261128_000018_partitions",
        "m20261128_000019_console_sessions",
    ];

    async fn texts(connection: &mut PgConnection, sql: impl Into<String>) -> Vec<String> {
        query_scalar(AssertSqlSafe(sql.into())).fetch_all(connection).await.unwrap()
    }

    async fn number(connection: &mut PgConnection, sql: &str) -> i64 {
        query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(connection).await.unwrap()
    }

    /// The query that describes the schema. It returns one line per table, view, column, constraint, index or policy.
    const SCHEMA: &str = r#"
        WITH relation AS (
            SELECT oid, relname::text AS name, relkind, relrowsecurity, relforcerowsecurity FROM pg_class
            WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v') AND NOT relispartition
        ), line AS (
            SELECT name, 0 AS part, 0 AS place, CASE relkind WHEN 'v' THEN 'view ' ELSE 'table ' END || name
                || CASE WHEN relrowsecurity THEN ' with row-level security' ELSE '' END
                || CASE WHEN relforcerowsecurity THEN ', forced' ELSE '' END
                || coalesce(', partitioned by ' || pg_get_partkeydef(oid), '') AS line
            FROM relation UNION ALL
            SELECT name, 1, a.attnum, '  ' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
                || CASE WHEN c.collname <> 'default' THEN ' collate ' || c.collname ELSE '' END
                || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
                || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
            FROM relation JOIN pg_attribute AS a ON a.attrelid = relation.oid AND a.attnum > 0 AND NOT a.attisdropped
            LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
            LEFT JOIN pg_collation AS c ON c.oid = a.attcollation
            UNION ALL
            -- Since version 18 what is not null is a constraint as well.
            SELECT name, 2, 0, '  constraint ' || conname || ' ' || pg_get_constraintdef(c.oid)
            FROM relation JOIN pg_constraint AS c ON c.conrelid = relation.oid AND c.contype <> 'n'
            UNION ALL
            SELECT name, 3, 0, '  index ' || i.relname || ' '
                || regexp_replace(pg_get_indexdef(i.oid), '^CREATE (UNIQUE )?INDEX \S+ ON (ONLY )?public\.\S+ USING ', '\1')
            FROM relation JOIN pg_index AS x ON x.indrelid = relation.oid JOIN pg_class AS i ON i.oid = x.indexrelid
            UNION ALL
            SELECT name, 4, 0, '  policy ' || polname || CASE WHEN polpermissive THEN '' ELSE ' restrictive' END
                || CASE polcmd WHEN '*' THEN '' ELSE ' for ' || polcmd::text END
                || coalesce(' using ' || regexp_replace(pg_get_expr(polqual, polrelid), '\s+', ' ', 'g'), '')
                || coalesce(' check ' || regexp_replace(pg_get_expr(polwithcheck, polrelid), '\s+', ' ', 'g'), '')
            FROM relation JOIN pg_policy AS p ON p.polrelid = relation.oid
        )
        SELECT line FROM line ORDER BY name COLLATE "C", part, place, line COLLATE "C""#;

    async fn schema(database: &TestDatabase) -> Vec<String> {
        texts(&mut database.connect().await, SCHEMA).await
    }

    /// Returns the names of the tables and views.
    async fn relations(database: &TestDatabase) -> Vec<String> {
        let names = "SELECT relname::text COLLATE \"C\" FROM pg_class
            WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v') ORDER BY 1";
        texts(&mut database.connect().await, names).await
    }

    /// Returns the row count of each table and a hash of the table's rows.
    async fn content(database: &TestDatabase) -> BTreeMap<&'static str, String> {
        let mut connection = database.connect().await;
        let mut content = BTreeMap::new();
        for table in TABLES.into_iter().chain(["iam_migrations"]) {
            let sql = format!(
                "SELECT count(*) || ' rows: ' || coalesce(md5(string_agg(row::text, '' ORDER BY row::text)), '')
                FROM {table} AS row"
            );
            content.insert(table, texts(&mut connection, sql).await.remove(0));
        }
        content
    }

    /// Runs `work` eight times concurrently, each time with its own connection pool.
    async fn eight_at_once<T, F: Future<Output = T>>(
        database: &TestDatabase,
        work: impl Fn(sea_orm::DatabaseConnection) -> F,
    ) -> Vec<T> {
        let connections = join_all((0..8).map(|_| database.sea_orm())).await;
        join_all(connections.into_iter().map(work)).await
    }

    // --- The schema ---

    #[tokio::test]
    async fn the_schema_matches_its_snapshot() {
        let database = TestDatabase::new(Content::Schema).await;
        let lines = schema(&database).await;
        insta::assert_snapshot!("schema", lines.join("\n"));
        let indexes = lines.iter().filter(|line| line.starts_with("  index ")).count();
        assert!(indexes >= 30, "{indexes} indexes");
    }

    #[tokio::test]
    async fn every_foreign_key_has_an_index_and_no_index_repeats_another() {
        let database = TestDatabase::new(Content::Schema).await;
        let mut connection = database.connect().await;
        let without_index = "
            SELECT conname::text FROM pg_constraint AS key WHERE contype = 'f' AND NOT EXISTS (
                SELECT FROM pg_index AS i WHERE i.indrelid = key.conrelid AND i.indpred IS NULL
                    AND (string_to_array(i.indkey::text, ' ')::smallint[])[:cardinality(key.conkey)] @> key.conkey
            )";
        assert_eq!(texts(&mut connection, without_index).await, Vec::<String>::new());
        let repeating = "
            SELECT one.indexrelid::regclass::text FROM pg_index AS one
            JOIN pg_index AS other ON other.indrelid = one.indrelid AND other.indexrelid <> one.indexrelid
            JOIN pg_class AS owner ON owner.oid = one.indrelid AND owner.relnamespace = 'public'::regnamespace
            WHERE NOT one.indisunique AND other.indkey::text || ' ' LIKE one.indkey::text || ' %'";
        assert_eq!(texts(&mut connection, repeating).await, Vec::<String>::new());
    }

    /// Every process reads all credentials at once, so one row that cannot be parsed would lock out all callers.
    /// Constraints of the database reject such rows.
    #[tokio::test]
    async fn invalid_credential_rows_are_rejected() {
        let database = TestDatabase::new(Content::Schema).await;
        let mut connection = database.connect().await;
        let key = |prefix: &str, digest: usize, role: &str, expires_at: &str| {
            format!(
                "INSERT INTO api_keys (id, prefix, digest, name, role, expires_at, version) VALUES
                    (gen_random_uuid(), '{prefix}', decode(repeat('00', {digest}), 'hex'),
                        'N', '{role}', {expires_at}, 1)"
            )
        };
        let cut_off = |not_before: &str| {
            format!(
                "INSERT INTO user_cutoffs (user_id, not_before, version) VALUES (gen_random_uuid(), '{not_before}', 1)"
            )
        };
        run(&mut connection, key("abcDEF123456", 32, "check", "NULL")).await.unwrap();
        run(&mut connection, cut_off("2026-11-22")).await.unwrap();
        let rate = |rate: i64| format!("UPDATE api_keys SET requests_per_second = {rate}");
        run(&mut connection, rate(1)).await.unwrap();
        run(&mut connection, rate(1_000_000)).await.unwrap();
        for (row, constraint) in [
            (rate(0), "api_keys_requests_per_second_check"),
            (rate(1_000_001), "api_keys_requests_per_second_check"),
            (key("abcdef12345", 32, "check", "NULL"), "api_keys_prefix_check"),
            (key("abcdef 12345", 32, "check", "NULL"), "api_keys_prefix_check"),
            (key("abcdef123456", 31, "check", "NULL"), "api_keys_digest_check"),
            (key("abcdef123456", 32, "owner", "NULL"), "api_keys_role_check"),
            (key("abcdef123456", 32, "check", "'infinity'"), "api_keys_expires_at_check"),
            (key("abcdef123456", 32, "check", "'-infinity'"), "api_keys_expires_at_check"),
            (cut_off("infinity"), "user_cutoffs_not_before_check"),
            (cut_off("-infinity"), "user_cutoffs_not_before_check"),
        ] {
            let error = run(&mut connection, row.clone()).await.expect_err(&row);
            let refused_by = error.as_database_error().and_then(|error| error.constraint());
            assert_eq!(refused_by, Some(constraint), "{row}: {error}");
        }
    }

    #[tokio::test]
    async fn other_programs_see_only_effective_rows_that_are_current() {
        let database = TestDatabase::new(Content::Seeded).await;
        let mut connection = database.connect().await;
        // The company has version 7, and the catalog has the version that the seed created.
        run(
            &mut connection,
            "CREATE TEMP TABLE catalog AS SELECT version FROM company_states
                WHERE company_id = '00000000-0000-0000-0000-000000000000';
            INSERT INTO company_states (company_id, version) VALUES (md5('company')::uuid, 7);
            CREATE TEMP TABLE row AS SELECT * FROM (VALUES
                ('current', 'company', 0, 7, '1 minute'),
                ('expired', 'company', 0, 7, '-1 second'),
                ('of an older company', 'company', 0, 6, '1 minute'),
                ('of a later company', 'company', 0, 8, '1 minute'),
                ('of an older catalog', 'company', -1, 7, '1 minute'),
                ('of a company without changes', 'other', 0, 0, '1 minute')
            ) AS row (user_name, company, catalog_offset, company_version, expires_in);
            INSERT INTO effective_view_permissions
                    (company_id, user_id, view_id, has_access, expires_at, company_version, catalog_version)
                SELECT md5(company)::uuid, md5(user_name)::uuid, views.id, true, now() + expires_in::interval,
                    company_version, catalog.version + catalog_offset
                FROM row, catalog, views WHERE url = '/home';
            INSERT INTO effective_feature_permissions (company_id, user_id, feature_id, action, allowed, scope,
                expires_at,
                    company_version, catalog_version)
                SELECT md5(company)::uuid, md5(user_name)::uuid, features.id, 'Read', true, 'any',
                    now() + expires_in::interval, company_version, catalog.version + catalog_offset
                FROM row, catalog, features WHERE key = 'general.read'"
                .to_owned(),
        )
        .await
        .unwrap();
        for view in VIEWS {
            let table = view.strip_prefix("current_").unwrap();
            let seen =
                |from: &str| format!("SELECT user_name FROM row JOIN {from} AS e ON e.user_id = md5(user_name)::uuid");
            assert_eq!(texts(&mut connection, seen(table)).await.len(), 6, "{table}");
            assert_eq!(texts(&mut connection, seen(view)).await, ["current"], "{view}");
        }
    }

    // --- Migrating ---

    #[tokio::test]
    async fn eight_concurrent_migrations_succeed() {
        let database = TestDatabase::new(Content::Nothing).await;
        let outcomes = eight_at_once(&database, |db| async move { migration::up(&db).await.unwrap() }).await;
        let (worked, waited): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(|applied| !applied.is_empty());
        assert_eq!((worked, waited.len()), (vec![MIGRATIONS.map(str::to_owned).to_vec()], 7));
        let alone = TestDatabase::new(Content::Schema).await;
        assert_eq!(schema(&database).await, schema(&alone).await);
    }

    #[tokio::test]
    async fn migrating_twice_changes_nothing() {
        let database = TestDatabase::new(Content::Nothing).await;
        let db = database.sea_orm().await;
        assert_eq!(migration::up(&db).await.unwrap(), MIGRATIONS);
        let before = (schema(&database).await, content(&database).await);
        assert_eq!(migration::up(&db).await.unwrap(), Vec::<String>::new());
        assert_eq!((schema(&database).await, content(&database).await), before);
    }

    /// A migrator with the real migrations and one additional migration, which changes the schema and then fails.
    struct Failing;

    struct Broken;

    impl MigratorTrait for Failing {
        fn migrations() -> Vec<Box<dyn MigrationTrait>> {
            Migrator::migrations().into_iter().chain([Box::new(Broken) as Box<dyn MigrationTrait>]).collect()
        }

        fn migration_table_name() -> DynIden {
            Migrator::migration_table_name()
        }
    }

    impl MigrationName for Broken {
        fn name(&self) -> &'static str {
            "m99990101_000001_broken"
        }
    }

    #[async_trait::async_trait]
    impl MigrationTrait for Broken {
        async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
            let sql = "CREATE TABLE halfway (id uuid); ALTER TABLE views ADD COLUMN halfway uuid; SELECT 1 / 0";
            manager.get_connection().execute_unprepared(sql).await.map(drop)
        }
    }

    #[tokio::test]
    async fn a_failed_migration_has_no_effect() {
        let database = TestDatabase::new(Content::Nothing).await;
        let db = database.sea_orm().await;
        let error = migration::up_with::<Failing>(&db).await.unwrap_err();
        assert!(matches!(error, MigrationError::Database(_)), "{error}");
        // The failure also rolled back the migrations that had succeeded before it.
        assert_eq!(relations(&database).await, Vec::<String>::new());

        migration::up(&db).await.unwrap();
        let before = (schema(&database).await, content(&database).await);
        migration::up_with::<Failing>(&db).await.unwrap_err();
        assert_eq!((schema(&database).await, content(&database).await), before);
        assert_eq!(migration::up(&db).await.unwrap(), Vec::<String>::new());
    }

    #[tokio::test]
    async fn down_and_up_restore_the_schema() {
        let database = TestDatabase::new(Content::Nothing).await;
        let db = database.sea_orm().await;
        migration::up(&db).await.unwrap();
        let before = schema(&database).await;
        let all = u32::try_from(MIGRATIONS.len()).unwrap();
        let mut newest_first = MIGRATIONS;
        newest_first.reverse();
        assert_eq!(migration::down(&db, all).await.unwrap(), newest_first);
        assert_eq!(relations(&database).await, ["iam_migrations"]);
        assert_eq!(migration::down(&db, 1).await.unwrap(), Vec::<String>::new());
        assert_eq!(migration::up(&db).await.unwrap(), MIGRATIONS);
        assert_eq!(schema(&database).await, before);
    }

    #[tokio::test]
    async fn fresh_recreates_the_schema_and_keeps_foreign_objects() {
        let database = TestDatabase::new(Content::Seeded).await;
        let (db, mut connection) = (database.sea_orm().await, database.connect().await);
        let before = schema(&database).await;
        run(&mut connection, "CREATE TABLE theirs AS SELECT id, name FROM views".to_owned()).await.unwrap();
        assert_eq!(migration::fresh(&db).await.unwrap(), MIGRATIONS);
        assert_eq!(number(&mut connection, "SELECT count(*) FROM theirs").await, 14);
        assert_eq!(number(&mut connection, "SELECT count(*) FROM views").await, 0);
        run(&mut connection, "DROP TABLE theirs".to_owned()).await.unwrap();
        assert_eq!(schema(&database).await, before);
    }

    #[tokio::test]
    async fn fresh_and_down_do_not_drop_dependent_foreign_objects() {
        let database = TestDatabase::new(Content::Seeded).await;
        let (db, mut connection) = (database.sea_orm().await, database.connect().await);
        run(&mut connection, "CREATE VIEW theirs AS SELECT id, name FROM views".to_owned()).await.unwrap();
        let before = (schema(&database).await, content(&database).await);
        let all = u32::try_from(MIGRATIONS.len()).unwrap();
        let outcomes = [migration::fresh(&db).await, migration::down(&db, all).await];
        for outcome in outcomes {
            assert!(matches!(outcome, Err(MigrationError::Database(_))), "{outcome:?}");
        }
        assert_eq!((schema(&database).await, content(&database).await), before);
    }

    #[tokio::test]
    async fn an_owner_subject_to_policies_can_seed_with_row_security_off() {
        let database = TestDatabase::new(Content::Schema).await;
        let sql = format!("ALTER DATABASE {} SET row_security = off", database.name());
        run(&mut database.connect().await, sql).await.unwrap();
        let mut options = ConnectOptions::new(database.url_as(OWNER));
        options.max_connections(1).sqlx_logging(false);
        let db = Database::connect(options).await.unwrap();
        assert_eq!(migration::seed(&db).await.unwrap().views, 14);
        assert!(migration::seed(&db).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_read_only_session_is_distinguished_from_other_failures() {
        let database = TestDatabase::new(Content::Nothing).await;
        let sql = format!("ALTER DATABASE {} SET default_transaction_read_only = on", database.name());
        run(&mut database.connect().await, sql).await.unwrap();
        let db = database.sea_orm().await;
        assert!(matches!(migration::up(&db).await, Err(MigrationError::ReadOnly)));
        assert_eq!(migration::pending(&db).await.unwrap().len(), migration::status(&db).await.unwrap().len());
    }

    #[tokio::test]
    async fn an_empty_database_has_everything_pending() {
        let database = TestDatabase::new(Content::Nothing).await;
        let db = database.sea_orm().await;
        assert_eq!(migration::pending(&db).await.unwrap(), MIGRATIONS);
        let status = migration::status(&db).await.unwrap();
        assert_eq!(
            status.iter().map(|one| (one.name.as_str(), one.applied)).collect::<Vec<_>>(),
            MIGRATIONS.map(|name| (name, false))
        );
        let error = migration::seed(&db).await.unwrap_err();
        assert!(matches!(error, MigrationError::Behind { pending } if pending == MIGRATIONS));
        // Querying the migration status creates no tables.
        assert_eq!(relations(&database).await, Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_migrated_database_has_nothing_pending() {
        let database = TestDatabase::new(Content::Schema).await;
        let db = database.sea_orm().await;
        assert_eq!(migration::pending(&db).await.unwrap(), Vec::<String>::new());
        let status = migration::status(&db).await.unwrap();
        assert_eq!(
            status.iter().map(|one| (one.name.as_str(), one.applied)).collect::<Vec<_>>(),
            MIGRATIONS.map(|name| (name, true))
        );
    }

    #[tokio::test]
    async fn a_database_with_newer_migrations_is_unchanged() {
        let database = TestDatabase::new(Content::Seeded).await;
        let (db, mut connection) = (database.sea_orm().await, database.connect().await);
        let later = "INSERT INTO iam_migrations (version, applied_at) VALUES ('m99990101_000001_later', 0)";
        run(&mut connection, later.to_owned()).await.unwrap();
        let before = (schema(&database).await, content(&database).await);
        let outcomes = [
            migration::pending(&db).await.err(),
            migration::status(&db).await.err(),
            migration::up(&db).await.err(),
            migration::down(&db, 1).await.err(),
            migration::fresh(&db).await.err(),
            migration::seed(&db).await.err(),
        ];
        for outcome in outcomes {
            let Some(MigrationError::Ahead { unknown, pending }) = outcome else { panic!("{outcome:?}") };
            assert_eq!((unknown, pending), (vec!["m99990101_000001_later".to_owned()], Vec::new()));
        }
        assert_eq!((schema(&database).await, content(&database).await), before);
    }

    // --- The seed ---

    /// The report that the first seed of an empty catalog returns.
    const SEEDED: SeedReport = SeedReport {
        views: 14,
        modules: 4,
        features: 19,
        feature_views: 16,
        module_views: 14,
        module_features: 4,
        menu_items: 6,
        sub_menu_items: 6,
    };

    #[tokio::test]
    async fn seeding_twice_changes_nothing() {
        let database = TestDatabase::new(Content::Schema).await;
        let db = database.sea_orm().await;
        assert_eq!(migration::seed(&db).await.unwrap(), SEEDED);
        let before = content(&database).await;
        assert!(before["views"].starts_with("14 rows: "), "{before:?}");
        assert_eq!(migration::seed(&db).await.unwrap(), SeedReport::default());
        assert_eq!(content(&database).await, before);
    }

    #[tokio::test]
    async fn eight_concurrent_seeds_equal_one() {
        let database = TestDatabase::new(Content::Schema).await;
        let mut reports = eight_at_once(&database, |db| async move { migration::seed(&db).await.unwrap() }).await;
        reports.retain(|report| !report.is_empty());
        assert_eq!(reports, [SEEDED]);
        let mut connection = database.connect().await;
        let versions = "SELECT version FROM company_states WHERE company_id = '00000000-0000-0000-0000-000000000000'";
        assert_eq!(number(&mut connection, versions).await, 1);
    }

    #[tokio::test]
    async fn a_seed_does_not_restore_deleted_or_edited_rows() {
        let database = TestDatabase::new(Content::Seeded).await;
        let (db, mut connection) = (database.sea_orm().await, database.connect().await);
        run(
            &mut connection,
            "DELETE FROM feature2views WHERE view_id = (SELECT id FROM views WHERE url = '/users');
            DELETE FROM module2views WHERE view_id = (SELECT id FROM views WHERE url = '/home');
            DELETE FROM module2features;
            DELETE FROM sub_menu_items WHERE label = 'Risks';
            DELETE FROM menu_items WHERE label = 'Users';
            UPDATE views SET name = 'Ours', url = '/ours' WHERE url = '/dashboard';
            UPDATE features SET name = 'Ours', enabled = false WHERE key = 'general.read';
            UPDATE modules SET code = 'ours' WHERE code = 'audit'"
                .to_owned(),
        )
        .await
        .unwrap();
        let before = content(&database).await;
        assert_eq!(migration::seed(&db).await.unwrap(), SeedReport::default());
        assert_eq!(content(&database).await, before);
    }

    /// Returns the action, entity and changes of each audit record that the seed wrote, without timestamps.
    async fn recorded(storage: &dyn Storage) -> Vec<(String, String, serde_json::Value)> {
        let (logs, all) = (storage.reader().audit_logs(), PageBounds::records(1_000));
        let records = logs.list_for_company(None, &AuditFilter::default(), None, all).await.unwrap().records;
        let records = records.into_iter().map(|record| {
            let mut changes = record.changes.unwrap();
            if let Some(after) = changes.get_mut("after").and_then(serde_json::Value::as_object_mut) {
                after.remove("createdAt");
                after.remove("updatedAt");
            }
            (record.action, record.entity_id.to_string(), changes)
        });
        records.collect()
    }

    #[tokio::test]
    async fn the_seed_writes_the_same_audit_records_as_in_memory() {
        let database = TestDatabase::new(Content::Seeded).await;
        let postgres = recorded(&database.storage()).await;
        assert_eq!(postgres.len(), 14 + 4 + 19 + 16 + 14 + 4 + 6 + 6);
        assert_eq!(postgres, recorded(&MemoryStorage::seeded(system_clock()).await.unwrap()).await);
    }

    #[tokio::test]
    async fn the_adapter_accepts_its_schema_and_detects_differences() {
        let database = TestDatabase::new(Content::Schema).await;
        database.storage().check_schema().await.unwrap();
        run(&mut database.connect().await, "ALTER TABLE modules DROP COLUMN icon".to_owned()).await.unwrap();
        assert!(matches!(database.storage().check_schema().await, Err(StorageError::Unavailable { .. })));
    }
}
