//! Tests of the caller's menu, through the API.

use iam_domain::UserId;
use serde_json::{Value, json};

use crate::support::api::{Company, TestApi, both_adapters, each, fields, new_company, new_user};

const PATH: &str = "/api/iam/navigation";

async fn navigation(api: &TestApi, company: Company, user: UserId) -> Value {
    api.get(PATH).by(user).within(company.id).send().await.expect(200).data()
}

/// Returns the labels of the menu's items, each with the labels of its sub-items.
fn labels(navigation: &Value) -> Vec<String> {
    let items = navigation["menu"].as_array().unwrap().iter();
    items
        .map(|item| match each(&item["subItems"], "label").as_slice() {
            [] => item["label"].as_str().unwrap().to_owned(),
            subs => format!("{}: {}", item["label"].as_str().unwrap(), subs.join(", ")),
        })
        .collect()
}

/// Deletes the seeded menu, so that the menu contains only the test's items.
async fn clear_menu(api: &TestApi) {
    let data = api.get("/api/iam/menu-items").by_super_admin().send().await.expect(200).data();
    for id in each(&data["menuItems"], "id") {
        api.delete(&format!("/api/iam/menu-items/{id}")).by_super_admin().send().await.expect(200);
    }
}

async fn item(api: &TestApi, body: Value) -> String {
    api.make("menu-items", None, body).await["id"].as_str().unwrap().to_owned()
}

async fn sub_item(api: &TestApi, body: Value) -> String {
    api.make("sub-menu-items", None, body).await["id"].as_str().unwrap().to_owned()
}

both_adapters! {
    /// A menu entry in a response has all its fields. Fields without a value are `null` or an empty list.
    async fn an_entry_has_the_documented_shape(api: TestApi) {
        let company = api.company().await;
        let data = navigation(&api, company, company.admin).await;
        assert_eq!(fields(&data), ["entrypoint", "menu"]);
        assert_eq!(data["entrypoint"], "/dashboard");
        let listed = api.get("/api/iam/menu-items").by_super_admin().send().await.data();
        let subs = api.get("/api/iam/sub-menu-items").by_super_admin().send().await.data();
        let id = |list: &Value, label: &str| {
            list.as_array().unwrap().iter().find(|entry| entry["label"] == label).unwrap()["id"].clone()
        };
        assert_eq!(
            data["menu"][0],
            json!({
                "id": id(&listed["menuItems"], "Dashboard"), "label": "Dashboard", "icon": null,
                "url": "/dashboard", "isEntrypoint": true, "subItems": [],
            })
        );
        let sub = |label: &str| id(&subs["subMenuItems"], label);
        assert_eq!(
            data["menu"][3],
            json!({
                "id": id(&listed["menuItems"], "Administration"), "label": "Administration", "icon": null,
                "url": null, "isEntrypoint": false,
                "subItems": [
                    { "id": sub("User Levels"), "label": "User Levels", "url": "/admin/user-levels" },
                    { "id": sub("Permissions"), "label": "Permissions", "url": "/admin/permissions" },
                ],
            })
        );
    }

    /// The menu contains only entries whose targets the user may access. An item without a visible target is omitted.
    async fn the_menu_contains_only_allowed_entries(api: TestApi) {
        let company = api.company().await;
        let common = ["Dashboard", "Companies", "Users"];
        let admin = labels(&navigation(&api, company, company.admin).await);
        assert_eq!(admin[..3], common);
        // The company has none of the modules that gate the sub-items of the item Modules, so the item and its
        // sub-items are omitted.
        assert_eq!(admin[3..], ["Administration: User Levels, Permissions", "Settings: Subscription"]);
        for user in [company.member, company.visitor] {
            let seen = labels(&navigation(&api, company, user).await);
            assert_eq!(seen[..3], common);
            assert_eq!(seen[3..], ["Settings: Subscription"]);
        }
    }

    /// When a module is enabled for a company, the menu entries for the module's views become visible.
    async fn enabling_a_module_shows_its_entries(api: TestApi) {
        let company = api.company().await;
        let modules = json!({ "moduleIds": [api.module_id("core").await, api.module_id("audit").await] });
        let path = format!("/api/iam/companies/{}/modules", company.id);
        api.put(&path).by_super_admin().json(&modules).send().await.expect(200);
        assert!(labels(&navigation(&api, company, company.member).await).contains(&"Modules: Audit".to_owned()));
    }

    /// The menu of a super admin contains all enabled entries.
    async fn a_super_admin_sees_all(api: TestApi) {
        let company = api.company().await;
        for id in [company.id, new_company()] {
            let data = api.get(PATH).by_super_admin().within(id).send().await.expect(200).data();
            assert_eq!(
                labels(&data),
                [
                    "Dashboard",
                    "Companies",
                    "Users",
                    "Modules: Risks, Compliance, Audit",
                    "Administration: User Levels, Permissions",
                    "Settings: Subscription",
                ]
            );
        }
    }

    /// The menu of a non-member is empty. It does not even contain the entries for public views.
    async fn a_non_member_sees_nothing(api: TestApi) {
        let company = api.company().await;
        let view = json!({ "name": "Imprint", "url": "/imprint", "requiresAuth": false });
        let view = api.make("views", None, view).await;
        item(&api, json!({ "label": "Imprint", "viewId": view["id"] })).await;
        assert!(labels(&navigation(&api, company, company.member).await).contains(&"Imprint".to_owned()));
        assert_eq!(navigation(&api, company, new_user()).await, json!({ "menu": [], "entrypoint": null }));
    }

    /// The entries of a menu are sorted by sort order, label and id.
    async fn entries_are_ordered_by_position(api: TestApi) {
        let company = api.company().await;
        clear_menu(&api).await;
        let view = api.view_id("/dashboard").await;
        let mut twins = Vec::new();
        for (label, order) in [("b", 1), ("a", 1), ("z", -1), ("B", 1), ("twin", 2), ("twin", 2), ("c", 0)] {
            let id = item(&api, json!({ "label": label, "sortOrder": order, "viewId": view })).await;
            if label == "twin" {
                twins.push(id);
            }
        }
        let data = navigation(&api, company, company.member).await;
        assert_eq!(labels(&data), ["z", "c", "B", "a", "b", "twin", "twin"]);
        twins.sort_unstable();
        assert_eq!(each(&data["menu"], "id")[5..], twins);

        let parent = &each(&data["menu"], "id")[0];
        for (label, order) in [("b", 1), ("a", 1), ("z", -1)] {
            let body = json!({ "menuItemId": parent, "label": label, "sortOrder": order, "viewId": view });
            sub_item(&api, body).await;
        }
        assert_eq!(labels(&navigation(&api, company, company.member).await)[0], "z: z, a, b");
    }

    /// An entry is visible only if its view, its feature and all its required permissions are allowed.
    async fn an_entry_is_visible_only_if_all_its_gates_are_open(api: TestApi) {
        let company = api.company().await;
        clear_menu(&api).await;
        let (view, hidden) = (api.view_id("/dashboard").await, api.view_id("/home").await);
        let (read, other) = (api.feature_id("general.read").await, api.feature_id("general.create").await);
        let cells = json!([
            { "featureId": read, "action": "Read", "scope": "own" },
            // An allowed action other than Read does not make an entry visible.
            { "featureId": other, "action": "Create" },
        ]);
        let (user, _) = api.holder_of(company, json!([{ "viewId": view, "state": "allow" }]), cells).await;
        for (order, body) in [
            json!({ "label": "view", "viewId": view }),
            json!({ "label": "no view", "viewId": hidden }),
            json!({ "label": "feature", "viewId": view, "featureId": read }),
            json!({ "label": "no feature", "viewId": view, "featureId": other }),
            json!({ "label": "permission", "viewId": view, "requiredPermissions": ["general.read"] }),
            json!({ "label": "not both", "viewId": view, "requiredPermissions": ["general.read", "general.create"] }),
            json!({ "label": "none required", "viewId": view, "requiredPermissions": [] }),
        ]
        .into_iter()
        .enumerate()
        {
            let mut body = body;
            body["sortOrder"] = json!(order);
            item(&api, body).await;
        }
        let seen = labels(&navigation(&api, company, user).await);
        assert_eq!(seen, ["view", "feature", "permission", "none required"]);
    }

    /// Sub-items have the same visibility conditions as items. They also have an enabled flag.
    async fn sub_items_have_gates_and_a_visibility_switch(api: TestApi) {
        let company = api.company().await;
        clear_menu(&api).await;
        let (view, hidden) = (api.view_id("/dashboard").await, api.view_id("/home").await);
        let (read, other) = (api.feature_id("general.read").await, api.feature_id("general.create").await);
        let cells = json!([{ "featureId": read, "action": "Read" }]);
        let (user, _) = api.holder_of(company, json!([{ "viewId": view, "state": "allow" }]), cells).await;
        let parent = item(&api, json!({ "label": "parent" })).await;
        assert_eq!(
            labels(&navigation(&api, company, user).await),
            [""; 0],
            "an item without a visible target must be omitted"
        );
        let mut off = String::new();
        for (order, body) in [
            json!({ "label": "view", "viewId": view }),
            json!({ "label": "no view", "viewId": hidden }),
            json!({ "label": "feature", "featureId": read }),
            json!({ "label": "no feature", "viewId": view, "featureId": other }),
            json!({ "label": "off", "viewId": view, "enabled": false }),
        ]
        .into_iter()
        .enumerate()
        {
            let mut body = body;
            body["sortOrder"] = json!(order);
            body["menuItemId"] = json!(parent);
            off = sub_item(&api, body).await;
        }
        let data = navigation(&api, company, user).await;
        assert_eq!(labels(&data), ["parent: view, feature"]);
        assert_eq!(data["menu"][0]["subItems"][1]["url"], Value::Null);
        // Disabled sub-items are hidden even from super admins.
        let all = api.get(PATH).by_super_admin().within(company.id).send().await.expect(200).data();
        assert_eq!(labels(&all), ["parent: view, no view, feature, no feature"]);
        let path = format!("/api/iam/sub-menu-items/{off}");
        api.patch(&path).by_super_admin().json(&json!({ "enabled": true })).send().await.expect(200);
        assert_eq!(labels(&navigation(&api, company, user).await), ["parent: view, feature, off"]);
    }

    /// If an item is hidden by its own visibility conditions, its sub-items are hidden too.
    async fn a_hidden_item_hides_its_sub_items(api: TestApi) {
        let company = api.company().await;
        clear_menu(&api).await;
        let (view, hidden) = (api.view_id("/dashboard").await, api.view_id("/home").await);
        let (user, _) = api.holder_of(company, json!([{ "viewId": view, "state": "allow" }]), json!([])).await;
        let parent = item(&api, json!({ "label": "parent", "viewId": hidden })).await;
        sub_item(&api, json!({ "menuItemId": parent, "label": "below", "viewId": view })).await;
        assert_eq!(navigation(&api, company, user).await, json!({ "menu": [], "entrypoint": null }));
    }

    /// The landing page (`entrypoint`) is the url of the first visible item that is an entry point and has a url.
    async fn the_landing_page_is_the_first_entry_point_with_a_url(api: TestApi) {
        let company = api.company().await;
        clear_menu(&api).await;
        let (view, hidden) = (api.view_id("/dashboard").await, api.view_id("/home").await);
        let users = api.view_id("/users").await;
        let views = json!([{ "viewId": view, "state": "allow" }, { "viewId": users, "state": "allow" }]);
        let (user, _) = api.holder_of(company, views, json!([])).await;
        item(&api, json!({ "label": "hidden", "sortOrder": 0, "viewId": hidden, "isEntrypoint": true })).await;
        let parent = item(&api, json!({ "label": "no url", "sortOrder": 1, "isEntrypoint": true })).await;
        sub_item(&api, json!({ "menuItemId": parent, "label": "below", "viewId": view })).await;
        item(&api, json!({ "label": "no entry point", "sortOrder": 2, "viewId": view, "isEntrypoint": false })).await;
        assert_eq!(navigation(&api, company, user).await["entrypoint"], Value::Null);
        // An item is an entry point by default.
        item(&api, json!({ "label": "users", "sortOrder": 3, "viewId": users })).await;
        item(&api, json!({ "label": "later", "sortOrder": 4, "viewId": view })).await;
        assert_eq!(navigation(&api, company, user).await["entrypoint"], "/users");
    }

    /// A company's own items appear only in that company.
    async fn items_of_a_company_are_visible_only_in_this_company(api: TestApi) {
        let (company, other) = (api.company().await, api.company().await);
        let view = api.view_id("/dashboard").await;
        let body = json!({ "label": "Ours", "sortOrder": -1, "viewId": view, "icon": "star" });
        let own = api.make("menu-items", Some(company.id), body).await;
        let sub = json!({ "menuItemId": own["id"], "label": "Below", "viewId": view });
        api.make("sub-menu-items", Some(company.id), sub).await;
        let data = navigation(&api, company, company.member).await;
        assert_eq!(labels(&data)[..2], ["Ours: Below", "Dashboard"]);
        assert_eq!(data["menu"][0]["icon"], "star");
        assert_eq!(labels(&navigation(&api, other, other.member).await)[0], "Dashboard");
    }

    /// The menu may be cached for five minutes, and only by private caches such as the caller's browser.
    async fn the_menu_may_be_cached(api: TestApi) {
        let company = api.company().await;
        let answer = api.get(PATH).by(company.member).within(company.id).send().await.expect(200);
        assert_eq!(answer.header("cache-control"), Some("private, max-age=300"));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert!(answer.header("x-iam-version").is_some());
        let vary = answer.header("vary").unwrap().to_lowercase();
        assert!(vary.contains("authorization") && vary.contains("x-company-id"), "{vary}");
        let tag = answer.etag().to_owned();
        assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() > 10, "{tag}");

        let lists = [tag.clone(), format!("W/{tag}"), format!("\"x\", W/\"y\", {tag}"), "*".to_owned()];
        for known in lists {
            let request = api.get(PATH).by(company.member).within(company.id).header("if-none-match", &known);
            let answer = request.send().await.expect(304);
            assert!(answer.body.is_empty());
            assert_eq!(answer.etag(), tag);
            assert_eq!(answer.header("cache-control"), Some("private, max-age=300"));
            assert_eq!(answer.header("vary").map(str::to_lowercase), Some(vary.clone()));
        }
        for other in ["\"x\"", tag.trim_matches('"'), ""] {
            let request = api.get(PATH).by(company.member).within(company.id).header("if-none-match", other);
            request.send().await.expect(200);
        }
    }

    /// The entity tag of the menu changes if and only if its content changes.
    async fn the_etag_depends_only_on_the_content(api: TestApi) {
        let company = api.company().await;
        let tag = async |user| api.get(PATH).by(user).within(company.id).send().await.expect(200).etag().to_owned();
        let (admin, member) = (tag(company.admin).await, tag(company.member).await);
        assert_ne!(admin, member);
        assert_eq!(member, tag(company.visitor).await, "equal menus must have equal entity tags");
        item(&api, json!({ "label": "New", "viewId": api.view_id("/dashboard").await })).await;
        assert_ne!(member, tag(company.member).await);
    }
}
