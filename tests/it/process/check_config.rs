//! Tests of the command `iam check-config`: it reports every problem that prevents the start, with the name of the
//! setting, and never prints the value of a secret.

use super::settings::{UNUSABLE, cases};
use crate::support::process::{run, text_of};

/// The problem that is detected only when the address is bound.
const NOT_CHECKED: &str = "must be an address of this machine";

#[test]
fn every_invalid_value_is_reported_in_one_run() {
    let mut rest: Vec<_> = cases().into_iter().filter(|(_, _, rule)| !rule.starts_with(NOT_CHECKED)).collect();
    while !rest.is_empty() {
        // One run has one value for each variable.
        let mut run_now = Vec::<(&str, &str, String)>::new();
        rest.retain(|case| {
            let is_taken = run_now.iter().any(|(variable, ..)| *variable == case.0);
            if !is_taken {
                run_now.push(case.clone());
            }
            is_taken
        });
        let variables = run_now.iter().map(|(variable, value, _)| (*variable, *value));
        let environment: Vec<_> =
            variables.chain([("DATABASE_URL", "postgres://iam:hunter2@127.0.0.1:1/iam")]).collect();
        let output = run("iam", &["check-config"], &environment);
        let text = text_of(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        for (variable, _, rule) in &run_now {
            let is_reported = text.lines().any(|line| line.contains(&format!("({variable}")) && line.contains(rule));
            // Other URLs than the first and the issuers' rules are reported only if no other setting of their section is invalid.
            let is_combined = ["IAM__DATABASE__DIRECT_URL", "IAM__DATABASE__REPLICA_URLS", "IAM__AUTH__JWT_ISSUER"]
                .contains(variable);
            assert!(is_reported || is_combined, "{variable} {rule}: {text}");
        }
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn settings_with_which_startup_fails_are_reported() {
    let combined = [
        (&[("PORT", "9464")][..], "admin.port (IAM__ADMIN__PORT): must differ from server.port"),
        (&[("IAM_SERVER__PORT", "4000")], "IAM_SERVER__PORT: unknown setting; expected the form IAM__SECTION__KEY"),
        (&[("IAM__AUTH__JWT_ISSUER", "a|b")], "auth.jwt_issuer (IAM__AUTH__JWT_ISSUER): contains"),
        (
            &[("DATABASE_URL", "postgres://localhost/iam"), ("IAM__DATABASE__DIRECT_URL", "mysql://hunter2")],
            "database.direct_url (IAM__DATABASE__DIRECT_URL): ",
        ),
        (
            &[
                ("DATABASE_URL", "postgres://localhost/iam"),
                ("IAM__DATABASE__FEED", "poll"),
                ("IAM__DATABASE__REPLICA_URLS", "postgres://localhost/iam"),
            ],
            "database.replica_urls (IAM__DATABASE__REPLICA_URLS): must be empty if database.feed (IAM__DATABASE__FEED) is poll",
        ),
    ];
    for (environment, expected) in UNUSABLE.into_iter().chain(combined) {
        let output = run("iam", &["check-config"], environment);
        let text = text_of(&output);
        assert_eq!(output.status.code(), Some(1), "{environment:?}: {text}");
        assert!(text.starts_with(&format!("iam: {expected}")), "{environment:?}: {text}, expected {expected}");
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn problems_of_several_sections_and_issuers_are_reported_together() {
    let issuers = r#"[{"issuer": "a", "jwks_url": "http://hunter2.example"}, {"issuer": "b"}]"#;
    let output = run(
        "iam",
        &["check-config"],
        &[
            ("IAM__SERVER__MODE", "production"),
            ("JWT_SECRET", "hunter2"),
            ("IAM__AUTH__ISSUERS", issuers),
            ("USE_DATABASE", "true"),
            ("IAM__SERVER__PROT", "1"),
            ("IAM__X", "1"),
        ],
    );
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for expected in [
        "iam: 6 problems:",
        "IAM__X: unknown setting",
        "server.prot (IAM__SERVER__PROT): unknown field `prot`",
        "database.use_database (USE_DATABASE) is true, but database.url (DATABASE_URL) is not set",
        "auth.issuers[0].jwks_url (IAM__AUTH__ISSUERS): must be an https URL",
        "auth.issuers[1] (IAM__AUTH__ISSUERS): requires exactly one of",
        "auth.jwt_secret (JWT_SECRET) has 7 bytes",
    ] {
        assert_eq!(text.lines().filter(|line| line.starts_with(expected)).count(), 1, "{expected} in {text}");
    }
    assert_eq!(text.lines().count(), 7, "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn several_problems_of_a_file_are_reported_with_its_position_or_the_keys() {
    let path = std::env::temp_dir().join(format!("iam-check-config-{}.toml", std::process::id()));
    let check = |text: &str| {
        std::fs::write(&path, text).unwrap();
        text_of(&run("iam", &["check-config"], &[("IAM_CONFIG", path.to_str().unwrap()), ("PORT", "x")]))
    };
    let text = check("server.workers = 0\nauth.jwt_secret = [\"hunter2\"]\nauth.clock_skew = \"1d\"");
    for expected in
        ["server.workers: must be", "auth.jwt_secret: must be", "auth.clock_skew: must be", "server.port (PORT): "]
    {
        assert!(text.contains(expected) && text.contains("4 problems"), "{expected} in {text}");
    }
    let broken = check("[auth]\njwt_secret = \"hunter2");
    std::fs::remove_file(&path).unwrap();
    for expected in ["line 2", "server.port (PORT): ", "2 problems"] {
        assert!(broken.contains(expected), "{expected} in {broken}");
    }
    assert!(!text.contains("hunter2") && !broken.contains("hunter2"), "{text}{broken}");
}

#[test]
fn valid_settings_are_accepted_without_a_database_an_issuer_or_a_free_port() {
    let occupied = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = occupied.local_addr().unwrap().port().to_string();
    let issuers = r#"[{"issuer": "a", "jwks_url": "https://nosuch.invalid/jwks"}]"#;
    let environment = [
        ("IAM__SERVER__MODE", "production"),
        ("PORT", &port),
        ("DATABASE_URL", "postgres://iam:hunter2@127.0.0.1:1/iam"),
        ("IAM__AUTH__ISSUERS", issuers),
    ];
    let output = run("iam", &["check-config"], &environment);
    assert_eq!((output.status.code(), text_of(&output).as_str()), (Some(0), "the settings are valid\n"));
}
