//! Tests of expand migrations under load. An expand migration invalidates prepared statements of pooled connections,
//! but no request fails.

mod postgres {
    use std::cell::{Cell, RefCell};
    use std::collections::{BTreeMap, BTreeSet};

    use futures_util::future::join_all;
    use migration::{TABLES, VIEWS};
    use sea_orm::sqlx::{self, Connection, PgConnection, Row};

    use crate::http::operation::Operation;
    use crate::http::operations::operations;
    use crate::http::world::World;
    use crate::support::api::TestApi;
    use crate::support::database::{OWNER, TestDatabase, run};

    /// The number of concurrent requests. It exceeds the maximum size of the pool, so that every connection prepares
    /// the statements.
    const AT_ONCE: usize = 6;

    /// Sends the valid request of an operation [`AT_ONCE`] times concurrently, and counts the 5xx responses.
    async fn ask(world: &World, operation: Operation, failures: &RefCell<BTreeMap<String, usize>>) {
        let mut requests = Vec::new();
        for _ in 0..AT_ONCE {
            world.renew();
            requests.push(world.valid(operation, operation.user(), Some(world.ours.id)).await.send());
        }
        for answer in join_all(requests).await {
            if answer.status.is_server_error() {
                let failure = format!("{} {}", operation.name, answer.status);
                *failures.borrow_mut().entry(failure).or_default() += 1;
            }
        }
    }

    /// Sends the requests of all operations repeatedly while `migrate` runs, and once before and after it. Asserts that
    /// no response has a 5xx status.
    async fn no_request_fails(world: &World, migrate: impl Future<Output = ()>) {
        let (is_over, failures) = (Cell::new(false), RefCell::default());
        for operation in operations() {
            ask(world, operation, &failures).await;
        }
        assert_eq!(failures.borrow().len(), 0, "before the migration: {failures:?}");
        let load = async {
            while !is_over.get() {
                for operation in operations().filter(|_| !is_over.get()) {
                    ask(world, operation, &failures).await;
                }
            }
        };
        tokio::join!(load, async {
            migrate.await;
            is_over.set(true);
        });
        for operation in operations() {
            ask(world, operation, &failures).await;
        }
        assert_eq!(*failures.borrow(), BTreeMap::new());
    }

    /// Returns a wider type for a column, or `None` if the column cannot be widened.
    fn wider(kind: &str, limit: Option<i32>, round: i32) -> Option<String> {
        match (kind, limit) {
            ("varchar", Some(limit)) if round == 0 => Some(format!("varchar({}) COLLATE \"C\"", limit + 100)),
            ("varchar", _) => Some("text COLLATE \"C\"".to_owned()),
            ("text", _) => Some("varchar(10000000) COLLATE \"C\"".to_owned()),
            ("int4", _) => Some("bigint".to_owned()),
            _ => None,
        }
    }

    /// Returns the SQL of the expand steps for every table. The steps add a column, add an index, and widen the types
    /// of text and integer columns. A step that changes a column of a SQL view drops the view and creates it again.
    async fn steps(database: &TestDatabase, round: i32) -> Vec<String> {
        let mut owner = PgConnection::connect(&database.url_as(OWNER)).await.unwrap();
        let may_create = format!("GRANT CREATE ON SCHEMA public TO {OWNER}");
        run(&mut database.connect().await, may_create).await.unwrap();
        let mut definitions = String::new();
        for view in VIEWS {
            let definition: String = sqlx::query_scalar("SELECT pg_get_viewdef($1::text::regclass)")
                .bind(view)
                .fetch_one(&mut owner)
                .await
                .unwrap();
            definitions += &format!("CREATE VIEW {view} AS {definition};");
        }
        let recreating = |step: String| format!("DROP VIEW {}; {step}; {definitions}", VIEWS.join(", "));
        let columns = "SELECT table_name::text, column_name::text, udt_name::text, character_maximum_length::int
            FROM information_schema.columns WHERE table_schema = 'public' AND table_name = ANY($1)
            ORDER BY table_name, ordinal_position";
        let tables = TABLES.map(str::to_owned).to_vec();
        let columns = sqlx::query(columns).bind(tables).fetch_all(&mut owner).await.unwrap();
        let mut steps = Vec::new();
        for table in TABLES {
            steps.push(format!("ALTER TABLE {table} ADD COLUMN extra_{round} text COLLATE \"C\" DEFAULT 'x'"));
            steps.push(format!("CREATE INDEX {table}_extra_{round}_idx ON {table} (extra_{round})"));
        }
        for column in columns {
            let (table, name): (String, String) = (column.get(0), column.get(1));
            if let Some(wider) = wider(&column.get::<String, _>(2), column.get(3), round) {
                let step = format!("ALTER TABLE {table} ALTER COLUMN \"{name}\" TYPE {wider}");
                steps.push(if table.starts_with("effective_") { recreating(step) } else { step });
            }
        }
        steps.push(recreating("SELECT 1".to_owned()));
        steps
    }

    /// Runs one expand step as the owner of the tables. After a deadlock or a lock timeout, the step is retried, as an
    /// operator would do.
    async fn migrate(owner: &mut PgConnection, step: &str) {
        loop {
            match run(owner, format!("BEGIN; SET LOCAL lock_timeout = '5s'; {step}; COMMIT")).await {
                Ok(()) => return,
                Err(sqlx::Error::Database(error)) if matches!(error.code().as_deref(), Some("40P01" | "55P03")) => {
                    run(owner, "ROLLBACK".to_owned()).await.unwrap();
                }
                Err(error) => panic!("{error}: {step}"),
            }
        }
    }

    /// All expand steps run in one transaction, as with `migration up`. The first tables, which polls and reads of
    /// credentials need, remain locked for longer than the time limit of these reads.
    #[actix_web::test]
    async fn no_request_fails_when_every_table_is_expanded_at_once() {
        let api = TestApi::postgres().await;
        let database = api.database.clone().unwrap();
        let world = World::new(api).await;
        no_request_fails(&world, async {
            let mut steps = steps(&database, 0).await;
            let kinds: BTreeSet<_> = steps.iter().filter_map(|step| step.split(' ').next()).collect();
            assert_eq!(kinds, BTreeSet::from(["ALTER", "CREATE", "DROP"]));
            let mut owner = PgConnection::connect(&database.url_as(OWNER)).await.unwrap();
            steps.insert(6, "SELECT pg_sleep(5)".to_owned());
            migrate(&mut owner, &steps.join(";")).await;
        })
        .await;
    }

    /// Each expand step runs in its own transaction, as when an operator runs the steps manually.
    #[actix_web::test]
    async fn no_request_fails_when_every_table_is_expanded_step_by_step() {
        let api = TestApi::postgres().await;
        let database = api.database.clone().unwrap();
        let world = World::new(api).await;
        no_request_fails(&world, async {
            let mut owner = PgConnection::connect(&database.url_as(OWNER)).await.unwrap();
            for step in steps(&database, 1).await {
                migrate(&mut owner, &step).await;
            }
        })
        .await;
    }
}
