//! Tests of listeners and polls. Broken connections are detected, and notifications wake the listeners.

use std::time::Duration;

use iam_storage::{ChangeFeed, Health, WakeUps};
use iam_storage_postgres::{PostgresOptions, PostgresStorage};
use sea_orm::sqlx::query_scalar;
use tokio::net::TcpListener;

use super::{Break, add, assert_unavailable, ending, level, storage_with};
use crate::support::api::new_company;
use crate::support::database::{Content, TestDatabase, run};
use crate::support::proxy::Proxy;

/// Waits until the database responds, and then commits a change. The wait is necessary because a lost connection is
/// detected only when it is used.
async fn change(storage: &PostgresStorage) {
    while storage.ping().await.is_err() {}
    add(storage, &level(new_company(), "Level")).await.unwrap();
}

/// Commits changes until one of them wakes the listener. The wake-up of a change may be lost together with the
/// listener's connection.
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
async fn a_listener_reports_a_broken_connection_and_a_new_listener_is_woken() {
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
async fn polling_and_listening_without_a_database_time_out() {
    // The server listens, but it never accepts a connection.
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
async fn a_poll_on_a_black_holed_connection_times_out() {
    let database = TestDatabase::new(Content::Schema).await;
    let proxy = Proxy::to(&database).await;
    let storage = storage_with(proxy.url(), impatient_to_connect);
    let mut listener = storage.listen().await.unwrap();
    storage.poll(None).await.unwrap();
    proxy.fall_silent();
    // All open connections are now half-open. New connections are accepted but carry no data.
    assert_unavailable(ending(storage.poll(None)).await);
    assert_unavailable(ending(storage.acknowledge()).await);
    assert_unavailable(ending(storage.listen()).await);
    // No notification reaches the listener. The listener sends a query of its own (keepalive), which detects the
    // half-open connection.
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
    assert!(
        !proxy.texts().iter().any(|text| text.contains("LISTEN")),
        "the listener must not connect through the proxy of the pool"
    );
}

/// Every notification on the channel is a wake-up, whatever its payload. Notifications on other channels are not
/// received.
#[tokio::test]
async fn every_notification_on_the_channel_is_a_wake_up() {
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
    assert!(more.is_err(), "the listener must receive exactly one wake-up");
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
    // A listener can also be dropped outside a Tokio runtime.
    std::thread::spawn(move || drop(first)).join().unwrap();
    drop(second);
    let closed = async {
        while query_scalar::<_, i64>(others).fetch_one(&mut watch).await.unwrap() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    ending(closed).await;
}
