//! Tests of write admission. Continuous changes to companies do not occupy the connections that other callers need.

mod postgres {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use iam_storage::{ChangeContext, Health, Result, Storage, StorageError, Target, UnitOfWork};
    use iam_storage_postgres::{PostgresOptions, PostgresStorage};
    use sea_orm::sqlx::query_scalar;
    use tokio::sync::Semaphore;
    use tokio::task::JoinSet;

    use crate::support::api::new_company;
    use crate::support::database::{Content, TestDatabase};

    const CONNECTIONS: u32 = 4;
    /// The number of concurrent tasks, which is much greater than the number of connections.
    const CROWD: usize = 40;
    const LONG: Duration = Duration::from_secs(60);

    async fn begin(storage: &PostgresStorage, target: Target) -> Result<Box<dyn UnitOfWork>> {
        storage.begin(target, ChangeContext::command_line()).await
    }

    fn storage(database: &TestDatabase, lock_timeout: Duration) -> Arc<PostgresStorage> {
        let options = PostgresOptions {
            max_connections: CONNECTIONS,
            acquire_timeout: Duration::from_secs(2),
            lock_timeout,
            ..database.options()
        };
        Arc::new(PostgresStorage::connect(&options).unwrap())
    }

    /// Starts many tasks, each of which begins a change. Counts the changes that have begun. These changes remain open
    /// until `held` is closed.
    async fn crowd(
        storage: &Arc<PostgresStorage>,
        held: &Arc<Semaphore>,
        target: impl Fn() -> Target,
    ) -> (JoinSet<()>, Arc<AtomicUsize>) {
        let (asking, begun) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut crowd = JoinSet::new();
        for target in (0..CROWD).map(|_| target()) {
            let (storage, held) = (Arc::clone(storage), Arc::clone(held));
            let (asking, begun) = (Arc::clone(&asking), Arc::clone(&begun));
            crowd.spawn(async move {
                asking.fetch_add(1, Ordering::Relaxed);
                let tx = begin(&storage, target).await.unwrap();
                begun.fetch_add(1, Ordering::Relaxed);
                held.acquire().await.unwrap_err();
                tx.commit().await.unwrap();
            });
        }
        while asking.load(Ordering::Relaxed) < CROWD {
            tokio::task::yield_now().await;
        }
        (crowd, begun)
    }

    /// Asserts that other callers can read while many changes wait. Also asserts that a change that revokes rights
    /// begins as soon as the changes in progress have ended.
    async fn others_have_connections(storage: &Arc<PostgresStorage>, target: impl Fn() -> Target) {
        let held = Arc::new(Semaphore::new(0));
        let (crowd, begun) = crowd(storage, &held, target).await;
        while begun.load(Ordering::Relaxed) == 0 {
            storage.ping().await.unwrap();
        }
        for _ in 0..100 {
            storage.ping().await.unwrap();
        }
        let mut cut_off = Box::pin(begin(storage, Target::Credentials));
        for _ in 0..30 {
            assert!(
                futures_util::poll!(&mut cut_off).is_pending(),
                "the cut-off must wait for the changes in progress"
            );
            storage.ping().await.unwrap();
        }
        held.close();
        cut_off.await.unwrap().commit().await.unwrap();
        crowd.join_all().await;
    }

    #[actix_web::test]
    async fn continuous_changes_to_one_company_leave_connections_to_others() {
        let database = TestDatabase::new(Content::Schema).await;
        let storage = storage(&database, LONG);
        let company = Target::Company(new_company());
        let under_way = begin(&storage, company).await.unwrap();
        // Many changes to this company are waiting. A change to another company is nevertheless admitted.
        let waiting = crowd(&storage, &Arc::new(Semaphore::new(0)), || company).await;
        begin(&storage, Target::Company(new_company())).await.unwrap().commit().await.unwrap();
        drop((waiting, under_way));
        others_have_connections(&storage, || company).await;
    }

    #[actix_web::test]
    async fn continuous_changes_to_many_companies_leave_connections_to_others() {
        let database = TestDatabase::new(Content::Schema).await;
        others_have_connections(&storage(&database, LONG), || Target::Company(new_company())).await;
    }

    /// The seed acquires the same fair global lock as changes. Continuous changes to companies therefore cannot starve
    /// the seed.
    #[actix_web::test]
    async fn continuous_changes_to_companies_do_not_starve_the_seed() {
        let database = TestDatabase::new(Content::Schema).await;
        let storage = storage(&database, LONG);
        let under_way = begin(&storage, Target::Company(new_company())).await.unwrap();
        let sea_orm = database.sea_orm().await;
        let mut seed = Box::pin(migration::seed(&sea_orm));
        let mut watch = database.connect().await;
        let waiting =
            "SELECT count(*) FROM pg_locks WHERE relation = 'public_lock.iam_changes'::regclass AND NOT granted
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        let mut waits =
            async |count: i64| query_scalar::<_, i64>(waiting).fetch_one(&mut watch).await.unwrap() == count;
        while !waits(1).await {
            assert!(futures_util::poll!(&mut seed).is_pending(), "the seed must wait for the change in progress");
        }
        // The global lock is fair. A change that arrives later waits behind the seed, even though it requests the
        // global lock in shared mode.
        let mut later = Box::pin(begin(&storage, Target::Company(new_company())));
        while !waits(2).await {
            assert!(futures_util::poll!(&mut later).is_pending(), "the later change must wait behind the seed");
        }
        under_way.commit().await.unwrap();
        seed.await.unwrap();
        later.await.unwrap().commit().await.unwrap();
    }

    /// A change fails if it waits longer than the lock timeout. The next change in the queue is then admitted.
    #[actix_web::test]
    async fn a_change_that_waits_too_long_leaves_the_queue() {
        let database = TestDatabase::new(Content::Schema).await;
        let storage = storage(&database, Duration::from_millis(100));
        let company = Target::Company(new_company());
        let under_way = begin(&storage, company).await.unwrap();
        for _ in 0..3 {
            let refused = begin(&storage, company).await.map(drop);
            assert!(matches!(refused, Err(StorageError::Unavailable { retryable: false, .. })), "{refused:?}");
        }
        under_way.commit().await.unwrap();
        begin(&storage, company).await.unwrap().commit().await.unwrap();
    }
}
