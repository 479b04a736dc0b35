//! Tests of the quotas of companies, through the API.

use iam_domain::{CompanyId, QuotaLimits};
use serde_json::{Value, json};

use crate::support::api::{Answer, Company, TestApi, both_adapters, each, new_company, new_user};

const LEVELS: &str = "/api/iam/user-levels";

/// Returns the path of a company's quotas.
fn path_of(company: CompanyId) -> String {
    format!("/api/iam/companies/{company}/quotas")
}

/// Returns the quotas of a company by name.
async fn quotas(api: &TestApi, company: CompanyId) -> Value {
    api.get(&path_of(company)).by_super_admin().send().await.expect(200).data()["quotas"].take()
}

/// Replaces the overrides of a company's quotas.
async fn set(api: &TestApi, company: CompanyId, overrides: Value) -> Answer {
    api.put(&path_of(company)).by_super_admin().json(&overrides).send().await.expect(200)
}

/// Sets the limit of a quota to its current use, plus `more`.
async fn limit_to_use(api: &TestApi, company: CompanyId, quota: &str, more: u64) {
    let used = quotas(api, company).await[quota]["used"].as_u64().unwrap();
    set(api, company, json!({ quota: used + more })).await;
}

/// Asserts that the response rejects a change because of this quota.
fn assert_exceeded(answer: &Answer, quota: &str, limit: u64) {
    let owner = if quota == "levelsPerUser" { "The user has reached the" } else { "The company has reached its" };
    let message = format!("{owner} quota {quota}: {limit}");
    let error =
        json!({ "field": quota, "message": format!("{quota} must be at most {limit}"), "code": "quota_exceeded" });
    assert_eq!(answer.error(), (409, "ERR_QUOTA_001".to_owned(), message));
    assert_eq!(answer.json()["errors"], json!([error]));
}

/// Creates a level as the administrator of the company.
async fn create_level(api: &TestApi, company: Company, body: Value) -> Answer {
    api.post(LEVELS).by(company.admin).within(company.id).json(&body).send().await
}

/// Replaces the levels of a user as a super admin.
async fn hold(api: &TestApi, company: Company, user: iam_domain::UserId, levels: &[&String]) -> Answer {
    let request = api.put(&format!("/api/iam/users/{user}/user-levels")).by_super_admin().within(company.id);
    request.json(&json!({ "userLevelIds": levels })).send().await
}

both_adapters! {
    /// The default quotas come from the settings. A company cannot have more levels than its quota, and a super admin
    /// is not exempt. After a level is deleted, another one can be created.
    async fn a_company_cannot_exceed_its_quota_of_levels(api: TestApi) {
        let company = api.company().await;
        let api = api.with_quotas(QuotaLimits { levels: 4, ..QuotaLimits::default() }).await;
        let made = create_level(&api, company, json!({ "name": "Fourth" })).await.expect(201).data();
        assert_exceeded(&create_level(&api, company, json!({ "name": "Fifth" })).await, "levels", 4);
        let request = api.post(LEVELS).by_super_admin().within(company.id).json(&json!({ "name": "Fifth" }));
        assert_exceeded(&request.send().await, "levels", 4);
        let names = api.get(LEVELS).by(company.admin).within(company.id).send().await.data();
        assert_eq!(each(&names["userLevels"], "name"), ["Admin", "Fourth", "Member", "Visitor"]);
        let path = format!("{LEVELS}/{}", made["userLevel"]["id"].as_str().unwrap());
        api.delete(&path).by(company.admin).within(company.id).send().await.expect(200);
        create_level(&api, company, json!({ "name": "Fifth" })).await.expect(201);
        // The quota of another company is counted separately.
        let other = api.company().await;
        create_level(&api, other, json!({ "name": "Fourth" })).await.expect(201);
    }

    /// If the quotas of a company are lower than their use, every reduction and every change that does not increase a
    /// quantity succeeds.
    async fn a_company_above_its_quotas_can_reduce_its_use(api: TestApi) {
        let company = api.company().await;
        let view = api.view_id("/dashboard").await;
        let cells = json!([{ "viewId": view, "state": "allow" }]);
        let (user, level) = api.holder_of(company, cells, json!([])).await;
        let item = api.make("menu-items", Some(company.id), json!({ "label": "Item" })).await;
        let key = json!({ "name": "Key", "role": "check", "companyId": company.id });
        let key = api.post("/api/iam/api-keys").by_super_admin().json(&key).send().await.expect(201).data();
        let member = api.level_id(company, "Member").await;
        hold(&api, company, user, &[&level, &member]).await.expect(200);
        let least = json!({
            "levels": 1, "levelSets": 1, "menuItems": 1, "permissionCells": 1, "apiKeys": 1, "textBytes": 1,
            "levelsPerUser": 1,
        });
        set(&api, company.id, least).await;

        let path = format!("{LEVELS}/{level}");
        let patch = |body: Value| api.patch(&path).by(company.admin).within(company.id).json(&body).send();
        assert_exceeded(&patch(json!({ "description": "A longer text" })).await, "textBytes", 1);
        patch(json!({ "name": "Short" })).await.expect(200);
        patch(json!({ "name": "Shorn" })).await.expect(200);
        let matrix = format!("{path}/permissions/views");
        let put = |cells: Value| {
            api.put(&matrix).by_super_admin().within(company.id).json(&json!({ "views": cells })).send()
        };
        let other_view = api.view_id("/home").await;
        put(json!([{ "viewId": other_view, "state": "deny" }])).await.expect(200);
        put(json!([])).await.expect(200);
        assert_exceeded(&put(json!([{ "viewId": view, "state": "allow" }])).await, "permissionCells", 1);
        hold(&api, company, user, &[&level]).await.expect(200);
        hold(&api, company, user, &[&member]).await.expect(200);
        assert_exceeded(&hold(&api, company, user, &[&level, &member]).await, "levelsPerUser", 1);
        hold(&api, company, user, &[]).await.expect(200);
        api.delete(&path).by(company.admin).within(company.id).send().await.expect(200);
        let path = format!("/api/iam/menu-items/{}", item["id"].as_str().unwrap());
        let label = json!({ "label": "Same" });
        api.patch(&path).by_super_admin().within(company.id).json(&label).send().await.expect(200);
        api.delete(&path).by_super_admin().within(company.id).send().await.expect(200);
        let path = format!("/api/iam/api-keys/{}", key["apiKey"]["id"].as_str().unwrap());
        api.delete(&path).by_super_admin().send().await.expect(200);
        let modules = json!({ "moduleIds": [] });
        let path = format!("/api/iam/companies/{}/modules", company.id);
        api.put(&path).by_super_admin().json(&modules).send().await.expect(200);
        let cut_off = format!("/api/iam/users/{user}/not-before");
        api.put(&cut_off).by_super_admin().json(&json!({})).send().await.expect(200);
    }

    /// The quota of permission cells applies to the view cells and the feature cells of all levels together.
    async fn the_cells_of_all_matrices_are_limited(api: TestApi) {
        let company = api.company().await;
        let (one, other) = (api.new_level(company, "One").await, api.new_level(company, "Other").await);
        limit_to_use(&api, company.id, "permissionCells", 2).await;
        let limit = quotas(&api, company.id).await["permissionCells"]["limit"].as_u64().unwrap();
        let (view, feature) = (api.view_id("/dashboard").await, api.feature_id("general.read").await);
        let put = async |level: &str, matrix: &str, cells: Value| {
            let path = format!("{LEVELS}/{level}/permissions/{matrix}");
            let request = api.put(&path).by_super_admin().within(company.id);
            request.json(&json!({ matrix: cells })).send().await
        };
        put(&one, "views", json!([{ "viewId": view, "state": "allow" }])).await.expect(200);
        let cells = json!([{ "featureId": feature, "action": "Read" }, { "featureId": feature, "action": "Update" }]);
        assert_exceeded(&put(&other, "features", cells.clone()).await, "permissionCells", limit);
        put(&other, "features", json!([cells[0]])).await.expect(200);
        put(&other, "features", json!([cells[1]])).await.expect(200);
        put(&one, "views", json!([])).await.expect(200);
        put(&other, "features", cells).await.expect(200);
    }

    /// The quota of text bytes applies to the names and descriptions of levels, and to the labels of menu items and
    /// sub-items, in bytes.
    async fn the_bytes_of_texts_are_limited(api: TestApi) {
        let company = api.company().await;
        limit_to_use(&api, company.id, "textBytes", 10).await;
        let limit = quotas(&api, company.id).await["textBytes"]["limit"].as_u64().unwrap();
        let umlauts = json!({ "name": "1234", "description": "äöüß" });
        assert_exceeded(&create_level(&api, company, umlauts).await, "textBytes", limit);
        create_level(&api, company, json!({ "name": "1234", "description": "äö" })).await.expect(201);
        let make = async |collection: &str, body: Value| {
            api.post(&format!("/api/iam/{collection}")).by_super_admin().within(company.id).json(&body).send().await
        };
        assert_exceeded(&make("menu-items", json!({ "label": "123" })).await, "textBytes", limit);
        let item = make("menu-items", json!({ "label": "1" })).await.expect(201).data()["menuItem"]["id"].take();
        let sub = |label: &str| json!({ "label": label, "menuItemId": item });
        assert_exceeded(&make("sub-menu-items", sub("12")).await, "textBytes", limit);
        make("sub-menu-items", sub("1")).await.expect(201);
        assert_exceeded(&create_level(&api, company, json!({ "name": "5" })).await, "textBytes", limit);
        // The common menu belongs to no company.
        api.make("menu-items", None, json!({ "label": "A long label of the common menu" })).await;
    }

    /// The quota of menu items applies to the items and sub-items of the company together.
    async fn menu_items_are_limited(api: TestApi) {
        let company = api.company().await;
        set(&api, company.id, json!({ "menuItems": 2 })).await;
        let item = api.make("menu-items", Some(company.id), json!({ "label": "Item" })).await;
        let sub = json!({ "label": "Sub", "menuItemId": item["id"] });
        let made = api.make("sub-menu-items", Some(company.id), sub.clone()).await;
        for (collection, body) in [("sub-menu-items", &sub), ("menu-items", &json!({ "label": "Another" }))] {
            let request = api.post(&format!("/api/iam/{collection}")).by_super_admin().within(company.id);
            assert_exceeded(&request.json(body).send().await, "menuItems", 2);
        }
        let path = format!("/api/iam/sub-menu-items/{}", made["id"].as_str().unwrap());
        api.delete(&path).by_super_admin().within(company.id).send().await.expect(200);
        api.make("menu-items", Some(company.id), json!({ "label": "Another" })).await;
    }

    /// The quota of API keys applies to the keys of the company that are not revoked.
    async fn api_keys_are_limited(api: TestApi) {
        let company = api.company().await;
        set(&api, company.id, json!({ "apiKeys": 1 })).await;
        let create = async |company: Option<CompanyId>| {
            let mut body = json!({ "name": "Key", "role": "check" });
            if let Some(company) = company {
                body["companyId"] = json!(company);
            }
            api.post("/api/iam/api-keys").by_super_admin().json(&body).send().await
        };
        let key = create(Some(company.id)).await.expect(201).data()["apiKey"]["id"].take();
        assert_exceeded(&create(Some(company.id)).await, "apiKeys", 1);
        create(None).await.expect(201);
        create(Some(new_company())).await.expect(201);
        let path = format!("/api/iam/api-keys/{}", key.as_str().unwrap());
        api.delete(&path).by_super_admin().send().await.expect(200);
        create(Some(company.id)).await.expect(201);
    }

    /// A user cannot hold more levels of a company than the quota. A user who holds more levels can hold fewer levels,
    /// or as many other levels.
    async fn the_levels_of_a_user_are_limited(api: TestApi) {
        let company = api.company().await;
        let [one, two, three] = ["One", "Two", "Three"].map(|name| api.new_level(company, name));
        let (one, two, three) = (one.await, two.await, three.await);
        let user = new_user();
        hold(&api, company, user, &[&one, &two]).await.expect(200);
        set(&api, company.id, json!({ "levelsPerUser": 1 })).await;
        assert_eq!(quotas(&api, company.id).await["levelsPerUser"]["used"], 2);
        assert_exceeded(&hold(&api, company, user, &[&one, &two, &three]).await, "levelsPerUser", 1);
        hold(&api, company, user, &[&one, &three]).await.expect(200);
        hold(&api, company, user, &[&two]).await.expect(200);
        assert_exceeded(&hold(&api, company, user, &[&one, &two]).await, "levelsPerUser", 1);
        hold(&api, company, user, &[&three]).await.expect(200);
        hold(&api, company, user, &[]).await.expect(200);
    }

    /// The users of a company cannot hold more distinct sets of two or more levels than the quota. Sets of one level,
    /// and changes after which there are not more sets than before, are always permitted.
    async fn the_sets_of_levels_are_limited(api: TestApi) {
        let company = api.company().await;
        let [one, two, three] = ["One", "Two", "Three"].map(|name| api.new_level(company, name));
        let (one, two, three) = (one.await, two.await, three.await);
        let (a, b, c) = (new_user(), new_user(), new_user());
        set(&api, company.id, json!({ "levelSets": 1 })).await;
        hold(&api, company, a, &[&one, &two]).await.expect(200);
        hold(&api, company, b, &[&one, &two]).await.expect(200);
        assert_exceeded(&hold(&api, company, c, &[&one, &three]).await, "levelSets", 1);
        hold(&api, company, c, &[&three]).await.expect(200);
        assert_exceeded(&hold(&api, company, b, &[&one, &three]).await, "levelSets", 1);
        hold(&api, company, b, &[&one]).await.expect(200);
        // The only set is replaced by another set.
        hold(&api, company, a, &[&one, &three]).await.expect(200);
        assert_eq!(quotas(&api, company.id).await["levelSets"]["used"], 1);
        assert_exceeded(&hold(&api, company, b, &[&one, &two]).await, "levelSets", 1);
        hold(&api, company, b, &[&one, &three]).await.expect(200);
    }

    /// Provisioning fits in the default quotas. It obeys the quotas of the company: if they are too low, nothing is
    /// provisioned.
    async fn provisioning_obeys_the_quotas(api: TestApi) {
        let company = new_company();
        let provision = format!("/api/iam/companies/{company}/provision");
        let admin = json!({ "adminUserId": new_user() });
        set(&api, company, json!({ "levels": 2 })).await;
        assert_exceeded(&api.post(&provision).by_super_admin().json(&admin).send().await, "levels", 2);
        set(&api, company, json!({ "permissionCells": 5 })).await;
        assert_exceeded(&api.post(&provision).by_super_admin().json(&admin).send().await, "permissionCells", 5);
        assert!(quotas(&api, company).await.as_object().unwrap().values().all(|quota| quota["used"] == 0));
        set(&api, company, json!({})).await;
        api.post(&provision).by_super_admin().json(&admin).send().await.expect(201);
        assert_eq!(quotas(&api, company).await["levels"]["used"], 3);
    }

    /// The response contains the limit, the override and the use of each quota. `PUT` replaces all overrides, and
    /// `If-Match` is compared with the entity tag of the overrides. The limit 0 means unlimited.
    async fn the_quotas_of_a_company_are_read_and_replaced(api: TestApi) {
        let company = api.company().await;
        let read = || api.get(&path_of(company.id)).by_super_admin().send();
        let first = read().await.expect(200);
        let tag = first.header("etag").unwrap().to_owned();
        let data = first.data()["quotas"].take();
        assert_eq!(data["levels"], json!({ "limit": 1000, "override": null, "used": 3 }));
        let defaults = [
            ("apiKeys", 100), ("levelSets", 5000), ("levels", 1000), ("levelsPerUser", 100), ("menuItems", 500),
            ("permissionCells", 200_000), ("textBytes", 4_194_304),
        ];
        let limits: Vec<_> =
            data.as_object().unwrap().iter().map(|(name, quota)| (name.as_str(), quota["limit"].as_u64().unwrap())).collect();
        assert_eq!(limits, defaults);
        // Another use of the quotas does not change the entity tag.
        api.new_level(company, "Another").await;
        assert_eq!(read().await.header("etag").unwrap(), tag);

        let put = async |tag: &str, body: Value| {
            api.put(&path_of(company.id)).by_super_admin().header("if-match", tag).json(&body).send().await
        };
        let done = put(&tag, json!({ "levels": 4, "apiKeys": 0 })).await.expect(200);
        assert_ne!(done.header("etag").unwrap(), tag);
        assert_eq!(done.data()["quotas"]["levels"], json!({ "limit": 4, "override": 4, "used": 4 }));
        put(&tag, json!({ "levels": 5 })).await.expect(412);
        assert_eq!(read().await.data(), json!({ "quotas": done.data()["quotas"] }));
        api.api_key("check", Some(company.id)).await;
        assert_exceeded(&create_level(&api, company, json!({ "name": "More" })).await, "levels", 4);
        let done = put(done.header("etag").unwrap(), json!({ "levels": null, "menuItems": 7 })).await.expect(200).data();
        assert_eq!(done["quotas"]["levels"], json!({ "limit": 1000, "override": null, "used": 4 }));
        assert_eq!(done["quotas"]["apiKeys"], json!({ "limit": 100, "override": null, "used": 1 }));
        create_level(&api, company, json!({ "name": "More" })).await.expect(201);
        let logs = "/api/iam/audit-logs?action=company.quotas_updated";
        let logs = api.get(logs).by(company.admin).within(company.id).send().await.expect(200).data();
        let changes = json!({ "before": { "levels": 4, "apiKeys": 0 }, "after": { "menuItems": 7 } });
        assert_eq!(logs["logs"][0]["changes"], changes);
        for caller in [company.admin, new_user()] {
            api.get(&path_of(company.id)).by(caller).send().await.expect(403);
            api.put(&path_of(company.id)).by(caller).json(&json!({})).send().await.expect(403);
        }
    }
}
