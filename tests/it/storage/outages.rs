//! What callers see when the database is busy, gone, or blocked: `Unavailable`, and never a wrong answer.

mod postgres {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use async_trait::async_trait;
    use futures_util::future::{join_all, try_join_all};
    use iam_domain::{AuditRecord, CompanyId, Description, Name, Timestamp, UserId, UserLevel, UserLevelId, ViewId};
    use iam_http::HttpOptions;
    use iam_storage::{
        AuditFilter, ChangeContext, ChangeFeed, Health, NewEffectiveViewPermission, Polled, PoolStats, Result, Storage,
        StorageError, Target, UnitOfWork, WakeUps, Work, transact,
    };
    use iam_storage_postgres::{PostgresOptions, PostgresStorage};
    use sea_orm::sqlx::{AssertSqlSafe, Connection, PgConnection, query_scalar};
    use serde_json::json;
    use tokio::net::TcpListener;
    use tokio::sync::Notify;

    use crate::support::api::{Answer, Company, Request, TestApi, new_company};
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

    /// Adds a level.
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
        logs.list_for_company(Some(company), &AuditFilter::default(), None, 100).await.unwrap()
    }

    fn is_unavailable<T>(outcome: &Result<T>) -> bool {
        matches!(outcome, Err(StorageError::Unavailable { retryable: false, .. }))
    }

    #[track_caller]
    fn assert_unavailable<T>(outcome: Result<T>) {
        assert!(is_unavailable(&outcome), "{:?}", outcome.map(drop));
    }

    /// It must end, whenever that is.
    async fn ending<T>(work: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(60), work).await.expect("it does not end")
    }

    /// The adapter on a database, and what the options differ in.
    fn storage_with(url: &str, differ: impl FnOnce(PostgresOptions) -> PostgresOptions) -> Arc<PostgresStorage> {
        Arc::new(PostgresStorage::connect(&differ(TestDatabase::options_for(url))).unwrap())
    }

    // --- Waiting ends ---

    fn one_connection(options: PostgresOptions) -> PostgresOptions {
        PostgresOptions { max_connections: 1, acquire_timeout: Duration::from_secs(2), ..options }
    }

    #[tokio::test]
    async fn a_caller_that_finds_all_connections_taken_gives_up() {
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

    /// Releases what another program has locked: once the server has answered, it is free.
    async fn release(mut holder: PgConnection) {
        run(&mut holder, "ROLLBACK".to_owned()).await.unwrap();
        holder.close().await.unwrap();
    }

    /// Another program that has locked something.
    async fn holding(database: &TestDatabase, lock: &str) -> PgConnection {
        let mut other = database.connect().await;
        run(&mut other, format!("BEGIN; {lock}")).await.unwrap();
        other
    }

    /// The statement that locks the row of a company, or that of the catalog.
    fn row_of(company: Option<CompanyId>) -> String {
        let id = company.map_or_else(uuid::Uuid::nil, |id| id.as_uuid());
        format!("SELECT FROM company_states WHERE company_id = '{id}' FOR UPDATE")
    }

    #[tokio::test]
    async fn a_caller_that_finds_the_lock_taken_gives_up() {
        let database = TestDatabase::new(Content::Schema).await;
        let storage = storage_with(database.url(), impatient);
        let (one, other) = (level(new_company(), "One"), level(new_company(), "Other"));
        add(storage.as_ref(), &one).await.unwrap();

        let holder = holding(&database, &row_of(Some(one.company_id))).await;
        assert_unavailable(ending(add(storage.as_ref(), &level(one.company_id, "Late"))).await);
        // Others do not wait with them, and reads never wait.
        add(storage.as_ref(), &other).await.unwrap();
        assert_eq!(levels(storage.as_ref(), one.company_id).await.unwrap(), std::slice::from_ref(&one));
        release(holder).await;

        let holder = holding(&database, &row_of(None)).await;
        assert_unavailable(ending(begin(storage.as_ref(), Target::Catalog)).await);
        let meanwhile = level(other.company_id, "Meanwhile");
        add(storage.as_ref(), &meanwhile).await.unwrap();
        release(holder).await;

        let holder = holding(&database, "SELECT pg_advisory_xact_lock('company_states'::regclass::oid::int4, 1)").await;
        assert_unavailable(ending(begin(storage.as_ref(), Target::Catalog)).await);
        assert_unavailable(ending(add(storage.as_ref(), &level(other.company_id, "Late"))).await);
        assert_eq!(levels(storage.as_ref(), other.company_id).await.unwrap(), [meanwhile, other.clone()]);
        release(holder).await;
        add(storage.as_ref(), &level(other.company_id, "Late")).await.unwrap();
    }

    #[tokio::test]
    async fn a_statement_that_takes_too_long_is_given_up() {
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
    async fn a_server_that_is_not_there_is_unavailable() {
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
    async fn a_server_that_does_not_answer_is_unavailable() {
        // It listens, and never accepts.
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("postgres://nobody@{}/nothing", silent.local_addr().unwrap());
        let storage =
            storage_with(&url, |options| PostgresOptions { acquire_timeout: Duration::from_secs(2), ..options });
        assert_unavailable(ending(levels(storage.as_ref(), new_company())).await);
    }

    // --- Connections break ---

    /// Ends all other connections of a database, as a server does that shuts down.
    async fn terminate(database: &TestDatabase) {
        let mut connection = database.connect().await;
        let sql = "SELECT bool_and(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity
            WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
        let ended: Option<bool> = query_scalar(sql).fetch_one(&mut connection).await.unwrap();
        assert_eq!(ended, Some(true), "there were connections, and they ended");
    }

    /// How a connection breaks.
    #[derive(Debug, Clone, Copy)]
    enum Break {
        /// Somewhere in the network.
        Cut,
        /// The server ends it.
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
    async fn a_change_whose_connection_breaks_leaves_nothing() {
        let database = TestDatabase::new(Content::Schema).await;
        let proxy = Proxy::to(&database).await;
        let storage = storage_with(proxy.url(), one_connection);
        for happens in [Break::Cut, Break::Terminate] {
            let company = new_company();
            let (first, second) = (level(company, "First"), level(company, "Second"));

            // Before its next statement.
            let mut tx = begin(storage.as_ref(), Target::Company(company)).await.unwrap();
            tx.user_levels_mut().create(&first).await.unwrap();
            happens.happen(&proxy, &database).await;
            assert_unavailable(ending(tx.user_levels_mut().create(&second)).await);
            assert!(matches!(tx.commit().await, Err(StorageError::Misuse(_))), "{happens:?}");
            assert_eq!(levels(storage.as_ref(), company).await.unwrap(), [], "{happens:?}");

            // Before the commit.
            let mut tx = begin(storage.as_ref(), Target::Company(company)).await.unwrap();
            tx.user_levels_mut().create(&first).await.unwrap();
            happens.happen(&proxy, &database).await;
            assert_unavailable(ending(tx.commit()).await);
            assert_eq!(levels(storage.as_ref(), company).await.unwrap(), [], "{happens:?}");
            assert_eq!(storage.reader().company_states().read(company).await.unwrap(), None, "{happens:?}");
            assert_eq!(records(storage.as_ref(), company).await, [], "{happens:?}");

            // Its locks are free, and the next one is whole.
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
            let units = (0..4).map(|_| begin(storage.as_ref(), Target::Company(new_company())));
            for unit in try_join_all(units).await.unwrap() {
                unit.commit().await.unwrap();
            }
            happens.happen(&proxy, &database).await;
            // Each broken connection can be found out by one read.
            let outcomes = join_all((0..9).map(|_| levels(storage.as_ref(), company))).await;
            assert!(outcomes.iter().all(|outcome| outcome.is_ok() || is_unavailable(outcome)), "{outcomes:?}");
            for _ in 0..8 {
                assert_eq!(levels(storage.as_ref(), company).await.unwrap(), [], "{happens:?}");
            }
        }
    }

    // --- Those who listen ---

    /// Makes changes until one commits: a lost connection is noticed by the first use.
    async fn change(storage: &PostgresStorage) {
        while storage.ping().await.is_err() {}
        add(storage, &level(new_company(), "Level")).await.unwrap();
    }

    /// Repeats changes until one wakes the listener: a wake-up may be lost with the connection that carries it.
    async fn change_until_woken(storage: &PostgresStorage, listener: &mut dyn WakeUps) {
        let changing = async {
            loop {
                change(storage).await;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::select! {
            () = changing => {}
            woken = ending(listener.next()) => woken.unwrap(),
        }
    }

    #[tokio::test]
    async fn a_listener_whose_connection_breaks_says_so_and_another_one_is_woken() {
        let database = TestDatabase::new(Content::Schema).await;
        let proxy = Proxy::to(&database).await;
        let storage = storage_with(proxy.url(), |options| options);
        for happens in [Break::Cut, Break::Terminate] {
            let mut listener = storage.listen().await.unwrap();
            change_until_woken(&storage, listener.as_mut()).await;
            happens.happen(&proxy, &database).await;
            let ends = async { while listener.next().await.is_ok() {} };
            ending(ends).await;
            change(&storage).await;
            assert_unavailable(ending(listener.next()).await);
            let listens = async {
                loop {
                    if let Ok(listener) = storage.listen().await {
                        return listener;
                    }
                }
            };
            let mut another = ending(listens).await;
            change_until_woken(&storage, another.as_mut()).await;
        }
    }

    fn impatient_to_connect(options: PostgresOptions) -> PostgresOptions {
        PostgresOptions { acquire_timeout: Duration::from_secs(2), ..options }
    }

    #[tokio::test]
    async fn a_caller_that_cannot_poll_or_listen_gives_up() {
        // It listens, and never accepts.
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("postgres://nobody@{}/nothing", silent.local_addr().unwrap());
        assert_unavailable(ending(storage_with(&url, impatient_to_connect).listen()).await);

        let database = TestDatabase::new(Content::Schema).await;
        let proxy = Proxy::to(&database).await;
        let storage = storage_with(proxy.url(), impatient_to_connect);
        proxy.refuse().await;
        assert_unavailable(ending(storage.listen()).await);
        assert_unavailable(ending(storage.poll(None)).await);
        assert_unavailable(ending(storage.acknowledge()).await);
        proxy.admit().await;
        let mut listener = storage.listen().await.unwrap();
        storage.poll(None).await.unwrap();
        change_until_woken(&storage, listener.as_mut()).await;
    }

    #[tokio::test]
    async fn no_poll_waits_for_ever_on_a_network_that_swallows_everything() {
        let database = TestDatabase::new(Content::Schema).await;
        let proxy = Proxy::to(&database).await;
        let storage = storage_with(proxy.url(), impatient_to_connect);
        let mut listener = storage.listen().await.unwrap();
        storage.poll(None).await.unwrap();
        proxy.fall_silent();
        // The connection that is open looks well, and new ones are accepted.
        assert_unavailable(ending(storage.poll(None)).await);
        assert_unavailable(ending(storage.acknowledge()).await);
        assert_unavailable(ending(storage.listen()).await);
        // The listener is not notified either; it asks.
        ending(async { while listener.next().await.is_ok() {} }).await;
    }

    #[tokio::test]
    async fn listeners_connect_directly() {
        let database = TestDatabase::new(Content::Schema).await;
        let proxy = Proxy::to(&database).await;
        let storage = storage_with(proxy.url(), |options| PostgresOptions {
            listener_url: Some(database.url().into()),
            ..impatient_to_connect(options)
        });
        let mut listener = storage.listen().await.unwrap();
        change_until_woken(&storage, listener.as_mut()).await;
        assert!(!proxy.texts().iter().any(|text| text.contains("LISTEN")), "not by the detour");
    }

    /// The content of a notice on the channel is ignored; notices on other channels are not received.
    #[tokio::test]
    async fn anything_on_the_channel_is_a_wake_up_and_nothing_else_is() {
        let database = TestDatabase::new(Content::Schema).await;
        let storage = storage_with(database.url(), |options| options);
        let mut listener = storage.listen().await.unwrap();
        let mut other = database.connect().await;
        let channel = "SELECT 'iam_' || md5(id || '/public') FROM iam_installation";
        let channel: String = query_scalar(channel).fetch_one(&mut other).await.unwrap();
        for said in ["", "hello", r#"{"company":null,"version":9223372036854775807}"#] {
            run(&mut other, format!("NOTIFY {channel}, '{said}'")).await.unwrap();
            ending(listener.next()).await.unwrap();
        }
        for elsewhere in ["iam_changes", "iam", "iam_d41d8cd98f00b204e9800998ecf8427e"] {
            run(&mut other, format!("NOTIFY {elsewhere}, 'hello'")).await.unwrap();
        }
        run(&mut other, format!("NOTIFY {channel}")).await.unwrap();
        ending(listener.next()).await.unwrap();
        let more = tokio::time::timeout(Duration::from_millis(1), listener.next()).await;
        assert!(more.is_err(), "one wake-up");
    }

    #[tokio::test]
    async fn a_listener_that_is_dropped_closes_its_connection() {
        let database = TestDatabase::new(Content::Schema).await;
        let storage = storage_with(database.url(), |options| options);
        let mut watch = database.connect().await;
        let others = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name LIKE '% listener'";
        let (first, second) = (storage.listen().await.unwrap(), storage.listen().await.unwrap());
        assert_eq!(query_scalar::<_, i64>(others).fetch_one(&mut watch).await.unwrap(), 2);
        // Also where there is no runtime.
        std::thread::spawn(move || drop(first)).join().unwrap();
        drop(second);
        let closed = async {
            while query_scalar::<_, i64>(others).fetch_one(&mut watch).await.unwrap() > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        ending(closed).await;
    }

    // --- Another database ---

    #[tokio::test]
    async fn answers_bear_the_epoch_of_the_database_that_gave_them() {
        let (old, new) = (TestDatabase::new(Content::Schema).await, TestDatabase::new(Content::Schema).await);
        let proxy = Proxy::to(&old).await;
        let storage = storage_with(proxy.url(), |options| options);
        let states = storage.reader().company_states();
        let level = level(new_company(), "Level");
        add(storage.as_ref(), &level).await.unwrap();
        let company = level.company_id;
        let before = states.versions(Some(company)).await.unwrap();
        storage.poll(None).await.unwrap();

        // All connections to the old database are in use when the next one reaches the new one.
        crate::support::replica::until(async || storage.pool().idle == storage.pool().size).await;
        let mut units = Vec::new();
        while units.len() < 2 || storage.pool().size as usize > units.len() {
            units.push(begin(storage.as_ref(), Target::Company(new_company())).await.unwrap());
        }
        proxy.switch_to(&new);
        // The connections that polls use are short-lived; here they are gone already.
        terminate_control_connections(&old).await;
        let after = states.versions(Some(company)).await.unwrap();
        assert_ne!(after.epoch, before.epoch);
        assert_eq!((before.company, after.company), (1, 0));

        // Answers of the old database are of the old epoch.
        let unit = units.remove(0);
        assert_eq!(unit.company_states().versions(Some(company)).await.unwrap(), before);
        assert_eq!(unit.snapshots().load_company(company).await.unwrap().versions, before);
        assert_eq!(unit.snapshots().load_menu(None).await.unwrap().versions.epoch, before.epoch);
        assert_eq!(unit.commit().await.unwrap().epoch, before.epoch);

        // Once a poll has found that and the connection is back in the pool, it is not used again.
        let Polled::Primary(changes) = storage.poll(None).await.unwrap() else { panic!("it is a primary") };
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

    // --- Lost races ---

    #[tokio::test]
    async fn a_change_that_the_server_calls_lost_is_made_again() {
        let database = TestDatabase::new(Content::Schema).await;
        let storage = storage_with(database.url(), |options| options);
        let mut connection = database.connect().await;
        // Sequences are not rolled back, so they count the attempts.
        run(
            &mut connection,
            "CREATE SEQUENCE attempts; GRANT USAGE ON SEQUENCE attempts TO PUBLIC;
            CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF nextval('attempts') < 3 OR NEW.name = 'Never' THEN RAISE 'lost' USING ERRCODE = '40001'; END IF;
                RETURN NEW;
            END $$;
            CREATE TRIGGER lose BEFORE INSERT ON user_levels FOR EACH ROW EXECUTE FUNCTION lose()"
                .to_owned(),
        )
        .await
        .unwrap();
        let attempts = "SELECT last_value FROM attempts";

        let made = level(new_company(), "Made");
        add(storage.as_ref(), &made).await.unwrap();
        assert_eq!(query_scalar::<_, i64>(attempts).fetch_one(&mut connection).await.unwrap(), 3);
        assert_eq!(levels(storage.as_ref(), made.company_id).await.unwrap(), std::slice::from_ref(&made));
        assert_eq!(records(storage.as_ref(), made.company_id).await.len(), 1);
        let state = storage.reader().company_states().read(made.company_id).await.unwrap();
        assert_eq!(state.map(|state| state.version), Some(1));

        let never = level(made.company_id, "Never");
        let outcome = add(storage.as_ref(), &never).await;
        assert!(matches!(outcome, Err(StorageError::Unavailable { retryable: true, .. })), "{outcome:?}");
        assert_eq!(query_scalar::<_, i64>(attempts).fetch_one(&mut connection).await.unwrap(), 7);
        assert_eq!(levels(storage.as_ref(), made.company_id).await.unwrap(), [made]);
    }

    /// Renames a level; the first time only when it is signalled.
    struct Rename {
        to: UserLevel,
        attempts: AtomicU32,
        begun: Notify,
        go: Notify,
    }

    #[async_trait]
    impl Work for Rename {
        type Output = ();
        type Error = StorageError;

        async fn run(&self, tx: &mut dyn UnitOfWork) -> Result<()> {
            if self.attempts.fetch_add(1, Ordering::SeqCst) == 0 {
                self.begun.notify_one();
                self.go.notified().await;
            }
            tx.user_levels_mut().update(&self.to).await.map(drop)
        }
    }

    #[tokio::test]
    async fn a_change_that_loses_a_deadlock_is_made_again() {
        let database = TestDatabase::new(Content::Schema).await;
        let storage = storage_with(database.url(), |options| PostgresOptions {
            lock_timeout: Duration::from_secs(30),
            statement_timeout: Duration::from_secs(30),
            ..options
        });
        let before = level(new_company(), "Before");
        let (id, company) = (before.id, before.company_id);
        add(storage.as_ref(), &before).await.unwrap();

        let after = UserLevel { name: Name::parse("After").unwrap(), ..before };
        let rename = Rename { to: after.clone(), attempts: AtomicU32::new(0), begun: Notify::new(), go: Notify::new() };
        let context = ChangeContext::command_line();
        let change = transact(storage.as_ref(), Target::Company(company), &context, &rename);
        let in_the_way = async {
            rename.begun.notified().await;
            // Another program has the level and waits for the company, which the change has; it would wait long.
            let mut other = database.connect().await;
            let lock =
                format!("SET deadlock_timeout = '60s'; BEGIN; SELECT FROM user_levels WHERE id = '{id}' FOR UPDATE");
            run(&mut other, lock).await.unwrap();
            let wait = format!("UPDATE company_states SET updated_at = now() WHERE company_id = '{company}'; COMMIT");
            let other = tokio::spawn(async move { run(&mut other, wait).await });
            let mut watch = database.connect().await;
            let waiting = "SELECT EXISTS (SELECT FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event_type = 'Lock')";
            while !query_scalar::<_, bool>(AssertSqlSafe(waiting)).fetch_one(&mut watch).await.unwrap() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            // Now the change wants the level, and the circle is closed.
            rename.go.notify_one();
            other.await.unwrap().unwrap();
        };
        let (changed, ()) = ending(async { futures_util::join!(change, in_the_way) }).await;
        assert_eq!(changed.unwrap().1.company, 2);
        assert_eq!(rename.attempts.load(Ordering::SeqCst), 2);
        assert_eq!(levels(storage.as_ref(), company).await.unwrap(), [after]);
        assert_eq!(records(storage.as_ref(), company).await.len(), 2);
    }

    // --- What clients see ---

    /// No answer about permissions: the caller must ask again.
    #[track_caller]
    fn assert_no_answer(answer: &Answer) {
        let (status, code, _) = answer.error();
        assert_eq!((status, code.as_str()), (503, "ERR_UNAVAILABLE_001"));
        assert!(answer.header("retry-after").is_some_and(|wait| wait.parse::<u64>().is_ok_and(|wait| wait > 0)));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.json().get("data"), None);
    }

    /// A request of each kind by a caller that may.
    fn requests(api: &TestApi, company: Company) -> Vec<Request> {
        let member = |request: Request| request.by(company.member).within(company.id);
        let admin = |request: Request| request.by(company.admin).within(company.id);
        vec![
            member(api.get("/api/iam/navigation")),
            member(api.get("/api/iam/permissions/current")),
            member(api.post("/api/iam/check")).json(&json!({ "view": "/dashboard" })),
            member(api.post("/api/iam/check")).json(&json!({ "feature": "general.read", "action": "Read" })),
            api.get("/api/iam/permissions/current").by_super_admin().within(company.id),
            api.post("/api/iam/check").by_super_admin().within(company.id).json(&json!({ "view": "/dashboard" })),
            member(api.get("/api/iam/nav-trail?sessionId=session")),
            admin(api.get("/api/iam/user-levels")),
            admin(api.get("/api/iam/audit-logs")),
            admin(api.post("/api/iam/user-levels")).json(&json!({ "name": "Auditors" })),
            admin(api.put(&format!("/api/iam/users/{}/user-levels", company.member)))
                .json(&json!({ "userLevelIds": [] })),
            api.get("/api/iam/views").by_super_admin(),
            api.post("/api/iam/modules").by_super_admin().json(&json!({ "name": "Module", "code": "module" })),
        ]
    }

    async fn api_over(storage: Arc<PostgresStorage>) -> TestApi {
        TestApi::over(storage, None, HttpOptions::default()).await
    }

    #[actix_web::test]
    async fn without_a_database_every_request_is_503() {
        let database = TestDatabase::new(Content::Seeded).await;
        let proxy = Proxy::to(&database).await;
        let api = api_over(storage_with(proxy.url(), |options| PostgresOptions {
            acquire_timeout: Duration::from_secs(2),
            ..options
        }))
        .await;
        let company = api.company().await;
        proxy.refuse().await;
        proxy.cut();
        let answers = ending(join_all(requests(&api, company).into_iter().map(Request::send))).await;
        answers.iter().for_each(assert_no_answer);

        proxy.admit().await;
        // A connection that broke while idle costs its first user an answer.
        crate::support::replica::until(async || {
            for _ in 0..5 {
                let request = api.get("/api/iam/user-levels").by(company.admin).within(company.id);
                if !request.send().await.status.is_success() {
                    return false;
                }
            }
            true
        })
        .await;
        for request in requests(&api, company) {
            let answer = request.send().await;
            assert!(answer.status.is_success(), "{}", String::from_utf8_lossy(&answer.body));
        }
    }

    #[actix_web::test]
    async fn without_a_free_connection_every_request_is_503() {
        let database = TestDatabase::new(Content::Seeded).await;
        let storage = storage_with(database.url(), one_connection);
        let api = api_over(Arc::clone(&storage)).await;
        let company = api.company().await;
        let tx = begin(storage.as_ref(), Target::Company(new_company())).await.unwrap();
        let answers = ending(join_all(requests(&api, company).into_iter().map(Request::send))).await;
        answers.iter().for_each(assert_no_answer);
        drop(tx);
        api.get("/api/iam/permissions/current").by(company.member).within(company.id).send().await.expect(200);
    }

    #[actix_web::test]
    async fn a_change_that_does_not_get_its_lock_is_503_and_reads_go_on() {
        let database = TestDatabase::new(Content::Seeded).await;
        let api = api_over(storage_with(database.url(), impatient)).await;
        let (company, other) = (api.company().await, api.company().await);
        let add = |company: Company| {
            api.post("/api/iam/user-levels").by(company.admin).within(company.id).json(&json!({ "name": "Auditors" }))
        };
        let holder = holding(&database, &row_of(Some(company.id))).await;
        assert_no_answer(&ending(add(company).send()).await);
        add(other).send().await.expect(201);
        let view = json!({ "view": "/dashboard" });
        let check = api.post("/api/iam/check").by(company.member).within(company.id).json(&view);
        assert_eq!(check.send().await.expect(200).data()["allowed"], true);
        release(holder).await;
        add(company).send().await.expect(201);
    }
}
