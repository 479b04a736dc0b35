//! Tests of the demo that `make run` starts: the lines that it prints fit on one screen, and work in a shell.

use std::process::Command;

use serde_json::Value;

use crate::support::client::Connection;
use crate::support::contract;
use crate::support::process::{ServerProcess, run, text_of};

/// The last comment in the lines that the demo prints.
const LAST: &str = "# List the user levels of the company.";

/// Starts the demo, and returns the process and the lines that it has printed.
pub(super) fn demo(environment: &[(&str, &str)]) -> (ServerProcess, Vec<String>) {
    let mut server = ServerProcess::start(&["demo"], environment);
    let lines = server.wait_for(|log| {
        let (_, rest) = log.split_once(LAST)?;
        rest.contains("curl ").then(|| log.lines().map(str::to_owned).collect())
    });
    (server, lines)
}

#[test]
fn the_printed_lines_work_when_they_are_pasted_into_a_shell() {
    let (_server, lines) = demo(&[]);
    let begin = lines.iter().position(|line| line.starts_with("export ")).unwrap();
    let output = Command::new("sh").arg("-c").arg(lines[begin..].join("\n")).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let answers: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [allowed, denied, explanation, levels] = answers.as_slice() else { panic!("{text}") };
    assert_eq!(allowed["data"]["allowed"], true, "{text}");
    assert_eq!(denied["data"]["allowed"], false, "{text}");
    assert_eq!(denied["data"]["reasonCode"], "feature_module_missing", "{text}");
    assert_eq!(explanation["status"], "success", "{text}");
    assert_eq!(levels["data"]["userLevels"].as_array().map(Vec::len), Some(3), "{text}");
    // The shell prints only the response bodies, so only the bodies are validated.
    let operations = [("check", "post"), ("check", "post"), ("explain", "post"), ("user-levels", "get")];
    for ((name, method), answer) in operations.into_iter().zip(&answers) {
        let path = format!("/api/iam/{name}");
        let schema = || contract::response_schema(&path, method, "200");
        let errors = contract::response_errors(&format!("{method} {path} 200"), schema, answer);
        assert_eq!(errors, Vec::<String>::new(), "{answer}");
    }
}

#[test]
fn the_output_of_the_demo_fits_on_one_screen() {
    let (_server, lines) = demo(&[]);
    assert!(lines.len() <= 24, "{lines:#?}");
    for line in lines.iter().filter(|line| !line.contains("TOKEN=")) {
        assert!(line.len() <= 100, "{line}");
    }
    let has = |start: &str| lines.iter().any(|line| line.starts_with(start));
    for start in ["export COMPANY=", "export TOKEN=eyJ", "API documentation: http://127.0.0.1:"] {
        assert!(has(start), "{start} in {lines:#?}");
    }
}

#[test]
fn the_demo_logs_more_if_the_filter_is_set() {
    let (_server, lines) = demo(&[("IAM__LOG__FILTER", "info")]);
    assert!(lines.iter().any(|line| line.contains("INFO") && line.contains("starting iam")), "{lines:#?}");
}

#[test]
fn the_demo_rejects_a_database_and_production_mode() {
    let database = run("iam-http", &["demo"], &[("DATABASE_URL", "postgres://iam@127.0.0.1:1/iam")]);
    let production = run(
        "iam-http",
        &["demo"],
        &[("IAM__SERVER__MODE", "production"), ("JWT_SECRET", "a perfectly private secret of the tests, long enough")],
    );
    for output in [database, production] {
        assert_eq!(output.status.code(), Some(1));
        let text = text_of(&output);
        assert!(text.contains("demo"), "{text}");
        assert!(!text.contains("Bearer"), "{text}");
    }
}

#[test]
fn tokens_are_printed_only_in_the_demo() {
    let mut server = ServerProcess::start(&[], &[]);
    // The demo prints its tokens after the server has started to listen, so the test waits for the complete output of
    // the process.
    assert!(!server.rest_of_the_log().contains("eyJ"), "{}", server.log());
}

#[test]
fn a_large_form_of_the_console_is_read() {
    let (server, _lines) = demo(&[]);
    let page = server.get("/console/sign-in");
    let cookie = page.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let text = String::from_utf8_lossy(&page.body).into_owned();
    let (_, token) = text.split_once("name=\"csrf\" value=\"").unwrap();
    let (token, _) = token.split_once('"').unwrap();
    let form = format!("csrf={token}&token={}", "x".repeat(200_000));
    let headers = format!("cookie: {cookie}\r\nsec-fetch-site: same-origin\r\nconnection: close\r\n");
    let mut connection = Connection::open(server.address).unwrap();
    connection.request("POST", "/console/sign-in/token", &headers, &form).unwrap();
    assert_eq!(connection.answer().unwrap().status, 401, "the token is invalid");
}
