//! Tests of graceful shutdown. The process reports that it is not ready, accepts connections during the drain delay,
//! and then completes the requests in progress.

use serde_json::json;

use super::persistence::{start, super_admin};
use crate::support::api::new_company;
use crate::support::client::Connection;
use crate::support::process::wait_until;

#[test]
fn either_signal_ends_the_process_with_exit_code_0() {
    for signal in ["TERM", "INT"] {
        let mut server = start(&[("IAM__SERVER__DRAIN_DELAY", "100ms")]);
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(0), "{signal}: {}", server.log());
    }
}

#[test]
fn a_draining_process_is_not_ready_but_answers() {
    let mut server = start(&[("IAM__SERVER__DRAIN_DELAY", "5m")]);
    server.signal("TERM");
    let answer = wait_until(|| Some(server.get("/readyz")).filter(|answer| answer.status == 503));
    assert!(String::from_utf8_lossy(&answer.body).contains("draining"), "{answer:?}");
    assert_eq!(server.get("/health").status, 200);
    // A second signal terminates the process without waiting for the end of the drain delay.
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(143));
    assert!(!server.accepts());
}

#[test]
fn a_request_in_progress_is_completed() {
    // A single worker accepts connections in order. With several workers, a connection may still be queued for a worker
    // when the server stops. Such a connection might never be served.
    let mut server = start(&[("IAM__SERVER__WORKERS", "1")]);
    let (token, company, body) = (super_admin(), new_company(), json!({ "name": "Auditors" }).to_string());
    let request = format!(
        "POST /api/iam/user-levels HTTP/1.1\r\nhost: test\r\nauthorization: {token}\r\nx-company-id: {company}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let (first, second) = request.as_bytes().split_at(request.len() - 5);
    let mut connection = Connection::open(server.address).unwrap();
    connection.send(first).unwrap();
    // The worker accepts connections in order. When a later connection is served, the first request has therefore
    // reached the service.
    assert_eq!(server.get("/livez").status, 200);
    server.signal("TERM");
    wait_until(|| (!server.accepts()).then_some(()));
    connection.send(second).unwrap();
    assert_eq!(connection.answer().unwrap().status, 201);
    assert_eq!(server.wait().code(), Some(0));
}

mod postgres {
    use std::net::{SocketAddr, TcpStream};
    use std::time::{Duration, Instant};

    use sea_orm::sqlx::{Connection, Executor, Row};

    use super::*;
    use crate::support::database::{Content, TestDatabase, run};
    use crate::support::replica::until;

    /// Returns the number of sessions of this database that wait for a lock.
    async fn waiting(connection: &mut sea_orm::sqlx::PgConnection) -> i64 {
        let query =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        connection.fetch_one(query).await.unwrap().get(0)
    }

    #[actix_web::test]
    async fn a_change_completes_after_a_disconnect_and_a_signal() {
        let database = TestDatabase::new(Content::Seeded).await;
        let mut server = start(&[
            ("DATABASE_URL", database.url()),
            ("IAM__DATABASE__LOCK_TIMEOUT", "30s"),
            ("IAM__DATABASE__STATEMENT_TIMEOUT", "60s"),
            ("IAM__DATABASE__MAX_CONNECTIONS", "1"),
            ("IAM__SERVER__WORKERS", "1"),
            ("IAM__SERVER__REQUEST_TIMEOUT", "5s"),
        ]);
        let company = new_company();
        let (token, company_id) = (super_admin(), company.to_string());
        let headers = [("authorization", token.as_str()), ("x-company-id", company_id.as_str())];

        // The test terminates the pool's only connection, and a worker thread reopens it for the next request. The
        // worker thread ends before the process exits.
        let mut observer = database.connect().await;
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        run(&mut observer, end.to_owned()).await.unwrap();
        wait_until(|| (server.request("GET", "/api/iam/user-levels", &headers, None).status == 200).then_some(()));

        // Another program holds the global lock, so the change has to wait.
        let mut holder = database.connect().await;
        run(&mut holder, "BEGIN".to_owned()).await.unwrap();
        let lock = "SELECT iam_lock_changes(true)";
        run(&mut holder, lock.to_owned()).await.unwrap();
        let ask = || server.open("POST", "/api/iam/user-levels", &headers, Some(&json!({ "name": "Auditors" })));
        let (mut request, mut asked) = (ask(), Instant::now());
        until(async || {
            // On a busy machine, the request may time out before its change begins, so it is repeated. If both changes
            // begin after all, one of the two changes is rejected.
            if asked.elapsed() > Duration::from_secs(6) {
                (request, asked) = (ask(), Instant::now());
            }
            waiting(&mut observer).await > 0
        })
        .await;
        drop(request);
        let metrics: SocketAddr =
            server.wait_for(|log| log.split_once("metrics on http://")?.1.split_once('/')?.0.parse().ok());
        server.signal("TERM");
        // The metrics endpoint remains available until the worker has completed the request in progress and has ended.
        wait_until(|| TcpStream::connect(metrics).is_err().then_some(()));
        run(&mut holder, "COMMIT".to_owned()).await.unwrap();
        holder.close().await.unwrap();

        assert_eq!(server.wait().code(), Some(0), "{}", server.log());
        let count = format!("SELECT count(*) FROM user_levels WHERE company_id = '{company_id}'");
        let stored: i64 = observer.fetch_one(sea_orm::sqlx::AssertSqlSafe(count)).await.unwrap().get(0);
        assert_eq!(stored, 1);
    }
}
