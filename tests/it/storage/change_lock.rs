//! Tests of the global lock. Only roles that may change data can acquire it, so other roles cannot delay a change.

mod postgres {
    use std::sync::Arc;
    use std::time::Duration;

    use iam_storage::{ChangeContext, Result, Storage, StorageError, Target, UnitOfWork};
    use iam_storage_postgres::{PostgresOptions, PostgresStorage};
    use migration::MigrationError;
    use sea_orm::sqlx::{AssertSqlSafe, Connection, PgConnection, query_scalar};

    use crate::support::api::new_company;
    use crate::support::database::{APPLICATION, Content, TestDatabase, run};
    use crate::support::replica::sooner_or_later;

    /// The key of the advisory lock that was the global lock in the previous release, as SQL arguments.
    const PREVIOUS_LOCK: &str = "'company_states'::regclass::oid::int4, 1";

    /// A role that may read the SQL views of effective permissions, and has no other privileges.
    struct Reporting {
        role: String,
        url: String,
        database: TestDatabase,
    }

    impl Reporting {
        async fn new() -> Self {
            let database = TestDatabase::new(Content::Seeded).await;
            let role = format!("{}_reporting", database.name());
            let sql = format!(
                "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA public TO {role};
                GRANT SELECT ON current_effective_view_permissions, current_effective_feature_permissions TO {role}"
            );
            run(&mut database.connect().await, sql).await.unwrap();
            // The role logs in. With `SET ROLE`, the session would belong to the superuser of the tests.
            let url = database.url().replacen("iam_test@", &format!("{role}@"), 1);
            Self { role, url, database }
        }

        /// Opens one session for each statement, executes the statement in a transaction, and leaves the transaction
        /// open. Returns the sessions, and the statements that the server rejected.
        async fn holding<'a>(&self, statements: &[&'a str]) -> (Vec<PgConnection>, Vec<&'a str>) {
            let (mut sessions, mut rejected) = (Vec::new(), Vec::new());
            for sql in statements {
                let mut session = PgConnection::connect(&self.url).await.unwrap();
                run(&mut session, "BEGIN; SET LOCAL statement_timeout = '5s'".to_owned()).await.unwrap();
                if run(&mut session, (*sql).to_owned()).await.is_err() {
                    rejected.push(*sql);
                }
                sessions.push(session);
            }
            (sessions, rejected)
        }

        async fn drop(self, sessions: Vec<PgConnection>) {
            for session in sessions {
                session.close().await.unwrap();
            }
            let sql = format!("DROP OWNED BY {role}; DROP ROLE {role}", role = self.role);
            run(&mut self.database.connect().await, sql).await.unwrap();
        }
    }

    async fn begin(storage: &PostgresStorage, target: Target) -> Result<Box<dyn UnitOfWork>> {
        storage.begin(target, ChangeContext::command_line()).await
    }

    /// Connects the adapter with the lock timeout that is the default in production.
    fn service(database: &TestDatabase) -> PostgresStorage {
        let options = PostgresOptions { lock_timeout: Duration::from_secs(2), ..database.options() };
        PostgresStorage::connect(&options).unwrap()
    }

    async fn assert_changes_succeed(storage: &PostgresStorage) {
        for target in [Target::Company(new_company()), Target::Catalog, Target::Credentials] {
            begin(storage, target)
                .await
                .unwrap_or_else(|error| panic!("{target:?}: {error:?}"))
                .commit()
                .await
                .unwrap();
        }
    }

    #[tokio::test]
    async fn a_role_that_may_read_views_cannot_delay_a_change() {
        let reporting = Reporting::new().await;
        let storage = service(&reporting.database);
        // Each of these statements either fails or blocks no change.
        let shared = format!("SELECT pg_advisory_xact_lock_shared({PREVIOUS_LOCK})");
        let accepted = [
            shared.as_str(),
            "PREPARE p AS SELECT FROM company_states FOR UPDATE",
            "PREPARE p AS UPDATE company_states SET version = 0",
            "LOCK TABLE current_effective_view_permissions IN ACCESS SHARE MODE",
        ];
        let rejected = [
            "LOCK TABLE company_states IN ACCESS SHARE MODE",
            "LOCK TABLE public_lock.iam_changes IN ACCESS SHARE MODE",
            "PREPARE p AS SELECT FROM public_lock.iam_changes FOR SHARE",
            "PREPARE p AS DELETE FROM public_lock.iam_changes",
            "SELECT FROM public_lock.iam_changes",
            "COMMENT ON TABLE public_lock.iam_changes IS ''",
            "CREATE TEMP VIEW v AS SELECT FROM public_lock.iam_changes",
            "SELECT iam_lock_changes(true)",
            "SELECT iam_lock_changes(false)",
            "SELECT iam_try_lock_changes(true)",
            "SELECT iam_try_lock_changes(false)",
        ];
        let (sessions, failed) = reporting.holding(&[accepted.as_slice(), &rejected].concat()).await;
        assert_eq!(failed, rejected);
        assert_changes_succeed(&storage).await;
        drop(sessions);

        let exclusive = format!("SELECT pg_advisory_lock({PREVIOUS_LOCK})");
        let (sessions, failed) = reporting.holding(&[&exclusive]).await;
        assert_eq!(failed, [""; 0]);
        assert_changes_succeed(&storage).await;
        migration::seed(&reporting.database.sea_orm().await).await.unwrap();
        storage.close().await;
        reporting.drop(sessions).await;
    }

    #[tokio::test]
    async fn a_role_that_may_read_views_cannot_stop_a_migration() {
        let reporting = Reporting::new().await;
        let statements = [
            "SELECT pg_advisory_lock(x'49414d6d00000000'::bigint | 'public'::regnamespace::oid::bigint)",
            "PREPARE p AS UPDATE iam_migrations SET version = ''",
            "PREPARE p AS SELECT FROM iam_migrations FOR UPDATE",
            "LOCK TABLE iam_migrations IN SHARE UPDATE EXCLUSIVE MODE",
        ];
        let (sessions, failed) = reporting.holding(&statements).await;
        assert_eq!(failed, &statements[3..]);
        let db = reporting.database.sea_orm().await;
        let up = tokio::time::timeout(Duration::from_secs(20), migration::up(&db)).await;
        assert_eq!(up.expect("the migration must not wait").unwrap(), Vec::<String>::new());
        let seeded = tokio::time::timeout(Duration::from_secs(20), migration::seed(&db)).await;
        seeded.expect("the seed must not wait").unwrap();
        reporting.drop(sessions).await;
    }

    #[tokio::test]
    async fn installations_in_two_schemas_do_not_share_the_lock() {
        let database = TestDatabase::new(Content::Nothing).await;
        let long = "a".repeat(63);
        let sql = format!("CREATE SCHEMA blue; CREATE SCHEMA \"{long}\"; CREATE SCHEMA \"{}b\"", "a".repeat(62));
        run(&mut database.connect().await, sql).await.unwrap();
        let mut units = Vec::new();
        for schema in ["blue".to_owned(), long, format!("{}b", "a".repeat(62))] {
            let url = format!("{}?options[search_path]={schema}", database.url());
            let db = sea_orm::Database::connect(&url).await.unwrap();
            migration::up(&db).await.unwrap();
            let storage = PostgresStorage::connect(&PostgresOptions::new(url)).unwrap();
            // The changes of the other installations hold their locks meanwhile.
            units.push(begin(&storage, Target::Credentials).await.unwrap());
        }
        assert_eq!(units.len(), 3);
    }

    /// Returns the result of a query of a boolean, in a transaction of its own.
    async fn asked(session: &mut PgConnection, sql: &str) -> bool {
        query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(session).await.unwrap()
    }

    /// During a rolling update, replicas of the previous release acquire the advisory lock, and no other lock.
    #[tokio::test]
    async fn changes_of_the_previous_release_and_of_this_release_exclude_each_other() {
        let database = TestDatabase::new(Content::Schema).await;
        let storage = Arc::new(service(&database));
        let mut previous = database.connect().await;
        let company = || Target::Company(new_company());
        for (mode, target) in [("_shared", Target::Credentials), ("", company()), ("", Target::Catalog)] {
            let lock = format!("BEGIN; SELECT pg_advisory_xact_lock{mode}({PREVIOUS_LOCK})");
            run(&mut previous, lock).await.unwrap();
            let mut change = Box::pin(begin(&storage, target));
            let early = tokio::time::timeout(Duration::from_millis(300), &mut change).await;
            assert!(early.is_err(), "{target:?} must wait");
            run(&mut previous, "COMMIT".to_owned()).await.unwrap();
            sooner_or_later(change).await.unwrap().commit().await.unwrap();
        }
        run(&mut previous, format!("BEGIN; SELECT pg_advisory_xact_lock_shared({PREVIOUS_LOCK})")).await.unwrap();
        begin(&storage, company()).await.unwrap().commit().await.unwrap();
        run(&mut previous, "COMMIT".to_owned()).await.unwrap();

        let shared = format!("SELECT pg_try_advisory_xact_lock_shared({PREVIOUS_LOCK})");
        let exclusive = format!("SELECT pg_try_advisory_xact_lock({PREVIOUS_LOCK})");
        for (target, in_shared_mode) in [(company(), true), (Target::Catalog, false), (Target::Credentials, false)] {
            let unit = begin(&storage, target).await.unwrap();
            assert_eq!(asked(&mut previous, &shared).await, in_shared_mode, "{target:?}");
            assert!(!asked(&mut previous, &exclusive).await, "{target:?}");
            unit.commit().await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_role_that_may_not_acquire_the_lock_is_reported() {
        let database = TestDatabase::new(Content::Schema).await;
        let storage = database.storage();
        storage.check_schema().await.unwrap();
        let sql = format!("REVOKE EXECUTE ON FUNCTION iam_try_lock_changes(boolean) FROM {APPLICATION}");
        run(&mut database.connect().await, sql).await.unwrap();
        assert!(matches!(storage.check_schema().await, Err(StorageError::Unavailable { .. })));
    }

    #[tokio::test]
    async fn a_lock_schema_of_another_role_is_rejected() {
        let database = TestDatabase::new(Content::Nothing).await;
        let db = database.sea_orm().await;
        let sql = "CREATE SCHEMA public_lock AUTHORIZATION pg_monitor".to_owned();
        run(&mut database.connect().await, sql).await.unwrap();
        let outcome = migration::up(&db).await;
        assert!(matches!(outcome, Err(MigrationError::Database(_))), "{outcome:?}");
        run(&mut database.connect().await, "DROP SCHEMA public_lock".to_owned()).await.unwrap();
        migration::up(&db).await.unwrap();
    }
}
