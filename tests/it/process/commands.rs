//! Tests of the program `iam`: its commands are those of docs/commands.md, with the documented exit codes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;

use serde_json::Value;

use super::metrics::admin_address;
use crate::support::process::{ServerProcess, run, text_of};

const ORIGINAL_TABLES: &str = include_str!("original.sql");

/// The documentation of the commands.
const MANUAL: &str = include_str!("../../../docs/commands.md");
const NOWHERE: (&str, &str) = ("DATABASE_URL", "postgres://iam:hunter2@127.0.0.1:1/iam");
const SECRET: (&str, &str) = ("JWT_SECRET", "a perfectly private secret of the tests, long enough");
const USER: &str = "0190a000-0000-7000-8000-00000000000a";

/// Returns the commands of the documentation, each with its exit codes.
fn documented() -> BTreeMap<String, BTreeSet<i32>> {
    let rows = MANUAL.lines().filter_map(|line| line.strip_prefix("| `iam "));
    rows.map(|row| {
        let (command, _) = row.split_once('`').unwrap();
        let codes = row.trim_end_matches(" |").rsplit('|').next().unwrap();
        (command.to_owned(), codes.split(',').map(|code| code.trim().parse().unwrap()).collect())
    })
    .collect()
}

/// Returns the subcommands that the help of this command lists.
fn listed(command: &[&str]) -> Vec<String> {
    let help = text_of(&run("iam", &[command, &["--help"]].concat(), &[]));
    let Some((_, commands)) = help.split_once("\nCommands:\n") else { return Vec::new() };
    let lines = commands.lines().take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn the_documentation_lists_the_commands_of_the_help() {
    let mut commands = BTreeSet::new();
    for command in listed(&[]) {
        match listed(&[&command]).as_slice() {
            [] => _ = commands.insert(command),
            all => commands.extend(all.iter().map(|inner| format!("{command} {inner}"))),
        }
    }
    assert!(commands.len() > 10, "{commands:?}");
    assert_eq!(commands, documented().into_keys().collect());
}

#[test]
fn the_former_program_names_have_the_same_commands() {
    let commands = |program: &str, arguments: &[&str]| {
        let help = text_of(&run(program, arguments, &[]));
        let (_, commands) = help.split_once("\nCommands:\n").unwrap();
        commands.split_once("\n\n").unwrap().0.to_owned()
    };
    assert_eq!(commands("iam-http", &["--help"]), commands("iam", &["--help"]));
    assert_eq!(commands("migration", &["--help"]), commands("iam", &["migrate", "--help"]));
    for (program, version) in [("iam", "iam 0.1.0\n"), ("iam-http", "iam-http 0.1.0\n")] {
        assert_eq!(text_of(&run(program, &["--version"], &[])), version);
    }
}

#[test]
fn an_error_begins_with_the_name_of_the_program() {
    for program in ["iam", "iam-http"] {
        let output = run(program, &["serve"], &[("PORT", "65536")]);
        assert_eq!(output.status.code(), Some(1));
        assert!(text_of(&output).starts_with(&format!("{program}: server.port (PORT): ")), "{}", text_of(&output));
    }
}

#[test]
fn the_version_is_printed_as_text_and_as_json() {
    assert_eq!(text_of(&run("iam", &["version"], &[])), "iam 0.1.0\n");
    let output = run("iam", &["version", "--json"], &[]);
    let version: Value = serde_json::from_slice(&output.stdout).unwrap();
    let migrations = migration::command_line::migrations();
    assert_eq!(version["version"], "0.1.0");
    assert_eq!(version["newestMigration"], migrations.last().unwrap().as_str());
    assert_eq!(version["migrations"], migrations.len());
}

#[test]
fn the_printed_openapi_document_is_the_committed_document() {
    // Invalid settings do not matter, because the command reads none.
    let output = run("iam", &["openapi"], &[("PORT", "65536")]);
    assert!(output.status.success(), "{}", text_of(&output));
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let committed: Value = serde_json::from_str(include_str!("../../../docs/openapi.json")).unwrap();
    assert_eq!(printed, committed);
}

#[test]
fn health_is_the_answer_of_the_probes() {
    // Without the database, the process is alive but not ready.
    let waiting = ServerProcess::start(&[], &[NOWHERE]);
    let ready = ServerProcess::start(&[], &[]);
    for (server, option, code, text) in [
        (&ready, None, 0, "ready"),
        (&ready, Some("--live"), 0, "alive"),
        (&waiting, Some("--live"), 0, "alive"),
        (&waiting, None, 1, "\"name\":\"storage\""),
    ] {
        let address = server.address.to_string();
        let arguments = [&["health", "--address", &address], option.as_slice()].concat();
        let output = run("iam", &arguments, &[("PORT", "65536")]);
        assert_eq!(output.status.code(), Some(code), "{}", text_of(&output));
        assert!(text_of(&output).contains(text), "{}", text_of(&output));
    }
    let port = ready.address.port().to_string();
    let output = run("iam", &["health"], &[("PORT", &port), ("IAM__SERVER__HOST", "0.0.0.0")]);
    assert_eq!(text_of(&output), "ready\n");
    drop(ready);
    let output = run("iam", &["health"], &[("PORT", &port)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text_of(&output).contains(&format!("127.0.0.1:{port} cannot be reached")), "{}", text_of(&output));
}

#[test]
fn health_fails_if_the_port_is_unknown_or_the_peer_does_not_respond() {
    let output = run("iam", &["health"], &[("PORT", "0")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text_of(&output).contains("pass --address"), "{}", text_of(&output));
    // The kernel accepts the connection, but no process responds.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let output = run("iam", &["health", "--address", &address, "--timeout", "1"], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text_of(&output).contains("does not respond within 1 s"), "{}", text_of(&output));
}

/// Stops a server with one signal or, during its drain delay, with two signals. Returns its exit code.
fn stopped(command: &str, signals: &[&str]) -> Option<i32> {
    let delay = if signals.len() > 1 { "60s" } else { "0s" };
    let log = [("IAM__LOG__FILTER", "info"), ("IAM__SERVER__DRAIN_DELAY", delay)];
    let mut server = ServerProcess::start_program("iam", &[command], &log);
    server.signal(signals[0]);
    if let Some(second) = signals.get(1) {
        server.wait_for_line("stopping");
        server.signal(second);
    }
    server.wait().code()
}

mod postgres {
    use super::*;
    use crate::support::database::{Content, TestDatabase};

    #[actix_web::test]
    async fn every_documented_exit_code_is_returned_in_a_test() {
        let database = TestDatabase::new(Content::Seeded).await;
        let newer = TestDatabase::new(Content::Seeded).await;
        let insert = "INSERT INTO iam_migrations (version, applied_at) VALUES ('m99990101_000001_newer', 0)";
        crate::support::database::run(&mut newer.connect().await, insert.to_owned()).await.unwrap();
        let original = TestDatabase::new(Content::Nothing).await;
        crate::support::database::run(&mut original.connect().await, ORIGINAL_TABLES.to_owned()).await.unwrap();
        let (url, newer) = (("DATABASE_URL", database.url()), ("DATABASE_URL", newer.url()));
        let mut server = ServerProcess::start(&[], &[]);
        let (address, admin) = (server.address.to_string(), admin_address(&mut server).to_string());
        let wrong = ("PORT", "65536");

        let mut observed = BTreeMap::<String, BTreeSet<i32>>::new();
        let mut observe = |command: &str, options: &[&str], environment: &[(&str, &str)]| {
            let arguments: Vec<_> = command.split(' ').chain(options.iter().copied()).collect();
            let output = run("iam", &arguments, environment);
            assert!(!text_of(&output).contains("hunter2"), "{}", text_of(&output));
            observed.entry(command.to_owned()).or_default().insert(output.status.code().unwrap());
            String::from_utf8(output.stdout).unwrap()
        };
        for command in documented().into_keys() {
            observe(&command, &["--no-such-option"], &[url]);
        }
        observe("serve", &[], &[wrong]);
        observe("demo", &[], &[wrong]);
        for command in ["up", "status", "seed"].map(|command| format!("migrate {command}")) {
            observe(&command, &[], &[url]);
            observe(&command, &[], &[NOWHERE]);
        }
        observe("migrate status", &[], &[newer]);
        observe("migrate adopt", &["--dry-run"], &[("DATABASE_URL", original.url())]);
        observe("migrate adopt", &[], &[url]);
        for command in ["migrate down", "migrate fresh"] {
            observe(command, &[], &[NOWHERE]);
            observe(command, &["--yes"], &[NOWHERE]);
            observe(command, &["--yes"], &[url]);
        }
        observe("check-config", &[], &[]);
        observe("check-config", &[], &[wrong]);
        observe("openapi", &[], &[]);
        observe("version", &[], &[]);
        observe("health", &["--address", &address], &[]);
        observe("health", &["--address", "127.0.0.1:1"], &[]);
        observe("top", &["--once", "--address", &admin], &[]);
        observe("top", &["--once", "--address", "127.0.0.1:1"], &[]);
        observe("token", &["--user", USER], &[SECRET]);
        observe("token", &["--user", USER], &[]);
        let create = ["--name", "N", "--role", "check"];
        let key = observe("keys create", &create, &[url]);
        let prefix = key.strip_prefix("iam_").unwrap().get(..12).unwrap();
        observe("keys list", &[], &[url]);
        observe("keys revoke", &[prefix], &[url]);
        for (command, options) in [("keys create", &create[..]), ("keys list", &[]), ("keys revoke", &[prefix])] {
            observe(command, options, &[NOWHERE]);
        }
        let file = std::env::temp_dir().join(format!("iam-commands-{}", uuid::Uuid::new_v4().simple()));
        let file = file.to_str().unwrap();
        for command in ["export", "import"] {
            observe(command, &[file], &[url]);
            observe(command, &[file], &[NOWHERE]);
        }
        std::fs::remove_file(file).unwrap();
        for command in ["serve", "demo"] {
            for signals in [&["TERM"][..], &["TERM", "TERM"], &["TERM", "INT"]] {
                let code = stopped(command, signals).unwrap();
                observed.entry(command.to_owned()).or_default().insert(code);
            }
        }
        assert_eq!(observed, documented());
    }
}
