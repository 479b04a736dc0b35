//! Tests of the access log: one line for each request, whatever its outcome.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::persistence::{SECRET, authorization, start, super_admin};
use crate::support::answer::Answer;
use crate::support::api::{new_company, new_user};
use crate::support::client::Connection;
use crate::support::process::{ServerProcess, wait_until};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CHECK: &str = "/api/iam/check";

/// A request whose access line is checked.
struct Asked {
    id: String,
    company: String,
    answer: Answer,
}

/// Sends a check by this caller. If the expected status is 400, it has a query, which must not be logged. Its id contains
/// the status.
fn check(server: &ServerProcess, by: &str, body: &str, status: u16) -> Asked {
    let (id, company) = (format!("access-{status}"), new_company().to_string());
    let authorization = if by.is_empty() { String::new() } else { format!("authorization: {by}\r\n") };
    let headers = format!(
        "connection: close\r\n{authorization}x-company-id: {company}\r\nx-request-id: {id}\r\n\
         traceparent: 00-{TRACE}-00f067aa0ba902b7-01\r\n"
    );
    let mut connection = Connection::open(server.address).unwrap();
    // The query is not permitted.
    let path = if status == 400 { format!("{CHECK}?secret=hunter2") } else { CHECK.to_owned() };
    match status {
        // The rest of the body never arrives.
        408 => connection.send(
            format!("POST {path} HTTP/1.1\r\nhost: test\r\n{headers}content-type: application/json\r\ncontent-length: 9\r\n\r\n{{")
                .as_bytes(),
        ),
        _ => connection.request("POST", &path, &headers, body),
    }
    .unwrap();
    let answer = connection.answer().unwrap();
    assert_eq!(answer.status, status, "{}", String::from_utf8_lossy(&answer.body));
    Asked { id, company, answer }
}

/// Returns the members of the only access line of a request.
fn line_of(log: &str, id: &str) -> Value {
    let lines = log.lines().filter(|line| line.contains(id)).map(|line| serde_json::from_str::<Value>(line).unwrap());
    let lines: Vec<_> = lines.filter(|line| line["message"] == "request").collect();
    let [line] = lines.as_slice() else { panic!("{id}: {log}") };
    line.clone()
}

fn assert_is_complete(log: &str, Asked { id, company, answer }: &Asked, actor: Option<String>) {
    let line = line_of(log, id);
    let mut expected = json!({
        "level": "INFO",
        "target": "iam_http::middleware::observe",
        "message": "request",
        "method": "POST",
        "route": CHECK,
        "status": answer.status.as_u16(),
        "bytes": answer.body.len(),
        "request_id": id,
        "trace_id": TRACE,
    });
    if let Some(actor) = actor {
        // The company is determined after the caller is authenticated.
        expected["actor"] = actor.into();
        if line.get("company").is_some() {
            expected["company"] = company.as_str().into();
        }
    }
    let mut fields = line.clone();
    let fields = fields.as_object_mut().unwrap();
    assert!(fields.remove("timestamp").is_some_and(|time| time.is_string()), "{line}");
    assert!(fields.remove("duration_ms").is_some_and(|duration| duration.as_f64().unwrap() > 0.0), "{line}");
    assert_eq!(Value::from(fields.clone()), expected);
}

const SETTINGS: [(&str, &str); 4] = [
    ("JWT_SECRET", SECRET),
    ("IAM__LOG__FORMAT", "json"),
    ("IAM__LOG__REQUESTS", "true"),
    ("IAM__SERVER__BODY_TIMEOUT", "100ms"),
];

#[test]
fn each_request_has_a_complete_access_line() {
    let mut server = start(&[&SETTINGS[..], &[("IAM__RATE_LIMIT__PER_USER", "1")]].concat());
    let view = json!({ "view": "/dashboard" }).to_string();
    let mut asked = Vec::new();
    let mut ask = |status: u16, body: &str| {
        let user = new_user();
        asked.push((check(&server, &authorization(user, true), body, status), Some(format!("user:{user}"))));
    };
    ask(200, &view);
    ask(400, &view);
    ask(408, "");
    ask(413, &" ".repeat(1024 * 1024 + 1));
    asked.push((check(&server, "", &view, 401), None));
    let limited = new_user();
    let by = authorization(limited, true);
    while server.request("GET", "/api/iam/me", &[("authorization", &by)], None).status != 429 {}
    asked.push((check(&server, &by, &view, 429), Some(format!("user:{limited}"))));
    let log = server.rest_of_the_log();
    for (asked, actor) in asked {
        assert_is_complete(&log, &asked, actor);
    }
    assert_eq!(line_of(&log, "access-200")["company"].as_str().map(str::len), Some(36), "{log}");
    for secret in ["hunter2", SECRET, by.trim_start_matches("Bearer ")] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[test]
fn a_request_that_is_refused_during_an_outage_has_a_complete_access_line() {
    let database = [("DATABASE_URL", "postgres://iam:hunter2@127.0.0.1:1/iam")];
    let mut server = ServerProcess::start(&[], &[&SETTINGS[..], &database].concat());
    let user = new_user();
    let asked = check(&server, &authorization(user, false), &json!({ "view": "/dashboard" }).to_string(), 503);
    let log = server.rest_of_the_log();
    assert_is_complete(&log, &asked, Some(format!("user:{user}")));
    assert!(!log.contains("hunter2"), "{log}");
}

#[test]
fn requests_are_not_logged_without_the_setting() {
    let mut server = start(&[("IAM__LOG__FORMAT", "json")]);
    check(&server, &super_admin(), &json!({ "view": "/dashboard" }).to_string(), 200);
    let log = server.rest_of_the_log();
    let messages: BTreeSet<_> = log.lines().filter(|line| line.contains("access-200")).collect();
    assert_eq!(messages, BTreeSet::new(), "{log}");
}

mod postgres {
    use sea_orm::sqlx::{Executor, Row};

    use super::*;
    use crate::support::database::{Content, TestDatabase, run};
    use crate::support::replica::until;

    /// A change can be made although its client resets the connection, so such a request must not disappear from the log.
    #[actix_web::test]
    async fn a_request_whose_client_resets_the_connection_has_an_access_line() {
        let database = TestDatabase::new(Content::Seeded).await;
        let server = start(&[&SETTINGS[..], &[("DATABASE_URL", database.url())]].concat());
        let (mut holder, mut observer) = (database.connect().await, database.connect().await);
        run(&mut holder, "BEGIN; LOCK TABLE user_levels".to_owned()).await.unwrap();

        let mut connection = Connection::open(server.address).unwrap();
        connection.send(b"GET /livez HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
        wait_until(|| (!connection.is_open()).then_some(()));
        let request = format!(
            "GET /api/iam/user-levels HTTP/1.1\r\nhost: test\r\nauthorization: {}\r\nx-company-id: {}\r\n\
             x-request-id: reset-by-client\r\n\r\n",
            super_admin(),
            new_company()
        );
        connection.send(request.as_bytes()).unwrap();
        let waiting = "SELECT count(*) FROM pg_stat_activity \
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        until(async || observer.fetch_one(waiting).await.unwrap().get::<i64, _>(0) > 0).await;
        // The response to the first request is unread, so the system resets the connection.
        drop(connection);
        let log = wait_until(|| Some(server.log()).filter(|log| log.contains("reset-by-client")));
        let line = line_of(&log, "reset-by-client");
        assert_eq!((&line["status"], &line["route"]), (&json!(499), &json!("/api/iam/user-levels")));
    }
}
