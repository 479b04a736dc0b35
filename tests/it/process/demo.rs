//! Tests of the demo that `make run` starts: the commands that it prints work when they are pasted into a shell.

use std::process::Command;

use crate::support::process::{ServerProcess, run, text_of};

#[test]
fn every_printed_command_works() {
    let mut server = ServerProcess::start(&["demo"], &[]);
    server.wait_for_line("# The same request by the visitor is denied");
    let lines = server.wait_for(|log| {
        let lines: Vec<String> = log.lines().filter(|line| line.starts_with("curl ")).map(str::to_owned).collect();
        (lines.len() >= 8).then_some(lines)
    });
    let statuses: Vec<String> = lines
        .iter()
        .map(|line| {
            let output = Command::new("sh").arg("-c").arg(line).output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
            text.lines().last().unwrap().to_owned()
        })
        .collect();
    assert_eq!(statuses, ["200", "200", "200", "200", "200", "200", "201", "403"]);
}

#[test]
fn the_demo_prints_the_company_and_a_token_for_each_level() {
    let mut server = ServerProcess::start(&["demo"], &[]);
    server.wait_for_line("# The same request by the visitor is denied");
    let log = server.log();
    for what in ["Demo company: ", "Admin (user ", "Member (user ", "Visitor (user ", "Super admin (user "] {
        assert!(log.contains(what), "{what:?} is not in {log}");
    }
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
