//! Tests of names with invisible characters. They cover which characters are accepted. They also cover names from
//! earlier builds, which remain usable even if they contain characters that are now rejected.

use serde_json::json;

use crate::support::api::{both_adapters, each};

const LEVELS: &str = "/api/iam/user-levels";

both_adapters! {
    /// Invisible characters that writing systems and emoji require are accepted, and names are stored unchanged. Names
    /// that differ in case or in look-alike letters (homoglyphs) are different names.
    async fn names_are_stored_unchanged(api: TestApi) {
        let company = api.company().await;
        let names = [
            "می\u{200c}خواهم",
            "🏳\u{fe0f}",
            "👩\u{200d}👧",
            "葛\u{e0100}",
            "line\nbreak",
            " Admin",
            "Admin ",
            "ADMIN",
            "\u{410}dmin",
            "Cafe\u{301}",
            "Café",
        ];
        for name in names {
            api.new_level(company, name).await;
        }
        let listed = api.get(LEVELS).by(company.admin).within(company.id).send().await.expect(200).data();
        let listed = each(&listed["userLevels"], "name");
        assert!(names.iter().all(|name| listed.contains(name)), "{listed:?}");
    }

    /// The code of a validation error states which rule the string violates.
    async fn validation_errors_of_names_have_a_separate_code(api: TestApi) {
        let company = api.company().await;
        let body = json!({ "name": "Admin\u{200b}", "description": 7 });
        let answer = api.post(LEVELS).by(company.admin).within(company.id).json(&body).send().await.expect(400);
        assert_eq!(answer.json()["errors"][0]["code"], "invisible");
        let body = json!({ "name": "Admin\u{202e}", "description": 7 });
        let answer = api.post(LEVELS).by(company.admin).within(company.id).json(&body).send().await.expect(400);
        assert_eq!(answer.json()["errors"][0]["code"], "direction");
    }
}

mod stored {
    mod postgres {
        use std::rc::Rc;
        use std::sync::Arc;

        use iam_http::HttpOptions;
        use serde_json::json;

        use super::super::LEVELS;
        use crate::support::api::{TestApi, each};
        use crate::support::database::{Content, TestDatabase, run};

        /// The SQL that stores strings that earlier builds accepted and current builds reject.
        const EARLIER: &str = r#"
        UPDATE views SET name = U&'\200BDashboard\202E', url = U&'/dash\202Eboard\200B',
            category = U&'\3164', icon = U&'x\0001'
            WHERE url = '/dashboard';
        UPDATE features SET key = U&'general.read\200B', name = U&'\2800', resource_type = U&'\00AD',
            actions = '["Read", "Sign\u200b"]' WHERE key = 'general.read';
        UPDATE modules SET code = U&'audit\2060', name = U&'\202EAudit' WHERE code = 'audit';
        UPDATE menu_items SET label = U&'\2066' || label"#;

        #[actix_web::test]
        async fn strings_of_earlier_builds_can_be_read_searched_and_changed() {
            let database = TestDatabase::new(Content::Seeded).await;
            let mut connection = database.connect().await;
            run(&mut connection, EARLIER.to_owned()).await.unwrap();
            let api =
                TestApi::over(Arc::new(database.storage()), Some(Rc::new(database)), HttpOptions::default()).await;
            let company = api.company().await;
            run(&mut connection, "UPDATE user_levels SET name = U&'Visitor\\200B' WHERE name = 'Visitor'".to_owned())
                .await
                .unwrap();

            let get =
                async |path: &str| api.get(path).by(company.admin).within(company.id).send().await.expect(200).data();
            let views = get("/api/iam/views").await;
            assert!(each(&views["views"], "url").contains(&"/dash\u{202e}board\u{200b}"), "{views}");
            let features = get("/api/iam/features").await;
            assert!(each(&features["features"], "key").contains(&"general.read\u{200b}"), "{features}");
            assert!(each(&get(LEVELS).await["userLevels"], "name").contains(&"Visitor\u{200b}"));
            get("/api/iam/navigation").await;
            get("/api/iam/permissions/current").await;

            let check = async |question| api.check(company, company.admin, question).await;
            let view = check(json!({ "view": "/dash\u{202e}board\u{200b}" })).await;
            assert_eq!((&view["allowed"], &view["reasonCode"]), (&json!(true), &json!("explicit_allow")));
            let feature = check(json!({ "feature": "general.read\u{200b}", "action": "Read" })).await;
            assert_ne!(feature["reasonCode"], "unknown_feature", "{feature}");

            // Other fields of an entity with such a string can be changed. New strings must follow the rules.
            let view = views["views"]
                .as_array()
                .unwrap()
                .iter()
                .find(|view| view["url"] == "/dash\u{202e}board\u{200b}")
                .unwrap();
            let path = format!("/api/iam/views/{}", view["id"].as_str().unwrap());
            let patch = |body| api.patch(&path).by_super_admin().json(&body).send();
            let changed = patch(json!({ "description": "changed" })).await.expect(200).data();
            assert_eq!(changed["view"]["name"], view["name"]);
            patch(json!({ "name": "Dashboard\u{202e}" })).await.expect(400);
            patch(json!({ "name": "Dashboard", "url": "/dashboard" })).await.expect(200);
            assert_eq!(check(json!({ "view": "/dashboard" })).await["allowed"], true);
        }
    }
}
