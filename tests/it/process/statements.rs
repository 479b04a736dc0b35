//! Tests of the table of storage operations: `/admin/statements`, `iam top`, and the metrics of the same calls.

use serde_json::{Value, json};

use super::metrics::{admin, admin_address};
use super::persistence::{start, super_admin};
use crate::support::api::{new_company, new_user};
use crate::support::process::{ServerProcess, run, text_of};

/// Returns the response of `/admin/statements`.
fn statements(server: &mut ServerProcess) -> Value {
    let answer = admin(server, "GET", "/admin/statements");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    answer.json()
}

#[test]
fn in_memory_storage_has_no_statements() {
    let mut server = start(&[]);
    assert_eq!(statements(&mut server)["operations"], json!([]));
    assert_eq!(server.get("/admin/statements").status, 404, "the API port must not serve the table");
    let refused = admin(&mut server, "POST", "/admin/statements");
    assert_eq!((refused.status.as_u16(), refused.header("allow")), (405, Some("GET, HEAD")));
    server.stop();
}

#[test]
fn top_fails_without_an_admin_port() {
    for (environment, problem) in [
        (("IAM__ADMIN__PORT", "0"), "pass --address"),
        (("IAM__ADMIN__ENABLED", "false"), "admin.enabled (IAM__ADMIN__ENABLED) is false"),
    ] {
        let output = run("iam", &["top"], &[environment]);
        assert_eq!(output.status.code(), Some(1));
        assert!(text_of(&output).contains(problem), "{}", text_of(&output));
    }
    // The port of the API is not the admin port.
    let server = start(&[]);
    let output = run("iam", &["top", "--address", &server.address.to_string()], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text_of(&output).contains("is not the admin port"), "{}", text_of(&output));
}

mod postgres {
    use super::*;
    use crate::process::readiness::value;
    use crate::support::database::{Content, TestDatabase};
    use crate::support::process::wait_until;
    use std::time::Instant;

    #[actix_web::test]
    async fn calls_and_rows_of_operations_are_listed_and_printed() {
        let database = TestDatabase::new(Content::Seeded).await;
        let mut server = start(&[("DATABASE_URL", database.url())]);
        let (root, company) = (super_admin(), new_company().to_string());
        let headers = [("authorization", root.as_str()), ("x-company-id", company.as_str())];
        let provision = json!({ "adminUserId": new_user() });
        let path = format!("/api/iam/companies/{company}/provision");
        assert_eq!(server.request("POST", &path, &headers, Some(&provision)).status, 201);
        let level = json!({ "name": "Auditors" });
        assert_eq!(server.request("POST", "/api/iam/user-levels", &headers, Some(&level)).status, 201);
        for _ in 0..3 {
            assert_eq!(server.request("GET", "/api/iam/user-levels", &headers, None).status, 200);
        }
        let table = statements(&mut server);
        // The provisioning creates three levels, too.
        let figures = |operation: &str| {
            let operations = table["operations"].as_array().unwrap();
            operations.iter().find(|row| row["operation"] == operation).unwrap().clone()
        };
        let created = figures("user_levels.create");
        assert_eq!((&created["calls"], &created["errors"]), (&json!(4), &json!(0)));
        let listed = figures("user_levels.find_all");
        // The company has the three levels of the provisioning, and the new one.
        let (calls, rows) = (listed["calls"].as_u64().unwrap(), listed["rows"].as_u64().unwrap());
        assert!(calls >= 3 && rows >= 12, "{listed}");
        for duration in ["meanMs", "p99Ms", "totalMs"] {
            assert!(listed[duration].as_f64().unwrap() > 0.0, "{listed}");
        }
        assert!(table["windowSeconds"].is_u64());
        let metric = value(&mut server, r#"iam_storage_operation_rows_total{operation="user_levels.find_all"}"#);
        assert_eq!(metric, rows as f64);
        assert!(value(&mut server, "iam_audit_records_total") >= 2.0);

        let address = admin_address(&mut server).to_string();
        let output = run("iam", &["top", "--once", "--address", &address, "--limit", "100"], &[("PORT", "65536")]);
        assert_eq!(output.status.code(), Some(0));
        let text = text_of(&output);
        assert!(text.starts_with("storage operations of the last ") && !text.contains('\u{1b}'), "{text}");
        let line = text.lines().find(|line| line.starts_with("user_levels.find_all ")).unwrap();
        assert!(line.split_whitespace().nth(3).unwrap().parse::<u64>().unwrap() >= rows, "{line}");
        let port = address.rsplit_once(':').unwrap().1;
        let arguments = ["top", "--json", "--sort", "calls", "--limit", "1"];
        let output = run("iam", &arguments, &[("IAM__ADMIN__PORT", port)]);
        let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(printed["operations"].as_array().unwrap().len(), 1, "{printed}");
        let calls = |row: &Value| row["calls"].as_u64().unwrap();
        let most = table["operations"].as_array().unwrap().iter().map(calls).max();
        assert!(Some(calls(&printed["operations"][0])) >= most, "{printed}");
        server.stop();
    }

    /// The delay of a change is measured by the database's clock, and lasts at most from the request of the change until
    /// the test has read the metric.
    #[actix_web::test]
    async fn the_delay_of_a_change_is_measured_on_the_other_replica() {
        let database = TestDatabase::new(Content::Seeded).await;
        let environment = [("DATABASE_URL", database.url())];
        let (sender, mut hearer) = (start(&environment), start(&environment));
        let (root, company) = (super_admin(), new_company().to_string());
        let headers = [("authorization", root.as_str()), ("x-company-id", company.as_str())];
        let (count, sum) = ("iam_revocation_delay_seconds_count", "iam_revocation_delay_seconds_sum");
        wait_until(|| (value(&mut hearer, "iam_cache_lease_remaining_seconds") > 0.0).then_some(()));
        let heard = |hearer: &mut ServerProcess| (value(hearer, count), value(hearer, sum));
        let change = |hearer: &mut ServerProcess, path: &str, body: Value| {
            let (before, began) = (heard(hearer), Instant::now());
            assert_eq!(sender.request("POST", path, &headers, Some(&body)).status, 201);
            let after = wait_until(|| Some(heard(hearer)).filter(|(count, _)| *count > before.0));
            (after.0 - before.0, after.1 - before.1, began.elapsed().as_secs_f64())
        };
        let provision = json!({ "adminUserId": new_user() });
        let (_, _, _) = change(&mut hearer, &format!("/api/iam/companies/{company}/provision"), provision);
        let (changes, delay, most) = change(&mut hearer, "/api/iam/user-levels", json!({ "name": "Auditors" }));
        assert_eq!(changes, 1.0);
        assert!(0.0 < delay && delay <= most, "{delay} s of {most} s");
        // A change to the credentials is heard, too.
        let key = json!({ "name": "Reader", "role": "read", "companyId": company });
        let answer = sender.request("POST", "/api/iam/api-keys", &headers, Some(&key));
        assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
        wait_until(|| (heard(&mut hearer).0 >= 3.0).then_some(()));
        hearer.stop();
        sender.stop();
    }
}
