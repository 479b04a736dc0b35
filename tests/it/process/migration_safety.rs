//! Tests of the migration commands on the schema of a newer release, and of the confirmation of commands that delete
//! data. The commands of `migration` and `iam migrate` are the same code, so each test uses one of them.

#[cfg(target_os = "linux")]
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use crate::support::process::{binary, run, text_of};

/// The name of a migration of a newer release.
const NEWER: &str = "m99990101_000001_of_a_newer_release";

#[test]
fn commands_that_delete_data_are_refused_without_a_terminal_or_a_confirmation() {
    // Nothing listens on the port: the commands are refused before they connect.
    let url = ("DATABASE_URL", "postgres://iam:hunter2@127.0.0.1:1/iam");
    for (command, effect) in [("down", "reverts migrations"), ("fresh", "drops all tables")] {
        for (program, arguments) in [("migration", &[command][..]), ("iam", &["migrate", command])] {
            let output = run(program, arguments, &[url]);
            let text = text_of(&output);
            assert_eq!(output.status.code(), Some(4), "{program} {command}: {text}");
            assert!(text.contains("not confirmed") && text.contains(effect) && text.contains("--yes"), "{text}");
        }
    }
}

/// Runs `iam migrate` with these arguments, and closes the pipe of its standard output before it prints anything.
fn with_a_closed_pipe(arguments: &[&str], url: &str) -> Output {
    let mut child = Command::new(binary("iam"))
        .arg("migrate")
        .args(arguments)
        .env("DATABASE_URL", url)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    child.wait_with_output().unwrap()
}

/// Runs `iam migrate` with this command on a pseudo-terminal, and types the answer.
#[cfg(target_os = "linux")]
fn on_a_terminal(command: &str, url: &str, answer: &str) -> Output {
    let line = format!("{} migrate {command}", binary("iam").display());
    // Without a log file argument, `script` would write the file `typescript`.
    let mut child = Command::new("script")
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .env("DATABASE_URL", url)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{answer}").unwrap();
    child.wait_with_output().unwrap()
}

mod postgres {
    use sea_orm::sqlx::query_scalar;

    use super::*;
    use crate::support::database::{Content, TestDatabase};

    async fn execute(database: &TestDatabase, sql: &str) {
        crate::support::database::run(&mut database.connect().await, sql.to_owned()).await.unwrap();
    }

    async fn count(database: &TestDatabase, what: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM {what}");
        query_scalar(sea_orm::sqlx::AssertSqlSafe(sql)).fetch_one(&mut database.connect().await).await.unwrap()
    }

    /// Returns a seeded database that a newer release has migrated.
    async fn migrated_by_a_newer_release() -> TestDatabase {
        let database = TestDatabase::new(Content::Seeded).await;
        execute(&database, &format!("INSERT INTO iam_migrations (version, applied_at) VALUES ('{NEWER}', 0)")).await;
        database
    }

    #[actix_web::test]
    async fn status_lists_the_migrations_of_a_newer_release_with_an_exit_code_of_its_own() {
        let database = migrated_by_a_newer_release().await;
        let url = ("DATABASE_URL", database.url());
        let own = migration::command_line::migrations();
        for (program, arguments) in [("migration", &["status"][..]), ("iam", &["migrate", "status"])] {
            let output = run(program, arguments, &[url]);
            assert_eq!(output.status.code(), Some(3), "{}", text_of(&output));
            let mut expected: Vec<_> = own.iter().map(|name| format!("applied {name}")).collect();
            expected.push(format!("unknown {NEWER}"));
            let listed = String::from_utf8(output.stdout.clone()).unwrap();
            assert_eq!(listed.lines().collect::<Vec<_>>(), expected);
            let message = String::from_utf8(output.stderr).unwrap();
            assert!(message.contains("migrations of a newer release") && message.contains(NEWER), "{message}");
        }
        // The newer release comes from another branch: it lacks a migration of this release.
        let newest = own.last().unwrap();
        execute(&database, &format!("DELETE FROM iam_migrations WHERE version = '{newest}'")).await;
        let output = run("iam", &["migrate", "status"], &[url]);
        assert_eq!(output.status.code(), Some(3), "{}", text_of(&output));
        assert!(text_of(&output).contains(&format!("pending {newest}\nunknown {NEWER}\n")), "{}", text_of(&output));
        for command in ["up", "seed"] {
            let output = run("iam", &["migrate", command], &[url]);
            assert_eq!(output.status.code(), Some(1), "{command}: {}", text_of(&output));
        }
    }

    #[actix_web::test]
    async fn the_seed_changes_nothing_on_a_newer_schema_and_succeeds_if_its_tables_are_compatible() {
        let database = migrated_by_a_newer_release().await;
        // A compatible newer release has additional columns and tables, and has seeded other rows.
        execute(&database, "ALTER TABLE features ADD COLUMN of_newer text; CREATE TABLE of_newer (id uuid)").await;
        execute(&database, "DELETE FROM menu_items; DELETE FROM views; DELETE FROM iam_seeded_rows").await;
        let output = run("migration", &["seed"], &[("DATABASE_URL", database.url())]);
        assert_eq!(output.status.code(), Some(0), "{}", text_of(&output));
        assert!(text_of(&output).contains(&format!("nothing to do: a newer release has applied {NEWER}")));
        assert_eq!((count(&database, "views").await, count(&database, "iam_seeded_rows").await), (0, 0));
    }

    #[actix_web::test]
    async fn the_seed_fails_on_a_newer_schema_whose_tables_are_not_compatible() {
        for (change, named) in [
            ("ALTER TABLE features RENAME COLUMN resource_type TO kind", "resource_type"),
            ("ALTER TABLE iam_seeded_rows RENAME TO seeded", "\"iam_seeded_rows\""),
            ("ALTER TABLE sub_menu_items DROP COLUMN icon", "\"icon\""),
            ("DROP TABLE module2views", "\"module2views\""),
        ] {
            let database = migrated_by_a_newer_release().await;
            execute(&database, change).await;
            let output = run("iam", &["migrate", "seed"], &[("DATABASE_URL", database.url())]);
            let text = text_of(&output);
            assert_eq!(output.status.code(), Some(1), "{change}: {text}");
            assert!(
                text.contains(named) && text.contains("a newer release has changed the schema"),
                "{change}: {text}"
            );
            assert!(text.contains(NEWER), "{text}");
        }
    }

    #[actix_web::test]
    async fn the_commands_succeed_if_the_reader_of_their_output_has_closed_the_pipe() {
        let database = TestDatabase::new(Content::Nothing).await;
        for arguments in [&["up"][..], &["seed"], &["status"], &["fresh", "--yes"]] {
            let output = with_a_closed_pipe(arguments, database.url());
            let text = text_of(&output);
            assert!(output.status.success() && !text.contains("standard output"), "{arguments:?}: {text}");
        }
    }

    #[cfg(target_os = "linux")]
    #[actix_web::test]
    async fn the_commands_fail_if_their_results_cannot_be_printed() {
        let database = TestDatabase::new(Content::Seeded).await;
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let mut status = Command::new(binary("iam"));
        status.args(["migrate", "status"]).env("DATABASE_URL", database.url());
        let output = status.stdout(full).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", text_of(&output));
        assert!(text_of(&output).contains("the results cannot be written to standard output"), "{}", text_of(&output));
    }

    /// The options of `script` are those of Linux.
    #[cfg(target_os = "linux")]
    #[actix_web::test]
    async fn a_terminal_confirms_or_refuses_the_deletion() {
        let database = TestDatabase::new(Content::Seeded).await;
        let answer = |command: &str, answer: &str| {
            let output = on_a_terminal(command, database.url(), answer);
            let text = text_of(&output);
            assert!(text.contains(&format!(", database {})", database.name())), "{text}");
            assert!(text.contains("Type yes to continue"), "{text}");
            output.status.code()
        };
        for refusal in ["no", "", "y"] {
            assert_eq!(answer("fresh", refusal), Some(4), "{refusal}");
            assert_eq!(answer("down", refusal), Some(4), "{refusal}");
        }
        assert_eq!(count(&database, "views").await, 14);
        assert_eq!(answer("fresh", "yes"), Some(0));
        assert_eq!(count(&database, "views").await, 0);
        let applied = count(&database, "iam_migrations").await;
        assert_eq!(answer("down", "yes"), Some(0));
        assert_eq!(count(&database, "iam_migrations").await, applied - 1);
    }
}
