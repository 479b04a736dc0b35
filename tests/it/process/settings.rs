//! Tests of the errors for invalid settings: each error identifies the setting and states the rule that the value
//! violates.

use std::collections::BTreeSet;

use crate::support::process::{run, text_of};

const DURATION: &str = "a whole number with the unit ms, s, m or h, such as 500ms or 5s";

/// Settings that accept every string, or whose errors other tests check. The case for the port uses the short name
/// `PORT`.
const WITHOUT_RULE: [&str; 6] = [
    "IAM__DATABASE__URL",
    "IAM__AUTH__JWT_SECRET",
    "IAM__AUTH__JWT_AUDIENCE",
    "IAM__DATABASE__USE_DATABASE",
    "IAM__SERVER__PORT",
    "IAM__TRACING__SERVICE_NAME",
];

/// Returns invalid values, each with the name of its setting and the rule that the error message of the server must
/// contain.
pub(super) fn cases() -> Vec<(&'static str, &'static str, String)> {
    let whole = |range: &str| format!("must be a whole number {range}");
    let duration = |range: &str| format!("must be a duration{range}: {DURATION}");
    let of_32_bits = "from 0 to 4294967295";
    let positive = "from 1 to 4294967295";
    let in_database = " from 0 to 596h";
    let of_locks = " of 0, or from 1s to 596h";
    let boolean = || "must be true or false".to_owned();
    vec![
        ("IAM__SERVER__MODE", "prod", "must be development or production".to_owned()),
        (
            "IAM__SERVER__HOST",
            "no-such-host.invalid",
            "must be an IP address of this machine or a host name".to_owned(),
        ),
        ("IAM__SERVER__HOST", "192.0.2.1", "must be an address of this machine, such as 127.0.0.1".to_owned()),
        ("PORT", "65536", whole("from 0 to 65535")),
        ("IAM__SERVER__DRAIN_DELAY", "5", duration("")),
        ("IAM__SERVER__DRAIN_DELAY", "-1s", duration("")),
        ("IAM__SERVER__REQUEST_TIMEOUT", "0", duration(" of at least 1ms")),
        ("IAM__SERVER__SHUTDOWN_TIMEOUT", "1 s", duration("")),
        ("IAM__SERVER__HEAD_TIMEOUT", "0", duration(" of at least 1ms")),
        ("IAM__SERVER__BODY_TIMEOUT", "0", duration(" of at least 1ms")),
        ("IAM__SERVER__WRITE_TIMEOUT", "0", duration(" of at least 1ms")),
        ("IAM__SERVER__IDLE_TIMEOUT", "0", duration(" of at least 1ms")),
        ("IAM__SERVER__MAX_CONNECTIONS", "-1", whole("of at least 0")),
        ("IAM__SERVER__MAX_CONNECTIONS_PER_ADDRESS", "many", whole("of at least 0")),
        ("IAM__SERVER__MAX_REQUESTS_IN_FLIGHT", "-1", whole("of at least 0")),
        ("IAM__SERVER__MAX_BYTES_IN_FLIGHT", "64MiB", whole("of at least 0")),
        ("IAM__SERVER__WORKERS", "0", whole("of at least 1")),
        ("IAM__SERVER__WORKERS", "four", whole("of at least 1")),
        (
            "IAM__SERVER__CORS_ORIGINS",
            "app.example.com",
            r#"entry 1, "app.example.com": must have a scheme, as in https://app.example.com"#.to_owned(),
        ),
        ("IAM__SERVER__DOCUMENTATION", "private", "must be public, admin or off".to_owned()),
        ("IAM__ADMIN__ENABLED", "yes", boolean()),
        ("IAM__ADMIN__HOST", "no-such-host.invalid", "must be an IP address of this machine or a host name".to_owned()),
        ("IAM__ADMIN__PORT", "-1", whole("from 0 to 65535")),
        ("IAM__DATABASE__DIRECT_URL", "mysql://localhost/iam", "it must begin with postgres://".to_owned()),
        ("IAM__DATABASE__REPLICA_URLS", "postgres://a@b/c,mysql://b/c", "it must begin with postgres://".to_owned()),
        ("IAM__DATABASE__MAX_CONNECTIONS", "0", whole(positive)),
        ("IAM__DATABASE__MIN_CONNECTIONS", "-1", whole(of_32_bits)),
        ("IAM__DATABASE__ACQUIRE_TIMEOUT", "3", duration("")),
        ("IAM__DATABASE__IDLE_TIMEOUT", "never", duration("")),
        ("IAM__DATABASE__MAX_LIFETIME", "1d", duration("")),
        ("IAM__DATABASE__STATEMENT_TIMEOUT", "597h", duration(in_database)),
        ("IAM__DATABASE__LOCK_TIMEOUT", "597h", duration(of_locks)),
        ("IAM__DATABASE__LOCK_TIMEOUT", "999ms", duration(of_locks)),
        ("IAM__DATABASE__CHANGE_TIMEOUT", "0", duration(" from 1ms to 596h")),
        ("IAM__DATABASE__SILENCE_TIMEOUT", "0s", duration(" from 1ms to 596h")),
        ("IAM__DATABASE__SLOW_STATEMENT", "0.2s", duration("")),
        ("IAM__DATABASE__GATE", "advisory", "must be native or row".to_owned()),
        ("IAM__DATABASE__FEED", "notify", "must be listen or poll".to_owned()),
        ("IAM__CACHE__LEASE", "0", duration(" of at least 1ms")),
        ("IAM__CACHE__OUTAGE_GRACE", "1", duration("")),
        ("IAM__CACHE__LOAD_TIMEOUT", "0", duration(" of at least 1ms")),
        ("IAM__CACHE__MAX_ENTRIES", "0", whole("of at least 1")),
        ("IAM__CACHE__MAX_BYTES", "64MiB", whole("of at least 1")),
        ("IAM__CACHE__MAX_NON_MEMBERS", "-1", whole("of at least 0")),
        ("IAM__CACHE__MAX_BODY_BYTES", "-1", whole("of at least 0")),
        ("IAM__CACHE__ROWS_VALID_FOR", "0", duration(" of at least 1ms")),
        ("IAM__CACHE__ROWS_USERS", "all", whole("of at least 0")),
        ("IAM__CACHE__ROWS_USERS_OF_COMPANY", "1.5", whole("of at least 0")),
        ("IAM__AUTH__JWT_ISSUER", "a|b", "contains a disallowed character or has an invalid format".to_owned()),
        ("IAM__AUTH__ISSUERS", "https://a.example", "must be a JSON array of objects (line 1".to_owned()),
        ("IAM__AUTH__CLOCK_SKEW", "301s", duration(" from 0 to 5m")),
        ("IAM__AUTH__MAX_TOKEN_AGE", "1d", duration("")),
        ("IAM__AUTH__MAX_SUPER_ADMIN_TOKEN_AGE", "1", duration("")),
        ("IAM__AUTH__JWKS_REFRESH", "999ms", duration(" of at least 1s")),
        ("IAM__AUTH__REMEMBERED_TOKENS", "-1", whole("of at least 0")),
        ("IAM__ASSIGNMENTS__SWEEP_INTERVAL", "999ms", duration(" of at least 1s")),
        ("IAM__ASSIGNMENTS__KEEP_EXPIRED", "7d", duration("")),
        ("IAM__CONSOLE__ENABLED", "1", boolean()),
        (
            "IAM__CONSOLE__PUBLIC_URL",
            "http://iam.example.com",
            "must be an https URL without a path; http only for localhost".to_owned(),
        ),
        (
            "IAM__CONSOLE__PUBLIC_URL",
            "https://iam.example.com/console",
            "must be an https URL without a path; http only for localhost".to_owned(),
        ),
        ("IAM__CONSOLE__IDLE_TIMEOUT", "0", duration(" of at least 1s")),
        ("IAM__CONSOLE__ABSOLUTE_TIMEOUT", "12", duration(" of at least 1s")),
        ("IAM__QUOTAS__LEVELS_PER_COMPANY", "-1", whole(of_32_bits)),
        ("IAM__QUOTAS__LEVEL_SETS_PER_COMPANY", "many", whole(of_32_bits)),
        ("IAM__QUOTAS__MENU_ITEMS_PER_COMPANY", "-1", whole(of_32_bits)),
        ("IAM__QUOTAS__PERMISSION_CELLS_PER_COMPANY", "1e6", whole(of_32_bits)),
        ("IAM__QUOTAS__API_KEYS_PER_COMPANY", "-1", whole(of_32_bits)),
        ("IAM__QUOTAS__TEXT_BYTES_PER_COMPANY", "4MiB", whole(of_32_bits)),
        ("IAM__QUOTAS__LEVELS_PER_USER", "1.5", whole(of_32_bits)),
        ("IAM__RATE_LIMIT__PER_USER", "-1", whole(of_32_bits)),
        ("IAM__RATE_LIMIT__PER_API_KEY", "1.5", whole(of_32_bits)),
        ("IAM__RATE_LIMIT__PER_COMPANY", "4294967296", whole(of_32_bits)),
        ("IAM__RATE_LIMIT__LOADS_PER_USER", "-1", whole(of_32_bits)),
        ("IAM__RATE_LIMIT__LOADS_PER_API_KEY", "-1", whole(of_32_bits)),
        ("IAM__RATE_LIMIT__FAILURES_PER_ADDRESS", "off", whole(of_32_bits)),
        (
            "IAM__SERVER__TRUSTED_PROXIES",
            "10.0.0.0/8, proxy",
            "each entry must be an IP address or a network, such as 10.0.0.0/8".to_owned(),
        ),
        ("IAM__RATE_LIMIT__AUDIT_BYTES_PER_HOUR", "256MiB", whole(of_32_bits)),
        ("IAM__RATE_LIMIT__IDEMPOTENCY_KEYS", "-1", whole(of_32_bits)),
        ("IAM__LOG__FILTER", "iam_http=loud", "must be a level (off, error, warn, info, debug or trace)".to_owned()),
        ("IAM__LOG__FORMAT", "yaml", "must be text or json".to_owned()),
        ("IAM__LOG__REQUESTS", "1", boolean()),
        (
            "IAM__TRACING__ENDPOINT",
            "http://iam:hunter2@collector:4318",
            "must be an http or https URL without user, password, query and fragment".to_owned(),
        ),
        ("IAM__TRACING__HEADERS_FILE", "/no/such/file", "cannot read /no/such/file: ".to_owned()),
        ("IAM__TRACING__SAMPLE_RATIO", "1%", "must be a number from 0 to 1, such as 0.01".to_owned()),
        ("IAM__TRACING__SAMPLE_RATIO", "NaN", "must be a number from 0 to 1, such as 0.01".to_owned()),
        ("IAM__TRACING__TRUST_PARENT", "yes", boolean()),
        ("IAM__TRACING__TIMEOUT", "0", duration(" of at least 1ms")),
        ("IAM__TRACING__INTERVAL", "5", duration(" of at least 1ms")),
        ("IAM__TRACING__MAX_QUEUED_SPANS", "0", whole(positive)),
    ]
}

#[test]
fn the_error_for_a_wrong_value_identifies_the_setting_and_states_the_rule() {
    for (variable, value, rule) in cases() {
        // The operating system selects the ports, except in cases of a port setting.
        let ports = [("IAM__SERVER__PORT", "0"), ("IAM__ADMIN__PORT", "0")];
        let database = [("DATABASE_URL", "postgres://iam@127.0.0.1:1/iam")];
        // These URLs are read only if a database is configured.
        let is_url = ["IAM__DATABASE__DIRECT_URL", "IAM__DATABASE__REPLICA_URLS"].contains(&variable);
        let database = if is_url { &database[..] } else { &[] };
        let environment = [&ports[..], database, &[(variable, value)]].concat();
        let output = run("iam-http", &[], &environment);
        let text = text_of(&output);
        assert_eq!(output.status.code(), Some(1), "{variable}={value}: {text}");
        let message = text.lines().last().unwrap_or_default();
        let (key, problem) = message.split_once(": ").unwrap();
        assert!(key.starts_with("iam-http"), "{message}");
        assert!(problem.contains(&rule), "{variable}={value}: {message}, expected {rule}");
        assert!(problem.contains(variable), "{variable}={value}: {message}");
    }
}

/// Settings with which startup fails, each with the beginning of the error message.
pub(super) const UNUSABLE: [(&[(&str, &str)], &str); 16] = [
    (&[("USE_DATABASE", "yes")], "database.use_database (USE_DATABASE): must be true or false"),
    (
        &[("USE_DATABASE", "true")],
        "database.use_database (USE_DATABASE) is true, but database.url (DATABASE_URL) is not set",
    ),
    (&[("DATABASE_URL", "mysql://hunter2")], "database.url (DATABASE_URL): must be a PostgreSQL URL, postgres://"),
    (&[("DATABASE_URL", "postgres://iam:hunter2@localhost:x/iam")], "database.url (DATABASE_URL): "),
    (&[("DATABASE_URL", "postgres://iam@localhost/iam?unknown=hunter2")], "database.url (DATABASE_URL): "),
    (&[("JWT_SECRET", " hunter2")], "auth.jwt_secret (JWT_SECRET) begins or ends with white space"),
    (&[PRODUCTION, MEMORY], "auth.jwt_secret (JWT_SECRET) is not set; production mode requires"),
    (
        &[PRODUCTION, MEMORY, ("JWT_SECRET", "hunter2")],
        "auth.jwt_secret (JWT_SECRET) has 7 bytes; production mode requires",
    ),
    (&[PRODUCTION, MEMORY, ("JWT_SECRET", "password")], "auth.jwt_secret (JWT_SECRET) is well known or repetitive"),
    (
        &[("IAM__AUTH__ISSUERS", r#"[{"issuer": "a"}]"#)],
        "auth.issuers[0] (IAM__AUTH__ISSUERS): requires exactly one of jwks_url, jwks_file and public_key_file",
    ),
    (
        &[("IAM__AUTH__ISSUERS", r#"[{"issuer": "a", "jwks_url": "http://hunter2.example"}]"#)],
        "auth.issuers[0].jwks_url (IAM__AUTH__ISSUERS): must be an https URL",
    ),
    (
        &[("IAM__AUTH__ISSUERS", r#"[{"issuer": "a", "jwks_file": "/no/such/keys"}]"#)],
        "auth.issuers[0].jwks_file (IAM__AUTH__ISSUERS): cannot read /no/such/keys: ",
    ),
    (
        &[("IAM__AUTH__ISSUERS", r#"[{"issuer": "a", "public_key_file": "/dev/null"}]"#)],
        "auth.issuers[0].public_key_file (IAM__AUTH__ISSUERS): /dev/null: ",
    ),
    (
        &[(
            "IAM__AUTH__ISSUERS",
            r#"[{"issuer": "a", "jwks_url": "https://a.example"}, {"issuer": "a", "jwks_url": "https://b.example"}]"#,
        )],
        "auth.issuers[1].issuer (IAM__AUTH__ISSUERS): issuer a is configured twice",
    ),
    (
        &[
            ("JWT_SECRET", "hunter2"),
            ("IAM__AUTH__ISSUERS", r#"[{"issuer": "a", "jwks_url": "https://a.example", "native": true}]"#),
        ],
        "auth.issuers[0].native (IAM__AUTH__ISSUERS): the shared secret and issuer a are both native",
    ),
    (
        &[("IAM__TRACING__ENDPOINT", "http://a.example:4318"), ("IAM__TRACING__HEADERS_FILE", "/dev/null")],
        "tracing.headers_file (IAM__TRACING__HEADERS_FILE): requires a tracing.endpoint (IAM__TRACING__ENDPOINT) with https",
    ),
];

const PRODUCTION: (&str, &str) = ("IAM__SERVER__MODE", "production");
const MEMORY: (&str, &str) = ("USE_DATABASE", "false");

#[test]
fn the_error_for_settings_that_cannot_be_used_begins_with_the_key_and_the_variable() {
    for (environment, expected) in UNUSABLE {
        let ports = [("IAM__SERVER__PORT", "0"), ("IAM__ADMIN__PORT", "0")];
        let output = run("iam-http", &[], &[&ports[..], environment].concat());
        let text = text_of(&output);
        assert_eq!(output.status.code(), Some(1), "{environment:?}: {text}");
        let message = text.lines().last().unwrap_or_default().strip_prefix("iam-http: ").unwrap();
        assert!(message.starts_with(expected), "{environment:?}: {message}, expected {expected}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn every_setting_of_the_documentation_has_a_wrong_value_in_these_tests() {
    let manual = include_str!("../../../docs/settings.md");
    let documented: BTreeSet<&str> = manual
        .lines()
        .filter_map(|line| line.strip_prefix("| `IAM__"))
        .filter_map(|line| line.split('`').next())
        .collect();
    let tested: BTreeSet<&str> = cases().iter().map(|(variable, ..)| *variable).chain(WITHOUT_RULE).collect();
    let tested: BTreeSet<&str> = tested.iter().filter_map(|variable| variable.strip_prefix("IAM__")).collect();
    assert_eq!(documented, tested);
}
