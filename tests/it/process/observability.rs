//! Tests that a running process exports the metrics that docs/observability.md lists, and that it counts decisions.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::metrics::{exposition, metric};
use super::persistence::{SECRET, authorization, super_admin};
use crate::documented::listed_metrics;
use crate::support::api::{new_company, new_user};
use crate::support::process::{ServerProcess, wait_until};

/// An issuer whose keys cannot be read. Its series exist nevertheless.
const ISSUERS: &str = r#"[{"issuer": "https://sign-in.example.com", "jwks_url": "http://127.0.0.1:1/jwks.json"}]"#;

/// The type and the labels of each metric.
type Metrics = BTreeMap<String, (String, BTreeSet<String>)>;

/// The metrics that a process exports.
struct Exported {
    metrics: Metrics,
    /// The names and labels of all series, without their values.
    series: BTreeSet<String>,
}

/// Parses an exposition in the Prometheus text format. Panics if a metric has no description or no type.
fn parse(text: &str) -> Exported {
    let comments = |start: &str| -> BTreeMap<String, String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(start)?.split_once(' '));
        lines.map(|(name, rest)| (name.to_owned(), rest.to_owned())).collect()
    };
    let (types, descriptions) = (comments("# TYPE "), comments("# HELP "));
    assert_eq!(types.keys().collect::<Vec<_>>(), descriptions.keys().collect::<Vec<_>>());
    let (mut metrics, mut series) = (Metrics::new(), BTreeSet::new());
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (name, _) = line.rsplit_once(' ').unwrap();
        series.insert(name.to_owned());
        let (full, labels) = name.split_once('{').unwrap_or((name, ""));
        let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|part| full.strip_suffix(part));
        let base = of_histogram.filter(|base| types.get(*base).is_some_and(|kind| kind == "histogram")).unwrap_or(full);
        let kind = types.get(base).unwrap_or_else(|| panic!("{base} has no type")).clone();
        // The text outside quotation marks contains the names of the labels.
        let labels = labels.split('"').step_by(2).map(|label| label.trim_matches([',', '=', '}']));
        let labels = labels.filter(|label| !label.is_empty() && *label != "le").map(str::to_owned);
        metrics.entry(base.to_owned()).or_insert_with(|| (kind, BTreeSet::new())).1.extend(labels);
    }
    Exported { metrics, series }
}

/// Returns the metrics that the documentation lists for a process with this kind of storage.
fn listed(is_postgres: bool) -> Metrics {
    let metrics = listed_metrics().into_iter().filter(|metric| is_postgres || !metric.is_of_postgres);
    metrics.map(|metric| (metric.name, (metric.kind, metric.labels))).collect()
}

/// Starts a server, and returns it with its first exposition. No request precedes this exposition.
fn start(environment: &[(&str, &str)]) -> (ServerProcess, Exported) {
    let mut all = vec![("JWT_SECRET", SECRET), ("IAM__AUTH__ISSUERS", ISSUERS)];
    all.extend_from_slice(environment);
    let mut server = ServerProcess::start(&[], &all);
    let first = parse(&exposition(&mut server));
    wait_until(|| (server.get("/readyz").status == 200).then_some(()));
    (server, first)
}

/// Sends a request in a company, and returns the status and the body.
fn ask(server: &ServerProcess, by: &str, company: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
    let headers = [("authorization", by), ("x-company-id", company)];
    let method = if body.is_some() { "POST" } else { "GET" };
    let answer = server.request(method, &format!("/api/iam{path}"), &headers, body);
    (answer.status.as_u16(), answer.json())
}

fn the_documentation_lists_what_a_process_exports(environment: &[(&str, &str)]) {
    let (mut server, first) = start(environment);
    let listed = listed(!environment.is_empty());
    assert_eq!(first.metrics, listed);

    let (root, non_member) = (super_admin(), authorization(new_user(), false));
    let company = new_company().to_string();
    let provision = json!({ "adminUserId": new_user() });
    assert_eq!(ask(&server, &root, &company, &format!("/companies/{company}/provision"), Some(&provision)).0, 201);
    for path in ["/views", "/user-levels", "/permissions/current", "/audit-logs"] {
        assert_eq!(ask(&server, &root, &company, path, None).0, 200, "{path}");
    }
    assert_eq!(ask(&server, &non_member, &company, "/user-levels", None).0, 403);
    assert_eq!(ask(&server, "Bearer x", &company, "/user-levels", None).0, 401);
    assert_eq!(ask(&server, &root, &company, "/nowhere", None).0, 404);
    let check = json!({ "view": "/dashboard" });
    assert_eq!(ask(&server, &root, &company, "/check", Some(&check)).0, 200);

    let then = parse(&exposition(&mut server));
    assert_eq!(then.metrics, listed);
    // The documentation says that only these metrics gain series.
    let gains = |series: &&String| {
        ["iam_http_requests_total{", "iam_http_request_duration_seconds_", "iam_storage_operation_"]
            .iter()
            .any(|name| series.starts_with(name))
    };
    let gained: BTreeSet<_> = then.series.difference(&first.series).filter(|series| !gains(series)).collect();
    assert_eq!(gained, BTreeSet::new());
    assert_eq!(first.series.difference(&then.series).collect::<Vec<_>>(), Vec::<&String>::new());
    for expected in [
        r#"iam_authentication_failures_total{reason="malformed"}"#,
        r#"iam_rate_limited_total{budget="address"}"#,
        r#"iam_jwks_refresh_total{issuer="https://sign-in.example.com",outcome="read"}"#,
    ] {
        assert!(first.series.contains(expected), "{expected}");
    }
    server.stop();
}

#[test]
fn the_documentation_lists_what_a_process_in_memory_mode_exports() {
    the_documentation_lists_what_a_process_exports(&[]);
}

/// The unit of a metric whose name states one is the unit in the name.
#[test]
fn the_names_of_metrics_state_their_units() {
    for metric in listed_metrics() {
        for unit in ["seconds", "bytes"] {
            let name = metric.name.strip_suffix("_total").unwrap_or(&metric.name);
            assert_eq!(name.ends_with(&format!("_{unit}")), metric.unit == unit, "{metric:?}");
        }
        assert_eq!(metric.name.ends_with("_total"), metric.kind == "counter", "{metric:?}");
        let is_unitless = ["iam_build_info", "iam_ready", "iam_readiness_problem"].contains(&metric.name.as_str());
        assert_eq!(metric.unit.is_empty(), is_unitless, "{metric:?}");
    }
}

/// Each decision increments the counter of its outcome and reason once. A check without a decision increments none.
fn decisions_are_counted(environment: &[(&str, &str)]) {
    let (mut server, _) = start(environment);
    let (root, by_non_member) = (super_admin(), authorization(new_user(), false));
    let company = new_company().to_string();
    let provision = json!({ "adminUserId": new_user() });
    assert_eq!(ask(&server, &root, &company, &format!("/companies/{company}/provision"), Some(&provision)).0, 201);
    let mut expected = BTreeMap::new();
    let mut verify = |server: &mut ServerProcess, counts: &[(&'static str, u64)]| {
        for (labels, count) in counts {
            *expected.entry(*labels).or_insert(0) += count;
        }
        let text = exposition(server);
        let counted = text.lines().filter_map(|line| line.strip_prefix("iam_decisions_total{")?.split_once("} "));
        let counted: BTreeMap<_, u64> =
            counted.map(|(labels, count)| (labels, count.parse().unwrap())).filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, expected);
    };
    let (allowed, no_levels, unknown) = (
        r#"outcome="allow",reason="super_admin""#,
        r#"outcome="deny",reason="no_user_levels""#,
        r#"outcome="deny",reason="unknown_view""#,
    );
    let (view, nowhere) = (json!({ "view": "/dashboard" }), json!({ "view": "/nowhere" }));
    verify(&mut server, &[]);
    for (by, check, labels) in [(&root, &view, allowed), (&root, &nowhere, unknown), (&by_non_member, &view, no_levels)]
    {
        assert_eq!(ask(&server, by, &company, "/check", Some(check)).0, 200);
        verify(&mut server, &[(labels, 1)]);
        assert_eq!(ask(&server, by, &company, "/explain", Some(check)).0, 200);
        verify(&mut server, &[(labels, 1)]);
    }
    // The third check is invalid, and the fourth is not permitted, so neither has a decision.
    let batch = json!({ "checks": [view, nowhere, {}, { "view": "/", "userId": new_user() }, view] });
    for path in ["/checks", "/explanations"] {
        assert_eq!(ask(&server, &by_non_member, &company, path, Some(&batch)).0, 200);
    }
    verify(&mut server, &[(no_levels, 6)]);
    assert_eq!(ask(&server, &root, &company, "/check", Some(&json!({}))).0, 400);
    assert_eq!(ask(&server, "Bearer x", &company, "/check", Some(&view)).0, 401);
    verify(&mut server, &[]);
    assert_eq!(metric(&mut server, r#"iam_decisions_total{outcome="allow",reason="super_admin"}"#), 2);
    server.stop();
}

#[test]
fn decisions_are_counted_by_outcome_and_reason() {
    decisions_are_counted(&[]);
}

mod postgres {
    use super::*;
    use crate::support::database::{Content, TestDatabase, run};

    #[actix_web::test]
    async fn the_documentation_lists_what_a_process_with_postgresql_exports() {
        let database = TestDatabase::new(Content::Seeded).await;
        the_documentation_lists_what_a_process_exports(&[("DATABASE_URL", database.url())]);
    }

    #[actix_web::test]
    async fn decisions_are_counted_by_outcome_and_reason() {
        let database = TestDatabase::new(Content::Seeded).await;
        decisions_are_counted(&[("DATABASE_URL", database.url())]);
    }

    /// A call of an operation is counted once. An outcome such as a conflict is not a failure, but an error of the
    /// database is.
    #[actix_web::test]
    async fn storage_operations_are_measured() {
        let database = TestDatabase::new(Content::Seeded).await;
        let (mut server, _) = start(&[("DATABASE_URL", database.url())]);
        let (root, company) = (super_admin(), new_company().to_string());
        let calls = |server: &mut ServerProcess, operation: &str| {
            metric(server, &format!("iam_storage_operation_duration_seconds_count{{operation=\"{operation}\"}}"))
        };
        let failures = |server: &mut ServerProcess, operation: &str| {
            metric(server, &format!("iam_storage_operation_errors_total{{operation=\"{operation}\"}}"))
        };
        let (level, created) = (json!({ "name": "Auditors" }), "user_levels.create");
        assert_eq!(calls(&mut server, created), 0);
        assert_eq!(ask(&server, &root, &company, "/user-levels", Some(&level)).0, 201);
        assert_eq!(calls(&mut server, created), 1);
        assert_eq!(ask(&server, &root, &company, "/user-levels", Some(&level)).0, 409);
        assert_eq!(calls(&mut server, created), 2);
        assert_eq!(failures(&mut server, created), 0);

        let listed = "user_levels.find_all";
        assert_eq!(ask(&server, &root, &company, "/user-levels", None).0, 200);
        let (before, succeeded) = (calls(&mut server, listed), failures(&mut server, listed));
        assert!(before > 0);
        assert_eq!(succeeded, 0);
        let rename = "ALTER TABLE user_levels RENAME TO hidden_levels".to_owned();
        run(&mut database.connect().await, rename).await.unwrap();
        assert!(ask(&server, &root, &company, "/user-levels", None).0 >= 500);
        assert!(calls(&mut server, listed) > before);
        assert!(failures(&mut server, listed) > 0);
        server.stop();
    }
}
