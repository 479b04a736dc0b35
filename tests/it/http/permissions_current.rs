//! Tests of the list of all permissions of the caller, through the API.

use iam_domain::UserId;
use serde_json::{Value, json};

use crate::support::api::{Answer, Company, TestApi, both_adapters, fields, new_user};

const PATH: &str = "/api/iam/permissions/current";
const LISTED: [&str; 6] = ["Approve", "Create", "Delete", "Export", "Read", "Update"];

async fn current(api: &TestApi, company: Company, user: UserId) -> Answer {
    api.get(PATH).by(user).within(company.id).send().await
}

fn denied() -> Value {
    json!({ "allowed": false, "scope": "own" })
}

both_adapters! {
    /// The list contains every view and every feature of the catalog. Each feature has at least the six standard
    /// actions that the list always includes.
    async fn every_permission_is_listed(api: TestApi) {
        let company = api.company().await;
        let data = current(&api, company, company.member).await.expect(200).data();
        assert_eq!(fields(&data), ["features", "views"]);
        let catalog = async |kind: &str| {
            let data = api.get(&format!("/api/iam/{kind}")).by_super_admin().send().await.expect(200).data();
            let mut ids: Vec<_> =
                data[kind].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect();
            ids.sort_unstable();
            ids
        };
        assert_eq!(fields(&data["views"]), catalog("views").await);
        assert_eq!(fields(&data["features"]), catalog("features").await);
        assert!(data["views"].as_object().unwrap().values().all(Value::is_boolean));
        for feature in data["features"].as_object().unwrap().values() {
            assert_eq!(fields(feature), LISTED);
            for permission in feature.as_object().unwrap().values() {
                assert_eq!(fields(permission), ["allowed", "scope"]);
            }
        }
    }

    /// The list of a member's permissions agrees with the decisions of single checks.
    async fn the_list_matches_the_decisions(api: TestApi) {
        let company = api.company().await;
        let data = current(&api, company, company.member).await.data();
        let (dashboard, risks) = (api.view_id("/dashboard").await, api.view_id("/modules/risks").await);
        let (levels, read) = (api.view_id("/admin/user-levels").await, api.feature_id("general.read").await);
        let (gated, own) = (api.feature_id("risks.create").await, api.feature_id("iam.manage_levels").await);
        assert_eq!(data["views"][&dashboard], true);
        assert_eq!(data["views"][&risks], false, "the company does not have the module");
        assert_eq!(data["views"][&levels], false);
        assert_eq!(data["features"][&read]["Read"], json!({ "allowed": true, "scope": "company" }));
        assert_eq!(data["features"][&read]["Delete"], denied());
        assert_eq!(data["features"][&read]["Export"], denied());
        assert_eq!(data["features"][&gated]["Read"], denied());
        assert_eq!(data["features"][&own]["Read"], denied());
    }

    /// A holder of the level Admin has all permissions, except for views and features that are gated by missing
    /// modules.
    async fn an_admin_has_every_permission_of_the_companys_modules(api: TestApi) {
        let company = api.company().await;
        let data = current(&api, company, company.admin).await.data();
        let allowed = |values: &Value, of: fn(&Value) -> bool| {
            values.as_object().unwrap().values().filter(|value| of(value)).count()
        };
        assert_eq!(allowed(&data["views"], |view| *view == true), 11, "all views of the module `core` must be allowed");
        let any = json!({ "allowed": true, "scope": "any" });
        let open = data["features"].as_object().unwrap().values();
        assert_eq!(open.filter(|feature| feature.as_object().unwrap().values().all(|p| *p == any)).count(), 15);
    }

    /// The list always includes six standard actions of a feature. `Publish` and custom actions are included if the
    /// feature lists them, or if one of the caller's levels contains a permission for them.
    async fn custom_actions_are_listed(api: TestApi) {
        let company = api.company().await;
        let body = json!({ "key": "reports", "name": "Reports", "actions": ["Sign", "Publish"] });
        let own = api.make("features", None, body).await["id"].as_str().unwrap().to_owned();
        let (read, other) = (api.feature_id("general.read").await, api.feature_id("general.create").await);
        let cells = json!([
            { "featureId": own, "action": "Sign", "scope": "team" },
            { "featureId": read, "action": "Publish", "scope": "company" },
        ]);
        let (user, _) = api.holder_of(company, json!([]), cells).await;
        let features = current(&api, company, user).await.data()["features"].clone();
        assert_eq!(
            fields(&features[&own]),
            ["Approve", "Create", "Delete", "Export", "Publish", "Read", "Sign", "Update"]
        );
        assert_eq!(features[&own]["Sign"], json!({ "allowed": true, "scope": "team" }));
        assert_eq!(features[&own]["Publish"], denied());
        assert_eq!(features[&read]["Publish"], json!({ "allowed": true, "scope": "company" }));
        assert_eq!(fields(&features[&other]), LISTED);
        // Permissions of levels that the caller does not hold do not add actions to the list.
        let features = current(&api, company, company.member).await.data()["features"].clone();
        assert_eq!(fields(&features[&read]), LISTED);
    }

    /// A non-member is denied everything, even public views.
    async fn a_non_member_has_no_permission(api: TestApi) {
        let company = api.company().await;
        let public = json!({ "name": "Imprint", "url": "/imprint", "requiresAuth": false });
        let public = api.make("views", None, public).await["id"].as_str().unwrap().to_owned();
        assert_eq!(current(&api, company, company.member).await.data()["views"][&public], true);
        let data = current(&api, company, new_user()).await.expect(200).data();
        assert_eq!(data["views"].as_object().unwrap().len(), 15);
        assert!(data["views"].as_object().unwrap().values().all(|allowed| *allowed == false));
        let actions = data["features"].as_object().unwrap().values().flat_map(|f| f.as_object().unwrap().values());
        assert!(actions.clone().all(|permission| *permission == denied()));
        assert_eq!(actions.count(), 19 * 6);
    }

    /// A super admin is allowed everything, even gated views and features, disabled features and denied permissions.
    async fn a_super_admin_has_every_permission(api: TestApi) {
        let company = api.company().await;
        let path = format!("/api/iam/features/{}", api.feature_id("general.read").await);
        api.patch(&path).by_super_admin().json(&json!({ "enabled": false })).send().await.expect(200);
        let data = api.get(PATH).by_super_admin().within(company.id).send().await.expect(200).data();
        assert!(data["views"].as_object().unwrap().values().all(|allowed| *allowed == true));
        let any = json!({ "allowed": true, "scope": "any" });
        let actions = data["features"].as_object().unwrap().values().flat_map(|f| f.as_object().unwrap().values());
        assert!(actions.clone().all(|permission| *permission == any));
        assert_eq!(actions.count(), 19 * 6);
    }

    /// Clients may cache the response but must revalidate it before each use.
    async fn the_response_may_be_cached_but_must_be_revalidated(api: TestApi) {
        let company = api.company().await;
        let answer = current(&api, company, company.member).await.expect(200);
        assert_eq!(answer.header("cache-control"), Some("private, no-cache"));
        let vary = answer.header("vary").unwrap().to_lowercase();
        assert!(vary.contains("authorization") && vary.contains("x-company-id"), "{vary}");
        assert!(answer.header("x-iam-version").is_some());
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let tag = answer.etag().to_owned();
        assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() > 10, "{tag}");
        assert_eq!(current(&api, company, company.member).await.etag(), tag);

        for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
            let request = api.get(PATH).by(company.member).within(company.id).header("if-none-match", &known);
            let answer = request.send().await.expect(304);
            assert!(answer.body.is_empty());
            assert_eq!(answer.etag(), tag);
            assert_eq!(answer.header("cache-control"), Some("private, no-cache"));
        }
    }

    /// After a change, conditional requests of affected users return a new response. Conditional requests of other
    /// users still return 304.
    async fn a_change_yields_another_response(api: TestApi) {
        let company = api.company().await;
        let (member, visitor) =
            (current(&api, company, company.member).await, current(&api, company, company.visitor).await);
        let level = api.level_id(company, "Member").await;
        api.set_matrix(company, &level, "views", json!([])).await;
        let request = api.get(PATH).by(company.member).within(company.id).header("if-none-match", member.etag());
        let answer = request.send().await.expect(200);
        assert!(answer.data()["views"].as_object().unwrap().values().all(|allowed| *allowed == false));
        let request = api.get(PATH).by(company.visitor).within(company.id).header("if-none-match", visitor.etag());
        request.send().await.expect(304);
    }

    /// A request without a valid credential or without a company returns an error. It does not return 304, even with a
    /// matching entity tag.
    async fn authorization_precedes_the_check_of_the_etag(api: TestApi) {
        let company = api.company().await;
        for path in [PATH, "/api/iam/navigation"] {
            api.get(path).within(company.id).header("if-none-match", "*").send().await.expect(401);
            api.get(path).by(company.admin).header("if-none-match", "*").send().await.expect(400);
        }
    }

    /// Users with the same levels receive byte-identical responses with the same entity tag. A request for the
    /// permissions of another such user also returns the same bytes.
    async fn users_with_the_same_levels_receive_the_same_bytes(api: TestApi) {
        let company = api.company().await;
        let other = new_user();
        let member = api.level_id(company, "Member").await;
        api.assign(company, other, &[&member]).await;
        let (one, two) = (current(&api, company, company.member).await, current(&api, company, other).await);
        assert_eq!((&one.body, one.etag()), (&two.body, two.etag()));
        assert_eq!(current(&api, company, company.member).await.body, one.body);
        let path = format!("/api/iam/users/{other}/permissions");
        let read = api.get(&path).by(company.admin).within(company.id).send().await.expect(200);
        assert_eq!(read.body, one.body);
        let menu = |user| api.get("/api/iam/navigation").by(user).within(company.id).send();
        let (one, two) = (menu(company.member).await, menu(other).await);
        assert_eq!((&one.body, one.etag()), (&two.body, two.etag()));
    }

    /// The entity tag changes if and only if the content changes. A change that affects no decision leaves the tag
    /// unchanged, and reverting a change restores the earlier tag.
    async fn the_etag_changes_with_the_content(api: TestApi) {
        let company = api.company().await;
        let view = api.view_id("/home").await;
        let (user, level) = api.holder_of(company, json!([]), json!([])).await;
        let before = current(&api, company, user).await;
        let again = async |tag: &str| {
            let request = api.get(PATH).by(user).within(company.id).header("if-none-match", tag);
            request.send().await.status.as_u16()
        };
        // The added cell affects no decision. The version of the company is nevertheless incremented.
        api.set_matrix(company, &level, "views", json!([{ "viewId": view, "state": "inherit" }])).await;
        let same = current(&api, company, user).await;
        assert_eq!(same.etag(), before.etag());
        assert_ne!(same.header("x-iam-version"), before.header("x-iam-version"));
        assert_eq!(again(before.etag()).await, 304);
        api.set_matrix(company, &level, "views", json!([{ "viewId": view, "state": "allow" }])).await;
        let other = current(&api, company, user).await;
        assert_ne!(other.etag(), before.etag());
        assert_eq!((again(before.etag()).await, again(other.etag()).await), (200, 304));
        api.set_matrix(company, &level, "views", json!([])).await;
        let back = current(&api, company, user).await;
        assert_eq!((&back.body, back.etag()), (&before.body, before.etag()));
    }
}
