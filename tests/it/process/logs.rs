//! Tests of the log lines that a server process writes for its requests, in each log format.

use std::io::{Read, Write};
use std::net::TcpStream;

use iam_domain::UserId;
use iam_identity::{TokenSigner, system_clock};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::support::api::{new_company, new_user};
use crate::support::process::ServerProcess;

const SECRET: &str = "a perfectly private secret of the tests, long enough";
const LEVELS: &str = "/api/iam/user-levels";

fn token(user: UserId) -> String {
    let now = u64::try_from(system_clock().now().millis() / 1000).unwrap();
    TokenSigner::hs256(&SecretString::from(SECRET)).sign(user, false, now, 3600).unwrap()
}

/// Starts a server and requests the user levels of a new company as a new user. Returns the log lines that contain the
/// id of this request, and the ids of the company and of the user.
fn ask_for_levels(environment: &[(&str, &str)], status: u16) -> (Vec<String>, String, String) {
    let environment = [environment, &[("JWT_SECRET", SECRET)]].concat();
    let mut server = ServerProcess::start(&[], &environment);
    let (company, user) = (new_company().to_string(), new_user());
    let token = token(user);
    let authorization = format!("Bearer {token}");
    let headers = [("authorization", authorization.as_str()), ("x-company-id", &company), ("x-request-id", "asked")];
    assert_eq!(server.request("GET", LEVELS, &headers, None).status, status);
    let log = server.rest_of_the_log();
    for secret in [token.as_str(), SECRET, "hunter2"] {
        assert!(!log.contains(secret), "{log}");
    }
    let lines = log.lines().filter(|line| line.contains("asked")).map(str::to_owned).collect();
    (lines, company, user.to_string())
}

#[test]
fn a_denial_in_json_has_the_fields_of_its_request() {
    let (lines, company, user) = ask_for_levels(&[("IAM__LOG__FORMAT", "json")], 403);
    let [line] = lines.as_slice() else { panic!("{lines:#?}") };
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!((&line["level"], &line["message"]), (&"INFO".into(), &"request denied".into()));
    assert_has_fields(&line, &company, &user);
}

#[test]
fn a_denial_in_text_has_the_fields_of_its_request() {
    let (lines, company, user) = ask_for_levels(&[], 403);
    let [line] = lines.as_slice() else { panic!("{lines:#?}") };
    let fields = format!("request_id=\"asked\" route=\"{LEVELS}\" company={company} actor=user:{user}");
    assert!(line.contains(&fields), "{line}");
    assert!(line.contains("INFO") && line.contains("request denied"), "{line}");
}

#[test]
fn an_outage_is_logged_once_with_its_causes() {
    let environment = [("DATABASE_URL", "postgres://iam:hunter2@127.0.0.1:1/iam"), ("IAM__LOG__FORMAT", "json")];
    let (lines, _, user) = ask_for_levels(&environment, 503);
    let [line] = lines.as_slice() else { panic!("{lines:#?}") };
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!((&line["level"], &line["message"]), (&"WARN".into(), &"service unavailable".into()));
    let error = line["error"].as_str().unwrap();
    assert!(error.starts_with("storage unavailable: "), "{line}");
    for cause in ["(127.0.0.1:1, database iam)", "Connection refused"] {
        assert!(error.contains(cause), "{error}");
    }
    assert!(!error.contains("timed out"), "{error}");
    assert_eq!(line["actor"], format!("user:{user}"));
}

/// Asserts that the line is flat and has the fields of the request that [`ask_for_levels`] sends.
fn assert_has_fields(line: &Value, company: &str, user: &str) {
    let actor = format!("user:{user}");
    for (name, value) in [("request_id", "asked"), ("route", LEVELS), ("company", company), ("actor", &actor)] {
        assert_eq!(line[name], value, "{line}");
    }
    assert!(line.as_object().unwrap().values().all(|value| !value.is_object() && !value.is_array()), "{line}");
}

#[test]
fn each_request_is_one_line_if_requests_are_logged() {
    let environment = [("IAM__LOG__REQUESTS", "true"), ("IAM__LOG__FORMAT", "json")];
    let (lines, company, user) = ask_for_levels(&environment, 403);
    let lines: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [_, line] = lines.as_slice() else { panic!("{lines:#?}") };
    assert_eq!((&line["level"], &line["message"]), (&"INFO".into(), &"request".into()));
    assert_eq!((&line["method"], &line["status"]), (&"GET".into(), &403.into()));
    assert!(line["duration_ms"].as_f64().is_some_and(|duration| duration > 0.0), "{line}");
    assert_has_fields(line, &company, &user);
}

#[test]
fn the_line_of_a_request_has_the_level_debug_by_default() {
    let (lines, ..) = ask_for_levels(&[("IAM__LOG__FILTER", "info,iam_http=debug")], 403);
    let line = lines.iter().find(|line| line.contains("DEBUG")).unwrap();
    assert!(line.contains("request method=\"GET\" status=403 duration_ms="), "{line}");
}

#[test]
fn the_line_of_a_request_contains_neither_its_query_nor_its_headers() {
    let mut server = ServerProcess::start(&[], &[("IAM__LOG__REQUESTS", "true"), ("JWT_SECRET", SECRET)]);
    let headers = [("x-request-id", "asked"), ("x-secret", "hunter2")];
    assert_eq!(server.request("GET", "/livez?password=hunter2", &headers, None).status, 200);
    let log = server.rest_of_the_log();
    assert!(log.lines().any(|line| line.contains("asked") && line.contains("route=\"/livez\"")), "{log}");
    assert!(!log.contains("hunter2"), "{log}");
}

mod postgres {
    use sea_orm::sqlx::query_scalar;

    use super::super::persistence::{start, super_admin};
    use super::*;
    use crate::support::database::{Content, TestDatabase, run};
    use crate::support::process::wait_until;
    use crate::support::replica::until;

    #[actix_web::test]
    async fn in_development_mode_every_statement_is_logged_with_its_operation() {
        let database = TestDatabase::new(Content::Seeded).await;
        let storage = ("DATABASE_URL", database.url());
        for (mode, is_logged) in [("development", true), ("production", false)] {
            let mut server = start(&[storage, ("IAM__SERVER__MODE", mode), ("JWT_SECRET", SECRET)]);
            let headers = [("authorization", super_admin()), ("x-company-id", new_company().to_string())];
            let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
            let path = "/api/iam/user-levels";
            assert_eq!(server.request("GET", path, &headers, None).status, 200);
            let log = server.rest_of_the_log();
            let is_line = |line: &&str| line.contains("database statement") && line.contains("user_levels.find_all");
            let lines: Vec<_> = log.lines().filter(is_line).collect();
            assert_eq!(!lines.is_empty(), is_logged, "{mode}: {log}");
            assert!(lines.iter().all(|line| line.contains("DEBUG") && line.contains("SELECT")), "{lines:#?}");
        }
    }

    /// Returns this database's address in the form that log lines contain: host, port and name.
    fn address(database: &TestDatabase) -> String {
        let (_, place) = database.url().split_once('@').unwrap();
        let (server, _) = place.split_once('/').unwrap();
        format!("({server}, database {})", database.name())
    }

    /// The test terminates three connections while they wait for the server: one that reads, one that changes data, and the
    /// one that listens for wake-ups. The read is repeated.
    #[actix_web::test]
    async fn a_lost_connection_is_logged_with_the_database_and_the_cause() {
        let database = TestDatabase::new(Content::Seeded).await;
        let address = address(&database);
        for format in ["text", "json"] {
            let mut server = start(&[("DATABASE_URL", database.url()), ("IAM__LOG__FORMAT", format)]);
            server.wait_for_line("ready for requests");
            let (mut holder, mut watch) = (database.connect().await, database.connect().await);
            run(&mut holder, "BEGIN; LOCK user_levels".to_owned()).await.unwrap();
            let (company, token) = (new_company().to_string(), super_admin());
            let headers = [("authorization", token.as_str()), ("x-company-id", &company)];
            let mut terminate = async |session: &str| {
                let sql = format!(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE datname = current_database() AND backend_type = 'client backend' AND {session}"
                );
                until(async || {
                    let ended = query_scalar::<_, bool>(sea_orm::sqlx::AssertSqlSafe(sql.as_str()));
                    let ended = ended.fetch_all(&mut watch).await.unwrap();
                    assert!(ended.len() <= 1, "{session}");
                    ended == [true]
                })
                .await;
            };
            let waits = "wait_event_type = 'Lock'";
            let mut read = server.open("GET", LEVELS, &headers, None);
            terminate(waits).await;
            server.wait_for_line("repeating a read whose connection was lost");
            run(&mut holder, "ROLLBACK".to_owned()).await.unwrap();
            assert_eq!(read.answer().unwrap().status, 200);
            run(&mut holder, "BEGIN; LOCK user_levels".to_owned()).await.unwrap();
            let mut change = server.open("POST", LEVELS, &headers, Some(&json!({ "name": "Lost" })));
            terminate(waits).await;
            terminate("application_name = 'iam listener'").await;
            run(&mut holder, "ROLLBACK".to_owned()).await.unwrap();
            let answer = change.answer().unwrap();
            assert_eq!(answer.status, 503);
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            assert!(!body.contains("database") && !body.contains(database.name()), "{body}");

            for (message, cause) in [
                ("repeating a read", "terminating connection due to administrator command"),
                ("service unavailable", "terminating connection due to administrator command"),
                ("the wake-up subscription failed", "the server closed the connection"),
            ] {
                let line = server.wait_for(|log| {
                    log.lines().find(|line| line.contains(message) && line.contains("WARN")).map(str::to_owned)
                });
                let error = if format == "json" {
                    let line: Value = serde_json::from_str(&line).unwrap();
                    line["error"].as_str().unwrap().to_owned()
                } else {
                    let (_, error) = line.split_once("error=\"").unwrap();
                    error.split_once('"').unwrap().0.to_owned()
                };
                let lost = format!("the connection to the database was lost {address}: ");
                assert!(error.contains(&lost) && error.contains(cause), "{line}");
                assert!(!line.contains(".sources"), "{line}");
            }
        }
    }

    #[actix_web::test]
    async fn a_slow_statement_is_logged_with_its_duration_in_milliseconds() {
        let database = TestDatabase::new(Content::Seeded).await;
        let environment = [("DATABASE_URL", database.url()), ("IAM__LOG__FORMAT", "json")];
        let slow = |threshold| {
            let mut server = start(&[&environment[..], &[("IAM__DATABASE__SLOW_STATEMENT", threshold)]].concat());
            wait_until(|| server.log().contains("ready for requests").then_some(()));
            let log = server.rest_of_the_log();
            let lines = log.lines().filter(|line| line.contains("slow database statement"));
            lines.map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
        };
        let lines = slow("0");
        let line = lines.first().unwrap();
        assert_eq!(line["level"], "WARN");
        assert!(line["duration_ms"].as_f64().is_some_and(|duration| duration > 0.0), "{line}");
        assert!(line["statement"].as_str().unwrap().contains("SELECT "), "{line}");
        assert!(lines.iter().any(|line| line["operation"] == "change_feed.poll"), "{lines:?}");
        assert!(slow("1h").is_empty());
    }
}

#[test]
fn forged_cookies_and_malformed_requests_fill_no_log() {
    for filter in ["info", "warn,iam_http=debug"] {
        let mut server = ServerProcess::start(&[], &[("IAM__LOG__FILTER", filter)]);
        for name in ["__Host-iam_session", "iam_session", "iam_sign_in"] {
            let cookie = format!("{name}=forged");
            assert_eq!(server.request("GET", "/console/companies", &[("cookie", &cookie)], None).status, 303);
        }
        let mut malformed = TcpStream::connect(server.address).unwrap();
        malformed.write_all(b"G\x01T /livez HTTP/1.1\r\n\r\n").unwrap();
        let mut answer = String::new();
        malformed.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        let log = server.rest_of_the_log();
        assert!(!log.contains("actix_"), "{log}");
    }
}
