//! Tests of migrations in a database that is shared with other programs or with other installations of this service.

mod postgres {
    use std::time::Duration;

    use migration::{MigrationError, Migrator};
    use sea_orm::sqlx::{AssertSqlSafe, PgConnection, query_scalar};
    use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection};
    use sea_orm_migration::prelude::{DbErr, DynIden, MigrationName, MigrationTrait, MigratorTrait, SchemaManager};
    use tokio::sync::Semaphore;

    use crate::support::database::{Content, TestDatabase, run};

    /// The SQL that creates the migrations table of another program that uses SeaORM.
    const OTHERS: &str =
        "CREATE TABLE seaql_migrations (version varchar NOT NULL PRIMARY KEY, applied_at bigint NOT NULL);
        INSERT INTO seaql_migrations VALUES ('m20220101_000001_create_table', 1)";

    /// The SQL that renames the migrations table, so that the database has the state that an earlier build without
    /// `iam_migrations` would have left.
    const EARLIER_BUILD: &str = "ALTER TABLE iam_migrations RENAME TO seaql_migrations;
        ALTER INDEX iam_migrations_pkey RENAME TO seaql_migrations_pkey";

    /// Creates an empty database. The roles of the tests exist on the database server.
    async fn empty_database() -> TestDatabase {
        drop(TestDatabase::new(Content::Schema).await);
        TestDatabase::new(Content::Nothing).await
    }

    /// Connects to the database with this search path. The path is written in SQL notation, without spaces.
    async fn within(database: &TestDatabase, path: &str) -> DatabaseConnection {
        let path = path.replace('"', "%22");
        let mut options = ConnectOptions::new(format!("{}?options[search_path]={path}", database.url()));
        options.max_connections(2).sqlx_logging(false);
        Database::connect(options).await.expect("the test database must be reachable")
    }

    async fn execute(connection: &mut PgConnection, sql: &str) {
        run(connection, sql.to_owned()).await.unwrap();
    }

    async fn texts(connection: &mut PgConnection, sql: &str) -> Vec<String> {
        query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(connection).await.unwrap()
    }

    /// Returns the name, OID and filenode of every relation outside PostgreSQL's own schemas. If two results are equal,
    /// no relation was dropped, created or rewritten in between.
    async fn relations(database: &TestDatabase) -> Vec<String> {
        let sql =
            "SELECT relnamespace::regnamespace || '.' || relname || ' ' || oid || ' ' || relfilenode FROM pg_class
            WHERE relnamespace::regnamespace::text NOT LIKE ALL (ARRAY['pg\\_%', 'information_schema']) ORDER BY 1";
        texts(&mut database.connect().await, sql).await
    }

    async fn all_names(db: &DatabaseConnection) -> Vec<String> {
        migration::status(db).await.unwrap().into_iter().map(|status| status.name).collect()
    }

    async fn versions(database: &TestDatabase, table: &str) -> Vec<String> {
        texts(&mut database.connect().await, &format!("SELECT version::text FROM {table} ORDER BY 1")).await
    }

    // --- Other programs in the same database ---

    #[tokio::test]
    async fn another_seaorm_program_in_the_same_schema_does_not_conflict() {
        let database = TestDatabase::new(Content::Nothing).await;
        let (db, mut connection) = (database.sea_orm().await, database.connect().await);
        execute(&mut connection, OTHERS).await;
        let all = all_names(&db).await;
        assert_eq!(migration::pending(&db).await.unwrap(), all);
        assert_eq!(migration::up(&db).await.unwrap(), all);
        assert_eq!(migration::pending(&db).await.unwrap(), Vec::<String>::new());
        migration::seed(&db).await.unwrap();
        migration::fresh(&db).await.unwrap();
        migration::down(&db, 1).await.unwrap();
        assert_eq!(versions(&database, "seaql_migrations").await, ["m20220101_000001_create_table"]);
    }

    #[tokio::test]
    async fn a_foreign_bookkeeping_table_does_not_conflict() {
        for other in [
            "CREATE TABLE seaql_migrations (name text, step int)",
            "CREATE TABLE seaql_migrations (version int PRIMARY KEY)",
            "CREATE VIEW seaql_migrations AS SELECT 1 AS version",
            "CREATE TABLE seaql_migrations (version varchar PRIMARY KEY, applied_at bigint);
                REVOKE ALL ON seaql_migrations FROM PUBLIC",
        ] {
            let database = empty_database().await;
            let mut connection = database.connect().await;
            execute(&mut connection, other).await;
            execute(&mut connection, "GRANT CREATE ON SCHEMA public TO iam_test_application").await;
            // The migrations create a second schema.
            let grant = format!("GRANT CREATE ON DATABASE {} TO iam_test_application", database.name());
            execute(&mut connection, &grant).await;
            let db = Database::connect(database.url_as("iam_test_application")).await.unwrap();
            let all = all_names(&db).await;
            assert_eq!(migration::up(&db).await.unwrap(), all, "{other}");
            assert_eq!(migration::up(&db).await.unwrap(), Vec::<String>::new(), "{other}");
        }
    }

    #[tokio::test]
    async fn only_the_first_schema_of_the_search_path_is_used() {
        for (schema, path) in
            [("iam", "iam,public"), ("\"The.IAM\"", "\"The.IAM\",public"), ("\"x\"\"y\"", "\"x\"\"y\",public")]
        {
            let database = TestDatabase::new(Content::Nothing).await;
            let mut connection = database.connect().await;
            execute(&mut connection, OTHERS).await;
            let theirs = "CREATE TABLE features (id int); CREATE TABLE views (id int);
                CREATE VIEW user_levels AS SELECT 1 AS id";
            execute(&mut connection, theirs).await;
            execute(&mut connection, &format!("CREATE SCHEMA {schema}")).await;
            let before = relations(&database).await;
            let db = within(&database, path).await;
            let all = all_names(&db).await;
            assert_eq!(
                migration::fresh(&db).await.unwrap(),
                all,
                "in an empty schema, `fresh` must do the same as `up`: {path}"
            );
            migration::seed(&db).await.unwrap();
            migration::fresh(&db).await.unwrap();
            migration::down(&db, 1).await.unwrap();
            assert_eq!(migration::up(&db).await.unwrap().len(), 1);
            let count = format!("SELECT count(*)::text FROM {schema}.features");
            assert_eq!(texts(&mut connection, &count).await, ["0"]);
            let after = relations(&database).await;
            assert!(before.iter().all(|relation| after.contains(relation)), "{path}: {before:?}\n{after:?}");
        }
    }

    #[tokio::test]
    async fn an_installation_in_a_later_schema_of_the_search_path_is_ignored() {
        let database = TestDatabase::new(Content::Seeded).await;
        let mut connection = database.connect().await;
        execute(&mut connection, "CREATE SCHEMA iam").await;
        let db = within(&database, "iam,public").await;
        let all = all_names(&db).await;
        assert_eq!(migration::pending(&db).await.unwrap(), all);
        let before = relations(&database).await;
        assert_eq!(migration::down(&db, 9).await.unwrap(), Vec::<String>::new());
        assert_eq!(relations(&database).await, before);
        assert_eq!(migration::fresh(&db).await.unwrap(), all);
        assert_eq!(texts(&mut connection, "SELECT count(*)::text FROM public.views").await, ["14"]);
    }

    #[tokio::test]
    async fn a_missing_table_is_not_looked_up_in_a_later_schema() {
        let database = TestDatabase::new(Content::Seeded).await;
        let mut connection = database.connect().await;
        execute(&mut connection, "CREATE SCHEMA iam").await;
        let db = within(&database, "iam,public").await;
        migration::up(&db).await.unwrap();
        execute(&mut connection, "DROP TABLE iam.nav_trail, iam.api_keys").await;
        let before = relations(&database).await;
        migration::down(&db, 9).await.unwrap_err();
        assert_eq!(relations(&database).await, before);
        migration::fresh(&db).await.unwrap();
        let after = relations(&database).await;
        assert!(before.iter().filter(|relation| relation.starts_with("public.")).all(|one| after.contains(one)));
    }

    #[tokio::test]
    async fn a_search_path_without_a_schema_is_an_error() {
        let database = TestDatabase::new(Content::Nothing).await;
        let db = within(&database, "nowhere").await;
        for outcome in [
            migration::pending(&db).await.err(),
            migration::up(&db).await.err(),
            migration::fresh(&db).await.err(),
            migration::seed(&db).await.err(),
        ] {
            let error = outcome.expect("the command must fail without a schema").to_string();
            assert!(error.contains("search_path"), "{error}");
        }
    }

    // --- Objects of other programs ---

    #[tokio::test]
    async fn fresh_and_up_reject_a_schema_with_conflicting_relations() {
        for (theirs, names) in [
            ("CREATE TABLE features (id int); CREATE TABLE views (id int)", "features, views"),
            ("CREATE TABLE modules (id int)", "modules"),
            ("CREATE VIEW user_levels AS SELECT 1 AS id", "user_levels"),
            ("CREATE MATERIALIZED VIEW views AS SELECT 1 AS id", "views"),
            ("CREATE SEQUENCE api_keys", "api_keys"),
            ("CREATE TABLE current_effective_view_permissions (id int)", "current_effective_view_permissions"),
        ] {
            let database = TestDatabase::new(Content::Nothing).await;
            let db = database.sea_orm().await;
            execute(&mut database.connect().await, OTHERS).await;
            execute(&mut database.connect().await, theirs).await;
            let before = relations(&database).await;
            for outcome in [migration::fresh(&db).await, migration::up(&db).await] {
                let error = outcome.expect_err(theirs).to_string();
                assert!(error.contains(names) && error.contains("public"), "{error}");
            }
            assert_eq!(migration::down(&db, 9).await.unwrap(), Vec::<String>::new());
            assert_eq!(relations(&database).await, before, "{theirs}");
        }
    }

    #[tokio::test]
    async fn tables_with_our_names_in_upper_case_do_not_conflict() {
        let database = TestDatabase::new(Content::Nothing).await;
        let db = database.sea_orm().await;
        execute(&mut database.connect().await, "CREATE TABLE \"Features\" (id int); CREATE TABLE \"VIEWS\" (id int)")
            .await;
        let before = relations(&database).await;
        migration::up(&db).await.unwrap();
        migration::fresh(&db).await.unwrap();
        let after = relations(&database).await;
        assert!(before.iter().all(|relation| after.contains(relation)));
    }

    #[tokio::test]
    async fn fresh_drops_no_foreign_relations_of_a_shared_schema() {
        let database = TestDatabase::new(Content::Schema).await;
        let (db, mut connection) = (database.sea_orm().await, database.connect().await);
        let all = all_names(&db).await;
        migration::down(&db, u32::try_from(all.len() - 1).unwrap()).await.unwrap();
        // This table of another program has the name of a table that a later migration creates.
        execute(&mut connection, "CREATE TABLE api_keys (theirs int)").await;
        let before = relations(&database).await;
        let error = migration::fresh(&db).await.unwrap_err();
        assert!(error.to_string().contains("api_keys"), "{error}");
        assert_eq!(relations(&database).await, before);
    }

    #[tokio::test]
    async fn after_down_the_names_are_available_to_other_programs() {
        let database = TestDatabase::new(Content::Schema).await;
        let (db, mut connection) = (database.sea_orm().await, database.connect().await);
        migration::down(&db, 99).await.unwrap();
        execute(&mut connection, "CREATE TABLE features (theirs int)").await;
        let before = relations(&database).await;
        let error = migration::fresh(&db).await.unwrap_err();
        assert!(error.to_string().contains("features"), "{error}");
        assert_eq!(relations(&database).await, before);
    }

    #[tokio::test]
    async fn fresh_drops_nothing_that_depends_on_the_bookkeeping() {
        let database = TestDatabase::new(Content::Schema).await;
        let (db, mut connection) = (database.sea_orm().await, database.connect().await);
        execute(&mut connection, "CREATE VIEW theirs AS SELECT version FROM iam_migrations").await;
        migration::fresh(&db).await.unwrap();
        assert_eq!(texts(&mut connection, "SELECT version FROM theirs ORDER BY 1").await, all_names(&db).await);
    }

    // --- Databases of earlier builds ---

    #[tokio::test]
    async fn migrations_of_an_earlier_build_are_recognized_and_copied_by_up() {
        let database = TestDatabase::new(Content::Seeded).await;
        let (db, mut connection) = (database.sea_orm().await, database.connect().await);
        let all = all_names(&db).await;
        execute(&mut connection, EARLIER_BUILD).await;
        execute(&mut connection, "INSERT INTO seaql_migrations VALUES ('m20220101_000001_create_table', 1)").await;
        let before = relations(&database).await;
        assert_eq!(migration::pending(&db).await.unwrap(), Vec::<String>::new());
        assert_eq!(migration::seed(&db).await.unwrap(), migration::SeedReport::default());
        // Querying the status creates no relations.
        assert_eq!(relations(&database).await, before);

        assert_eq!(migration::up(&db).await.unwrap(), Vec::<String>::new());
        assert_eq!(versions(&database, "iam_migrations").await, all);
        // The old table remains, because replicas of the earlier build still read it.
        assert_eq!(versions(&database, "seaql_migrations").await.len(), all.len() + 1);
        let copied = relations(&database).await;
        assert_eq!(migration::up(&db).await.unwrap(), Vec::<String>::new());
        assert_eq!(relations(&database).await, copied);
    }

    #[tokio::test]
    async fn an_upgrade_applies_only_the_missing_migrations() {
        let database = TestDatabase::new(Content::Schema).await;
        let (db, mut connection) = (database.sea_orm().await, database.connect().await);
        let all = all_names(&db).await;
        let newest = migration::down(&db, 1).await.unwrap();
        execute(&mut connection, EARLIER_BUILD).await;
        assert_eq!(migration::pending(&db).await.unwrap(), newest);
        assert_eq!(migration::up(&db).await.unwrap(), newest);
        assert_eq!(versions(&database, "iam_migrations").await, all);
        assert_eq!(versions(&database, "seaql_migrations").await, all[..all.len() - 1]);
    }

    #[tokio::test]
    async fn reverted_migrations_are_reverted_for_earlier_builds_too() {
        let database = TestDatabase::new(Content::Schema).await;
        let (db, mut connection) = (database.sea_orm().await, database.connect().await);
        let all = all_names(&db).await;
        execute(&mut connection, EARLIER_BUILD).await;
        execute(&mut connection, "INSERT INTO seaql_migrations VALUES ('m20220101_000001_create_table', 1)").await;
        let newest = migration::down(&db, 1).await.unwrap();
        assert_eq!(migration::pending(&db).await.unwrap(), newest);
        let mut left = all[..all.len() - 1].to_vec();
        assert_eq!(versions(&database, "iam_migrations").await, left);
        left.insert(0, "m20220101_000001_create_table".to_owned());
        assert_eq!(versions(&database, "seaql_migrations").await, left);
        migration::down(&db, 99).await.unwrap();
        assert_eq!(migration::up(&db).await.unwrap(), all);
    }

    #[tokio::test]
    async fn fresh_recreates_the_schema_of_an_earlier_build() {
        let database = TestDatabase::new(Content::Seeded).await;
        let (db, mut connection) = (database.sea_orm().await, database.connect().await);
        execute(&mut connection, EARLIER_BUILD).await;
        assert_eq!(migration::fresh(&db).await.unwrap(), all_names(&db).await);
        assert_eq!(texts(&mut connection, "SELECT count(*)::text FROM views").await, ["0"]);
        assert_eq!(migration::pending(&db).await.unwrap(), Vec::<String>::new());
    }

    // --- Privileges ---

    #[tokio::test]
    async fn status_and_up_without_pending_migrations_require_no_create_privilege() {
        let database = TestDatabase::new(Content::Schema).await;
        let db = Database::connect(database.url_as("iam_test_application")).await.unwrap();
        db.execute_unprepared("CREATE TABLE mine (id int)").await.unwrap_err();
        assert_eq!(migration::pending(&db).await.unwrap(), Vec::<String>::new());
        assert_eq!(migration::up(&db).await.unwrap(), Vec::<String>::new());
    }

    #[tokio::test]
    async fn without_the_create_privilege_up_fails_and_changes_nothing() {
        let database = empty_database().await;
        let db = Database::connect(database.url_as("iam_test_application")).await.unwrap();
        let before = relations(&database).await;
        for outcome in [migration::up(&db).await, migration::fresh(&db).await] {
            assert!(matches!(outcome, Err(MigrationError::Database(_))), "{outcome:?}");
        }
        assert_eq!(relations(&database).await, before);
    }

    #[tokio::test]
    async fn unreadable_bookkeeping_is_an_error_and_not_empty() {
        let database = TestDatabase::new(Content::Schema).await;
        execute(&mut database.connect().await, "REVOKE ALL ON iam_migrations FROM iam_test_application").await;
        let db = Database::connect(database.url_as("iam_test_application")).await.unwrap();
        let outcome = migration::pending(&db).await;
        assert!(matches!(outcome, Err(MigrationError::Database(_))), "{outcome:?}");
    }

    // --- Several installations ---

    /// A migrator with the real migrations and one additional migration. The additional migration waits inside its
    /// transaction for a signal, and then fails.
    struct Standing;

    static STANDS: Semaphore = Semaphore::const_new(0);
    static GO_ON: Semaphore = Semaphore::const_new(0);

    impl MigratorTrait for Standing {
        fn migrations() -> Vec<Box<dyn MigrationTrait>> {
            Migrator::migrations().into_iter().chain([Box::new(Self) as Box<dyn MigrationTrait>]).collect()
        }

        fn migration_table_name() -> DynIden {
            Migrator::migration_table_name()
        }
    }

    impl MigrationName for Standing {
        fn name(&self) -> &'static str {
            "m99990101_000001_standing"
        }
    }

    #[async_trait::async_trait]
    impl MigrationTrait for Standing {
        async fn up(&self, _: &SchemaManager) -> Result<(), DbErr> {
            STANDS.add_permits(1);
            GO_ON.acquire().await.expect("the semaphore is never closed").forget();
            Err(DbErr::Custom("stood still".to_owned()))
        }
    }

    /// The query for the sessions of this database that wait for a table lock.
    const WAITING: &str = "SELECT pid::text FROM pg_locks WHERE locktype = 'relation' AND NOT granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

    #[tokio::test]
    async fn migrations_of_one_installation_exclude_each_other_and_those_of_two_do_not() {
        let database = TestDatabase::new(Content::Nothing).await;
        let mut connection = database.connect().await;
        execute(&mut connection, "CREATE SCHEMA blue; CREATE SCHEMA \"Green\"").await;
        let (blue, green) = (within(&database, "blue,public").await, within(&database, "\"Green\"").await);
        let all = migration::up(&blue).await.unwrap();
        let standing = tokio::spawn({
            let blue = blue.clone();
            async move { migration::up_with::<Standing>(&blue).await }
        });
        STANDS.acquire().await.unwrap().forget();
        let mut observer = database.connect().await;
        let of_another = tokio::time::timeout(Duration::from_secs(60), migration::up(&green)).await;
        assert_eq!(of_another.expect("the migrator of `Green` must not wait for the migrator of `blue`").unwrap(), all);
        let second = tokio::spawn(async move { migration::up(&blue).await });
        while texts(&mut observer, WAITING).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        GO_ON.add_permits(1);
        standing.await.unwrap().unwrap_err();
        assert_eq!(second.await.unwrap().unwrap(), Vec::<String>::new());
    }
}
