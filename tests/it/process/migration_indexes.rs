//! Tests of the indexes that are built outside of a transaction: `iam migrate up` builds those that are missing or invalid.

mod postgres {
    use std::process::{Child, Command, Stdio};
    use std::thread;
    use std::time::Duration;

    use migration::{ConcurrentIndex, INDEXES, IndexProblem, LockWait, MigrationError, Migrator};
    use sea_orm::sqlx::{AssertSqlSafe, Connection, query_scalar};

    use crate::process::persistence::start;
    use crate::support::database::{Content, OWNER, TestDatabase, run as execute};
    use crate::support::process::{binary, run, text_of, wait_until};

    const INDEX: ConcurrentIndex = INDEXES[0];

    /// Returns a database whose migrations are applied, without the declared index.
    async fn without_the_index() -> TestDatabase {
        let database = TestDatabase::new(Content::Seeded).await;
        execute(&mut database.connect().await, format!("DROP INDEX {}", INDEX.name)).await.unwrap();
        database
    }

    async fn is_true(database: &TestDatabase, sql: &str) -> bool {
        query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut database.connect().await).await.unwrap()
    }

    /// Waits until the query returns `true`.
    async fn until(database: &TestDatabase, sql: &str) {
        for _ in 0..6_000 {
            if is_true(database, sql).await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the condition was not met: {sql}");
    }

    /// The query that returns whether a build of an index waits for another transaction.
    const IS_BUILD_WAITING: &str = "SELECT EXISTS (
        SELECT FROM pg_stat_activity WHERE datname = current_database()
            AND query LIKE 'CREATE INDEX CONCURRENTLY%' AND wait_event_type = 'Lock')";

    /// Returns the lines of `iam migrate status` about indexes. Its exit code is 0.
    fn listed(database: &TestDatabase) -> Vec<String> {
        let output = run("iam", &["migrate", "status"], &[("DATABASE_URL", database.url())]);
        assert_eq!(output.status.code(), Some(0), "{}", text_of(&output));
        text_of(&output).lines().filter(|line| line.contains(" index ")).map(str::to_owned).collect()
    }

    fn up(database: &TestDatabase) -> String {
        let output = run("iam", &["migrate", "up"], &[("DATABASE_URL", database.url())]);
        assert_eq!(output.status.code(), Some(0), "{}", text_of(&output));
        text_of(&output)
    }

    fn start_up(database: &TestDatabase) -> Child {
        let mut command = Command::new(binary("iam"));
        command.args(["migrate", "up"]).env("DATABASE_URL", database.url());
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    #[actix_web::test]
    async fn up_builds_a_missing_index_once() {
        let database = without_the_index().await;
        assert_eq!(listed(&database), [format!("missing index {}", INDEX.name)]);
        let built = format!("built index {}\n", INDEX.name);
        assert!(up(&database).contains(&built));
        assert_eq!(listed(&database), Vec::<String>::new());
        assert_eq!(up(&database), "nothing to do\n");
    }

    #[actix_web::test]
    async fn a_server_is_ready_while_an_index_is_missing() {
        let database = without_the_index().await;
        let server = start(&[("DATABASE_URL", database.url())]);
        assert_eq!(server.get("/readyz").status, 200);
        assert_eq!(listed(&database), [format!("missing index {}", INDEX.name)]);
    }

    #[actix_web::test]
    async fn writers_continue_during_the_build() {
        let database = without_the_index().await;
        let profile = |user: &str| {
            format!(
                "INSERT INTO user_profiles (company_id, user_id, source)
                VALUES (md5('company')::uuid, md5('{user}')::uuid, 'api')"
            )
        };
        let mut first = database.connect().await;
        execute(&mut first, format!("BEGIN; {}", profile("first"))).await.unwrap();
        let mut build = start_up(&database);
        until(&database, IS_BUILD_WAITING).await;
        let mut second = database.connect().await;
        let insert = tokio::time::timeout(Duration::from_secs(60), execute(&mut second, profile("second"))).await;
        insert.expect("a writer must not wait for the build").unwrap();
        assert!(build.try_wait().unwrap().is_none());
        execute(&mut first, "COMMIT".to_owned()).await.unwrap();
        assert_eq!(wait_until(|| build.try_wait().unwrap()).code(), Some(0));
        assert_eq!(listed(&database), Vec::<String>::new());
    }

    #[actix_web::test]
    async fn an_index_of_an_interrupted_build_is_dropped_and_built_again() {
        let database = without_the_index().await;
        let mut reader = database.connect().await;
        execute(&mut reader, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM user_profiles".to_owned())
            .await
            .unwrap();
        let mut build = start_up(&database);
        until(&database, IS_BUILD_WAITING).await;
        build.kill().unwrap();
        build.wait().unwrap();
        // The server cancels the build, although the transaction for which it waits has not ended.
        until(&database, &format!("SELECT NOT ({IS_BUILD_WAITING})")).await;
        assert_eq!(listed(&database), [format!("invalid index {}", INDEX.name)]);
        execute(&mut reader, "COMMIT".to_owned()).await.unwrap();
        assert!(up(&database).contains(&format!("built index {}\n", INDEX.name)));
        assert_eq!(listed(&database), Vec::<String>::new());
    }

    #[actix_web::test]
    async fn a_build_that_waits_too_long_names_the_session_and_succeeds_later() {
        let database = without_the_index().await;
        let mut reader = database.connect().await;
        let begin = "SET application_name = 'the report';
            BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM user_profiles";
        execute(&mut reader, begin.to_owned()).await.unwrap();
        let output = run("iam", &["migrate", "up", "--wait", "0s"], &[("DATABASE_URL", database.url())]);
        let text = text_of(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        let expected = format!("the migrations are applied, but the index {} could not be built", INDEX.name);
        assert!(
            text.contains(&expected) && text.contains("(application \"the report\", idle in transaction)"),
            "{text}"
        );
        execute(&mut reader, "COMMIT".to_owned()).await.unwrap();
        assert!(up(&database).contains("built index"));
    }

    #[actix_web::test]
    async fn one_of_eight_concurrent_migrators_builds_the_index() {
        let database = without_the_index().await;
        let outputs: Vec<_> = thread::scope(|scope| {
            let runs: Vec<_> = (0..8).map(|_| scope.spawn(|| up(&database))).collect();
            runs.into_iter().map(|run| run.join().unwrap()).collect()
        });
        let builders = outputs.iter().filter(|text| text.contains("built index")).count();
        assert_eq!(builders, 1, "{outputs:?}");
        assert_eq!(listed(&database), Vec::<String>::new());
    }

    #[actix_web::test]
    async fn the_indexes_before_a_failed_build_remain_and_the_failed_one_is_built_later() {
        let database = TestDatabase::new(Content::Schema).await;
        let mut connection = database.connect().await;
        execute(&mut connection, "CREATE TABLE numbers AS SELECT 0 AS number".to_owned()).await.unwrap();
        let index = |name, definition| ConcurrentIndex { name, table: "numbers", definition };
        let indexes = [
            index("numbers_number_idx", "(number)"),
            index("numbers_inverse_idx", "((1 / number))"),
            index("numbers_positive_idx", "(number) WHERE number > 0"),
        ];
        let db = database.sea_orm().await;
        let build = || migration::build_indexes::<Migrator>(&db, &indexes, LockWait::default());
        // The second attempt drops the invalid index of the first one, and fails in the same way.
        for _ in 0..2 {
            let Err(MigrationError::Index { index, obstacle: None, source }) = build().await else { panic!() };
            assert_eq!(index, "numbers_inverse_idx");
            assert!(source.to_string().contains("division by zero"), "{source}");
        }
        let valid = "SELECT array_agg(indexrelid::regclass::text ORDER BY 1) FROM pg_index
            WHERE indrelid = 'numbers'::regclass AND indisvalid";
        let valid =
            async || -> Vec<String> { query_scalar(valid).fetch_one(&mut database.connect().await).await.unwrap() };
        assert_eq!(valid().await, ["numbers_number_idx"]);
        execute(&mut connection, "UPDATE numbers SET number = 1".to_owned()).await.unwrap();
        connection.close().await.unwrap();
        assert_eq!(build().await.unwrap(), ["numbers_inverse_idx", "numbers_positive_idx"]);
        assert_eq!(valid().await.len(), 3);
    }

    #[actix_web::test]
    async fn an_index_is_built_in_the_schema_of_the_installation() {
        let database = TestDatabase::new(Content::Nothing).await;
        execute(&mut database.connect().await, format!("CREATE SCHEMA \"Blue\" AUTHORIZATION {OWNER}")).await.unwrap();
        execute(&mut database.connect().await, format!("GRANT CREATE ON DATABASE {} TO {OWNER}", database.name()))
            .await
            .unwrap();
        let url = format!("{}&options[search_path]=\"Blue\",public", database.url_as(OWNER));
        let output = run("iam", &["migrate", "up"], &[("DATABASE_URL", &url)]);
        assert_eq!(output.status.code(), Some(0), "{}", text_of(&output));
        let found = format!("SELECT indisvalid FROM pg_index WHERE indexrelid = '\"Blue\".{}'::regclass", INDEX.name);
        assert!(is_true(&database, &found).await);
        let problems = migration::index_problems(&database.sea_orm().await).await.unwrap();
        assert_eq!(problems, [(INDEX.name, IndexProblem::Missing)]);
    }
}
