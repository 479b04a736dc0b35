//! Tests of the traces that a server process exports to a collector.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::{Value, json};

use super::metrics::metric;
use super::persistence::{authorization, start, super_admin};
use crate::support::answer::Answer;
use crate::support::api::{new_company, new_user};
use crate::support::collector::{Collector, Exported, paths_to};
use crate::support::process::{ServerProcess, wait_until};
use crate::support::stub::Stub;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
const LEVELS: &str = "/api/iam/user-levels";

/// The settings with which a parent alone determines whether a request is sampled. Spans are exported when the process
/// stops.
const BY_PARENT: [(&str, &str); 3] =
    [("IAM__TRACING__SAMPLE_RATIO", "0"), ("IAM__TRACING__TRUST_PARENT", "true"), ("IAM__TRACING__INTERVAL", "1h")];

/// Starts a server that exports its spans to this collector.
fn traced(collector: &Collector, environment: &[(&str, &str)]) -> ServerProcess {
    start(&[&[("IAM__TRACING__ENDPOINT", collector.url().as_str())], &BY_PARENT[..], environment].concat())
}

/// Returns a `traceparent` with these flags.
fn parent(flags: &str) -> String {
    format!("00-{TRACE}-{PARENT}-{flags}")
}

/// Sends a request with this `traceparent` in a company.
fn send(
    server: &ServerProcess,
    (by, company): (&str, &str),
    parent: &str,
    (method, path): (&str, &str),
    body: Option<&Value>,
) -> Answer {
    let headers = [
        ("authorization", by),
        ("x-company-id", company),
        ("traceparent", parent),
        ("tracestate", "vendor=1"),
        ("x-request-id", "the-request"),
    ];
    server.request(method, path, &headers, body)
}

fn names(spans: &[Exported]) -> BTreeSet<&str> {
    spans.iter().map(|span| span.name.as_str()).collect()
}

/// Returns the only span with this name.
fn only<'a>(name: &str, spans: &'a [Exported]) -> &'a Exported {
    let found: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
    let [span] = found.as_slice() else { panic!("{name}: {spans:#?}") };
    span
}

#[test]
fn a_sampled_request_has_a_span_that_continues_the_trace_of_its_parent() {
    let collector = Collector::start();
    let server = traced(&collector, &[("IAM__TRACING__SERVICE_NAME", "iam-of-tests")]);
    let (user, company) = (new_user(), new_company().to_string());
    let token = authorization(user, true);
    // The first request loads the credentials.
    assert_eq!(send(&server, (&token, &company), "", ("GET", LEVELS), None).status, 200);
    // The query contains a value that must not be exported.
    let path = format!("{LEVELS}?query=hunter2");
    let answer = send(&server, (&token, &company), &parent("01"), ("GET", &path), None);
    assert_eq!(answer.status, 200);
    server.stop();
    let spans = collector.spans();
    let request = only("GET /api/iam/user-levels", &spans);
    assert_eq!((request.trace.as_str(), request.parent.as_str(), request.kind), (TRACE, PARENT, SpanKind::Server));
    assert_eq!((request.state.as_str(), request.is_error), ("vendor=1", false));
    let expected = [
        ("http.request.method", "GET".to_owned()),
        ("http.route", LEVELS.to_owned()),
        ("http.response.status_code", "200".to_owned()),
        ("http.response.body.size", answer.body.len().to_string()),
        ("iam.request_id", "the-request".to_owned()),
        ("iam.company", company),
        ("iam.actor", format!("user:{user}")),
    ];
    assert_eq!(request.attributes, expected.map(|(name, value)| (name.to_owned(), value)).into());
    assert_eq!(names(&spans), BTreeSet::from(["GET /api/iam/user-levels", "authenticate", "authorize"]));
    assert!(spans.iter().all(|span| span.trace == TRACE && span.id.len() == 16));
    assert!(spans.iter().filter(|span| span.name != request.name).all(|span| span.parent == request.id));
    let resource = collector.resource();
    assert_eq!(resource["service.name"], "iam-of-tests");
    assert_eq!(resource["service.version"], env!("CARGO_PKG_VERSION").replace("0.0.0", "0.1.0"));
    let exported = collector.received().into_iter().flat_map(|request| request.body).collect::<Vec<_>>();
    let exported = String::from_utf8_lossy(&exported).into_owned();
    for secret in ["hunter2", token.trim_start_matches("Bearer ")] {
        assert!(!exported.contains(secret), "{exported}");
    }
}

#[test]
fn a_request_is_not_sampled_without_reason() {
    let sampled = parent("01");
    for (ratio, trust, header, is_sampled) in [
        ("1", "true", parent("00").as_str(), false),
        ("1", "false", parent("00").as_str(), false),
        ("0", "true", "", false),
        ("0", "true", &sampled.to_uppercase(), false),
        ("0", "true", &format!("{sampled}-more"), false),
        // Clients cannot force the sampling of their requests.
        ("0", "false", &sampled, false),
        ("0", "true", &sampled, true),
        ("1", "false", &sampled, true),
        ("1", "false", "", true),
        ("1", "true", "not a parent", true),
    ] {
        let collector = Collector::start();
        let sampling = [("IAM__TRACING__SAMPLE_RATIO", ratio), ("IAM__TRACING__TRUST_PARENT", trust)];
        let server = traced(&collector, &sampling);
        let company = new_company().to_string();
        assert_eq!(send(&server, (&super_admin(), &company), header, ("GET", LEVELS), None).status, 200);
        server.stop();
        let spans = collector.spans();
        assert_eq!(!spans.is_empty(), is_sampled, "{ratio} {trust} {header}: {spans:#?}");
        // A trace is continued if its parent is well-formed. Health checks have no spans.
        let continues = header == sampled;
        assert!(spans.iter().all(|span| (span.trace == TRACE) == continues), "{ratio} {trust} {header}: {spans:#?}");
        assert!(!names(&spans).contains("GET /readyz"), "{spans:#?}");
    }
}

#[test]
fn a_collector_that_cannot_be_reached_does_not_affect_requests() {
    let (root, company) = (super_admin(), new_company().to_string());
    let settings = [
        ("IAM__TRACING__ENDPOINT", "http://127.0.0.1:1"),
        ("IAM__TRACING__SAMPLE_RATIO", "1"),
        ("IAM__TRACING__MAX_QUEUED_SPANS", "10"),
        ("IAM__TRACING__INTERVAL", "1ms"),
    ];
    let mut server = start(&settings);
    server.wait_for(|log| log.contains("traces are on collector=\"127.0.0.1:1\"").then_some(()));
    for _ in 0..50 {
        assert_eq!(send(&server, (&root, &company), "", ("GET", LEVELS), None).status, 200);
    }
    server.wait_for_line("traces cannot be exported");
    let log = server.rest_of_the_log();
    assert_eq!(log.matches("traces cannot be exported").count(), 1, "{log}");
    assert!(!log.contains("the queue of traces was full"), "{log}");
}

#[test]
fn spans_are_exported_after_an_outage_of_the_collector() {
    let collector = Collector::start();
    collector.respond_with(503);
    let mut server = traced(&collector, &[("IAM__TRACING__INTERVAL", "1ms"), ("IAM__TRACING__MAX_QUEUED_SPANS", "10")]);
    let (root, company) = (super_admin(), new_company().to_string());
    let ask = |header: &str| assert_eq!(send(&server, (&root, &company), header, ("GET", LEVELS), None).status, 200);
    // The first request loads the credentials, so that each of the others has three spans.
    ask("");
    ask(&parent("01"));
    wait_until(|| collector.received().first().cloned());
    // Six requests have 18 spans. The queue holds 10 of them.
    (0..6).for_each(|_| ask(&parent("01")));
    collector.respond_with(200);
    server.wait_for_line("traces are exported again lost=");
    let count =
        |server: &mut ServerProcess, outcome| metric(server, &format!("iam_spans_total{{outcome=\"{outcome}\"}}"));
    let counted = wait_until(|| {
        let counted = ["exported", "lost"].map(|outcome| count(&mut server, outcome));
        (counted.iter().sum::<u64>() == 21).then_some(counted)
    });
    let log = server.rest_of_the_log();
    let (_, lost) = log.split_once("traces are exported again lost=").unwrap();
    let lost: usize = lost.split_whitespace().next().unwrap().parse().unwrap();
    assert!(lost > 0, "{log}");
    assert_eq!(collector.spans().len() + lost, 21, "{log}");
    assert_eq!(counted, [21 - lost, lost].map(|count| count as u64));
    assert_eq!(log.matches("traces cannot be exported").count(), 1, "{log}");
}

#[test]
fn a_collector_that_does_not_respond_does_not_prevent_the_shutdown() {
    // Connections are accepted, but no request is read.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let endpoint = [("IAM__TRACING__ENDPOINT", url.as_str()), ("IAM__TRACING__TIMEOUT", "1h")];
    let mut server = start(&[&BY_PARENT[..], &endpoint].concat());
    let company = new_company().to_string();
    assert_eq!(send(&server, (&super_admin(), &company), &parent("01"), ("GET", LEVELS), None).status, 200);
    let log = server.rest_of_the_log();
    assert!(log.contains("the last traces could not be exported in time"), "{log}");
}

#[test]
fn the_headers_of_the_file_are_sent_and_not_logged() {
    let path = std::env::temp_dir().join(format!("iam-trace-headers-{}", uuid::Uuid::new_v4()));
    std::fs::write(&path, "# the key of the collector\n\nx-api-key: hunter2\n").unwrap();
    let collector = Collector::start();
    let file = path.to_str().unwrap();
    let mut server = traced(&collector, &[("IAM__TRACING__HEADERS_FILE", file), ("IAM__LOG__FILTER", "debug")]);
    let company = new_company().to_string();
    assert_eq!(send(&server, (&super_admin(), &company), &parent("01"), ("GET", LEVELS), None).status, 200);
    let log = server.rest_of_the_log();
    std::fs::remove_file(&path).unwrap();
    let received = collector.received();
    assert!(!received.is_empty());
    assert!(received.iter().all(|request| request.header("x-api-key") == Some("hunter2")), "{received:?}");
    assert!(!log.contains("hunter2"), "{log}");
}

/// Returns a token of this issuer whose key is unknown. Its signature is not valid.
fn unknown_token(issuer: &str) -> String {
    let part = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let (header, claims) =
        (json!({ "alg": "RS256", "kid": "new" }), json!({ "iss": issuer, "sub": "a", "exp": 1e10 as u64 }));
    format!("Bearer {}.{}.{}", part(header), part(claims), URL_SAFE_NO_PAD.encode([1; 256]))
}

#[test]
fn a_fetch_of_keys_continues_the_trace_of_the_request_that_needs_them() {
    let key_server = Stub::start(|_| (200, r#"{"keys":[]}"#.to_owned()));
    let issuer = "https://sign-in.example.com";
    let url = format!("http://{}/hunter2/jwks.json", key_server.address);
    let issuers = json!([{ "issuer": issuer, "jwks_url": url }]).to_string();
    let collector = Collector::start();
    let server = traced(&collector, &[("IAM__AUTH__ISSUERS", &issuers)]);
    wait_until(|| key_server.received().first().cloned());
    let company = new_company().to_string();
    let answer = send(&server, (&unknown_token(issuer), &company), &parent("01"), ("GET", LEVELS), None);
    assert_eq!(answer.status, 401, "{:?}", answer.json());
    server.stop();
    let spans = collector.spans_of(TRACE);
    let fetch = only("fetch keys", &spans);
    let path = ["GET /api/iam/user-levels", "authenticate", "fetch keys"].map(str::to_owned);
    assert_eq!(paths_to("fetch keys", &spans), BTreeSet::from([path.to_vec()]));
    let expected = [
        ("http.request.method", "GET".to_owned()),
        ("server.address", "127.0.0.1".to_owned()),
        ("server.port", key_server.address.port().to_string()),
    ];
    assert_eq!(fetch.attributes, expected.map(|(name, value)| (name.to_owned(), value)).into());
    let fetches = key_server.received();
    let [first, second] = fetches.as_slice() else { panic!("{fetches:?}") };
    // The first fetch, at the start, belongs to no request, and is not sampled.
    assert_eq!((first.header("traceparent"), first.header("tracestate")), (None, None));
    assert_eq!(second.header("traceparent"), Some(format!("00-{TRACE}-{}-01", fetch.id).as_str()));
    assert_eq!(second.header("tracestate"), Some("vendor=1"));
}

#[test]
fn the_log_lines_of_a_request_have_the_id_of_its_trace() {
    let collector = Collector::start();
    let server_log = |environment: &[(&str, &str)], header: &str| {
        let endpoint = collector.url();
        let json = [("IAM__LOG__FORMAT", "json"), ("IAM__LOG__FILTER", "info,iam_http=debug")];
        let all = [&json[..], environment, &[("IAM__TRACING__ENDPOINT", endpoint.as_str())]].concat();
        let mut server = start(&all);
        let company = new_company().to_string();
        let by = authorization(new_user(), false);
        assert_eq!(send(&server, (&by, &company), header, ("GET", LEVELS), None).status, 403);
        let log = server.rest_of_the_log();
        let lines = log.lines().filter(|line| line.contains("the-request"));
        let lines: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.iter().map(|line| &line["message"]).collect::<Vec<_>>(), ["request denied", "request"]);
        lines
    };
    for flags in ["00", "01"] {
        for line in server_log(&BY_PARENT, &parent(flags)) {
            assert_eq!(line["trace_id"], TRACE, "{line}");
        }
    }
    // Without a parent, the trace of a sampled request has a new id.
    for line in server_log(&[("IAM__TRACING__SAMPLE_RATIO", "1")], "") {
        let trace = line["trace_id"].as_str().unwrap();
        wait_until(|| collector.spans_of(trace).first().cloned());
    }
    for line in server_log(&BY_PARENT, "") {
        assert_eq!(line["trace_id"], Value::Null, "{line}");
    }
}

mod postgres {
    use super::*;
    use crate::support::database::{Content, TestDatabase, run};

    fn path(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[actix_web::test]
    async fn the_spans_of_a_read_lead_from_the_request_to_its_statements() {
        let database = TestDatabase::new(Content::Seeded).await;
        let collector = Collector::start();
        let server = traced(&collector, &[("DATABASE_URL", database.url())]);
        let (company, admin) = (new_company().to_string(), new_user());
        let provision = json!({ "adminUserId": admin });
        let provisioned = format!("/api/iam/companies/{company}/provision");
        assert_eq!(send(&server, (&super_admin(), &company), "", ("POST", &provisioned), Some(&provision)).status, 201);
        let by = authorization(admin, false);
        assert_eq!(send(&server, (&by, &company), &parent("01"), ("GET", LEVELS), None).status, 200);
        server.stop();
        let spans = collector.spans();
        assert!(spans.iter().all(|span| span.trace == TRACE && !span.is_error), "{spans:#?}");
        let request = "GET /api/iam/user-levels";
        let load = path(&[request, "authorize", "load user", "snapshots.load_user"]);
        assert_eq!(paths_to("snapshots.load_user", &spans), BTreeSet::from([load.clone()]));
        let read = path(&[request, "user_levels.find_all"]);
        assert_eq!(paths_to("user_levels.find_all", &spans), BTreeSet::from([read.clone()]));
        let statements: Vec<_> = spans.iter().filter(|span| span.kind == SpanKind::Client).collect();
        for (operation, above) in [("snapshots.load_user", &load), ("user_levels.find_all", &read)] {
            let of_operation: Vec<_> =
                statements.iter().filter(|span| span.attributes["db.query.summary"] == operation).collect();
            assert!(!of_operation.is_empty(), "{spans:#?}");
            for statement in of_operation {
                assert_eq!(statement.attributes["db.system.name"], "postgresql");
                assert_eq!(statement.attributes["db.operation.name"], statement.name);
                let paths = paths_to(&statement.name, &spans);
                let expected = [above.as_slice(), std::slice::from_ref(&statement.name)].concat();
                assert!(paths.contains(&expected), "{paths:?} {expected:?}");
            }
        }
    }

    #[actix_web::test]
    async fn the_spans_of_a_change_lead_from_the_request_to_its_unit_of_work() {
        let database = TestDatabase::new(Content::Seeded).await;
        let collector = Collector::start();
        let server = traced(&collector, &[("DATABASE_URL", database.url())]);
        let (root, company) = (super_admin(), new_company().to_string());
        let level = json!({ "name": "hunter2" });
        assert_eq!(send(&server, (&root, &company), &parent("01"), ("POST", LEVELS), Some(&level)).status, 201);
        server.stop();
        let spans = collector.spans();
        let request = "POST /api/iam/user-levels";
        for operation in ["storage.begin", "user_levels.create", "unit_of_work.commit"] {
            let expected = path(&[request, "unit of work", operation]);
            assert_eq!(paths_to(operation, &spans), BTreeSet::from([expected]), "{spans:#?}");
        }
        let insert = path(&[request, "unit of work", "user_levels.create", "INSERT"]);
        assert!(paths_to("INSERT", &spans).contains(&insert), "{spans:#?}");
        assert!(spans.iter().all(|span| span.trace == TRACE));
        let exported = collector.received().into_iter().flat_map(|request| request.body).collect::<Vec<_>>();
        assert!(!String::from_utf8_lossy(&exported).contains("hunter2"));
    }

    #[actix_web::test]
    async fn a_failure_of_the_database_is_the_status_of_the_spans_that_it_fails() {
        let database = TestDatabase::new(Content::Seeded).await;
        let collector = Collector::start();
        let server = traced(&collector, &[("DATABASE_URL", database.url())]);
        let (root, company) = (super_admin(), new_company().to_string());
        let rename = "ALTER TABLE user_levels RENAME TO hidden_levels".to_owned();
        run(&mut database.connect().await, rename).await.unwrap();
        let status = send(&server, (&root, &company), &parent("01"), ("GET", LEVELS), None).status;
        assert!(status.is_server_error(), "{status}");
        server.stop();
        let spans = collector.spans();
        let failed: Vec<_> = spans.iter().filter(|span| span.is_error).collect();
        let kinds = |name: &str| {
            let of_name = failed.iter().filter(|span| span.name == name);
            of_name.map(|span| span.attributes["error.type"].clone()).collect::<BTreeSet<_>>()
        };
        assert_eq!(kinds("GET /api/iam/user-levels"), BTreeSet::from([status.as_str().to_owned()]), "{spans:#?}");
        assert_eq!(kinds("user_levels.find_all").len(), 1, "{spans:#?}");
        let undefined_table = "42P01".to_owned();
        assert!(failed.iter().any(|span| span.attributes["error.type"] == undefined_table), "{spans:#?}");
    }
}
