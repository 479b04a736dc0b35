//! The test cases of invalid query parameters.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::dump;
use super::expected::Expected;
use super::forms::NO_USER;
use super::sending::{by_header, send};
use crate::http::operations::operation;
use crate::http::world::World;

/// Sends invalid query parameters. They are rejected, and the error names the parameter.
pub async fn queries(world: &World) {
    let before = dump(world).await;
    let long = |count: usize| "%F0%9F%90%84".repeat(count);
    let cursor = |plain: &str| URL_SAFE_NO_PAD.encode(plain);
    let id = "018f3c1e-0000-7000-8000-000000000001";
    let entity_types = "is not valid: must be one of: user-level, permission, assignment, view, feature, module, menu, \
        company, api-key, user";
    let mut cases: Vec<(&str, String, Expected)> = Vec::new();
    let mut wrong = |name: &'static str, value: &str, what: &str| {
        cases.push(("GET /api/iam/audit-logs", format!("{name}={value}"), Expected::invalid(name, what)));
    };
    for value in ["x", "User-Level", "%00", "user-level%20", "%ff"] {
        wrong("entityType", value, entity_types);
    }
    for name in ["entityId", "userId"] {
        for value in ["x", "%00", "00000000-0000-0000-0000-000000000000", "%ff", "018f3c1e000070008000000000000001"] {
            wrong(name, value, if name == "userId" { NO_USER } else { "must be a valid UUID" });
        }
    }
    wrong("action", "%00", "must not contain NUL characters");
    for name in ["from", "to"] {
        for value in [
            "x",
            "0",
            "2026-11-22",
            "2026-11-22T12:00:00",
            "2026-13-01T00:00:00Z",
            "2026-11-22T25:00:00Z",
            "%00",
            "%ff",
            "99999-01-01T00:00:00Z",
        ] {
            wrong(name, value, "must be an RFC 3339 time with a time zone, such as 2026-12-31T00:00:00Z");
        }
    }
    for value in ["0", "201", "18446744073709551615"] {
        wrong("limit", value, "must be between 1 and 200");
    }
    let not_ours = "was not issued by this service";
    for value in ["x", "%00", "%ff", "====", "null"] {
        wrong("cursor", value, not_ours);
    }
    for plain in [
        "/",
        "1",
        &format!("/{id}"),
        &format!("x/{id}"),
        "1/x",
        &format!("{}/{id}", i64::MAX),
        &format!("{}0/{id}", i64::MAX),
        &format!("1/{id}/1"),
        &format!("1.5/{id}"),
        &format!("-1/{id}"),
        &format!("{}/{id}", -8_000_000_000_000_000_000_i64),
    ] {
        wrong("cursor", &cursor(plain), not_ours);
    }
    for (name, values) in [
        ("limit", ["x", "1.5", "-1", "%00", "18446744073709551616"].as_slice()),
        ("includeTotal", &["1", "TRUE", "yes", "%00"]),
    ] {
        for value in values {
            let expected = Expected::Begins(name.to_owned(), "is not valid");
            cases.push(("GET /api/iam/audit-logs", format!("{name}={value}"), expected));
        }
    }
    let valid_values = [
        ("entityType", "view"),
        ("entityId", id),
        ("action", "view.created"),
        ("userId", id),
        ("from", "2026-11-22T12:00:00Z"),
        ("to", "2026-11-22T12:00:00Z"),
        ("limit", "5"),
        ("includeTotal", "true"),
        ("cursor", &cursor(&format!("1/{id}"))),
    ];
    for (name, value) in valid_values {
        let twice = format!("{name}={value}&{name}={value}");
        cases.push(("GET /api/iam/audit-logs", twice, Expected::invalid(name, "is specified more than once")));
        cases.push(("GET /api/iam/audit-logs", format!("{name}={value}"), Expected::NothingToDo));
        cases.push(("GET /api/iam/audit-logs", format!("{name}="), Expected::NothingToDo));
    }
    let all = vec!["entityType", "entityId", "action", "userId", "from", "to", "limit", "cursor", "includeTotal"];
    let all_wrong = all.iter().map(|name| format!("{name}=%00")).collect::<Vec<_>>().join("&");
    let findings = Expected::Findings(all.iter().map(|name| (*name).to_owned()).collect());
    cases.push(("GET /api/iam/audit-logs", all_wrong, findings));
    for fine in [
        "limit=1",
        "limit=200",
        "includeTotal=false",
        "from=0000-01-01T00:00:00Z",
        "to=9999-12-31T23:59:59.999999Z",
        "from=0000-01-01T00:00:00%2B23:59",
        "from=2026-11-22T12:00:00%2B01:00",
        "action=%F0%9F%90%84",
        "limit",
        &format!("action={}", "x".repeat(3000)),
        &format!("cursor={}", cursor(&format!("8000000000000000000/{id}"))),
    ] {
        cases.push(("GET /api/iam/audit-logs", fine.to_owned(), Expected::NothingToDo));
    }
    for (query, expected) in [
        ("unknown=parameter", Expected::invalid("unknown", "is unknown")),
        ("Limit=5", Expected::invalid("Limit", "is unknown; did you mean limit?")),
        ("a=1&b=2", Expected::Findings(vec!["a".to_owned(), "b".to_owned()])),
    ] {
        cases.push(("GET /api/iam/audit-logs", query.to_owned(), expected));
    }
    for name in ["GET /api/iam/nav-trail", "DELETE /api/iam/nav-trail"] {
        let mut add = |query: String, expected| cases.push((name, query, expected));
        let required = || Expected::Invalid("sessionId is required".to_owned());
        for missing in ["", "sessionId", "sessionId=", "sessionId=%20", "sessionId=+%09"] {
            add(missing.to_owned(), required());
        }
        add("sessionid=s".to_owned(), Expected::Findings(vec!["sessionId".to_owned(), "sessionid".to_owned()]));
        let nul = || Expected::invalid("sessionId", "must not contain NUL characters");
        add("sessionId=%00".to_owned(), nul());
        add("sessionId=a%00".to_owned(), nul());
        add("sessionId=s&sessionId=s".to_owned(), Expected::invalid("sessionId", "is specified more than once"));
        add(format!("sessionId={}", long(256)), Expected::invalid("sessionId", "must be at most 255 characters"));
        add(format!("sessionId={}", long(255)), Expected::NothingToDo);
        add("sessionId=%ff".to_owned(), Expected::NothingToDo);
    }
    assert!(cases.len() > 100, "{}", cases.len());
    for (name, query, expected) in cases {
        let operation = operation(name);
        let path = format!("{}?{query}", operation.path());
        let request = world.request(operation.method(), &path, operation.user(), by_header(world, operation));
        let about: String = query.chars().take(60).collect();
        send(world, operation, &about, request, &expected).await;
    }
    assert_eq!(dump(world).await, before);
}
