//! Tests of the Prometheus metrics and of the responses to `HEAD` requests.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::persistence::{authorization, start, super_admin};
use crate::support::api::{Answer, new_company, new_user};
use crate::support::process::ServerProcess;

/// Returns the address of the admin port.
pub(super) fn admin_address(server: &mut ServerProcess) -> SocketAddr {
    server.wait_for(|log| {
        let (_, rest) = log.split_once("metrics on http://")?;
        rest.split_once("/metrics")?.0.parse().ok()
    })
}

/// Sends a request to the admin port.
pub(crate) fn admin(server: &mut ServerProcess, method: &str, path: &str) -> Answer {
    let admin = admin_address(server);
    let api = std::mem::replace(&mut server.address, admin);
    let answer = server.request(method, path, &[], None);
    server.address = api;
    answer
}

/// Returns the response of `/metrics` on the admin port.
pub(super) fn exposition(server: &mut ServerProcess) -> String {
    String::from_utf8(admin(server, "GET", "/metrics").body).unwrap()
}

/// Returns the value of a time series from `/metrics` on the admin port. Returns 0 if the series does not exist.
pub(super) fn metric(server: &mut ServerProcess, name: &str) -> u64 {
    let text = exposition(server);
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.map_or(0, |value| value.parse().unwrap())
}

/// Each denied request increments `iam_refused_total` once. A request is denied if the caller lacks the permission for
/// the operation, or is not authorized to change the specified entity.
#[test]
fn every_rejection_is_counted() {
    let mut server = start(&[]);
    let (company, admin) = (new_company(), new_user());
    let ask = |server: &ServerProcess, by: &str, method: &str, path: &str, body: Option<Value>| {
        let company = company.to_string();
        let headers = [("authorization", by), ("x-company-id", company.as_str())];
        let answer = server.request(method, &format!("/api/iam{path}"), &headers, body.as_ref());
        (answer.status.as_u16(), answer.json())
    };
    let (root, admin_token) = (super_admin(), authorization(admin, false));
    let by_stranger = authorization(new_user(), false);
    let provision = Some(json!({ "adminUserId": admin }));
    assert_eq!(ask(&server, &root, "POST", &format!("/companies/{company}/provision"), provision).0, 201);
    let made = ask(&server, &root, "POST", "/user-levels", Some(json!({ "name": "Pinned" }))).1;
    let level = format!("/user-levels/{}", made["data"]["userLevel"]["id"].as_str().unwrap());
    let views = ask(&server, &root, "GET", "/views", None).1;
    let pinned =
        json!({ "views": [{ "viewId": views["data"]["views"][0]["id"], "state": "allow", "modifiable": false }] });
    assert_eq!(ask(&server, &root, "PUT", &format!("{level}/permissions/views"), Some(pinned)).0, 200);
    assert_eq!(metric(&mut server, "iam_refused_total"), 0);

    assert_eq!(ask(&server, &by_stranger, "GET", "/user-levels", None).0, 403);
    assert_eq!(metric(&mut server, "iam_refused_total"), 1);
    assert_eq!(ask(&server, &admin_token, "DELETE", &level, None).0, 403);
    assert_eq!(metric(&mut server, "iam_refused_total"), 2);
    let unpinned = Some(json!({ "views": [] }));
    assert_eq!(ask(&server, &admin_token, "PUT", &format!("{level}/permissions/views"), unpinned).0, 403);
    assert_eq!(metric(&mut server, "iam_refused_total"), 3);
    server.stop();
}

/// A request that would exceed a share of the work in flight increments `iam_http_share_exceeded_total`, and not the
/// counters of budgets and of the pool.
#[test]
fn an_exceeded_share_is_counted() {
    // The share of a caller outside a company is 20,000 bytes.
    let mut server = start(&[("IAM__SERVER__MAX_BYTES_IN_FLIGHT", "640000")]);
    let (company, caller) = (new_company().to_string(), authorization(new_user(), false));
    let headers = [("authorization", caller.as_str()), ("x-company-id", company.as_str())];
    let body = json!({ "view": "x".repeat(30_000) });
    for count in 1..=2 {
        let refused = server.request("POST", "/api/iam/check", &headers, Some(&body));
        assert_eq!(refused.status.as_u16(), 429);
        let name = r#"iam_http_share_exceeded_total{pool="bytes",of="caller"}"#;
        assert_eq!(metric(&mut server, name), count);
    }
    assert_eq!(metric(&mut server, "iam_http_shed_total"), 0);
    assert_eq!(metric(&mut server, r#"iam_rate_limited_total{budget="caller"}"#), 0);
    server.stop();
}

#[test]
fn head_returns_the_headers_of_the_metrics_without_a_body() {
    let mut server = start(&[]);
    let token = super_admin();
    for path in ["/livez", "/readyz", "/health/db", "/openapi.json", "/docs/", "/api/iam/views", "/nowhere"] {
        let headers = [("authorization", token.as_str())];
        let get = server.request("GET", path, &headers, None);
        let head = server.request("HEAD", path, &headers, None);
        assert_eq!((head.status, head.body.len()), (get.status, 0), "{path}");
        for name in ["content-length", "content-type", "etag", "cache-control"] {
            assert_eq!(head.header(name), get.header(name), "{path} {name}");
        }
        assert_eq!(head.header("content-length"), Some(get.body.len().to_string().as_str()), "{path}");
    }
    let head = admin(&mut server, "HEAD", "/metrics");
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    assert!(head.header("content-type").unwrap().starts_with("text/plain"));
    let refused = admin(&mut server, "POST", "/metrics");
    assert_eq!((refused.status.as_u16(), refused.header("allow")), (405, Some("GET, HEAD")));
    server.stop();
}
