//! Tests of statements whose connection breaks before the response arrives. A read is repeated on another connection. A
//! write is not, because the database may have executed it.

use std::future::Future;

use iam_domain::{Label, SessionId, Url};
use iam_storage::{NewTrailEntry, Storage};
use sea_orm::sqlx::query_scalar;

use super::{assert_unavailable, connect, read, short};
use crate::support::api::{new_company, new_user};
use crate::support::database::{Content, TestDatabase, run};
use crate::support::proxy::Proxy;
use crate::support::replica::{sooner_or_later, until};

/// Awaits `call`, and closes all connections of the adapter while the call waits for a lock on this table.
async fn while_the_connection_breaks<T>(
    database: &TestDatabase,
    proxy: &Proxy,
    table: &str,
    call: impl Future<Output = T>,
) -> T {
    let mut blocker = database.connect().await;
    run(&mut blocker, format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")).await.unwrap();
    let breaks = async {
        let mut watch = database.connect().await;
        until(async || {
            let is_waiting = "SELECT EXISTS (SELECT FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event_type = 'Lock')";
            query_scalar::<_, bool>(is_waiting).fetch_one(&mut watch).await.unwrap()
        })
        .await;
        proxy.cut();
        run(&mut blocker, "COMMIT".to_owned()).await.unwrap();
    };
    sooner_or_later(async { futures_util::join!(call, breaks).0 }).await
}

#[tokio::test]
async fn a_read_whose_connection_breaks_is_repeated() {
    let database = TestDatabase::new(Content::Schema).await;
    let proxy = Proxy::to(&database).await;
    let storage = connect(proxy.url(), short);
    let company = new_company();
    while_the_connection_breaks(&database, &proxy, "user_levels", read(&storage, company)).await.unwrap();
}

#[tokio::test]
async fn a_write_whose_connection_breaks_fails_and_is_not_repeated() {
    let database = TestDatabase::new(Content::Schema).await;
    let proxy = Proxy::to(&database).await;
    let storage = connect(proxy.url(), short);
    let step = NewTrailEntry {
        user_id: new_user(),
        company_id: new_company(),
        session_id: SessionId::parse("s").unwrap(),
        view_id: None,
        url: Url::parse("/a").unwrap(),
        label: Label::parse("A").unwrap(),
    };
    let trail = storage.nav_trail();
    assert_unavailable(while_the_connection_breaks(&database, &proxy, "nav_trail", trail.track(&step)).await);
    assert_eq!(proxy.sent("INSERT INTO nav_trail"), 1);
}
