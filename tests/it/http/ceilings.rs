//! Tests of the ceilings of companies: the limits that super admins set on the permissions of all users of a company.

use iam_domain::{CompanyId, UserId};
use serde_json::{Value, json};

use crate::support::api::{Answer, Company, TestApi, both_adapters, each, new_user};

fn path_of(company: CompanyId) -> String {
    format!("/api/iam/companies/{company}/ceilings")
}

async fn put(api: &TestApi, company: Company, body: Value) -> Answer {
    api.put(&path_of(company.id)).by_super_admin().json(&body).send().await
}

/// Creates a user whose level allows the view `/dashboard`, and `Read` on `general.read` with the scope `company`.
async fn reader(api: &TestApi, company: Company) -> (UserId, String, String) {
    let (view, feature) = (api.view_id("/dashboard").await, api.feature_id("general.read").await);
    let views = json!([{ "viewId": view, "state": "allow" }]);
    let features = json!([{ "featureId": feature, "action": "Read", "scope": "company" }]);
    let (user, _) = api.holder_of(company, views, features).await;
    (user, view, feature)
}

fn action(feature: &str, max_scope: Value) -> Value {
    json!({ "featureId": feature, "action": "Read", "maxScope": max_scope })
}

both_adapters! {
    /// A ceiling limits every user of the company, in checks, permissions, the menu, the catalog of the user and
    /// explanations. It does not limit users of other companies and super admins.
    async fn a_ceiling_limits_all_users_of_a_company(api: TestApi) {
        let (company, other) = (api.company().await, api.company().await);
        let (user, view, feature) = reader(&api, company).await;
        let get = async |path: &str| api.get(path).by(user).within(company.id).send().await.expect(200).data();
        let menu = async || get("/api/iam/navigation").await.to_string().contains("/dashboard");
        assert!(menu().await);
        put(&api, company, json!({ "hiddenViews": [view], "actions": [action(&feature, json!("team"))] })).await.expect(200);

        let sees = json!({ "view": "/dashboard" });
        let expected = json!({
            "allowed": false, "scope": null, "reasonCode": "company_ceiling", "decidedBy": [], "decidedByCount": 0,
            "reason": "Not permitted in this company (ceiling set by the platform)",
        });
        assert_eq!(api.check(company, user, sees.clone()).await, expected);
        assert_eq!(api.check(company, company.admin, sees.clone()).await["reasonCode"], "company_ceiling");
        assert_eq!(api.check(other, other.admin, sees.clone()).await["allowed"], true);
        let by_super_admin = api.post("/api/iam/check").by_super_admin().within(company.id).json(&sees).send().await;
        assert_eq!(by_super_admin.expect(200).data()["reasonCode"], "super_admin");

        let reads = |least: Value| json!({ "feature": "general.read", "action": "Read", "scope": least });
        let within = api.check(company, user, reads(json!("team"))).await;
        assert_eq!((&within["allowed"], &within["scope"], &within["decidedByCount"]), (&json!(true), &json!("team"), &json!(1)));
        let beyond = api.check(company, user, reads(json!("company"))).await;
        assert_eq!((&beyond["allowed"], &beyond["reasonCode"]), (&json!(false), &json!("company_ceiling")));
        assert_eq!(api.check(company, new_user(), reads(json!("own"))).await["reasonCode"], "no_user_levels");

        assert!(!menu().await);
        let permissions = get("/api/iam/permissions/current").await;
        assert_eq!(permissions["views"][&view], false);
        assert_eq!(permissions["features"][&feature]["Read"], json!({ "allowed": true, "scope": "team" }));
        let catalog = get("/api/iam/me/catalog").await;
        assert!(!each(&catalog["views"], "url").contains(&"/dashboard"));

        let explain = async |question: Value| {
            api.post("/api/iam/explain").by(user).within(company.id).json(&question).send().await.expect(200).data()
        };
        let explained = explain(sees).await;
        assert_eq!(explained["ceiling"], json!({ "maxScope": null }));
        assert_eq!(explained["suggestion"], json!([{ "step": "showView", "id": view }]));
        let explained = explain(reads(json!("company"))).await;
        assert_eq!(explained["ceiling"], json!({ "maxScope": "team" }));
        assert_eq!(explained["suggestion"], json!([{ "step": "raiseCeiling", "id": feature }]));
        assert_eq!(explain(reads(json!("own"))).await["suggestion"], json!([]));
    }

    /// A level that grants more than the ceiling does not lift it, whether it is changed or copied.
    async fn levels_cannot_exceed_a_ceiling(api: TestApi) {
        let company = api.company().await;
        let (user, _, feature) = reader(&api, company).await;
        put(&api, company, json!({ "hiddenViews": [], "actions": [action(&feature, Value::Null)] })).await.expect(200);
        let level = api.new_level(company, "Wide").await;
        let cells = json!([{ "featureId": feature, "action": "Read", "scope": "any" }]);
        api.set_matrix(company, &level, "features", cells).await;
        api.assign(company, user, &[&level]).await;
        let reads = json!({ "feature": "general.read", "action": "Read" });
        assert_eq!(api.check(company, user, reads.clone()).await["reasonCode"], "company_ceiling");
        let catalog = api.get("/api/iam/me/catalog").by(user).within(company.id).send().await.expect(200).data();
        let general = catalog["features"].as_array().unwrap().iter().find(|entry| entry["id"] == json!(feature)).unwrap();
        assert!(!general["actions"].as_array().unwrap().contains(&json!("Read")));
        put(&api, company, json!({ "hiddenViews": [], "actions": [] })).await.expect(200);
        assert_eq!(api.check(company, user, reads).await["scope"], "any");
    }

    /// `PUT` replaces the ceilings, and `If-Match` is compared with the entity tag of the ceilings. The scope `any` is
    /// no ceiling. Only super admins may read or change ceilings. The change is recorded.
    async fn the_ceilings_of_a_company_are_read_and_replaced(api: TestApi) {
        let company = api.company().await;
        let (view, feature) = (api.view_id("/dashboard").await, api.feature_id("general.read").await);
        let risks = api.feature_id("risks.create").await;
        let read = || api.get(&path_of(company.id)).by_super_admin().send();
        let first = read().await.expect(200);
        assert_eq!(first.data(), json!({ "hiddenViews": [], "actions": [] }));
        let tag = first.header("etag").unwrap().to_owned();
        let body = json!({ "hiddenViews": [view], "actions": [action(&feature, json!("own")), action(&risks, json!("any"))] });
        let request = || api.put(&path_of(company.id)).by_super_admin().header("if-match", &tag).json(&body);
        let done = request().send().await.expect(200);
        assert_eq!(done.data()["hiddenViews"], json!([view]));
        assert_eq!(done.data()["actions"], json!([action(&feature, json!("own"))]));
        request().send().await.expect(412);
        let now = read().await.expect(200);
        assert_eq!(now.header("etag"), done.header("etag"));
        assert_eq!(now.data()["actions"], done.data()["actions"]);

        let logs = "/api/iam/audit-logs?action=company.ceilings_updated";
        let logs = api.get(logs).by(company.admin).within(company.id).send().await.expect(200).data();
        let after = json!({ &view: { "hidden": true }, format!("{feature}/Read"): { "maxScope": "own" } });
        assert_eq!(logs["logs"][0]["changes"], json!({ "before": {}, "after": after }));
        for caller in [company.admin, new_user()] {
            api.get(&path_of(company.id)).by(caller).send().await.expect(403);
            api.put(&path_of(company.id)).by(caller).json(&json!({})).send().await.expect(403);
            api.post(&format!("{}/preview", path_of(company.id))).by(caller).json(&json!({})).send().await.expect(403);
        }
    }

    /// A ceiling on a feature of the service itself could leave a company without an administrator, so it is refused.
    /// Unknown views, features and actions are refused too, and nothing is changed.
    async fn ceilings_on_features_of_the_service_are_refused(api: TestApi) {
        let company = api.company().await;
        let (own, view) = (api.feature_id("iam.manage_levels").await, api.view_id("/dashboard").await);
        let feature = api.feature_id("general.read").await;
        let unknown = new_user().to_string();
        let wrong = json!({ "featureId": feature, "action": "Sing", "maxScope": null });
        let actions = [action(&own, json!("own")), action(&unknown, Value::Null), wrong];
        let refused = put(&api, company, json!({ "hiddenViews": [view, unknown], "actions": actions })).await.expect(400);
        let errors = refused.json()["errors"].take();
        let expected = ["hiddenViews[1]", "actions[0].featureId", "actions[1].featureId", "actions[2].action"];
        assert_eq!(each(&errors, "field"), expected);
        assert_eq!(each(&errors, "code"), ["unknown", "protected", "unknown", "unknown"]);
        let stored = api.get(&path_of(company.id)).by_super_admin().send().await.expect(200).data();
        assert_eq!(stored, json!({ "hiddenViews": [], "actions": [] }));
    }

    /// A preview lists the users who would gain or lose permissions, and changes nothing. The decisions before and after
    /// the change differ exactly as previewed.
    async fn a_preview_lists_who_would_gain_and_lose(api: TestApi) {
        let company = api.company().await;
        let (user, view, feature) = reader(&api, company).await;
        let (same, ..) = reader(&api, company).await;
        let preview = async |body: &Value| {
            let path = format!("{}/preview", path_of(company.id));
            api.post(&path).by_super_admin().json(body).send().await.expect(200).data()
        };
        let low = json!({ "hiddenViews": [view], "actions": [action(&feature, json!("own"))] });
        let losses = preview(&low).await["losses"].take();
        let lost = losses["actions"].as_array().unwrap().iter().find(|loss| loss["scopeBefore"] == "company").unwrap();
        assert_eq!(lost["scopeAfter"], "own");
        let loses = |user: UserId| lost["users"].as_array().unwrap().contains(&json!(user));
        assert!(loses(user) && loses(same), "{lost}");
        assert_eq!(lost["userCount"], lost["users"].as_array().unwrap().len());
        assert!(losses["views"][0]["users"].as_array().unwrap().contains(&json!(user)));
        assert_eq!(api.check(company, user, json!({ "view": "/dashboard" })).await["allowed"], true);

        put(&api, company, low.clone()).await.expect(200);
        let none = json!({ "views": [], "actions": [] });
        let unchanged = preview(&low).await;
        assert_eq!((&unchanged["gains"], &unchanged["losses"]), (&none, &none));
        let raised = preview(&json!({ "hiddenViews": [view], "actions": [] })).await;
        assert_eq!(raised["losses"], none);
        assert_eq!(raised["gains"]["views"], json!([]));
        let gains = raised["gains"]["actions"].as_array().unwrap();
        let gained = gains.iter().find(|gain| gain["scopeAfter"] == "company").unwrap();
        assert_eq!((&gained["scopeBefore"], &gained["users"]), (&json!("own"), &lost["users"]));
        let shown = preview(&json!({ "hiddenViews": [], "actions": [action(&feature, json!("own"))] })).await;
        assert_eq!(shown["gains"]["views"][0]["viewId"], json!(view));
        assert_eq!(shown["gains"]["views"][0]["userCount"], losses["views"][0]["userCount"]);
    }

    /// A ceiling on an action that was removed from its feature is not listed, but it is retained. It applies again if the
    /// action is added again, even if the ceilings were replaced in the meantime.
    async fn a_ceiling_on_a_removed_action_is_retained(api: TestApi) {
        let company = api.company().await;
        let feature = api.make("features", None, json!({ "name": "Contracts", "actions": ["Sign"] })).await;
        let feature = feature["id"].as_str().unwrap();
        let cells = json!([{ "featureId": feature, "action": "Sign", "scope": "any" }]);
        let (user, level) = api.holder_of(company, json!([]), cells.clone()).await;
        let sign = json!({ "featureId": feature, "action": "Sign", "maxScope": null });
        put(&api, company, json!({ "hiddenViews": [], "actions": [sign] })).await.expect(200);
        let path = format!("/api/iam/features/{feature}");
        let actions = async |actions: Value| {
            api.patch(&path).by_super_admin().json(&json!({ "actions": actions })).send().await.expect(200);
        };
        actions(json!([])).await;
        let done = put(&api, company, json!({ "hiddenViews": [], "actions": [] })).await.expect(200).data();
        assert_eq!(done["actions"], json!([]));
        actions(json!(["Sign"])).await;
        api.set_matrix(company, &level, "features", cells).await;
        let question = json!({ "feature": feature, "action": "Sign" });
        assert_eq!(api.check(company, user, question).await["reasonCode"], "company_ceiling");
        let stored = api.get(&path_of(company.id)).by_super_admin().send().await.expect(200).data();
        assert_eq!(stored["actions"], json!([sign]));
    }

    /// A preview lists at most 100 users for each permission, those with the smallest ids, and counts all of them.
    async fn a_preview_counts_more_users_than_it_lists(api: TestApi) {
        let company = api.company().await;
        let view = api.make("views", None, json!({ "name": "Salaries", "url": "/salaries" })).await;
        let cells = json!([{ "viewId": view["id"], "state": "allow" }]);
        let (first, level) = api.holder_of(company, cells, json!([])).await;
        let mut users = vec![first.to_string()];
        for _ in 0..100 {
            let user = new_user();
            api.assign(company, user, &[&level]).await;
            users.push(user.to_string());
        }
        users.sort();
        let path = format!("{}/preview", path_of(company.id));
        let body = json!({ "hiddenViews": [view["id"]], "actions": [] });
        let losses = api.post(&path).by_super_admin().json(&body).send().await.expect(200).data()["losses"].take();
        assert_eq!(losses["views"][0]["userCount"], 101);
        assert_eq!(losses["views"][0]["users"], json!(users[..100]));
    }
}
