//! Tests of changes that revoke rights. Such a change terminates the sessions that block it (`pg_terminate_backend`).

use std::sync::Arc;
use std::time::Duration;

use iam_storage::Target;
use iam_storage_postgres::{PostgresOptions, PostgresStorage};
use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::sqlx::{ConnectOptions as _, PgConnection, query_scalar};

use super::{assert_unavailable, begin, connect, level, read};
use crate::support::api::new_company;
use crate::support::database::{Content, TestDatabase, run};
use crate::support::replica::{sooner_or_later, until};

/// Connects the adapter with the role of the database URL. Replicas with the same role may terminate each other's
/// sessions.
fn service(database: &TestDatabase) -> Arc<PostgresStorage> {
    connect(database.url(), |options| PostgresOptions { url: database.url().into(), ..options })
}

#[tokio::test]
async fn a_revocation_ends_a_change_of_the_service_that_blocks_it() {
    let database = TestDatabase::new(Content::Schema).await;
    let (slow, sound) = (service(&database), service(&database));
    for target in [Target::Credentials, Target::Catalog] {
        let company = new_company();
        let mut unit = begin(&slow, Target::Company(company)).await.unwrap();
        sooner_or_later(begin(&sound, target)).await.unwrap().commit().await.unwrap();
        let level = level(company);
        assert_unavailable(unit.user_levels_mut().create(&level).await);
        assert!(unit.commit().await.is_err());
        read(&slow, company).await.unwrap();
    }
}

/// A revocation terminates all queued sessions of frozen processes. When the session that holds the global lock is
/// terminated, the next session in the queue acquires the lock and blocks the revocation in turn.
#[tokio::test]
async fn a_revocation_ends_all_queued_sessions_of_frozen_processes() {
    const PROCESSES: usize = 5;
    let database = TestDatabase::new(Content::Schema).await;
    let still: Vec<_> = (0..PROCESSES).map(|_| service(&database)).collect();
    let mut held = tokio::task::JoinSet::new();
    for storage in &still {
        for _ in 0..4 {
            let storage = Arc::clone(storage);
            held.spawn(async move {
                let _unit = begin(&storage, Target::Catalog).await;
                std::future::pending::<()>().await;
            });
        }
    }
    let mut watch = database.connect().await;
    until(async || {
        let waiting =
            "SELECT count(*) >= 9 FROM pg_locks WHERE relation = 'public_lock.iam_changes'::regclass AND NOT granted
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        query_scalar(waiting).fetch_one(&mut watch).await.unwrap()
    })
    .await;
    let sound = connect(database.url(), |options| PostgresOptions {
        url: database.url().into(),
        lock_timeout: Duration::from_secs(8),
        ..options
    });
    sooner_or_later(begin(&sound, Target::Credentials)).await.unwrap().commit().await.unwrap();
}

/// A revocation terminates a queue of frozen sessions before its lock timeout expires. The sessions request the global
/// lock alternately in shared and in exclusive mode. Whenever the holders of the global lock are terminated, the next
/// waiting session acquires the lock and blocks the revocation.
#[tokio::test]
async fn revocations_end_a_mixed_queue_of_frozen_replicas_before_they_give_up() {
    const QUEUE: i64 = 24;
    let database = TestDatabase::new(Content::Schema).await;
    let options: PgConnectOptions = database.url().parse().unwrap();
    let options = options.application_name("iam");
    let mut watch = database.connect().await;
    let mut held = tokio::task::JoinSet::new();
    for place in 0..QUEUE {
        let mut session: PgConnection = options.connect().await.unwrap();
        let is_exclusive = place % 2 != 0;
        held.spawn(async move {
            let lock = format!("BEGIN; SELECT iam_lock_changes({is_exclusive})");
            run(&mut session, lock).await.unwrap();
            std::future::pending::<()>().await;
        });
        // Waits until one session holds the global lock and all later sessions wait for it.
        until(async || {
            let locks = "SELECT count(*) FILTER (WHERE NOT granted) FROM pg_locks
                WHERE relation = 'public_lock.iam_changes'::regclass
                    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                HAVING count(*) FILTER (WHERE granted) > 0";
            let waiting: Option<i64> = query_scalar(locks).fetch_optional(&mut watch).await.unwrap();
            waiting == Some(place)
        })
        .await;
    }
    // If the revocation needed two checks, 0.1 s apart, for each blocking session, this lock timeout would be too
    // short.
    let sound = connect(database.url(), |options| PostgresOptions {
        url: database.url().into(),
        lock_timeout: Duration::from_millis(5500),
        ..options
    });
    sooner_or_later(begin(&sound, Target::Credentials)).await.unwrap().commit().await.unwrap();
}

#[tokio::test]
async fn a_revocation_waits_for_active_sessions_ahead_of_it() {
    let database = TestDatabase::new(Content::Schema).await;
    let (slow, sound) = (service(&database), service(&database));
    let unit = begin(&slow, Target::Company(new_company())).await.unwrap();
    let waiting = (0..4).map(|_| async {
        let unit = begin(&sound, Target::Credentials).await?;
        unit.commit().await
    });
    let outcomes = sooner_or_later(futures_util::future::join_all(waiting)).await;
    for outcome in outcomes {
        outcome.unwrap();
    }
    drop(unit);
}

#[tokio::test]
async fn a_session_of_another_program_is_not_ended() {
    let database = TestDatabase::new(Content::Schema).await;
    let sound = connect(database.url(), |options| PostgresOptions {
        url: database.url().into(),
        lock_timeout: Duration::from_secs(3),
        ..options
    });
    let mut other = database.connect().await;
    run(&mut other, "BEGIN; SELECT iam_lock_changes(false)".to_owned()).await.unwrap();
    assert_unavailable(sooner_or_later(begin(&sound, Target::Credentials)).await);
    run(&mut other, "COMMIT".to_owned()).await.unwrap();
    begin(&sound, Target::Credentials).await.unwrap().commit().await.unwrap();
}

#[tokio::test]
async fn a_change_to_a_company_waits_for_another_change_in_progress() {
    let database = TestDatabase::new(Content::Schema).await;
    let (first, second) = (service(&database), service(&database));
    let company = new_company();
    let mut unit = begin(&first, Target::Company(company)).await.unwrap();
    let next = tokio::spawn(async move { begin(&second, Target::Company(company)).await?.commit().await });
    // The change remains in progress for 2 s. A revocation would wait for a shorter time and then terminate the session
    // of the change. The waiting change to the same company is not a revocation, so it terminates no session.
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(250)).await;
        unit.user_levels().find_all(company).await.unwrap();
    }
    let level = level(company);
    unit.user_levels_mut().create(&level).await.unwrap();
    unit.commit().await.unwrap();
    sooner_or_later(next).await.unwrap().unwrap();
}

/// The changes of one company hold the global lock for longer than a revocation waits for it. The revocation terminates
/// their sessions, and succeeds at the first attempt.
#[tokio::test]
async fn a_revocation_succeeds_within_a_second_while_a_company_makes_slow_changes() {
    const REPLICAS: usize = 3;
    let database = TestDatabase::new(Content::Schema).await;
    let slow = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN PERFORM pg_sleep(20); RETURN NEW; END $$;
        CREATE TRIGGER slow BEFORE INSERT ON user_levels FOR EACH ROW EXECUTE FUNCTION slow()";
    run(&mut database.connect().await, slow.to_owned()).await.unwrap();
    let company = new_company();
    let mut flood = tokio::task::JoinSet::new();
    for _ in 0..REPLICAS {
        let replica = service(&database);
        for _ in 0..4 {
            let replica = Arc::clone(&replica);
            flood.spawn(async move {
                loop {
                    if let Ok(mut unit) = begin(&replica, Target::Company(company)).await {
                        unit.user_levels_mut().create(&level(company)).await.unwrap_err();
                    }
                }
            });
        }
    }
    let sound = connect(database.url(), |options| PostgresOptions {
        url: database.url().into(),
        lock_timeout: Duration::from_millis(950),
        ..options
    });
    let mut watch = database.connect().await;
    for _ in 0..3 {
        until(async || {
            let sleeping = "SELECT count(*) > 0 FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event = 'PgSleep'";
            query_scalar(sleeping).fetch_one(&mut watch).await.unwrap()
        })
        .await;
        sooner_or_later(begin(&sound, Target::Credentials)).await.unwrap().commit().await.unwrap();
    }
}
