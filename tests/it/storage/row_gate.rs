//! Tests of the global lock as a row lock: its order, its marks, and the installations that use the other form.

mod postgres {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use iam_storage::{ChangeContext, Health, Result, Storage, StorageError, Target, UnitOfWork};
    use iam_storage_postgres::{PostgresOptions, PostgresStorage};
    use sea_orm::sqlx::{PgConnection, query_scalar};
    use tokio::task::JoinSet;

    use crate::support::api::new_company;
    use crate::support::database::{Content, TestDatabase, run};
    use crate::support::engines::in_other_forms;
    use crate::support::replica::{sooner_or_later, until};

    /// Inserts a wanted mark that was placed an hour ago. `expiry` is the time from now until it expires.
    async fn place_mark(connection: &mut PgConnection, expiry: &str) {
        let mark = format!(
            "INSERT INTO iam_gate_marks VALUES (gen_random_uuid(), now() - interval '1 h', now() + interval '{expiry}')"
        );
        run(connection, mark).await.unwrap();
    }

    async fn database() -> TestDatabase {
        let database = TestDatabase::new(Content::Schema).await;
        database.switch_to_other_forms().await;
        database
    }

    fn storage(
        database: &TestDatabase,
        differ: impl FnOnce(PostgresOptions) -> PostgresOptions,
    ) -> Arc<PostgresStorage> {
        let options = differ(in_other_forms(database.options()));
        Arc::new(PostgresStorage::connect(&options).unwrap())
    }

    /// Connects with the role of the database URL. Replicas with the same role may terminate each other's sessions.
    fn service(database: &TestDatabase) -> Arc<PostgresStorage> {
        storage(database, |options| PostgresOptions { url: database.url().into(), ..options })
    }

    async fn begin(storage: &PostgresStorage, target: Target) -> Result<Box<dyn UnitOfWork>> {
        storage.begin(target, ChangeContext::command_line()).await
    }

    fn some_company() -> Target {
        Target::Company(new_company())
    }

    #[track_caller]
    fn assert_unavailable<T>(outcome: Result<T>, why: &str) {
        let error = outcome.map(drop).unwrap_err();
        let StorageError::Unavailable { retryable: false, source: Some(source) } = &error else { panic!("{error:?}") };
        assert!(source.to_string().contains(why), "{source}");
    }

    async fn marks(connection: &mut PgConnection) -> i64 {
        query_scalar("SELECT count(*) FROM iam_gate_marks").fetch_one(connection).await.unwrap()
    }

    #[tokio::test]
    async fn a_change_to_a_company_waits_behind_an_earlier_revocation() {
        let database = database().await;
        let (one, other) = (storage(&database, |options| options), storage(&database, |options| options));
        let mut watch = database.connect().await;
        let under_way = begin(&one, some_company()).await.unwrap();
        let mut revocation = Box::pin(begin(&one, Target::Credentials));
        while marks(&mut watch).await == 0 {
            assert!(futures_util::poll!(&mut revocation).is_pending(), "the revocation must wait for the change");
        }
        let mut later = Box::pin(begin(&other, some_company()));
        for _ in 0..30 {
            assert!(futures_util::poll!(&mut revocation).is_pending(), "the revocation must wait for the change");
            assert!(futures_util::poll!(&mut later).is_pending(), "the later change must wait for the revocation");
            other.ping().await.unwrap();
        }
        under_way.commit().await.unwrap();
        let revocation = sooner_or_later(revocation).await.unwrap();
        for _ in 0..30 {
            assert!(futures_util::poll!(&mut later).is_pending(), "the revocation must exclude the change");
            other.ping().await.unwrap();
        }
        revocation.commit().await.unwrap();
        sooner_or_later(later).await.unwrap().commit().await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn revocations_succeed_under_a_flood_of_changes_to_companies() {
        const TASKS: usize = 4;
        let database = database().await;
        // The role of the adapter may not see which sessions block, so the revocations cannot terminate them.
        let forbid = "REVOKE EXECUTE ON FUNCTION pg_blocking_pids(integer) FROM PUBLIC";
        run(&mut database.connect().await, forbid.to_owned()).await.unwrap();
        let crowded = storage(&database, |options| PostgresOptions { max_connections: 24, ..options });
        let limited = |options| PostgresOptions { lock_timeout: Duration::from_secs(5), ..options };
        let sound = storage(&database, limited);
        let is_over = Arc::new(AtomicBool::new(false));
        let mut flood = JoinSet::new();
        for _ in 0..TASKS {
            let (crowded, is_over) = (Arc::clone(&crowded), Arc::clone(&is_over));
            flood.spawn(async move {
                let mut changes = 0;
                // Each task begins its next change before it ends the previous one, unless a revocation waits. Without
                // marks, the lock would always be shared.
                let mut unit = begin(&crowded, some_company()).await.unwrap();
                while !is_over.load(Ordering::Relaxed) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    let next = tokio::time::timeout(Duration::from_millis(20), begin(&crowded, some_company())).await;
                    unit.commit().await.unwrap();
                    unit = match next {
                        Ok(next) => next.unwrap(),
                        Err(_) => begin(&crowded, some_company()).await.unwrap(),
                    };
                    changes += 1;
                }
                unit.commit().await.unwrap();
                changes
            });
        }
        for _ in 0..5 {
            begin(&sound, Target::Credentials).await.unwrap().commit().await.unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
        let changes: Vec<i32> = flood.join_all().await;
        assert!(changes.iter().all(|changes| *changes > 0), "no change may starve: {changes:?}");
    }

    #[tokio::test]
    async fn the_expired_mark_of_a_crashed_process_blocks_nothing() {
        let database = database().await;
        let storage = storage(&database, |options| options);
        let mut connection = database.connect().await;
        place_mark(&mut connection, "-1 s").await;
        begin(&storage, some_company()).await.unwrap().commit().await.unwrap();
        place_mark(&mut connection, "0.3 s").await;
        begin(&storage, some_company()).await.unwrap().commit().await.unwrap();
        let expired = "SELECT max(expires_at) <= clock_timestamp() FROM iam_gate_marks";
        let is_expired: bool = query_scalar(expired).fetch_one(&mut connection).await.unwrap();
        assert!(is_expired, "a change must wait until the mark expires");
    }

    #[tokio::test]
    async fn a_change_to_a_company_waits_for_a_mark_no_longer_than_the_lock_timeout() {
        let database = database().await;
        let limited = |options| PostgresOptions { lock_timeout: Duration::from_millis(200), ..options };
        let storage = storage(&database, limited);
        let mut connection = database.connect().await;
        place_mark(&mut connection, "1 h").await;
        assert_unavailable(begin(&storage, some_company()).await, "did not become available in time");
        begin(&storage, Target::Catalog).await.unwrap().commit().await.unwrap();
        run(&mut connection, "DELETE FROM iam_gate_marks".to_owned()).await.unwrap();
        begin(&storage, some_company()).await.unwrap().commit().await.unwrap();
    }

    #[tokio::test]
    async fn a_cancelled_revocation_leaves_no_mark() {
        let database = database().await;
        let storage = storage(&database, |options| options);
        let mut watch = database.connect().await;
        let under_way = begin(&storage, some_company()).await.unwrap();
        let mut revocation = Box::pin(begin(&storage, Target::Credentials));
        while marks(&mut watch).await == 0 {
            assert!(futures_util::poll!(&mut revocation).is_pending(), "the revocation must wait for the change");
        }
        drop(revocation);
        until(async || marks(&mut watch).await == 0).await;
        begin(&storage, some_company()).await.unwrap().commit().await.unwrap();
        under_way.commit().await.unwrap();
    }

    #[tokio::test]
    async fn a_revocation_ends_the_sessions_of_the_service_that_block_it() {
        let database = database().await;
        let (slow, waiting, sound) = (service(&database), service(&database), service(&database));
        let mut held = JoinSet::new();
        let company = begin(&slow, some_company()).await.unwrap();
        for target in [Target::Catalog, Target::Credentials] {
            let waiting = Arc::clone(&waiting);
            held.spawn(async move {
                let _unit = begin(&waiting, target).await;
                std::future::pending::<()>().await;
            });
        }
        sooner_or_later(begin(&sound, Target::Credentials)).await.unwrap().commit().await.unwrap();
        assert!(company.commit().await.is_err(), "the session of the change must have been terminated");
    }

    #[tokio::test]
    async fn without_the_permission_to_see_blocking_sessions_a_revocation_waits_for_its_lock_timeout() {
        let database = database().await;
        let forbid = "REVOKE EXECUTE ON FUNCTION pg_blocking_pids(integer) FROM PUBLIC";
        run(&mut database.connect().await, forbid.to_owned()).await.unwrap();
        let slow = storage(&database, |options| options);
        let limited = |options| PostgresOptions { lock_timeout: Duration::from_secs(2), ..options };
        let sound = storage(&database, limited);
        let under_way = begin(&slow, some_company()).await.unwrap();
        assert_unavailable(sooner_or_later(begin(&sound, Target::Credentials)).await, "lock timeout");
        under_way.commit().await.unwrap();
        begin(&sound, Target::Credentials).await.unwrap().commit().await.unwrap();
    }

    #[tokio::test]
    async fn the_seed_waits_for_changes_and_excludes_them() {
        let database = database().await;
        let storage = storage(&database, |options| options);
        let sea_orm = database.sea_orm().await;
        let mut watch = database.connect().await;
        let under_way = begin(&storage, some_company()).await.unwrap();
        let mut seed = Box::pin(migration::seed(&sea_orm));
        while marks(&mut watch).await == 0 {
            assert!(futures_util::poll!(&mut seed).is_pending(), "the seed must wait for the change in progress");
        }
        let mut later = Box::pin(begin(&storage, some_company()));
        for _ in 0..30 {
            assert!(futures_util::poll!(&mut seed).is_pending(), "the seed must wait for the change in progress");
            assert!(futures_util::poll!(&mut later).is_pending(), "the later change must wait for the seed");
            storage.ping().await.unwrap();
        }
        under_way.commit().await.unwrap();
        sooner_or_later(seed).await.unwrap();
        sooner_or_later(later).await.unwrap().commit().await.unwrap();
        assert_eq!(marks(&mut watch).await, 0, "the seed must remove its mark");
    }

    #[tokio::test]
    async fn a_process_in_another_form_than_the_installation_changes_nothing() {
        let database = TestDatabase::new(Content::Schema).await;
        let (native, row) = (Arc::new(database.storage()), storage(&database, |options| options));
        begin(&native, some_company()).await.unwrap().commit().await.unwrap();
        for target in [some_company(), Target::Catalog, Target::Credentials] {
            assert_unavailable(begin(&row, target).await, "the installation uses gate=native");
        }
        assert_unavailable(row.check_schema().await, "the installation uses gate=native");
        assert_unavailable(row.changes().poll(None).await, "the installation uses feed=listen");
        database.switch_to_other_forms().await;
        for target in [some_company(), Target::Catalog, Target::Credentials] {
            assert_unavailable(begin(&native, target).await, "does not use the native gate");
            begin(&row, target).await.unwrap().commit().await.unwrap();
        }
        assert_unavailable(native.check_schema().await, "the installation uses gate=row");
        assert_unavailable(native.changes().poll(None).await, "the installation uses feed=poll");
        row.check_schema().await.unwrap();
    }

    /// The switch waits for the changes in progress. A change that waits during the switch does not begin in the old form.
    #[tokio::test]
    async fn a_change_that_waits_during_the_switch_is_rejected() {
        let database = TestDatabase::new(Content::Schema).await;
        let native = Arc::new(database.storage());
        let mut operator = database.connect().await;
        run(&mut operator, "BEGIN; SELECT iam_lock_changes(true)".to_owned()).await.unwrap();
        let mut waiting = Box::pin(begin(&native, some_company()));
        let mut watch = database.connect().await;
        let is_waiting = "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'public_lock.iam_changes'::regclass
            AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        while !query_scalar::<_, bool>(is_waiting).fetch_one(&mut watch).await.unwrap() {
            assert!(futures_util::poll!(&mut waiting).is_pending(), "the change must wait for the operator");
        }
        run(&mut operator, "UPDATE iam_engine SET gate = 'row'; COMMIT".to_owned()).await.unwrap();
        assert_unavailable(sooner_or_later(waiting).await, "does not use the native gate");
    }
}
