//! Tests of the endpoints that describe the caller: its identity, its levels, the available catalog, and its
//! permissions by key.

use iam_domain::Versions;
use serde_json::{Value, json};

use crate::support::api::{both_adapters, each, new_user};
use crate::support::replica::Replica;

/// Returns the names of the members of a JSON object.
fn names(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

both_adapters! {
    /// `GET /me` returns the companies of a user with the user's levels in each of them. The request specifies no
    /// company.
    async fn me_returns_the_companies_and_levels_of_a_user(api: TestApi) {
        let (one, two) = (api.company().await, api.company().await);
        let level = api.level_id(two, "Visitor").await;
        api.assign(two, one.member, &[&level]).await;
        let me = api.get("/api/iam/me").by(one.member).send().await.expect(200).data();
        assert_eq!((&me["kind"], &me["id"], &me["superAdmin"]), (&json!("user"), &json!(one.member), &json!(false)));
        let mut expected = [(one.id.to_string(), "Member"), (two.id.to_string(), "Visitor")];
        expected.sort();
        let companies = me["companies"].as_array().unwrap();
        let found: Vec<_> = companies
            .iter()
            .map(|company| (company["companyId"].as_str().unwrap().to_owned(), each(&company["userLevels"], "name")[0]))
            .collect();
        assert_eq!(found, expected);
        assert_eq!(me["nextCursor"], json!(null));
        // The companies are listed page by page.
        let first = api.get("/api/iam/me?limit=1").by(one.member).send().await.expect(200).data();
        assert_eq!(each(&first["companies"], "companyId"), [&*expected[0].0]);
        let cursor = first["nextCursor"].as_str().unwrap();
        let second = |list: &str| format!("/api/iam/{list}?limit=1&cursor={cursor}");
        // A cursor is valid only for the user for whom it was issued.
        for list in [second("me"), second("me/companies"), format!("/api/iam/me?cursor={}", expected[0].0)] {
            let invalid = api.get(&list).by(one.admin).send().await.expect(400).json();
            assert_eq!(invalid["errors"][0]["code"], "cursor");
        }
        let of_member = second(&format!("users/{}/companies", one.member));
        api.get(&of_member).by_super_admin().send().await.expect(400);
        let second = api.get(&second("me")).by(one.member).send().await.expect(200).data();
        assert_eq!((&second["companies"][0]["companyId"], &second["nextCursor"]), (&json!(expected[1].0), &json!(null)));
    }

    /// The levels reflect every earlier change. A minimum version that does not exist yet neither delays the response
    /// nor causes an error. A malformed minimum version is rejected.
    async fn the_levels_reflect_every_earlier_change(api: TestApi) {
        let replica = Replica::of(&api).await;
        let company = api.company().await;
        let level = api.level_id(company, "Visitor").await;
        let me = || replica.api.get("/api/iam/me").by(company.member);
        me().send().await.expect(200);
        let path = format!("/api/iam/users/{}/user-levels", company.member);
        let change = api.put(&path).by(company.admin).within(company.id).json(&json!({ "userLevelIds": [level] }));
        let version = change.send().await.expect(200).header("x-iam-version").unwrap().to_owned();
        let later = Versions { company: i64::MAX, ..Versions::parse(&version).unwrap() }.to_string();
        for least in [version, later] {
            for request in [me(), me().within(company.id)] {
                let data = request.header("x-iam-min-version", &least).send().await.expect(200).data();
                assert_eq!(each(&data["companies"][0]["userLevels"], "name"), ["Visitor"]);
            }
        }
        me().header("x-iam-min-version", "3").send().await.expect(400);
    }

    /// For a user without levels, the list of companies is empty. For a super admin, `superAdmin` is `true`.
    async fn a_user_without_levels_has_no_companies(api: TestApi) {
        let me = api.get("/api/iam/me").by(new_user()).send().await.expect(200).data();
        assert_eq!((&me["companies"], &me["superAdmin"]), (&json!([]), &json!(false)));
        let me = api.get("/api/iam/me").by_super_admin().send().await.expect(200).data();
        assert_eq!((&me["companies"], &me["superAdmin"]), (&json!([]), &json!(true)));
    }

    /// For a service, `GET /me` returns the role of its key, and the company to which the key is restricted.
    async fn me_returns_the_role_of_a_service(api: TestApi) {
        let company = api.company().await;
        for restricted in [Some(company.id), None] {
            let key = api.api_key("read", restricted).await;
            let me = api.get("/api/iam/me").by_key(&key).send().await.expect(200).data();
            assert_eq!((&me["kind"], &me["role"]), (&json!("service"), &json!("read")));
            assert_eq!(me["companyId"], json!(restricted));
        }
    }

    /// Every member may read the available catalog. It omits the views and features of modules that the company does
    /// not have.
    async fn every_member_reads_the_available_catalog(api: TestApi) {
        let company = api.company().await;
        let read = async || {
            let request = api.get("/api/iam/me/catalog").by(company.visitor).within(company.id);
            request.send().await.expect(200).data()
        };
        let before = read().await;
        let (urls, keys) = (each(&before["views"], "url"), each(&before["features"], "key"));
        assert!(urls.contains(&"/dashboard") && !urls.contains(&"/modules/risks"), "{urls:?}");
        assert!(keys.contains(&"general.read") && !keys.iter().any(|key| key.starts_with("risks.")), "{keys:?}");
        assert!(urls.is_sorted() && keys.is_sorted());
        let general = before["features"].as_array().unwrap().iter().find(|feature| feature["key"] == "general.read");
        assert!(general.unwrap()["actions"].as_array().unwrap().contains(&json!("Publish")));
        // When the company receives a module, the catalog also contains the views and features of that module.
        let path = format!("/api/iam/companies/{}/modules", company.id);
        let modules = [api.module_id("core").await, api.module_id("risks").await];
        api.put(&path).by_super_admin().json(&json!({ "moduleIds": modules })).send().await.expect(200);
        let after = read().await;
        assert!(each(&after["views"], "url").contains(&"/modules/risks"));
        // A super admin receives the same catalog, and a non-member receives 403.
        let request = api.get("/api/iam/me/catalog").by_super_admin().within(company.id);
        assert_eq!(request.send().await.expect(200).data(), after);
        api.get("/api/iam/me/catalog").by(new_user()).within(company.id).send().await.expect(403);
    }

    /// With `keys=true`, the permissions contain URLs and keys instead of ids. This form has its own entity tag.
    async fn permissions_can_be_listed_by_key(api: TestApi) {
        let company = api.company().await;
        let keyless = api.make("features", None, json!({ "name": "Keyless" })).await["id"].as_str().unwrap().to_owned();
        let of_member = format!("/api/iam/users/{}/permissions", company.member);
        for (path, user) in [("/api/iam/permissions/current", company.member), (of_member.as_str(), company.admin)] {
            let get = |query: &str| api.get(&format!("{path}{query}")).by(user).within(company.id);
            let (by_id, by_key) = (get("").send().await.expect(200), get("?keys=true").send().await.expect(200));
            let (ids, keys) = (by_id.data(), by_key.data());
            assert_eq!(ids["views"][api.view_id("/dashboard").await], keys["views"]["/dashboard"]);
            assert_eq!(ids["features"][api.feature_id("general.read").await], keys["features"]["general.read"]);
            assert_eq!(keys["features"][&keyless]["Read"], json!({ "allowed": false, "scope": "own" }));
            assert_eq!(names(&ids["views"]).len(), names(&keys["views"]).len());
            assert_eq!(names(&ids["features"]).len(), names(&keys["features"]).len());
            assert_ne!(by_id.etag(), by_key.etag());
            get("?keys=true").header("if-none-match", by_key.etag()).send().await.expect(304);
            get("?keys=true").header("if-none-match", by_id.etag()).send().await.expect(200);
            get("?keys=yes").send().await.expect(400);
            assert_eq!(get("?keys=false").send().await.expect(200).etag(), by_id.etag());
        }
    }
}
