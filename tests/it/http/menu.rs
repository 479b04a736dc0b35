//! Tests of menu items and sub-items, through the API.

use iam_domain::CompanyId;
use serde_json::{Value, json};

use crate::support::api::{Request, TestApi, both_adapters, each, fields, is_time, new_company};

/// Adds the super admin's token to the request. If `owner` is a company, also adds this company.
fn of(request: Request, owner: Option<CompanyId>) -> Request {
    let request = request.by_super_admin();
    if let Some(company) = owner { request.within(company) } else { request }
}

fn path_of(collection: &str, made: &Value) -> String {
    format!("/api/iam/{collection}/{}", made["id"].as_str().unwrap())
}

async fn list(api: &TestApi, collection: &str, owner: Option<CompanyId>) -> Value {
    let data = of(api.get(&format!("/api/iam/{collection}")), owner).send().await.expect(200).data();
    data.as_object().unwrap().values().next().unwrap().clone()
}

both_adapters! {
    /// A menu item in a response has all its fields. `companyId` is `null` for common items.
    async fn a_menu_item_has_the_documented_shape(api: TestApi) {
        let company = api.company().await;
        let least = api.make("menu-items", None, json!({ "label": "Reports" })).await;
        let names = ["companyId", "createdAt", "id", "isEntrypoint", "label", "priority", "sortOrder", "updatedAt"];
        assert_eq!(fields(&least), names);
        assert_eq!(least["companyId"], Value::Null);
        assert_eq!((&least["priority"], &least["sortOrder"]), (&json!("standard"), &json!(0)));
        assert_eq!(least["isEntrypoint"], true);
        assert!(is_time(&least["createdAt"]) && is_time(&least["updatedAt"]));

        let body = json!({
            "label": "Reports", "icon": "list", "priority": "premium", "requiredPermissions": ["general.read"],
            "sortOrder": -7, "viewId": api.view_id("/home").await, "featureId": api.feature_id("general.read").await,
            "isEntrypoint": false,
        });
        let answer = of(api.post("/api/iam/menu-items"), Some(company.id)).json(&body).send().await.expect(201);
        assert_eq!(fields(&answer.data()), ["menuItem"]);
        let most = answer.data()["menuItem"].clone();
        assert_eq!(fields(&most).len(), 12);
        assert_eq!(most["companyId"], company.id.to_string());
        for (name, value) in body.as_object().unwrap() {
            assert_eq!(most[name], *value, "{name}");
        }
        let got = of(api.get(&path_of("menu-items", &most)), Some(company.id)).send().await.expect(200);
        assert_eq!(got.data(), json!({ "menuItem": most }));
    }

    /// A sub-item in a response has all its fields.
    async fn a_sub_item_has_the_documented_shape(api: TestApi) {
        let item = api.make("menu-items", None, json!({ "label": "Reports" })).await;
        let body = json!({ "menuItemId": item["id"], "label": "Below" });
        let least = api.make("sub-menu-items", None, body).await;
        assert_eq!(fields(&least), ["createdAt", "enabled", "id", "label", "menuItemId", "sortOrder", "updatedAt"]);
        assert_eq!((&least["enabled"], &least["sortOrder"]), (&json!(true), &json!(0)));

        let body = json!({
            "menuItemId": item["id"], "label": "Below", "viewId": api.view_id("/home").await,
            "featureId": api.feature_id("general.read").await, "icon": "list", "sortOrder": 3, "enabled": false,
        });
        let answer = of(api.post("/api/iam/sub-menu-items"), None).json(&body).send().await.expect(201);
        assert_eq!(fields(&answer.data()), ["subMenuItem"]);
        let most = answer.data()["subMenuItem"].clone();
        assert_eq!(fields(&most).len(), 10);
        for (name, value) in body.as_object().unwrap() {
            assert_eq!(most[name], *value, "{name}");
        }
        let got = of(api.get(&path_of("sub-menu-items", &most)), None).send().await.expect(200);
        assert_eq!(got.data(), json!({ "subMenuItem": most }));
    }

    /// A list contains the common items and the items of the request's company. It is sorted by sort order, label and
    /// id.
    async fn lists_contain_the_common_items_and_those_of_the_company(api: TestApi) {
        let (company, other) = (api.company().await, api.company().await);
        for label in ["b", "B"] {
            let item = api.make("menu-items", Some(company.id), json!({ "label": label, "sortOrder": -1 })).await;
            let body = json!({ "menuItemId": item["id"], "label": label, "sortOrder": -1 });
            api.make("sub-menu-items", Some(company.id), body).await;
        }
        let path = "/api/iam/menu-items";
        let data = of(api.get(path), None).send().await.expect(200).data();
        assert_eq!(fields(&data), ["menuItems"]);
        let common = ["Dashboard", "Companies", "Users", "Modules", "Administration", "Settings"];
        for owner in [None, Some(other.id)] {
            assert_eq!(each(&list(&api, "menu-items", owner).await, "label"), common);
            assert_eq!(list(&api, "sub-menu-items", owner).await.as_array().unwrap().len(), 6);
        }
        let own = list(&api, "menu-items", Some(company.id)).await;
        assert_eq!(each(&own, "label")[..2], ["B", "b"]);
        assert_eq!(each(&own, "label")[2..], common);
        let subs = list(&api, "sub-menu-items", Some(company.id)).await;
        assert_eq!(each(&subs, "label")[..2], ["B", "b"]);
        assert_eq!(subs.as_array().unwrap().len(), 8);
        // Users who may read the company's IAM data receive the same list.
        let seen = api.get(path).by(company.admin).within(company.id).send().await.expect(200).data();
        assert_eq!(seen["menuItems"], own);
    }

    /// An update to an item leaves omitted fields unchanged. The value `null` clears an optional field.
    async fn null_clears_optional_fields_of_an_item(api: TestApi) {
        let body = json!({
            "label": "A", "icon": "i", "requiredPermissions": ["general.read"], "sortOrder": 7,
            "viewId": api.view_id("/home").await, "featureId": api.feature_id("general.read").await,
            "isEntrypoint": false, "priority": "optional",
        });
        let made = api.make("menu-items", None, body).await;
        let path = path_of("menu-items", &made);
        let change = |body: Value| of(api.patch(&path), None).json(&body).send();
        let changed = change(json!({ "label": "B", "sortOrder": 8 })).await.expect(200).data()["menuItem"].clone();
        let mut expected = made.clone();
        expected["label"] = json!("B");
        expected["sortOrder"] = json!(8);
        expected["updatedAt"] = changed["updatedAt"].clone();
        assert_eq!(changed, expected);
        let nothing = json!({ "icon": null, "requiredPermissions": null, "viewId": null, "featureId": null });
        let changed = change(nothing).await.expect(200).data()["menuItem"].clone();
        for gone in ["icon", "requiredPermissions", "viewId", "featureId"] {
            assert!(expected.as_object_mut().unwrap().remove(gone).is_some());
        }
        expected["updatedAt"] = changed["updatedAt"].clone();
        assert_eq!(changed, expected);
        let rest = json!({ "isEntrypoint": true, "priority": "premium", "requiredPermissions": [] });
        let changed = change(rest).await.expect(200).data()["menuItem"].clone();
        assert_eq!((&changed["isEntrypoint"], &changed["priority"]), (&json!(true), &json!("premium")));
        assert_eq!(changed["requiredPermissions"], json!([]));
        for field in ["label", "sortOrder", "priority", "isEntrypoint"] {
            assert_eq!(change(json!({ field: null })).await.status, 400, "{field}");
        }
    }

    /// An update to a sub-item leaves omitted fields unchanged, and can move the sub-item to another item. The value
    /// `null` clears an optional field.
    async fn null_clears_optional_fields_of_a_sub_item(api: TestApi) {
        let (one, other) = (
            api.make("menu-items", None, json!({ "label": "One" })).await,
            api.make("menu-items", None, json!({ "label": "Other" })).await,
        );
        let body = json!({
            "menuItemId": one["id"], "label": "A", "icon": "i", "viewId": api.view_id("/home").await,
            "featureId": api.feature_id("general.read").await,
        });
        let path = path_of("sub-menu-items", &api.make("sub-menu-items", None, body).await);
        let change = |body: Value| of(api.patch(&path), None).json(&body).send();
        let moved = json!({ "menuItemId": other["id"], "icon": null, "viewId": null, "enabled": false });
        let changed = change(moved).await.expect(200).data()["subMenuItem"].clone();
        assert_eq!(changed["menuItemId"], other["id"]);
        assert_eq!(changed["label"], "A");
        assert_eq!(changed["enabled"], false);
        assert!(changed.get("icon").is_none() && changed.get("viewId").is_none());
        assert!(changed.get("featureId").is_some());
        let unknown = new_company();
        let error = change(json!({ "menuItemId": unknown })).await.error();
        let message = format!("menuItemId refers to an unknown menu: {unknown}");
        assert_eq!(error, (400, "ERR_VALIDATION_001".into(), message));
        for field in ["menuItemId", "label", "sortOrder", "enabled"] {
            assert_eq!(change(json!({ field: null })).await.status, 400, "{field}");
        }
    }

    /// The entities to which menu items and sub-items refer must exist. An item refers to a view and to features, and a
    /// sub-item also refers to its item.
    async fn references_must_exist(api: TestApi) {
        let unknown = new_company();
        for (body, message) in [
            (json!({ "viewId": unknown }), format!("viewId refers to an unknown view: {unknown}")),
            (json!({ "featureId": unknown }), format!("featureId refers to an unknown feature: {unknown}")),
            (
                json!({ "requiredPermissions": ["general.read", "nothing"] }),
                "requiredPermissions[1] refers to an unknown feature: nothing".to_owned(),
            ),
        ] {
            let mut body = body;
            body["label"] = json!("Reports");
            let answer = of(api.post("/api/iam/menu-items"), None).json(&body).send().await;
            assert_eq!(answer.error(), (400, "ERR_VALIDATION_001".into(), message));
        }
        let body = json!({ "label": "Below", "menuItemId": unknown });
        let answer = of(api.post("/api/iam/sub-menu-items"), None).json(&body).send().await;
        let message = format!("menuItemId refers to an unknown menu: {unknown}");
        assert_eq!(answer.error(), (400, "ERR_VALIDATION_001".into(), message));
    }

    /// Deleting a menu item also deletes its sub-items.
    async fn deleting_an_item_deletes_its_sub_items(api: TestApi) {
        let item = api.make("menu-items", None, json!({ "label": "Reports" })).await;
        let mut subs = Vec::new();
        for label in ["One", "Two"] {
            subs.push(api.make("sub-menu-items", None, json!({ "menuItemId": item["id"], "label": label })).await);
        }
        let path = path_of("sub-menu-items", &subs[0]);
        let answer = of(api.delete(&path), None).send().await.expect(200);
        assert_eq!(answer.data(), json!({ "message": "Sub menu item deleted successfully" }));
        let gone = (404, "ERR_RESOURCE_001".to_owned(), "Sub menu item not found".to_owned());
        assert_eq!(of(api.get(&path), None).send().await.error(), gone);
        let answer = of(api.delete(&path_of("menu-items", &item)), None).send().await.expect(200);
        assert_eq!(answer.data(), json!({ "message": "Menu item deleted successfully" }));
        assert_eq!(of(api.get(&path_of("sub-menu-items", &subs[1])), None).send().await.error(), gone);
    }

    /// A company's own items can be read and changed only in requests that specify this company. All other requests for
    /// these items return 404.
    async fn only_the_owning_company_can_read_and_change_an_item(api: TestApi) {
        let (company, other) = (api.company().await, api.company().await);
        let own = api.make("menu-items", Some(company.id), json!({ "label": "Ours" })).await;
        let below = json!({ "menuItemId": own["id"], "label": "Below" });
        let sub = api.make("sub-menu-items", Some(company.id), below.clone()).await;
        let change = json!({ "label": "Theirs" });
        for owner in [None, Some(other.id)] {
            for (path, what) in
                [(path_of("menu-items", &own), "Menu item"), (path_of("sub-menu-items", &sub), "Sub menu item")]
            {
                let not_found = (404, "ERR_RESOURCE_001".to_owned(), format!("{what} not found"));
                for request in [api.get(&path), api.patch(&path).json(&change), api.delete(&path)] {
                    assert_eq!(of(request, owner).send().await.error(), not_found);
                }
            }
            let answer = of(api.post("/api/iam/sub-menu-items"), owner).json(&below).send().await;
            assert_eq!(answer.error().0, 400, "a sub-item must have the same owner as its item");
        }
        assert_eq!(list(&api, "sub-menu-items", Some(company.id)).await.as_array().unwrap().len(), 7);
    }

    /// Common items are visible in every company. They can be changed only in requests that specify no company.
    async fn common_items_are_changed_without_a_company(api: TestApi) {
        let company = api.company().await;
        let common = api.make("menu-items", None, json!({ "label": "Ours" })).await;
        let path = path_of("menu-items", &common);
        assert_eq!(of(api.get(&path), Some(company.id)).send().await.expect(200).data()["menuItem"], common);
        api.get(&path).by(company.admin).within(company.id).send().await.expect(200);
        let change = json!({ "label": "Mine" });
        for request in [api.patch(&path).json(&change), api.delete(&path)] {
            let error = of(request, Some(company.id)).send().await.error();
            assert_eq!(error, (404, "ERR_RESOURCE_001".into(), "Menu item not found".into()));
        }
        of(api.patch(&path).json(&change), None).send().await.expect(200);
    }
}
