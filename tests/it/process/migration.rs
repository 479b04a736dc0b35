//! Tests of the command `migration`, which creates, migrates and seeds the schema.

use crate::support::process::{run, text_of};

/// The commands that change the database.
const WRITING: [&[&str]; 4] = [&["up"], &["seed"], &["down", "--yes"], &["fresh", "--yes"]];

#[test]
fn without_a_url_the_error_contains_the_missing_setting() {
    let output = run("migration", &[], &[]);
    assert_ne!(output.status.code(), Some(0));
    assert!(text_of(&output).contains("DATABASE_URL"), "{}", text_of(&output));
}

#[test]
fn an_invalid_url_is_not_printed() {
    let output = run("migration", &["status"], &[("DATABASE_URL", "mysql://iam:hunter2@localhost/iam")]);
    assert_ne!(output.status.code(), Some(0));
    assert!(!text_of(&output).contains("hunter2"), "{}", text_of(&output));
}

#[test]
fn the_value_of_an_unknown_parameter_of_the_url_is_not_printed() {
    let environment = [("DATABASE_URL", "postgres://iam@127.0.0.1:1/iam?unknown=hunter2"), ("RUST_LOG", "trace")];
    let output = run("migration", &["status"], &environment);
    assert_ne!(output.status.code(), Some(0));
    assert!(!text_of(&output).contains("hunter2"), "{}", text_of(&output));
}

mod postgres {
    use sea_orm::sqlx::query_scalar;

    use super::*;
    use crate::process::persistence::{start, super_admin};
    use crate::support::database::{Content, OWNER, TestDatabase};

    async fn execute(database: &TestDatabase, sql: &str) {
        crate::support::database::run(&mut database.connect().await, sql.to_owned()).await.unwrap();
    }

    /// Sets a run-time parameter for all new sessions of the database.
    async fn set(database: &TestDatabase, setting: &str) {
        execute(database, &format!("ALTER DATABASE {} SET {setting}", database.name())).await;
    }

    async fn relations(database: &TestDatabase) -> i64 {
        let sql = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace";
        query_scalar(sql).fetch_one(&mut database.connect().await).await.unwrap()
    }

    #[actix_web::test]
    async fn up_seed_down_and_up_succeed() {
        let database = TestDatabase::new(Content::Nothing).await;
        let migration = |arguments: &[&str]| {
            let output = run("migration", arguments, &[("DATABASE_URL", database.url())]);
            assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text_of(&output));
            text_of(&output)
        };
        assert!(migration(&["status"]).contains("pending"));
        assert!(migration(&[]).contains("applied"));
        assert!(migration(&["up"]).contains("nothing to do"));
        assert!(migration(&["status"]).contains("applied"));
        assert!(migration(&["seed"]).contains("14 views"));
        assert!(migration(&["seed"]).contains("nothing to insert"));
        migration(&["down", "--yes"]);
        assert!(migration(&["status"]).contains("pending"));
        migration(&["fresh", "--yes"]);
        assert!(migration(&["status"]).contains("applied"));
    }

    #[actix_web::test]
    async fn eight_concurrent_migrations_of_an_empty_database_succeed() {
        let database = TestDatabase::new(Content::Nothing).await;
        let url = database.url();
        let outputs: Vec<_> = std::thread::scope(|scope| {
            let runs: Vec<_> =
                (0..8).map(|_| scope.spawn(|| run("migration", &["up"], &[("DATABASE_URL", url)]))).collect();
            runs.into_iter().map(|run| run.join().unwrap()).collect()
        });
        for output in outputs {
            assert_eq!(output.status.code(), Some(0), "{}", text_of(&output));
        }
    }

    #[actix_web::test]
    async fn the_job_of_a_release_that_was_rolled_back_succeeds_and_changes_nothing() {
        let database = TestDatabase::new(Content::Seeded).await;
        let newer =
            "INSERT INTO iam_migrations (version, applied_at) VALUES ('m99990101_000001_of_a_newer_release', 0)";
        crate::support::database::run(&mut database.connect().await, newer.to_owned()).await.unwrap();
        for command in ["up", "seed"] {
            let output = run("migration", &[command], &[("DATABASE_URL", database.url())]);
            assert_eq!(output.status.code(), Some(0), "{command}: {}", text_of(&output));
            assert!(text_of(&output).contains("a newer release"), "{command}: {}", text_of(&output));
        }
        for command in ["down", "fresh"] {
            let refused = run("migration", &[command, "--yes"], &[("DATABASE_URL", database.url())]);
            assert_eq!(refused.status.code(), Some(1), "{command}: {}", text_of(&refused));
        }
    }

    #[actix_web::test]
    async fn the_seed_of_a_release_keeps_deletions_through_the_api() {
        let database = TestDatabase::new(Content::Seeded).await;
        let server = start(&[("DATABASE_URL", database.url())]);
        let token = super_admin();
        let headers = [("authorization", token.as_str()), ("cache-control", "no-cache")];
        let seed = |arguments: &[&str]| {
            let output = run("migration", arguments, &[("DATABASE_URL", database.url())]);
            assert_eq!(output.status.code(), Some(0), "{}", text_of(&output));
            text_of(&output)
        };
        let first = |collection: &str, list: &str, key: &str, value: &str| {
            let answer = server.request("GET", &format!("/api/iam/{collection}"), &headers, None).json();
            let rows = answer["data"][list].as_array().unwrap();
            let row = rows.iter().find(|row| row[key] == value).unwrap();
            format!("/api/iam/{collection}/{}", row["id"].as_str().unwrap())
        };
        let paths = [
            first("features", "features", "key", "risks.create"),
            first("modules", "modules", "code", "audit"),
            first("views", "views", "url", "/profile"),
        ];
        for path in &paths {
            let path = if path.contains("/modules/") { format!("{path}?ungate=true") } else { path.clone() };
            assert_eq!(server.request("DELETE", &path, &headers, None).status, 200, "{path}");
        }
        let statuses = || paths.each_ref().map(|path| server.request("GET", path, &headers, None).status);

        assert!(seed(&["seed"]).contains("nothing to insert"));
        assert_eq!(statuses(), [404; 3]);
        assert!(seed(&["seed", "--restore"]).contains("1 views, 1 modules, 1 features"));
        assert_eq!(statuses(), [200; 3]);
        assert!(seed(&["seed", "--restore"]).contains("nothing to insert"));
    }

    #[actix_web::test]
    async fn migrations_ignore_session_defaults_of_the_role() {
        for setting in [
            "row_security = off",
            "idle_in_transaction_session_timeout = '1ms'",
            "lock_timeout = '1ms'",
            "default_transaction_isolation = 'serializable'",
            "default_transaction_deferrable = on",
            "client_encoding = 'LATIN1'",
            "standard_conforming_strings = off",
            "DateStyle = 'German'",
        ] {
            // The command runs as the owner of the tables, to whom row-level security applies.
            let database = TestDatabase::new(Content::Schema).await;
            execute(&database, &format!("GRANT CREATE ON SCHEMA public TO {OWNER}")).await;
            execute(&database, &format!("GRANT CREATE ON DATABASE {} TO {OWNER}", database.name())).await;
            set(&database, setting).await;
            for command in [&["seed"][..], &["up"], &["status"], &["fresh", "--yes"], &["down", "--yes"]] {
                let output = run("migration", command, &[("DATABASE_URL", &database.url_as(OWNER))]);
                assert_eq!(output.status.code(), Some(0), "{setting} {command:?}: {}", text_of(&output));
            }
        }
    }

    #[actix_web::test]
    async fn a_statement_may_exceed_the_default_timeout_of_the_role() {
        let database = TestDatabase::new(Content::Schema).await;
        set(&database, "statement_timeout = '200ms'").await;
        let mut holder = database.connect().await;
        crate::support::database::run(&mut holder, "BEGIN; LOCK TABLE iam_migrations".to_owned()).await.unwrap();
        let url = database.url().to_owned();
        let status = std::thread::spawn(move || run("migration", &["status"], &[("DATABASE_URL", &url)]));
        let mut observer = database.connect().await;
        let waits_for_long = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
            AND wait_event_type = 'Lock' AND now() - query_start > interval '400ms')";
        while !status.is_finished() && !query_scalar::<_, bool>(waits_for_long).fetch_one(&mut observer).await.unwrap()
        {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        crate::support::database::run(&mut holder, "COMMIT".to_owned()).await.unwrap();
        let output = status.join().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text_of(&output));
        assert!(text_of(&output).contains("applied"), "{}", text_of(&output));
    }

    #[actix_web::test]
    async fn a_read_only_session_is_rejected_by_commands_that_write() {
        let database = TestDatabase::new(Content::Schema).await;
        set(&database, "default_transaction_read_only = on").await;
        for command in WRITING {
            let output = run("migration", command, &[("DATABASE_URL", database.url())]);
            assert_ne!(output.status.code(), Some(0), "{command:?}: {}", text_of(&output));
            let text = text_of(&output);
            let address = format!(", database {})", database.name());
            assert!(
                text.contains("the database session is read-only") && text.contains(&address),
                "{command:?}: {text}"
            );
        }
        let output = run("migration", &["status"], &[("DATABASE_URL", database.url())]);
        assert_eq!(output.status.code(), Some(0), "{}", text_of(&output));
    }

    #[actix_web::test]
    async fn a_database_without_utf8_is_rejected_and_unchanged() {
        let database = TestDatabase::new(Content::Nothing).await;
        for encoding in ["LATIN1", "SQL_ASCII"] {
            let name = format!("{}_{}", database.name(), encoding.to_lowercase());
            let create =
                format!("CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
            execute(&database, &create).await;
            let url = database.url().replace(database.name(), &name);
            for command in WRITING {
                let output = run("migration", command, &[("DATABASE_URL", &url)]);
                assert_ne!(output.status.code(), Some(0), "{encoding} {command:?}: {}", text_of(&output));
                let expected = format!("the encoding of the database is {encoding}, but must be UTF8");
                assert!(text_of(&output).contains(&expected), "{command:?}: {}", text_of(&output));
            }
            let status = run("migration", &["status"], &[("DATABASE_URL", &url)]);
            assert!(!text_of(&status).contains("applied"), "{}", text_of(&status));
            execute(&database, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
        }
    }

    #[actix_web::test]
    async fn conflicting_objects_that_are_no_relations_are_rejected_by_name() {
        for (sql, named) in [
            ("CREATE TYPE features AS ENUM ('a')", "type \"features\""),
            ("CREATE DOMAIN modules AS text", "type \"modules\""),
            ("CREATE TABLE foo (a int); CREATE INDEX views_pkey ON foo (a)", "relation \"views_pkey\""),
            (
                "CREATE TABLE foo (a int); CREATE INDEX company_states_changed_by_idx ON foo (a)",
                "relation \"company_states_changed_by_idx\"",
            ),
            ("CREATE SEQUENCE iam_heartbeats_pkey", "relation \"iam_heartbeats_pkey\""),
            ("CREATE FUNCTION iam_mark_state() RETURNS int LANGUAGE sql AS 'SELECT 1'", "function \"iam_mark_state\""),
            (
                "CREATE FUNCTION iam_lock_changes(boolean) RETURNS int LANGUAGE sql AS 'SELECT 1'",
                "function \"iam_lock_changes\"",
            ),
        ] {
            let database = TestDatabase::new(Content::Nothing).await;
            execute(&database, sql).await;
            let before = relations(&database).await;
            for command in [&["up"][..], &["fresh", "--yes"]] {
                let output = run("migration", command, &[("DATABASE_URL", database.url())]);
                let text = text_of(&output);
                assert_ne!(output.status.code(), Some(0), "{command:?}: {text}");
                assert!(
                    text.contains("the IAM migrations did not create") && text.contains(named),
                    "{sql} {command:?}: {text}"
                );
                assert!(text.contains("use a separate schema") && !text.contains("at line"), "{command:?}: {text}");
            }
            assert_eq!(relations(&database).await, before, "{sql}");
        }
    }
}
