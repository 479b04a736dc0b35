//! Tests of half-open connections, of sessions of frozen clients, and of servers that the adapter rejects.

mod postgres {
    mod broken_reads;
    mod revocations;

    use std::sync::Arc;
    use std::time::Duration;

    use iam_domain::{CompanyId, Description, Name, Timestamp, UserLevel, UserLevelId};
    use iam_storage::{ChangeContext, Health, PoolStats, Result, Storage, StorageError, Target, UnitOfWork};
    use iam_storage_postgres::{PostgresOptions, PostgresStorage, Refusal};
    use sea_orm::sqlx::postgres::PgConnectOptions;
    use sea_orm::sqlx::{ConnectOptions as _, Executor as _, PgConnection, query_scalar};
    use sea_orm::{ConnectionTrait, DbBackend, Statement};

    use crate::support::api::new_company;
    use crate::support::database::{Content, TestDatabase, run};
    use crate::support::proxy::Proxy;
    use crate::support::replica::{sooner_or_later, until};
    use crate::support::server::PostgresServer;

    fn connect(url: &str, differ: impl FnOnce(PostgresOptions) -> PostgresOptions) -> Arc<PostgresStorage> {
        Arc::new(PostgresStorage::connect(&differ(TestDatabase::options_for(url))).unwrap())
    }

    /// Returns the options with timeouts that are short enough for tests.
    fn short(options: PostgresOptions) -> PostgresOptions {
        PostgresOptions {
            statement_timeout: Duration::from_secs(2),
            change_timeout: Duration::from_secs(4),
            silence_timeout: Duration::from_secs(1),
            acquire_timeout: Duration::from_secs(6),
            ..options
        }
    }

    async fn begin(storage: &PostgresStorage, target: Target) -> Result<Box<dyn UnitOfWork>> {
        storage.begin(target, ChangeContext::command_line()).await
    }

    #[track_caller]
    fn assert_unavailable<T>(outcome: Result<T>) {
        let error = outcome.map(drop).unwrap_err();
        assert!(matches!(error, StorageError::Unavailable { retryable: false, .. }), "{error:?}");
    }

    fn level(company: CompanyId) -> UserLevel {
        let at = Timestamp::from_millis(1_700_000_000_000).unwrap();
        UserLevel {
            id: UserLevelId::generate(at),
            company_id: company,
            name: Name::parse("Level").unwrap(),
            description: Description::parse("").unwrap(),
            is_default: false,
            created_at: at,
            updated_at: at,
        }
    }

    async fn read(storage: &PostgresStorage, company: CompanyId) -> Result<()> {
        storage.reader().user_levels().find_all(company).await.map(drop)
    }

    /// Returns the number of sessions, other than `watch`, that hold the global lock.
    async fn holders(watch: &mut PgConnection) -> i64 {
        let sql = "SELECT count(*) FROM pg_locks WHERE relation = 'public_lock.iam_changes'::regclass AND granted
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        query_scalar(sql).fetch_one(watch).await.unwrap()
    }

    // --- Session settings ---

    #[tokio::test]
    async fn a_session_is_configured_by_a_statement_and_not_by_startup_parameters() {
        let database = TestDatabase::new(Content::Schema).await;
        let proxy = Proxy::to(&database).await;
        // The URLs of test databases contain session parameters. This URL contains none, so the adapter sets all
        // session parameters.
        let options = PostgresOptions {
            statement_timeout: Duration::from_millis(4321),
            lock_timeout: Duration::from_millis(1234),
            silence_timeout: Duration::from_millis(2345),
            ..PostgresOptions::new(proxy.url())
        };
        let storage = PostgresStorage::connect(&options).unwrap();
        let connection = storage.connection();
        for (name, value) in [
            ("statement_timeout", "4321ms"),
            ("lock_timeout", "1234ms"),
            ("idle_in_transaction_session_timeout", "2345ms"),
            ("tcp_user_timeout", "2345"),
            ("tcp_keepalives_idle", "10"),
            ("idle_session_timeout", "0"),
            ("default_transaction_isolation", "read committed"),
            ("row_security", "on"),
            ("jit", "off"),
            ("enable_seqscan", "off"),
            ("client_encoding", "UTF8"),
            ("application_name", "iam"),
        ] {
            let sql = format!("SELECT current_setting('{name}') AS value");
            let row =
                connection.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await.unwrap().unwrap();
            assert_eq!(row.try_get::<String>("", "value").unwrap(), value, "{name}");
        }
        let sent = proxy.parameters();
        let known = ["DateStyle", "TimeZone", "application_name", "client_encoding", "database", "user"];
        assert_eq!(sent.iter().map(String::as_str).collect::<Vec<_>>(), known);
    }

    /// Creates a role with its own default for a run-time parameter in this database. Returns the name of the role.
    async fn role_with(database: &TestDatabase, setting: &str) -> String {
        let mut server = database.connect().await;
        let role = format!("{}_role", database.name());
        let sql = format!(
            "CREATE ROLE {role} LOGIN SUPERUSER; ALTER ROLE {role} IN DATABASE {} SET {setting}",
            database.name()
        );
        run(&mut server, sql).await.unwrap();
        role
    }

    /// Returns the URL of the database for another role, without a password.
    fn url_of(database: &TestDatabase, role: &str) -> String {
        let (scheme, rest) = database.url().split_once("://").unwrap();
        let (_, place) = rest.split_once('@').unwrap();
        format!("{scheme}://{role}@{place}")
    }

    async fn drop_role(database: &TestDatabase, role: &str) {
        let sql = format!("ALTER ROLE {role} RESET ALL; DROP ROLE {role}");
        run(&mut database.connect().await, sql).await.unwrap();
    }

    #[tokio::test]
    async fn the_service_overrides_the_settings_of_its_role() {
        let database = TestDatabase::new(Content::Schema).await;
        for setting in [
            "row_security = off",
            "statement_timeout = '1ms'",
            "idle_in_transaction_session_timeout = '1ms'",
            "lock_timeout = '1ms'",
            "default_transaction_isolation = 'serializable'",
            "default_transaction_deferrable = on",
            "client_encoding = 'LATIN1'",
            "tcp_user_timeout = '1ms'",
        ] {
            let role = role_with(&database, setting).await;
            let storage = connect(&url_of(&database, &role), |options| PostgresOptions {
                url: url_of(&database, &role).into(),
                ..options
            });
            storage.contact().await.unwrap_or_else(|error| panic!("{setting}: {error}"));
            let unit = begin(&storage, Target::Company(new_company())).await.unwrap();
            unit.commit().await.unwrap_or_else(|error| panic!("{setting}: {error}"));
            read(&storage, new_company()).await.unwrap();
            storage.close().await;
            drop_role(&database, &role).await;
        }
    }

    #[tokio::test]
    async fn a_read_only_session_is_rejected_and_the_reason_is_kept() {
        let database = TestDatabase::new(Content::Schema).await;
        let role = role_with(&database, "default_transaction_read_only = on").await;
        let impatient = |options| PostgresOptions {
            url: url_of(&database, &role).into(),
            acquire_timeout: Duration::from_secs(2),
            ..options
        };
        let storage = connect(database.url(), impatient);
        assert_eq!(storage.refusal(), None);
        let error = read(&storage, new_company()).await.unwrap_err();
        assert!(format!("{error:?}").contains("ReadOnly"), "{error:?}");
        assert_eq!(storage.refusal(), Some(Refusal::ReadOnly));
        assert!(storage.contact().await.unwrap_err().to_string().contains("read-only"));
        let sql = format!("ALTER ROLE {role} IN DATABASE {} RESET default_transaction_read_only", database.name());
        run(&mut database.connect().await, sql).await.unwrap();
        storage.contact().await.unwrap();
        assert_eq!(storage.refusal(), None);
        read(&storage, new_company()).await.unwrap();
        storage.close().await;
        drop_role(&database, &role).await;
    }

    #[tokio::test]
    async fn a_database_without_utf8_is_rejected() {
        let database = TestDatabase::new(Content::Nothing).await;
        for encoding in ["LATIN1", "SQL_ASCII"] {
            let name = format!("{}_{}", database.name(), encoding.to_lowercase());
            let sql =
                format!("CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
            run(&mut database.connect().await, sql).await.unwrap();
            let url = database.url().replace(database.name(), &name);
            let storage = PostgresStorage::connect(&PostgresOptions::new(url)).unwrap();
            let error = storage.contact().await.unwrap_err().to_string();
            assert!(error.contains(encoding) && error.contains("UTF8"), "{error}");
            assert_eq!(storage.refusal(), Some(Refusal::Encoding(encoding.to_owned())));
            storage.close().await;
            run(&mut database.connect().await, format!("DROP DATABASE {name} WITH (FORCE)")).await.unwrap();
        }
    }

    #[tokio::test]
    async fn connection_errors_contain_the_host_the_port_and_the_reason() {
        let database = TestDatabase::new(Content::Nothing).await;
        let proxy = Proxy::to(&database).await;
        let of = |url: &str| PostgresStorage::connect(&PostgresOptions::new(url)).unwrap();
        let said = async |url: &str| of(url).contact().await.unwrap_err().to_string();
        let (before, _) = proxy.url().split_once('?').unwrap();
        let (_, name) = before.rsplit_once('/').unwrap();
        let place = before.split_once('@').unwrap().1.split_once('/').unwrap().0;

        let unknown = said(&proxy.url().replace(name, "no_such_database")).await;
        assert!(unknown.contains("does not exist") && unknown.contains(place), "{unknown}");
        // The proxy cannot parse encrypted messages, so this URL bypasses the proxy.
        let separator = if database.url().contains('?') { '&' } else { '?' };
        let encrypted = said(&format!("{}{separator}sslmode=require", database.url())).await;
        assert!(encrypted.contains("TLS"), "{encrypted}");
        let role = said(&proxy.url().replacen("iam_test@", "no_such_role:hunter2@", 1)).await;
        assert!(role.contains(place) && !role.contains("hunter2"), "{role}");
        let unresolvable = said("postgres://iam:hunter2@no-such-host.invalid:5433/iam").await;
        assert!(unresolvable.contains("resolved") && unresolvable.contains("no-such-host.invalid:5433"));
        assert!(!unresolvable.contains("hunter2"), "{unresolvable}");
        proxy.refuse().await;
        let refused = said(proxy.url()).await;
        assert!(refused.contains("refused the connection") && refused.contains(place), "{refused}");
        proxy.admit().await;
        proxy.fall_silent();
        let silent = said(proxy.url()).await;
        assert!(silent.contains("does not respond") && silent.contains(place), "{silent}");
    }

    // --- Half-open connections ---

    #[tokio::test]
    async fn a_change_on_a_dead_connection_fails_and_releases_its_company() {
        let database = TestDatabase::new(Content::Schema).await;
        let proxy = Proxy::to(&database).await;
        let storage = connect(proxy.url(), |options| PostgresOptions { max_connections: 2, ..short(options) });
        let company = new_company();
        begin(&storage, Target::Company(company)).await.unwrap().commit().await.unwrap();
        until(async || storage.pool().idle == storage.pool().size).await;
        proxy.forget();
        assert_unavailable(sooner_or_later(begin(&storage, Target::Company(company))).await);
        for _ in 0..3 {
            let unit = sooner_or_later(begin(&storage, Target::Company(company))).await.unwrap();
            unit.commit().await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_change_whose_connection_dies_releases_its_locks() {
        let database = TestDatabase::new(Content::Schema).await;
        let proxy = Proxy::to(&database).await;
        let storage = connect(proxy.url(), short);
        let mut watch = database.connect().await;
        for target in [Target::Company(new_company()), Target::Catalog, Target::Credentials] {
            let mut unit = begin(&storage, target).await.unwrap();
            assert_eq!(holders(&mut watch).await, 1);
            proxy.forget();
            // No other change waits for the lock, so the server itself must terminate the session.
            until(async || holders(&mut watch).await == 0).await;
            if let Target::Company(company) = target {
                let level = level(company);
                assert_unavailable(sooner_or_later(unit.user_levels_mut().create(&level)).await);
            }
            assert!(sooner_or_later(unit.commit()).await.is_err(), "{target:?}");
        }
    }

    #[tokio::test]
    async fn a_session_whose_client_does_not_read_its_response_releases_its_locks() {
        let database = TestDatabase::new(Content::Schema).await;
        let proxy = Proxy::to(&database).await;
        let storage =
            connect(proxy.url(), |options| PostgresOptions { silence_timeout: Duration::from_secs(1), ..options });
        let mut watch = database.connect().await;
        let connection = storage.connection();
        let sql = "BEGIN; SELECT iam_lock_changes(false); SELECT pg_sleep(0.5); SELECT repeat('x', 100000000)";
        let asking = tokio::spawn(async move { connection.execute_unprepared(sql).await.map(drop) });
        until(async || holders(&mut watch).await == 1).await;
        proxy.forget();
        until(async || holders(&mut watch).await == 0).await;
        asking.abort();
    }

    /// A client on a Unix socket is frozen. The server cannot detect this, because the connection itself works. The
    /// lock is released only after another session waits for it and terminates the session of the frozen client.
    #[tokio::test]
    async fn over_a_unix_socket_a_session_of_a_frozen_client_releases_its_locks() {
        let server = PostgresServer::start().await;
        let url = server.url_of_socket();
        let options = PostgresOptions { silence_timeout: Duration::from_secs(1), ..PostgresOptions::new(url.as_str()) };
        let storage = PostgresStorage::connect(&options).unwrap();
        let company = new_company();
        begin(&storage, Target::Company(company)).await.unwrap().commit().await.unwrap();
        let locks = [
            (Target::Company(company), format!("SELECT FROM company_states WHERE company_id = '{company}' FOR UPDATE")),
            (Target::Credentials, "SELECT iam_lock_changes(false)".to_owned()),
        ];
        for (target, lock) in locks {
            for with_answer in [false, true] {
                let options: PgConnectOptions = url.parse().unwrap();
                let mut still = options.application_name("iam").connect().await.unwrap();
                run(&mut still, "BEGIN; SET LOCAL iam.company = 'all'".to_owned()).await.unwrap();
                run(&mut still, lock.clone()).await.unwrap();
                // The result exceeds the socket's buffers, and the client reads at most one row.
                let sql = "SELECT repeat('x', 100000) FROM generate_series(1, 1000)";
                let mut rows = still.fetch(sql);
                if with_answer {
                    futures_util::StreamExt::next(&mut rows).await.unwrap().unwrap();
                }
                sooner_or_later(begin(&storage, target)).await.unwrap().commit().await.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn after_a_lost_connection_idle_connections_are_tested_before_use() {
        let database = TestDatabase::new(Content::Schema).await;
        let proxy = Proxy::to(&database).await;
        let storage = connect(proxy.url(), |options| PostgresOptions { max_connections: 5, ..short(options) });
        let units = (0..2).map(|_| begin(&storage, Target::Company(new_company())));
        let units = futures_util::future::try_join_all(units).await.unwrap();
        futures_util::future::join_all((0..3).map(|_| read(&storage, new_company()))).await;
        for unit in units {
            unit.commit().await.unwrap();
        }
        until(async || storage.pool().idle == storage.pool().size && storage.pool().size > 2).await;
        proxy.forget();
        assert_unavailable(sooner_or_later(read(&storage, new_company())).await);
        for _ in 0..8 {
            sooner_or_later(read(&storage, new_company())).await.unwrap();
        }
    }

    #[tokio::test]
    async fn closing_the_pool_ends_regardless_of_the_state_of_its_connections() {
        let database = TestDatabase::new(Content::Schema).await;
        let proxy = Proxy::to(&database).await;
        let storage = connect(proxy.url(), short);
        let unit = begin(&storage, Target::Company(new_company())).await.unwrap();
        proxy.fall_silent();
        sooner_or_later(storage.close()).await;
        assert_unavailable(storage.ping().await);
        drop(unit);
    }

    #[tokio::test]
    async fn a_change_that_takes_too_long_is_rolled_back() {
        let database = TestDatabase::new(Content::Schema).await;
        let storage = connect(database.url(), |options| PostgresOptions {
            change_timeout: Duration::from_millis(500),
            max_connections: 1,
            ..options
        });
        let company = new_company();
        let mut unit = begin(&storage, Target::Company(company)).await.unwrap();
        let level = level(company);
        unit.user_levels_mut().create(&level).await.unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_unavailable(unit.commit().await);
        assert_eq!(storage.reader().user_levels().find_all(company).await.unwrap(), []);
    }
}
