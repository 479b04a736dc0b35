//! Tests of the command `iam-http keys`, which creates, lists and revokes API keys.

use crate::support::process::{run, text_of};

const OUT_OF_RANGE: &str = "must be between 1 and 1000000";

#[test]
fn without_a_database_the_error_contains_the_missing_setting() {
    let output = run("iam-http", &["keys", "list"], &[]);
    assert_ne!(output.status.code(), Some(0));
    assert!(text_of(&output).contains("API keys are stored in the database: set DATABASE_URL"), "{}", text_of(&output));
}

#[test]
fn invalid_arguments_are_rejected() {
    let no_server = ("DATABASE_URL", "postgres://iam:hunter2@127.0.0.1:1/iam");
    for (arguments, what) in [
        (&["keys", "create", "--role", "check"][..], "--name"),
        (&["keys", "create", "--name", "N", "--role", "everything"], "must be one of: check, read, administer"),
        (&["keys", "create", "--name", " ", "--role", "check"], "is required"),
        (&["keys", "create", "--name", "N", "--role", "check", "--company", "x"], "must be a valid UUID"),
        (&["keys", "create", "--name", "N", "--role", "check", "--expires-in-days", "0"], "0"),
        (&["keys", "create", "--name", "N", "--role", "check", "--requests-per-second", "0"], OUT_OF_RANGE),
        (&["keys", "create", "--name", "N", "--role", "check", "--requests-per-second", "1000001"], OUT_OF_RANGE),
        (&["keys", "list"], "the database"),
    ] {
        let output = run("iam-http", arguments, &[no_server]);
        assert_ne!(output.status.code(), Some(0), "{arguments:?}");
        let text = text_of(&output);
        assert!(text.contains(what) && !text.contains("hunter2"), "{arguments:?}: {text}");
    }
}

mod postgres {
    use std::rc::Rc;
    use std::sync::Arc;

    use iam_domain::EntityType;
    use iam_http::HttpOptions;
    use serde_json::json;

    use super::*;
    use crate::support::api::TestApi;
    use crate::support::database::{Content, TestDatabase};

    /// The number of milliseconds in a day.
    const DAY: i64 = 24 * 60 * 60 * 1000;

    #[actix_web::test]
    async fn keys_are_created_listed_and_revoked() {
        let database = Rc::new(TestDatabase::new(Content::Seeded).await);
        let keys = |arguments: &[&str]| {
            let arguments: Vec<_> = [&["keys"], arguments].concat();
            let output = run("iam-http", &arguments, &[("DATABASE_URL", database.url())]);
            assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text_of(&output));
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
        };
        let storage = Arc::new(database.storage());
        let api = TestApi::over(storage, Some(Rc::clone(&database)), HttpOptions::default()).await;
        let company = api.company().await;
        let id = company.id.to_string();
        // Standard output contains only the key, so a script can store it.
        let (key, said) =
            keys(&["create", "--name", "Nightly job", "--role", "read", "--company", &id, "--expires-in-days", "90"]);
        let key = key.trim();
        assert!(key.starts_with("iam_") && !key.contains(char::is_whitespace));
        let levels = || api.get("/api/iam/user-levels").by_key(key).within(company.id).send();
        levels().await.expect(200);
        let body = json!({ "name": "Never" });
        api.post("/api/iam/user-levels").by_key(key).within(company.id).json(&body).send().await.expect(403);
        let (list, _) = keys(&["list"]);
        let prefix = &key[4..16];
        let secret = &key[17..];
        assert!(said.contains(prefix) && !said.contains(secret), "{said}");
        assert!(list.contains(prefix) && list.contains("Nightly job") && list.contains(&id), "{list}");
        assert!(!list.contains(secret));
        assert!(list.contains("expires") && list.contains("never used"), "{list}");
        api.permissions.note_uses().await;
        assert!(keys(&["list"]).0.contains("last used"));
        keys(&["revoke", prefix]);
        levels().await.expect(401);
        assert!(keys(&["list"]).0.contains("revoked"));
        let unknown = run("iam-http", &["keys", "revoke", "000000000000"], &[("DATABASE_URL", database.url())]);
        assert!(text_of(&unknown).contains("no API key has this id or prefix"));

        let stored = api.storage.reader().api_keys().find_all().await.unwrap();
        let good_for = stored[0].expires_at.unwrap().millis() - stored[0].created_at.millis();
        assert_eq!((good_for + DAY / 2) / DAY, 90);
        let id = stored[0].id.as_uuid();
        let records = api.storage.reader().audit_logs().list_for_entity(None, EntityType::ApiKey, id, 9).await.unwrap();
        let recorded: Vec<_> =
            records.iter().map(|record| (record.action.as_str(), record.actor.kind().as_str())).collect();
        assert_eq!(recorded, [("api_key.revoked", "command_line"), ("api_key.created", "command_line")]);

        // The list contains the rate of a key that has a rate of its own.
        let (slow, said) = keys(&["create", "--name", "Slow", "--role", "read", "--requests-per-second", "1"]);
        let line = keys(&["list"]).0.lines().find(|line| line.contains("Slow")).unwrap().to_owned();
        assert!(said.contains("1 per second") && line.contains(" every company, 1 per second, valid"), "{said}{line}");
        assert!(!list.contains("per second"), "{list}");
        let answer = api.get("/api/iam/views").by_key(slow.trim()).send().await.expect(200);
        assert_eq!(answer.header("ratelimit-policy"), Some(r#""caller";q=5;w=5"#));

        // The command `keys revoke` also accepts the id of a key, and revokes only that key.
        let made = ["One", "Other"].map(|name| keys(&["create", "--name", name, "--role", "administer"]).0);
        let [one, other] = made.each_ref().map(|key| api.get("/api/iam/views").by_key(key.trim()));
        let stored = api.storage.reader().api_keys().find_all().await.unwrap();
        let id = stored.iter().find(|key| key.name.as_str() == "One").unwrap().id.to_string();
        keys(&["revoke", &id]);
        one.send().await.expect(401);
        other.send().await.expect(200);
    }
}
