//! Tests of the storage adapter while the database is busy, unreachable or blocked. Callers get the error
//! `Unavailable`, and never a wrong result.

mod postgres {
    mod clients;
    mod listeners;
    mod lost_races;

    use std::sync::Arc;
    use std::time::Duration;

    use async_trait::async_trait;
    use futures_util::future::{join_all, try_join_all};
    use iam_domain::{AuditRecord, CompanyId, Description, Name, Timestamp, UserId, UserLevel, UserLevelId, ViewId};
    use iam_storage::{
        AuditFilter, ChangeContext, ChangeFeed, Health, NewEffectiveViewPermission, PageBounds, Polled, PoolStats,
        Result, Storage, StorageError, Target, UnitOfWork, Work, transact,
    };
    use iam_storage_postgres::{PostgresOptions, PostgresStorage};
    use sea_orm::sqlx::{Connection, PgConnection, query_scalar};
    use tokio::net::TcpListener;

    use crate::support::api::new_company;
    use crate::support::database::{Content, TestDatabase, run};
    use crate::support::proxy::Proxy;

    fn level(company: CompanyId, name: &str) -> UserLevel {
        let at = Timestamp::from_millis(1_700_000_000_000).unwrap();
        UserLevel {
            id: UserLevelId::generate(at),
            company_id: company,
            name: Name::parse(name).unwrap(),
            description: Description::parse("").unwrap(),
            is_default: false,
            created_at: at,
            updated_at: at,
        }
    }

    /// A unit of work that creates this user level.
    struct Add(UserLevel);

    #[async_trait]
    impl Work for Add {
        type Output = ();
        type Error = StorageError;

        async fn run(&self, tx: &mut dyn UnitOfWork) -> Result<()> {
            tx.user_levels_mut().create(&self.0).await
        }
    }

    async fn add(storage: &dyn Storage, level: &UserLevel) -> Result<()> {
        let target = Target::Company(level.company_id);
        transact(storage, target, &ChangeContext::command_line(), &Add(level.clone())).await.map(drop)
    }

    async fn begin(storage: &dyn Storage, target: Target) -> Result<Box<dyn UnitOfWork>> {
        storage.begin(target, ChangeContext::command_line()).await
    }

    async fn levels(storage: &dyn Storage, company: CompanyId) -> Result<Vec<UserLevel>> {
        storage.reader().user_levels().find_all(company).await
    }

    async fn records(storage: &dyn Storage, company: CompanyId) -> Vec<AuditRecord> {
        let logs = storage.reader().audit_logs();
        let all = PageBounds::records(100);
        logs.list_for_company(Some(company), &AuditFilter::default(), None, all).await.unwrap().records
    }

    fn is_unavailable<T>(outcome: &Result<T>) -> bool {
        matches!(outcome, Err(StorageError::Unavailable { retryable: false, .. }))
    }

    #[track_caller]
    fn assert_unavailable<T>(outcome: Result<T>) {
        assert!(is_unavailable(&outcome), "{:?}", outcome.map(drop));
    }

    /// Waits for a future, for at most 60 s.
    async fn ending<T>(work: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(60), work).await.expect("the future must complete within 60 s")
    }

    /// Connects the adapter to this URL. The closure `differ` modifies the default options of the tests.
    fn storage_with(url: &str, differ: impl FnOnce(PostgresOptions) -> PostgresOptions) -> Arc<PostgresStorage> {
        Arc::new(PostgresStorage::connect(&differ(TestDatabase::options_for(url))).unwrap())
    }

    // --- Waits are bounded ---

    fn one_connection(options: PostgresOptions) -> PostgresOptions {
        PostgresOptions { max_connections: 1, acquire_timeout: Duration::from_secs(2), ..options }
    }

    #[tokio::test]
    async fn waiting_for_a_connection_is_bounded() {
        let database = TestDatabase::new(Content::Schema).await;
        let storage = storage_with(database.url(), one_connection);
        let (taking, other) = (new_company(), level(new_company(), "Other"));
        let tx = begin(storage.as_ref(), Target::Company(taking)).await.unwrap();
        assert_unavailable(ending(levels(storage.as_ref(), taking)).await);
        assert_unavailable(ending(add(storage.as_ref(), &other)).await);
        assert_unavailable(ending(storage.ping()).await);
        drop(tx);
        add(storage.as_ref(), &other).await.unwrap();
        assert_eq!(levels(storage.as_ref(), other.company_id).await.unwrap(), [other]);
    }

    fn impatient(options: PostgresOptions) -> PostgresOptions {
        PostgresOptions { lock_timeout: Duration::from_millis(100), ..options }
    }

    /// Rolls back the transaction of another program. When this function returns, the server has released the lock of
    /// this transaction.
    async fn release(mut holder: PgConnection) {
        run(&mut holder, "ROLLBACK".to_owned()).await.unwrap();
        holder.close().await.unwrap();
    }

    /// Opens a session of another program and begins a transaction, which acquires a lock with the statement `lock`.
    /// Returns the session.
    async fn holding(database: &TestDatabase, lock: &str) -> PgConnection {
        let mut other = database.connect().await;
        run(&mut other, format!("BEGIN; {lock}")).await.unwrap();
        other
    }

    /// Returns a statement that locks a row in `company_states`: the company's row, or the catalog's row if `company`
    /// is `None`.
    fn row_of(company: Option<CompanyId>) -> String {
        let id = company.map_or_else(uuid::Uuid::nil, |id| id.as_uuid());
        format!("SELECT FROM company_states WHERE company_id = '{id}' FOR UPDATE")
    }

    #[tokio::test]
    async fn waiting_for_a_lock_is_bounded() {
        let database = TestDatabase::new(Content::Schema).await;
        let storage = storage_with(database.url(), impatient);
        let (one, other) = (level(new_company(), "One"), level(new_company(), "Other"));
        add(storage.as_ref(), &one).await.unwrap();

        let holder = holding(&database, &row_of(Some(one.company_id))).await;
        assert_unavailable(ending(add(storage.as_ref(), &level(one.company_id, "Late"))).await);
        // Changes to other companies do not wait for this company's row lock. Reads do not wait for any lock.
        add(storage.as_ref(), &other).await.unwrap();
        assert_eq!(levels(storage.as_ref(), one.company_id).await.unwrap(), std::slice::from_ref(&one));
        release(holder).await;

        let holder = holding(&database, &row_of(None)).await;
        assert_unavailable(ending(begin(storage.as_ref(), Target::Catalog)).await);
        let meanwhile = level(other.company_id, "Meanwhile");
        add(storage.as_ref(), &meanwhile).await.unwrap();
        release(holder).await;

        let holder = holding(&database, "SELECT iam_lock_changes(true)").await;
        assert_unavailable(ending(begin(storage.as_ref(), Target::Catalog)).await);
        assert_unavailable(ending(add(storage.as_ref(), &level(other.company_id, "Late"))).await);
        assert_eq!(levels(storage.as_ref(), other.company_id).await.unwrap(), [meanwhile, other.clone()]);
        release(holder).await;
        add(storage.as_ref(), &level(other.company_id, "Late")).await.unwrap();
    }

    #[tokio::test]
    async fn a_statement_that_takes_too_long_is_cancelled() {
        let database = TestDatabase::new(Content::Schema).await;
        let storage = storage_with(database.url(), |options| PostgresOptions {
            statement_timeout: Duration::from_millis(200),
            lock_timeout: Duration::ZERO,
            ..options
        });
        let mut other = database.connect().await;
        run(&mut other, "BEGIN; LOCK TABLE user_levels".to_owned()).await.unwrap();
        let company = new_company();
        assert_unavailable(ending(levels(storage.as_ref(), company)).await);
        release(other).await;
        let patient = database.storage();
        assert_eq!(levels(&patient, company).await.unwrap(), []);
    }

    #[tokio::test]
    async fn a_server_that_refuses_connections_is_unavailable() {
        let database = TestDatabase::new(Content::Schema).await;
        let proxy = Proxy::to(&database).await;
        let storage =
            storage_with(proxy.url(), |options| PostgresOptions { acquire_timeout: Duration::from_secs(2), ..options });
        let level = level(new_company(), "Level");
        proxy.refuse().await;
        let (read, changed, alive) = ending(async {
            futures_util::join!(
                levels(storage.as_ref(), level.company_id),
                add(storage.as_ref(), &level),
                storage.ping()
            )
        })
        .await;
        assert_unavailable(read);
        assert_unavailable(changed);
        assert_unavailable(alive);
        proxy.admit().await;
        add(storage.as_ref(), &level).await.unwrap();
        assert_eq!(levels(storage.as_ref(), level.company_id).await.unwrap(), [level]);
    }

    #[tokio::test]
    async fn an_unresponsive_server_is_unavailable() {
        // The server listens, but it never accepts a connection.
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("postgres://nobody@{}/nothing", silent.local_addr().unwrap());
        let storage =
            storage_with(&url, |options| PostgresOptions { acquire_timeout: Duration::from_secs(2), ..options });
        assert_unavailable(ending(levels(storage.as_ref(), new_company())).await);
    }

    // --- Connections break ---

    /// Terminates all other sessions of a database with `pg_terminate_backend`, as a server does when it shuts down.
    async fn terminate(database: &TestDatabase) {
        let mut connection = database.connect().await;
        let sql = "SELECT bool_and(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity
            WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
        let ended: Option<bool> = query_scalar(sql).fetch_one(&mut connection).await.unwrap();
        assert_eq!(ended, Some(true), "there must be other sessions, and all of them must be terminated");
    }

    /// The way in which connections break.
    #[derive(Debug, Clone, Copy)]
    enum Break {
        /// The network connection is closed.
        Cut,
        /// The server terminates the session.
        Terminate,
    }

    impl Break {
        async fn happen(self, proxy: &Proxy, database: &TestDatabase) {
            match self {
                Self::Cut => proxy.cut(),
                Self::Terminate => terminate(database).await,
            }
        }
    }

    #[tokio::test]
    async fn a_change_whose_connection_breaks_has_no_effect() {
        let database = TestDatabase::new(Content::Schema).await;
        let proxy = Proxy::to(&database).await;
        let storage = storage_with(proxy.url(), one_connection);
        for happens in [Break::Cut, Break::Terminate] {
            let company = new_company();
            let (first, second) = (level(company, "First"), level(company, "Second"));

            // The connection breaks before the next statement of the change.
            let mut tx = begin(storage.as_ref(), Target::Company(company)).await.unwrap();
            tx.user_levels_mut().create(&first).await.unwrap();
            happens.happen(&proxy, &database).await;
            assert_unavailable(ending(tx.user_levels_mut().create(&second)).await);
            assert!(matches!(tx.commit().await, Err(StorageError::Misuse(_))), "{happens:?}");
            assert_eq!(levels(storage.as_ref(), company).await.unwrap(), [], "{happens:?}");

            // The connection breaks before the commit of the change.
            let mut tx = begin(storage.as_ref(), Target::Company(company)).await.unwrap();
            tx.user_levels_mut().create(&first).await.unwrap();
            happens.happen(&proxy, &database).await;
            assert_unavailable(ending(tx.commit()).await);
            assert_eq!(levels(storage.as_ref(), company).await.unwrap(), [], "{happens:?}");
            assert_eq!(storage.reader().company_states().read(company).await.unwrap(), None, "{happens:?}");
            assert_eq!(records(storage.as_ref(), company).await, [], "{happens:?}");

            // The locks of the broken change are released, and the next change succeeds.
            add(storage.as_ref(), &second).await.unwrap();
            assert_eq!(levels(storage.as_ref(), company).await.unwrap(), [second]);
        }
    }

    #[tokio::test]
    async fn broken_idle_connections_are_replaced() {
        let database = TestDatabase::new(Content::Schema).await;
        let proxy = Proxy::to(&database).await;
        let storage = storage_with(proxy.url(), |options| PostgresOptions { max_connections: 8, ..options });
        for happens in [Break::Cut, Break::Terminate] {
            let company = new_company();
            let units = (0..3).map(|_| begin(storage.as_ref(), Target::Company(new_company())));
            for unit in try_join_all(units).await.unwrap() {
                unit.commit().await.unwrap();
            }
            happens.happen(&proxy, &database).await;
            // Each broken connection makes at most one read fail.
            let outcomes = join_all((0..9).map(|_| levels(storage.as_ref(), company))).await;
            assert!(outcomes.iter().all(|outcome| outcome.is_ok() || is_unavailable(outcome)), "{outcomes:?}");
            for _ in 0..8 {
                assert_eq!(levels(storage.as_ref(), company).await.unwrap(), [], "{happens:?}");
            }
        }
    }

    // --- Another database ---

    #[tokio::test]
    async fn reads_contain_the_epoch_of_their_database() {
        let (old, new) = (TestDatabase::new(Content::Schema).await, TestDatabase::new(Content::Schema).await);
        let proxy = Proxy::to(&old).await;
        let storage = storage_with(proxy.url(), |options| options);
        let states = storage.reader().company_states();
        let level = level(new_company(), "Level");
        add(storage.as_ref(), &level).await.unwrap();
        let company = level.company_id;
        let before = states.versions(Some(company)).await.unwrap();
        storage.poll(None).await.unwrap();

        // Units of work occupy all pooled connections to the old database. The pool must therefore open its next
        // connection to the new database.
        crate::support::replica::until(async || storage.pool().idle == storage.pool().size).await;
        let mut units = Vec::new();
        while units.len() < 2 || storage.pool().size as usize > units.len() {
            units.push(begin(storage.as_ref(), Target::Company(new_company())).await.unwrap());
        }
        proxy.switch_to(&new);
        // Polls use connections outside the pool. The test terminates the polling connections to the old database.
        terminate_control_connections(&old).await;
        let after = states.versions(Some(company)).await.unwrap();
        assert_ne!(after.epoch, before.epoch);
        assert_eq!((before.company, after.company), (1, 0));

        // Results that are read from the old database contain the old epoch.
        let unit = units.remove(0);
        assert_eq!(unit.company_states().versions(Some(company)).await.unwrap(), before);
        assert_eq!(unit.snapshots().load_company(company).await.unwrap().versions, before);
        assert_eq!(unit.snapshots().load_menu(None).await.unwrap().versions.epoch, before.epoch);
        assert_eq!(unit.commit().await.unwrap().epoch(), before.epoch);

        // After a poll has reported the new epoch, the pool does not reuse connections to the old database.
        let Polled::Primary(changes) = storage.poll(None).await.unwrap() else {
            panic!("the server must be a primary")
        };
        assert_eq!(changes.epoch, after.epoch);
        drop(units);
        for _ in 0..4 {
            let answers = join_all((0..8).map(|_| states.versions(Some(company)))).await;
            for answer in answers {
                assert_eq!(answer.unwrap(), after);
            }
        }
        let rows = storage.effective_view_permissions();
        assert!(matches!(
            rows.upsert_many(company, before, Duration::from_secs(60), &[some_row()]).await,
            Err(StorageError::Stale)
        ));
    }

    async fn terminate_control_connections(database: &TestDatabase) {
        let sql = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name LIKE '% control'";
        run(&mut database.connect().await, sql.to_owned()).await.unwrap();
    }

    fn some_row() -> NewEffectiveViewPermission {
        let user_id = UserId::from_uuid(uuid::Uuid::from_u128(1));
        NewEffectiveViewPermission { user_id, view_id: ViewId::from_uuid(uuid::Uuid::from_u128(2)), has_access: true }
    }
}
