//! Tests of the component `monitoring`: its queries name metrics of the service, and each alert has a runbook section.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::manifests::{RENDERINGS, list, of_kind, text};
use crate::arrows::{root, shipped_lines};
use crate::documented::{listed_metrics, metrics};
use crate::process::metrics::admin;
use crate::process::persistence::{authorization, start};
use crate::support::api::{new_company, new_user};
use crate::support::process::wait_until;

fn manifests() -> &'static [Value] {
    &RENDERINGS.iter().find(|rendering| rendering.components == ["monitoring"]).unwrap().manifests
}

fn alerts() -> Vec<Value> {
    let rules = of_kind(manifests(), "PrometheusRule").next().unwrap();
    list(rules, "/spec/groups").iter().flat_map(|group| list(group, "/rules")).cloned().collect()
}

/// Returns the queries of the alerts and of the dashboard.
fn queries() -> Vec<String> {
    let maps = of_kind(manifests(), "ConfigMap");
    let mut dashboards = maps.filter_map(|map| map.pointer("/data/iam.json")?.as_str());
    let dashboard: Value = serde_json::from_str(dashboards.next().unwrap()).unwrap();
    let panels = list(&dashboard, "/panels").iter().flat_map(|panel| list(panel, "/targets"));
    let variables = list(&dashboard, "/templating/list").iter().map(|variable| text(variable, "/query").to_owned());
    let queries = panels.map(|target| text(target, "/expr").to_owned()).chain(variables);
    queries.chain(alerts().iter().map(|alert| text(alert, "/expr").to_owned())).collect()
}

/// The metrics of kube-state-metrics that queries use.
const OF_THE_CLUSTER: [&str; 2] = ["kube_cronjob_created", "kube_cronjob_status_last_successful_time"];

/// Returns the names of metrics in a query.
fn names(query: &str) -> BTreeSet<String> {
    let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let is_metric = |word: &&str| ["iam_", "process_", "kube_"].iter().any(|start| word.starts_with(start));
    words.filter(is_metric).map(str::to_owned).collect()
}

/// Returns the names of the series that a process exposes after some requests.
fn exposed() -> BTreeSet<String> {
    let mut server = start(&[]);
    let (token, company) = (authorization(new_user(), false), new_company().to_string());
    let headers = [("authorization", token.as_str()), ("x-company-id", company.as_str())];
    let check = server.request("POST", "/api/iam/check", &headers, Some(&json!({ "view": "/dashboard" })));
    assert_eq!((check.status.as_u16(), server.get("/api/iam/views").status.as_u16()), (200, 401));
    let page = wait_until(|| {
        let page = String::from_utf8(admin(&mut server, "GET", "/metrics").body).unwrap();
        page.contains("iam_cache_polls_total").then_some(page)
    });
    server.stop();
    let series = page.lines().filter(|line| !line.starts_with('#'));
    series.filter_map(|line| line.split(['{', ' ']).next()).map(str::to_owned).collect()
}

/// A metric without an event, or of the database, is not exposed by the process of this test. It must then be
/// documented. All metrics must have the exact name, with the suffix of histograms.
#[test]
fn every_query_names_metrics_that_exist() {
    let (exposed, recorded) = (exposed(), metrics());
    let base = |name: &str| {
        let suffixes = ["_bucket", "_sum", "_count"];
        let base = suffixes.iter().find_map(|suffix| name.strip_suffix(suffix));
        base.filter(|base| recorded.contains(*base)).unwrap_or(name).to_owned()
    };
    let listed = listed_metrics();
    let is_documented = |name: &str| {
        listed.iter().any(|metric| match metric.kind.as_str() {
            "histogram" => base(name) == metric.name && name != metric.name,
            _ => name == metric.name,
        })
    };
    let is_exposed = |metric: &str| exposed.iter().any(|series| base(series) == metric);
    let exists = |name: &String| {
        let is_ours = exposed.contains(name) || (is_documented(name) && !is_exposed(&base(name)));
        is_ours || OF_THE_CLUSTER.contains(&name.as_str())
    };
    let used: BTreeSet<_> = queries().iter().flat_map(|query| names(query)).collect();
    assert_eq!(used.iter().filter(|name| !exists(name)).collect::<Vec<_>>(), Vec::<&String>::new());
    // The test itself detects names that do not exist.
    for name in [
        "iam_http_request_duration_seconds",
        "iam_cache_hits",
        "iam_refused_total_bucket",
        "iam_pool_acquire_seconds",
        "iam_unreadable_rows_total_sum",
    ] {
        assert!(!exists(&name.to_owned()), "{name}");
    }
    assert!(used.contains("iam_http_request_duration_seconds_bucket") && used.contains("iam_refused_total"));
}

/// Returns the labels that a query selects, each with its values.
fn selected_labels(query: &str) -> BTreeSet<(String, String)> {
    let selectors = query.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    let matchers = selectors.flat_map(|selector| selector.split(',')).filter_map(|matcher| matcher.split_once('='));
    matchers
        .flat_map(|(label, values)| {
            let values = values.trim_start_matches('~').trim_matches('"');
            values.split('|').map(|value| (label.trim().to_owned(), value.to_owned())).collect::<Vec<_>>()
        })
        .collect()
}

/// Labels of series, and the values of enumerated labels, are string literals of the source. Prometheus adds the
/// namespace.
#[test]
fn every_query_selects_labels_that_exist() {
    let source: String = shipped_lines().map(|(_, line)| line + "\n").collect();
    let is_literal = |text: &str| source.contains(&format!("\"{text}\""));
    let selected: BTreeSet<_> = queries().iter().flat_map(|query| selected_labels(query)).collect();
    let exists = |(label, value): &&(String, String)| match label.as_str() {
        // kube-state-metrics names the CronJob.
        "namespace" | "cronjob" => true,
        "route" | "status" => is_literal(label),
        _ => is_literal(label) && is_literal(value),
    };
    assert_eq!(selected.iter().filter(|label| !exists(label)).collect::<Vec<_>>(), Vec::<&(String, String)>::new());
    assert!(selected.contains(&("outcome".to_owned(), "read".to_owned())), "{selected:?}");
}

#[test]
fn every_query_names_a_metric() {
    let silent: Vec<_> =
        queries().into_iter().filter(|query| query != "prometheus" && names(query).is_empty()).collect();
    assert_eq!(silent, Vec::<String>::new());
    assert!(queries().len() > 30, "{:?}", queries());
}

#[test]
fn each_alert_has_a_section_in_the_runbooks() {
    let runbooks = std::fs::read_to_string(root().join("docs/runbooks.md")).unwrap();
    let sections: Vec<_> = runbooks.lines().filter_map(|line| line.strip_prefix("## ")).map(str::to_owned).collect();
    let alerts = alerts();
    let names: Vec<_> = alerts.iter().map(|alert| text(alert, "/alert").to_owned()).collect();
    assert_eq!(sections, names);
    for alert in &alerts {
        let anchor = format!("docs/runbooks.md#{}", text(alert, "/alert").to_lowercase());
        assert_eq!(text(alert, "/annotations/runbook"), anchor);
    }
}

/// `make alerts` runs the cases with promtool.
#[test]
fn each_alert_has_a_case_in_which_it_fires() {
    let cases = std::fs::read_to_string(root().join("tests/alerts/cases.yaml")).unwrap();
    for alert in alerts() {
        let name = text(&alert, "/alert");
        assert!(cases.contains(&format!("{{labels: '{{alertname=\"{name}\"")), "{name}");
    }
}
