//! Tests of the command `iam-http token`: the server with the same settings accepts the token that the command prints.

use iam_domain::UserId;
use serde_json::json;

use crate::support::api::{new_company, new_user};
use crate::support::process::{ServerProcess, run, text_of};

const SECRET: (&str, &str) = ("JWT_SECRET", "a perfectly private secret of the tests, long enough");

/// Runs `iam-http token` with these arguments and returns standard output and standard error.
fn token(arguments: &[&str], environment: &[(&str, &str)]) -> (String, String) {
    let output = run("iam-http", &[&["token"], arguments].concat(), environment);
    assert!(output.status.success(), "{}", text_of(&output));
    (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn the_printed_tokens_lead_to_a_decision() {
    let environment = [SECRET, ("IAM__AUTH__JWT_AUDIENCE", "https://api.example.com")];
    let server = ServerProcess::start(&[], &environment);
    let (company, user) = (new_company().to_string(), new_user().to_string());
    let send = |token: &str, path: &str, body| {
        let authorization = format!("Bearer {}", token.trim());
        let headers = [("authorization", authorization.as_str()), ("x-company-id", &company)];
        server.request("POST", path, &headers, Some(&body))
    };
    let (super_admin, said) = token(&["--user", &user, "--super-admin"], &environment);
    assert_eq!((super_admin.lines().count(), said.as_str()), (1, ""));
    let provision = format!("/api/iam/companies/{company}/provision");
    assert_eq!(send(&super_admin, &provision, json!({ "adminUserId": user })).status, 201);
    let (admin, _) = token(&["--user", &user, "--ttl", "60"], &environment);
    let answer = send(&admin, "/api/iam/check", json!({ "view": "/admin/user-levels" })).json();
    assert_eq!((&answer["data"]["allowed"], &answer["data"]["reasonCode"]), (&json!(true), &json!("explicit_allow")));
    server.stop();
}

#[test]
fn the_user_may_be_a_name_of_the_configured_issuer() {
    let environment = [SECRET, ("IAM__AUTH__JWT_ISSUER", "https://sign-in.example.com")];
    let server = ServerProcess::start(&[], &environment);
    let (token, _) = token(&["--user", "ada"], &environment);
    let authorization = format!("Bearer {}", token.trim());
    let company = new_company().to_string();
    let headers = [("authorization", authorization.as_str()), ("x-company-id", &company)];
    let answer = server.request("POST", "/api/iam/check", &headers, Some(&json!({ "view": "/dashboard" })));
    assert_eq!((answer.status.as_u16(), &answer.json()["data"]["allowed"]), (200, &json!(false)));
    server.stop();
}

#[test]
fn a_company_adds_a_curl_command_to_standard_error() {
    let (company, user) = (new_company().to_string(), new_user().to_string());
    let environment = [SECRET, ("PORT", "4000"), ("IAM__SERVER__HOST", "0.0.0.0")];
    let (token, said) = token(&["--user", &user, "--company", &company], &environment);
    assert_eq!((token.lines().count(), token.split('.').count()), (1, 3));
    for part in ["curl -s http://127.0.0.1:4000/api/iam/check", "Bearer $TOKEN", &format!("X-Company-Id: {company}")] {
        assert!(said.contains(part), "{said}");
    }
    assert!(!said.contains(token.trim()), "{said}");
}

#[test]
fn the_command_fails_with_a_reason_in_production_and_without_a_secret() {
    let user = UserId::to_string(&new_user());
    for (environment, why) in [
        (&[SECRET, ("IAM__SERVER__MODE", "production")][..], "tokens are signed only in development mode"),
        (&[], "JWT_SECRET is not set"),
    ] {
        let output = run("iam-http", &["token", "--user", &user], environment);
        assert_eq!(output.status.code(), Some(1));
        assert!(output.stdout.is_empty() && text_of(&output).contains(why), "{}", text_of(&output));
    }
}

#[test]
fn the_help_contains_the_default_lifetime() {
    let text = text_of(&run("iam-http", &["token", "--help"], &[]));
    assert!(text.contains("[default: 3600]"), "{text}");
}
