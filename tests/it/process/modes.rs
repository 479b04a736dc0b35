//! Tests of startup: which storage backend a process selects, and with which invalid settings startup fails.

use std::net::TcpListener;

use crate::support::process::{ServerProcess, run, text_of, wait_until};

const NOWHERE: &str = "postgres://iam:hunter2@127.0.0.1:1/iam";
const LONG_SECRET: &str = "a perfectly private secret of the tests, long enough";

/// Asserts that the process exits with status 1, that its output contains `says`, and that its output does not contain
/// the password `hunter2`.
#[track_caller]
fn assert_refuses(environment: &[(&str, &str)], says: &str) {
    // Some errors are detected only after the ports are bound. The operating system therefore selects the ports, except
    // in tests of a port setting.
    let environment = [&[("PORT", "0"), ("IAM__ADMIN__PORT", "0")], environment].concat();
    let output = run("iam-http", &[], &environment);
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains(says), "{says:?} is not in {text:?}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn without_a_database_url_it_runs_in_memory() {
    let server = ServerProcess::start(&[], &[]);
    assert!(server.log().contains("[IAM Database] Using in-memory storage"));
    assert_eq!(server.get("/readyz").status, 200);
    assert_eq!(server.get("/health/db").json(), serde_json::json!({ "healthy": true }));
    server.stop();
}

#[test]
fn an_empty_database_url_counts_as_absent() {
    let server = ServerProcess::start(&[], &[("DATABASE_URL", "")]);
    assert!(server.log().contains("[IAM Database] Using in-memory storage"));
}

#[test]
fn use_database_false_takes_precedence_over_a_url() {
    let server = ServerProcess::start(&[], &[("DATABASE_URL", NOWHERE), ("USE_DATABASE", "false")]);
    assert!(server.log().contains("[IAM Database] Using in-memory storage"));
    assert_eq!(server.get("/readyz").status, 200);
    assert!(!server.log().contains("hunter2"));
}

#[test]
fn use_database_true_requires_a_url() {
    assert_refuses(&[("USE_DATABASE", "true")], "DATABASE_URL");
}

#[test]
fn other_values_for_use_database_are_rejected() {
    assert_refuses(&[("USE_DATABASE", "perhaps"), ("DATABASE_URL", NOWHERE)], "USE_DATABASE");
}

#[test]
fn an_invalid_url_is_rejected_without_printing_it() {
    assert_refuses(&[("DATABASE_URL", "mysql://iam:hunter2@localhost/iam")], "DATABASE_URL");
    assert_refuses(&[("DATABASE_URL", "postgres://iam:hunter2@local host:x/iam")], "DATABASE_URL");
}

#[test]
fn the_error_for_an_unknown_setting_contains_its_name() {
    assert_refuses(&[("IAM__SERVER__PROT", "1")], "prot");
    assert_refuses(&[("IAM__SERVRE__PORT", "1")], "servre");
}

#[test]
fn production_requires_a_strong_secret() {
    let production = ("IAM__SERVER__MODE", "production");
    let memory = ("USE_DATABASE", "false");
    assert_refuses(&[production, memory], "JWT_SECRET");
    assert_refuses(&[production, memory, ("JWT_SECRET", "short")], "JWT_SECRET");
    assert_refuses(
        &[production, memory, ("JWT_SECRET", "your-super-secret-jwt-key-change-in-production")],
        "JWT_SECRET",
    );
    let mut server = ServerProcess::start(&[], &[production, memory, ("JWT_SECRET", LONG_SECRET)]);
    assert!(!server.rest_of_the_log().contains(LONG_SECRET));
}

#[test]
fn production_requires_a_database_unless_memory_is_chosen() {
    let production = [("IAM__SERVER__MODE", "production"), ("JWT_SECRET", LONG_SECRET)];
    for url in [&[][..], &[("DATABASE_URL", "")]] {
        assert_refuses(
            &[&production[..], url].concat(),
            "database.url (DATABASE_URL) is not set; production mode requires",
        );
    }
}

#[test]
fn a_secret_with_surrounding_white_space_or_quotes_is_a_startup_error_in_every_mode() {
    for mode in ["development", "production"] {
        let mode = ("IAM__SERVER__MODE", mode);
        let secret = "hunter2hunter2hunter2hunter2-Kq3vR8xY2mN5pL7w";
        for (around, what) in [(format!("{secret}\n"), "white space"), (format!("\"{secret}\""), "quotes")] {
            assert_refuses(
                &[mode, ("USE_DATABASE", "false"), ("JWT_SECRET", &around)],
                &format!("auth.jwt_secret (JWT_SECRET) begins or ends with {what}"),
            );
        }
    }
}

#[test]
fn the_error_for_an_occupied_port_contains_the_port() {
    let server = ServerProcess::start(&[], &[]);
    let port = server.address.port().to_string();
    assert_refuses(&[("PORT", &port), ("IAM__ADMIN__PORT", "0")], &port);
}

mod postgres {
    use super::*;
    use crate::support::database::{Content, TestDatabase};

    #[actix_web::test]
    async fn with_a_database_url_it_persists() {
        let database = TestDatabase::new(Content::Seeded).await;
        let mut server = ServerProcess::start(&[], &[("DATABASE_URL", database.url())]);
        server.wait_for_line("[Database] PostgreSQL connection established");
        let log = server.log();
        let (persistence, established) = (
            log.find("[IAM Database] Using PostgreSQL persistence").unwrap(),
            log.find("[Database] PostgreSQL connection established").unwrap(),
        );
        assert!(persistence < established);
        crate::support::process::wait_until(|| (server.get("/readyz").status == 200).then_some(()));
        assert_eq!(server.get("/health/db").status, 200);
        server.stop();
    }

    #[actix_web::test]
    async fn without_the_schema_the_process_is_not_ready_and_changes_nothing() {
        let database = TestDatabase::new(Content::Nothing).await;
        let mut server = ServerProcess::start(&[], &[("DATABASE_URL", database.url())]);
        server.wait_for_line("[Database] PostgreSQL connection established");
        let answer = crate::support::process::wait_until(|| {
            let answer = server.get("/readyz?verbose");
            String::from_utf8_lossy(&answer.body).contains("the schema is missing").then_some(answer)
        });
        assert_eq!(answer.status, 503);
        assert_eq!(server.get("/livez").status, 200);
        let connection = database.sea_orm().await;
        assert!(migration::status(&connection).await.unwrap().iter().all(|migration| !migration.applied));
        migration::up(&connection).await.unwrap();
        crate::support::process::wait_until(|| (server.get("/readyz").status == 200).then_some(()));
        // The log states once that the migration must be run. No other component logs the consequences of the missing
        // schema.
        let log = server.rest_of_the_log();
        let warnings: Vec<_> = log.lines().filter(|line| line.contains(" WARN ")).collect();
        let about = |text: &str| warnings.iter().filter(|line| line.contains(text)).count();
        assert_eq!(about("not ready: the schema is missing: run the migration"), 1, "{log}");
        assert_eq!(about("storage corrupt") + about("a poll for changes failed") + about("wake-up"), 0, "{log}");
    }

    #[test]
    fn without_the_database_the_process_is_alive_but_not_ready() {
        let mut server = ServerProcess::start(&[], &[("DATABASE_URL", NOWHERE)]);
        assert_eq!(server.get("/livez").status, 200);
        assert_eq!(server.get("/readyz").status, 503);
        assert_eq!(server.get("/health/db").json(), serde_json::json!({ "healthy": false }));
        server.wait_for_line("Connection refused");
        let log = server.rest_of_the_log();
        assert!(!log.contains("hunter2"), "{log}");
        let cause = "no process is listening on this address (127.0.0.1:1, database iam): error communicating with \
            database: Connection refused";
        assert_eq!(log.matches(cause).count(), 1, "{log}");
        assert!(!log.contains("timed out"), "{log}");
    }
}

#[test]
fn the_first_log_lines_identify_version_mode_storage_issuers_and_listeners() {
    let url = ("DATABASE_URL", "postgres://iam:hunter2@127.0.0.1:1/tenants");
    let issuer = ("IAM__AUTH__JWT_ISSUER", "https://sign-in.example.com");
    let secret = ("JWT_SECRET", LONG_SECRET);
    let log = ServerProcess::start(&[], &[url, issuer, secret]).rest_of_the_log();
    for line in [
        "starting iam version=\"0.1.0\" mode=\"development\"",
        "metrics on http://127.0.0.1:",
        "trusted issuer issuer=\"https://sign-in.example.com\" key_source=\"jwt_secret\"",
        "[IAM Database] Using PostgreSQL persistence address=\"127.0.0.1:1, database tenants\"",
        "listening on http://127.0.0.1:",
    ] {
        assert_eq!(log.lines().filter(|text| text.contains(line)).count(), 1, "{line} in {log}");
    }
    for secret in ["hunter2", LONG_SECRET] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[test]
fn keys_are_fetched_from_the_issuer_regardless_of_proxy_variables() {
    let [issuer, proxy] = [(); 2].map(|()| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        listener
    });
    let url = |listener: &TcpListener| format!("http://{}", listener.local_addr().unwrap());
    let (issuers, proxy_url) = (
        format!(r#"[{{"issuer": "https://sign-in.example.com", "jwks_url": "{}/jwks.json"}}]"#, url(&issuer)),
        url(&proxy),
    );
    let proxies = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"].map(|name| (name, proxy_url.as_str()));
    let environment = [&proxies[..], &[("IAM__AUTH__ISSUERS", &issuers)]].concat();
    let _server = ServerProcess::start(&[], &environment);
    let asked = wait_until(|| {
        let is_asked = |listener: &TcpListener| listener.accept().is_ok();
        if is_asked(&proxy) { Some("the proxy") } else { is_asked(&issuer).then_some("the issuer") }
    });
    assert_eq!(asked, "the issuer");
}

#[test]
fn the_error_for_an_invalid_web_origin_contains_the_reason() {
    for (origins, says) in [
        (
            "https://a.example, null",
            r#"entry 2, "null": cannot be allowed, because browsers send it for every page with an opaque origin"#,
        ),
        ("app.example.com", r#"entry 1, "app.example.com": must have a scheme, as in https://app.example.com"#),
        ("http://localhost:5173/admin", "must not have a path"),
        ("https://iam:hunter2@a.example", r#"entry 1, "…@a.example": must not contain credentials"#),
        ("https://*", "a wildcard can only be the whole first label"),
        ("https://a.example https://b.example", "must be scheme://host"),
    ] {
        assert_refuses(
            &[("IAM__SERVER__CORS_ORIGINS", origins)],
            "server.cors_origins (IAM__SERVER__CORS_ORIGINS): entry ",
        );
        assert_refuses(&[("IAM__SERVER__CORS_ORIGINS", origins)], says);
    }
}

#[test]
fn commas_case_default_ports_and_final_slashes_of_web_origins_are_normalized() {
    let origins = "HTTPS://App.Example.com:443/, ,https://*.tenants.example,https://app.example.com,";
    let server = ServerProcess::start(&[], &[("IAM__SERVER__CORS_ORIGINS", origins)]);
    for (origin, is_in) in [
        ("https://app.example.com", true),
        ("https://one.tenants.example", true),
        ("https://tenants.example", false),
        ("https://elsewhere.example", false),
    ] {
        let answer = server.request("GET", "/livez", &[("origin", origin)], None);
        assert_eq!(answer.header("access-control-allow-origin"), is_in.then_some(origin), "{origin}");
    }
    server.stop();
}

/// The port of the API serves the documentation only if the documentation is public.
#[test]
fn the_documentation_is_public_unless_a_setting_moves_it() {
    for (documentation, status) in [("", 200), ("public", 200), ("admin", 404), ("off", 404)] {
        let server = ServerProcess::start(&[], &[("IAM__SERVER__DOCUMENTATION", documentation)]);
        for path in ["/openapi.json", "/docs/"] {
            assert_eq!(server.request("GET", path, &[], None).status, status, "{documentation}: {path}");
        }
    }
}
