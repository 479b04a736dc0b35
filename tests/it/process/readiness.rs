//! Tests of the probes: the reasons of readiness, their metrics, and probes while the connection pool is exhausted.

use serde_json::{Value, json};

use super::metrics::{admin, admin_address, exposition};
use crate::support::process::{ServerProcess, run as run_program, text_of, wait_until};

const NOWHERE: &str = "postgres://iam:hunter2@127.0.0.1:1/iam";
const REASONS: [&str; 5] = ["first_contact", "schema", "unusable_database", "degraded", "draining"];

/// Returns the value of a series from `/metrics`.
pub(super) fn value(server: &mut ServerProcess, series: &str) -> f64 {
    let page = exposition(server);
    let found = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("no series {series}")).parse().unwrap()
}

/// Asserts the readiness metrics: whether the process is ready, and the reasons of its problems.
fn assert_published(server: &mut ServerProcess, is_ready: bool, reasons: &[&str]) {
    assert_eq!(value(server, "iam_ready"), f64::from(u8::from(is_ready)), "{reasons:?}");
    for reason in REASONS {
        let expected = f64::from(u8::from(reasons.contains(&reason)));
        let series = format!("iam_readiness_problem{{reason=\"{reason}\"}}");
        assert_eq!(value(server, &series), expected, "{series}");
    }
}

/// Asks a probe of the admin port. Returns the exit code and the output of the command.
fn on_admin_port(server: &mut ServerProcess, options: &[&str]) -> (Option<i32>, String) {
    let address = admin_address(server).to_string();
    let output = run_program("iam", &[&["health", "--address", &address], options].concat(), &[]);
    (output.status.code(), text_of(&output))
}

/// Returns the status of `/readyz` on the API port, and its body.
fn readiness(server: &mut ServerProcess) -> (u16, Value) {
    let answer = server.get("/readyz?verbose");
    (answer.status.as_u16(), answer.json())
}

/// Returns a condition of a readiness response.
fn condition<'a>(body: &'a Value, name: &str) -> &'a Value {
    let checks = body["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no condition {name} in {body}"))
}

#[test]
fn while_the_start_waits_for_the_database_the_reason_is_the_first_contact() {
    let mut server = ServerProcess::start(&[], &[("DATABASE_URL", NOWHERE)]);
    let (status, body) = readiness(&mut server);
    assert_eq!((status, &body["status"]), (503, &json!("unavailable")));
    assert_eq!(condition(&body, "storage")["reason"], "first_contact");
    assert_eq!(condition(&body, "polls")["ok"], true);
    let (code, text) = on_admin_port(&mut server, &[]);
    assert_eq!(code, Some(1));
    assert!(text.contains(r#""reason":"first_contact""#), "{text}");
    assert_published(&mut server, false, &["first_contact"]);
}

#[test]
fn a_draining_process_is_not_ready() {
    let mut server = ServerProcess::start(&[], &[("IAM__SERVER__DRAIN_DELAY", "60s"), ("IAM__LOG__FILTER", "info")]);
    assert_eq!(readiness(&mut server).0, 200);
    assert_published(&mut server, true, &[]);
    server.signal("TERM");
    let body = wait_until(|| Some(readiness(&mut server)).filter(|(status, _)| *status == 503)).1;
    assert_eq!(condition(&body, "shutdown")["reason"], "draining");
    assert_published(&mut server, false, &["draining"]);
}

mod postgres {
    use super::*;
    use crate::process::persistence::{start, super_admin};
    use crate::support::api::{new_company, new_user};
    use crate::support::database::{Content, TestDatabase, run};
    use crate::support::proxy::Proxy;

    #[actix_web::test]
    async fn the_versions_of_the_schema_are_stated() {
        let database = TestDatabase::new(Content::Nothing).await;
        let mut server = ServerProcess::start(&[], &[("DATABASE_URL", database.url())]);
        let of_schema = |body: &Value| condition(body, "schema").clone();
        let body = wait_until(|| {
            let body = readiness(&mut server).1;
            (of_schema(&body)["reason"] == "schema").then_some(body)
        });
        let newest = migration::command_line::migrations().pop().unwrap();
        assert_eq!(of_schema(&body)["schema"], json!({ "min": newest, "max": null, "found": null }));
        assert_published(&mut server, false, &["schema"]);
        migration::up(&database.sea_orm().await).await.unwrap();
        let (_, body) = wait_until(|| Some(readiness(&mut server)).filter(|(status, _)| *status == 200));
        let versions = json!({ "min": newest, "max": null, "found": newest });
        assert_eq!(of_schema(&body), json!({ "name": "schema", "ok": true, "schema": versions }));
        assert_published(&mut server, true, &[]);
    }

    /// During an outage, the process remains ready while it may serve cached decisions. Then it is not ready, until the
    /// database can be polled again.
    #[actix_web::test]
    async fn a_read_only_database_is_unusable_from_the_start() {
        let database = TestDatabase::new(Content::Seeded).await;
        let mut connection = database.connect().await;
        let read_only = format!("ALTER DATABASE {} SET default_transaction_read_only = on", database.name());
        run(&mut connection, read_only).await.unwrap();
        let mut server = ServerProcess::start(&[], &[("DATABASE_URL", database.url())]);
        wait_until(|| (condition(&readiness(&mut server).1, "storage")["reason"] == "unusable_database").then_some(()));
        assert_published(&mut server, false, &["unusable_database"]);
    }

    #[test]
    fn an_outage_degrades_the_process_until_the_cached_data_is_too_old() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let database = runtime.block_on(TestDatabase::new(Content::Seeded));
        let proxy = runtime.block_on(Proxy::to(&database));
        let mut server = start(&[
            ("DATABASE_URL", proxy.url()),
            ("IAM__CACHE__LEASE", "1s"),
            ("IAM__CACHE__LOAD_TIMEOUT", "1s"),
            ("IAM__CACHE__OUTAGE_GRACE", "12s"),
        ]);
        wait_until(|| (value(&mut server, "iam_cache_lease_remaining_seconds") > 0.0).then_some(()));
        assert_eq!(readiness(&mut server).1["status"], "ok");
        runtime.block_on(proxy.refuse());
        proxy.cut();
        let (status, body) = wait_until(|| Some(readiness(&mut server)).filter(|(_, body)| body["status"] != "ok"));
        assert_eq!((status, &body["status"]), (200, &json!("degraded")));
        assert_eq!(condition(&body, "polls")["reason"], "degraded");
        assert_eq!(condition(&body, "polls")["ok"], false);
        assert_published(&mut server, true, &["degraded"]);
        let body = wait_until(|| Some(readiness(&mut server)).filter(|(status, _)| *status == 503)).1;
        assert_eq!(condition(&body, "polls")["reason"], "degraded");
        assert_published(&mut server, false, &["degraded"]);
        assert_eq!(value(&mut server, "iam_cache_lease_remaining_seconds"), 0.0);
        assert_eq!(server.get("/livez").status, 200);
        runtime.block_on(proxy.admit());
        wait_until(|| Some(readiness(&mut server)).filter(|(_, body)| body["status"] == "ok"));
        assert_published(&mut server, true, &[]);
    }

    /// A transaction blocks all statements that the requests of this test send, so that they occupy every connection of
    /// the pool, and further statements wait. The probes and the pages of the admin port still respond.
    #[actix_web::test]
    async fn an_exhausted_pool_is_measured_and_blocks_no_probe() {
        let database = TestDatabase::new(Content::Seeded).await;
        let mut server = start(&[
            ("DATABASE_URL", database.url()),
            ("IAM__DATABASE__MAX_CONNECTIONS", "2"),
            ("IAM__DATABASE__LOCK_TIMEOUT", "30s"),
            ("IAM__DATABASE__ACQUIRE_TIMEOUT", "30s"),
        ]);
        let root = super_admin();
        let companies: Vec<_> = (0..6).map(|_| new_company().to_string()).collect();
        for company in &companies {
            let provision = json!({ "adminUserId": new_user() });
            let path = format!("/api/iam/companies/{company}/provision");
            let headers = [("authorization", root.as_str())];
            assert_eq!(server.request("POST", &path, &headers, Some(&provision)).status, 201);
        }
        let waits = r#"iam_pool_acquire_seconds_count{stage="share"}"#;
        let waiting = r#"iam_pool_waiting{stage="share"}"#;
        assert_eq!(value(&mut server, waiting), 0.0);
        let before = value(&mut server, waits);
        let mut blocker = database.connect().await;
        run(&mut blocker, "BEGIN; LOCK TABLE user_levels IN ACCESS EXCLUSIVE MODE".to_owned()).await.unwrap();
        let mut requests: Vec<_> = companies
            .iter()
            .map(|company| {
                let headers = [("authorization", root.as_str()), ("x-company-id", company.as_str())];
                server.open("GET", "/api/iam/user-levels", &headers, None)
            })
            .collect();
        wait_until(|| {
            let used = value(&mut server, r#"iam_pool_connections{state="used"}"#);
            (used >= 2.0 && value(&mut server, waiting) >= 1.0).then_some(())
        });
        for path in ["/livez", "/readyz"] {
            assert_eq!(server.get(path).status, 200, "{path}");
        }
        for (options, state) in [(&[][..], "ready\n"), (&["--live"], "alive\n")] {
            assert_eq!(on_admin_port(&mut server, options), (Some(0), state.to_owned()));
        }
        assert_eq!(admin(&mut server, "GET", "/admin/statements").status, 200);
        assert!(value(&mut server, waiting) >= 1.0, "the pool must have been exhausted during the probes");
        run(&mut blocker, "ROLLBACK".to_owned()).await.unwrap();
        for request in &mut requests {
            assert_eq!(request.answer().unwrap().status, 200);
        }
        wait_until(|| (value(&mut server, waiting) == 0.0).then_some(()));
        assert!(value(&mut server, waits) >= before + 6.0);
        assert!(value(&mut server, r#"iam_pool_acquire_seconds_sum{stage="share"}"#) > 0.0);
    }
}
