//! Tests of pooled connections whose prepared statements or session settings have become invalid. Neither reads nor
//! changes fail on these connections.

mod postgres {
    use std::sync::Arc;

    use futures_util::future::{join_all, try_join_all};
    use iam_domain::{Name, Timestamp, View, ViewId, ViewUrl};
    use iam_storage::{ChangeContext, Result, Storage, StorageError, Target, UnitOfWork, Work, transact};
    use iam_storage_postgres::{PostgresOptions, PostgresStorage};

    use crate::support::database::{Content, OWNER, TestDatabase, run};

    /// The number of pooled connections. It exceeds the number of attempts, so an operation cannot succeed merely by
    /// retrying on another pooled connection.
    const CONNECTIONS: u32 = 10;

    struct Warm {
        database: TestDatabase,
        storage: Arc<PostgresStorage>,
    }

    /// The work of a change that reads all views and creates a view.
    struct MakeView(Timestamp);

    #[async_trait::async_trait]
    impl Work for MakeView {
        type Output = ();
        type Error = StorageError;

        async fn run(&self, tx: &mut dyn UnitOfWork) -> Result<()> {
            let id = ViewId::generate(self.0);
            let view = View {
                id,
                name: Name::parse("View").unwrap(),
                url: ViewUrl::parse(format!("/{id}")).unwrap(),
                category: None,
                description: None,
                icon: None,
                requires_auth: true,
                created_at: tx.now(),
                updated_at: tx.now(),
            };
            tx.views().find_all().await?;
            tx.views_mut().create(&view).await
        }
    }

    impl Warm {
        /// Connects the adapter to a new database and warms all its connections. Each connection then has prepared all
        /// statements of these tests.
        async fn new() -> Self {
            let database = TestDatabase::new(Content::Seeded).await;
            let options =
                PostgresOptions { max_connections: CONNECTIONS, min_connections: CONNECTIONS, ..database.options() };
            let warm = Self { database, storage: Arc::new(PostgresStorage::connect(&options).unwrap()) };
            // A change may use any connection of the pool. Every connection must therefore also have prepared the
            // statements of a change.
            for _ in 0..3 {
                warm.all_work().await;
            }
            warm
        }

        async fn all_work(&self) {
            let reads = (0..5 * CONNECTIONS).map(|_| self.storage.reader().views().find_all());
            let changes = (0..CONNECTIONS).map(|_| self.make_view());
            let (reads, ()) = tokio::join!(try_join_all(reads), async {
                join_all(changes).await;
            });
            reads.unwrap();
        }

        async fn make_view(&self) {
            self.try_to_make_view().await.unwrap();
        }

        async fn try_to_make_view(&self) -> Result<()> {
            let (context, work) = (ChangeContext::command_line(), MakeView(Timestamp::from_millis(0).unwrap()));
            transact(self.storage.as_ref(), Target::Catalog, &context, &work).await.map(drop)
        }

        /// Installs a trigger that executes a statement when a change commits. The statement runs in the session of
        /// that change.
        async fn on_all_sessions(&self, sql: &str) {
            let mut connection = self.database.connect().await;
            let set = format!(
                "CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS $$
                    BEGIN EXECUTE '{sql}'; RETURN NULL; END $$;
                CREATE CONSTRAINT TRIGGER at_commit AFTER UPDATE ON company_states DEFERRABLE INITIALLY DEFERRED
                    FOR EACH ROW EXECUTE FUNCTION at_commit()"
            );
            run(&mut connection, set).await.unwrap();
            join_all((0..CONNECTIONS).map(|_| self.make_view())).await;
            let reset = "DROP TRIGGER at_commit ON company_states; DROP FUNCTION at_commit()";
            run(&mut connection, reset.to_owned()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_pooler_may_discard_prepared_statements() {
        let warm = Warm::new().await;
        warm.on_all_sessions("DEALLOCATE ALL").await;
        warm.all_work().await;
    }

    #[tokio::test]
    async fn a_change_whose_prepared_statements_are_gone_succeeds() {
        let warm = Warm::new().await;
        warm.on_all_sessions("DEALLOCATE ALL").await;
        warm.make_view().await;
    }

    #[tokio::test]
    async fn result_types_may_change() {
        let warm = Warm::new().await;
        let mut owner = warm.database.connect().await;
        run(&mut owner, format!("SET ROLE {OWNER}")).await.unwrap();
        for kind in ["varchar(300)", "varchar(400)", "text"] {
            let widen = format!("ALTER TABLE views ALTER COLUMN name TYPE {kind} COLLATE \"C\"");
            run(&mut owner, widen).await.unwrap();
            warm.make_view().await;
            warm.all_work().await;
        }
    }

    #[tokio::test]
    async fn changes_release_sessions_that_cannot_write() {
        let warm = Warm::new().await;
        warm.on_all_sessions("SET default_transaction_read_only = on").await;
        warm.make_view().await;
        warm.all_work().await;
    }
}
