//! The command that makes the schema.

use crate::kit::process::{run, text_of};

#[test]
fn without_a_url_it_says_what_is_missing() {
    let output = run("migration", &[], &[]);
    assert_ne!(output.status.code(), Some(0));
    assert!(text_of(&output).contains("DATABASE_URL"), "{}", text_of(&output));
}

#[test]
fn a_url_that_is_none_is_not_repeated() {
    let output = run("migration", &["status"], &[("DATABASE_URL", "mysql://iam:hunter2@localhost/iam")]);
    assert_ne!(output.status.code(), Some(0));
    assert!(!text_of(&output).contains("hunter2"), "{}", text_of(&output));
}

mod postgres {
    use super::*;
    use crate::kit::database::{Content, TestDatabase};
    use crate::process::persistence::{start, super_admin};

    #[actix_web::test]
    async fn it_makes_seeds_takes_back_and_makes_again() {
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
        migration(&["down"]);
        assert!(migration(&["status"]).contains("pending"));
        migration(&["fresh"]);
        assert!(migration(&["status"]).contains("applied"));
    }

    #[actix_web::test]
    async fn eight_at_once_on_an_empty_database_all_succeed() {
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
        crate::kit::database::run(&mut database.connect().await, newer.to_owned()).await.unwrap();
        for command in ["up", "seed"] {
            let output = run("migration", &[command], &[("DATABASE_URL", database.url())]);
            assert_eq!(output.status.code(), Some(0), "{command}: {}", text_of(&output));
            assert!(text_of(&output).contains("a newer release"), "{command}: {}", text_of(&output));
        }
        let refused = run("migration", &["down"], &[("DATABASE_URL", database.url())]);
        assert_ne!(refused.status.code(), Some(0));
    }

    #[actix_web::test]
    async fn the_job_of_a_release_leaves_deleted_what_the_api_deleted() {
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
            let path = format!("{path}?ungate=true");
            assert_eq!(server.request("DELETE", &path, &headers, None).status, 200, "{path}");
        }
        let statuses = || paths.each_ref().map(|path| server.request("GET", path, &headers, None).status);

        assert!(seed(&["seed"]).contains("nothing to insert"));
        assert_eq!(statuses(), [404; 3]);
        assert!(seed(&["seed", "--restore"]).contains("1 views, 1 modules, 1 features"));
        assert_eq!(statuses(), [200; 3]);
        assert!(seed(&["seed", "--restore"]).contains("nothing to insert"));
    }
}
