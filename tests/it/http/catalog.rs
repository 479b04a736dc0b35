//! Tests of views, features, modules and their mappings, through the API.

use serde_json::{Value, json};

use crate::support::api::{Answer, TestApi, both_adapters, each, fields, is_time, new_company};

async fn patch(api: &TestApi, path: &str, body: Value) -> Answer {
    api.patch(path).by_super_admin().json(&body).send().await
}

/// Returns the API path of a created entity.
fn path_of(collection: &str, made: &Value) -> String {
    format!("/api/iam/{collection}/{}", made["id"].as_str().unwrap())
}

fn not_found(what: &str) -> (u16, String, String) {
    (404, "ERR_RESOURCE_001".to_owned(), format!("{what} not found"))
}

fn conflict(message: &str) -> (u16, String, String) {
    (409, "ERR_RESOURCE_002".to_owned(), message.to_owned())
}

/// Asserts that an entity has an id and valid timestamps, and returns the entity without these fields.
fn content(mut made: Value) -> Value {
    for time in ["createdAt", "updatedAt"] {
        assert!(is_time(&made[time]));
        made.as_object_mut().unwrap().remove(time);
    }
    assert_eq!(made["id"].as_str().unwrap().len(), 36);
    made.as_object_mut().unwrap().remove("id");
    made
}

both_adapters! {
    /// A view in a response has all its fields. Optional fields without a value are omitted.
    async fn a_view_has_the_documented_shape(api: TestApi) {
        let least = json!({ "name": "Reports", "url": "/reports" });
        let answer = api.post("/api/iam/views").by_super_admin().json(&least).send().await.expect(201);
        assert_eq!(fields(&answer.data()), ["view"]);
        let made = answer.data()["view"].clone();
        assert_eq!(content(made.clone()), json!({ "name": "Reports", "url": "/reports", "requiresAuth": true }));
        let most = json!({
            "name": "All reports", "url": "/reports/:id/", "category": "general", "description": "Lists",
            "icon": "list", "requiresAuth": false,
        });
        let full = api.make("views", None, most.clone()).await;
        assert_eq!(content(full.clone()), most);
        for made in [made, full] {
            let got = api.get(&path_of("views", &made)).by_super_admin().send().await.expect(200);
            assert_eq!(got.data(), json!({ "view": made }));
        }
    }

    /// A feature in a response has all its fields. Optional fields without a value are omitted.
    async fn a_feature_has_the_documented_shape(api: TestApi) {
        let least = json!({ "name": "Reports" });
        let answer = api.post("/api/iam/features").by_super_admin().json(&least).send().await.expect(201);
        assert_eq!(fields(&answer.data()), ["feature"]);
        let made = answer.data()["feature"].clone();
        assert_eq!(content(made.clone()), json!({ "name": "Reports", "enabled": true }));
        let most = json!({
            "key": "reports", "name": "Reports", "description": "Signs", "resourceType": "report",
            "actions": ["Sign", "Burn"], "category": "general", "enabled": false,
        });
        let full = api.make("features", None, most.clone()).await;
        assert_eq!(content(full.clone()), most);
        for made in [made, full] {
            let got = api.get(&path_of("features", &made)).by_super_admin().send().await.expect(200);
            assert_eq!(got.data(), json!({ "feature": made }));
        }
    }

    /// A module in a response has all its fields. Optional fields without a value are omitted.
    async fn a_module_has_the_documented_shape(api: TestApi) {
        let least = json!({ "code": "reports", "name": "Reports" });
        let answer = api.post("/api/iam/modules").by_super_admin().json(&least).send().await.expect(201);
        assert_eq!(fields(&answer.data()), ["module"]);
        let made = answer.data()["module"].clone();
        let expected = json!({ "code": "reports", "name": "Reports", "enabled": true, "priority": "standard" });
        assert_eq!(content(made.clone()), expected);
        let most = json!({
            "code": "more", "name": "More", "description": "Reports", "icon": "list", "enabled": false,
            "priority": "premium",
        });
        let full = api.make("modules", None, most.clone()).await;
        assert_eq!(content(full.clone()), most);
        for made in [made, full] {
            let got = api.get(&path_of("modules", &made)).by_super_admin().send().await.expect(200);
            assert_eq!(got.data(), json!({ "module": made }));
        }
    }

    /// Lists contain the seeded and the created entities: views sorted by url, features by key, and modules by name.
    async fn lists_are_sorted(api: TestApi) {
        let company = api.company().await;
        api.make("views", None, json!({ "name": "A", "url": "/Zzz" })).await;
        api.make("features", None, json!({ "name": "B" })).await;
        api.make("features", None, json!({ "key": "zzz", "name": "A" })).await;
        api.make("features", None, json!({ "key": "Zzz", "name": "C" })).await;
        api.make("modules", None, json!({ "code": "a", "name": "Zzz" })).await;
        let list = async |kind: &str| {
            let path = format!("/api/iam/{kind}");
            let data = api.get(&path).by(company.admin).within(company.id).send().await.expect(200).data();
            assert_eq!(fields(&data), [kind]);
            data[kind].clone()
        };
        let views = list("views").await;
        let urls = each(&views, "url");
        assert_eq!(urls.len(), 15);
        assert!(urls.is_sorted());
        assert_eq!(urls[0], "/Zzz", "capital letters must sort before lower-case letters");
        let features = list("features").await;
        let keys: Vec<_> = features.as_array().unwrap().iter().map(|feature| feature["key"].as_str()).collect();
        assert_eq!(keys.len(), 22);
        assert_eq!((keys[0], keys[20], keys[21]), (Some("Zzz"), Some("zzz"), None));
        assert!(keys[..21].is_sorted());
        assert_eq!(each(&list("modules").await, "name"), ["Audit", "Compliance", "Core", "Risks", "Zzz"]);
    }

    /// A change to a view leaves omitted fields unchanged. The value `null` clears an optional field and is rejected
    /// for a required field.
    async fn null_clears_optional_fields_of_a_view(api: TestApi) {
        let body = json!({ "name": "A", "url": "/a", "category": "c", "description": "d", "icon": "i" });
        let path = path_of("views", &api.make("views", None, body).await);
        let changed = patch(&api, &path, json!({ "name": "B", "category": null })).await.expect(200).data();
        assert_eq!(
            content(changed["view"].clone()),
            json!({ "name": "B", "url": "/a", "description": "d", "icon": "i", "requiresAuth": true })
        );
        let rest = json!({ "url": "/b", "description": null, "icon": null, "requiresAuth": false });
        let changed = patch(&api, &path, rest).await.expect(200).data();
        assert_eq!(content(changed["view"].clone()), json!({ "name": "B", "url": "/b", "requiresAuth": false }));
        assert_eq!(api.get(&path).by_super_admin().send().await.data(), changed);
        for field in ["name", "url", "requiresAuth"] {
            assert_eq!(patch(&api, &path, json!({ field: null })).await.status, 400, "{field}");
        }
    }

    /// A change to a feature leaves omitted fields unchanged. The value `null` clears an optional field and is rejected
    /// for a required field.
    async fn null_clears_optional_fields_of_a_feature(api: TestApi) {
        let body = json!({
            "key": "k", "name": "A", "description": "d", "resourceType": "r", "actions": ["Sign"], "category": "c",
        });
        let path = path_of("features", &api.make("features", None, body).await);
        let changed = patch(&api, &path, json!({ "name": "B", "enabled": false })).await.expect(200).data();
        assert_eq!(
            content(changed["feature"].clone()),
            json!({
                "key": "k", "name": "B", "description": "d", "resourceType": "r", "actions": ["Sign"], "category": "c",
                "enabled": false,
            })
        );
        let nothing =
            json!({ "key": null, "description": null, "resourceType": null, "actions": null, "category": null });
        let changed = patch(&api, &path, nothing).await.expect(200).data();
        assert_eq!(content(changed["feature"].clone()), json!({ "name": "B", "enabled": false }));
        for field in ["name", "enabled"] {
            assert_eq!(patch(&api, &path, json!({ field: null })).await.status, 400, "{field}");
        }
    }

    /// A change to a module leaves omitted fields unchanged. The value `null` clears an optional field and is rejected
    /// for a required field.
    async fn null_clears_optional_fields_of_a_module(api: TestApi) {
        let body = json!({ "code": "a", "name": "A", "description": "d", "icon": "i", "priority": "optional" });
        let path = path_of("modules", &api.make("modules", None, body).await);
        let changed = patch(&api, &path, json!({ "description": null })).await.expect(200).data();
        assert_eq!(
            content(changed["module"].clone()),
            json!({ "code": "a", "name": "A", "icon": "i", "enabled": true, "priority": "optional" })
        );
        let rest = json!({ "code": "b", "name": "B", "icon": null, "enabled": false, "priority": "premium" });
        let changed = patch(&api, &path, rest).await.expect(200).data();
        assert_eq!(
            content(changed["module"].clone()),
            json!({ "code": "b", "name": "B", "enabled": false, "priority": "premium" })
        );
        for field in ["code", "name", "enabled", "priority"] {
            assert_eq!(patch(&api, &path, json!({ field: null })).await.status, 400, "{field}");
        }
    }

    /// The urls of views, the keys of features and the codes of modules are unique and case-sensitive.
    async fn natural_keys_are_unique(api: TestApi) {
        for (collection, key, taken, message) in [
            ("views", "url", "/home", "A view with this url already exists"),
            ("features", "key", "general.read", "A feature with this key already exists"),
            ("modules", "code", "core", "A module with this code already exists"),
        ] {
            let path = format!("/api/iam/{collection}");
            let body = json!({ "name": "New", key: taken });
            let answer = api.post(&path).by_super_admin().json(&body).send().await;
            assert_eq!(answer.error(), conflict(message));
            let mut other = body.clone();
            other[key] = json!(taken.to_uppercase());
            let made = api.make(collection, None, other).await;
            let answer = patch(&api, &path_of(collection, &made), json!({ key: taken })).await;
            assert_eq!(answer.error(), conflict(message));
        }
        // Features without a key do not conflict with each other.
        for _ in 0..2 {
            api.make("features", None, json!({ "name": "Nameless" })).await;
        }
    }

    /// Keys and urls that are UUIDs are rejected. Some request fields accept an id or a key, or an id or a url, so a
    /// UUID in such a field must always be an id.
    async fn natural_keys_are_never_valid_ids(api: TestApi) {
        let id = new_company().to_string();
        for (collection, key) in [("views", "url"), ("features", "key")] {
            let mut body = json!({ "name": "New" });
            for spelling in [id.clone(), id.to_uppercase(), id.replace('-', ""), format!("{{{id}}}")] {
                body[key] = json!(spelling);
                let answer = api.post(&format!("/api/iam/{collection}")).by_super_admin().json(&body).send().await;
                assert_eq!(answer.error(), (400, "ERR_VALIDATION_001".into(), format!("{key} must not be a UUID")));
            }
        }
    }

    /// A feature that a menu item requires cannot be deleted. Otherwise no user could see the menu item.
    async fn a_feature_that_a_menu_requires_cannot_be_deleted(api: TestApi) {
        let feature = api.make("features", None, json!({ "name": "Tax", "key": "tax.file" })).await;
        let body = json!({ "label": "Taxes", "requiredPermissions": ["general.read", "tax.file"] });
        let item = api.make("menu-items", None, body).await;
        let path = path_of("features", &feature);
        let answer = api.delete(&path).by_super_admin().send().await;
        let named = format!("Feature is used by menu items: Taxes ({})", item["id"].as_str().unwrap());
        assert_eq!(answer.error(), conflict(&named));
        api.delete(&path_of("menu-items", &item)).by_super_admin().send().await.expect(200);
        api.delete(&path).by_super_admin().send().await.expect(200);
    }

    /// The key of a feature that a menu item requires cannot be changed. Its other fields can be changed.
    async fn a_key_that_a_menu_requires_cannot_be_changed(api: TestApi) {
        let company = api.company().await;
        let feature = api.make("features", None, json!({ "name": "Tax", "key": "tax.file" })).await;
        let path = path_of("features", &feature);
        let body = json!({ "label": "Taxes", "requiredPermissions": ["tax.file"], "featureId": feature["id"] });
        let item = api.make("menu-items", Some(company.id), body).await;
        let named = conflict(&format!("Feature is used by menu items: Taxes ({})", item["id"].as_str().unwrap()));
        for key in [json!("tax.declare"), json!(null)] {
            assert_eq!(patch(&api, &path, json!({ "key": key })).await.error(), named);
        }
        assert_eq!(api.delete(&path).by_super_admin().send().await.error(), named, "the item must be listed once");
        patch(&api, &path, json!({ "key": "tax.file", "name": "Taxes", "enabled": false })).await.expect(200);

        // The change clears the menu item's required features. The item still links to the feature by id, so the
        // feature's key can now be changed.
        let item = path_of("menu-items", &item);
        let body = json!({ "requiredPermissions": null });
        api.patch(&item).by_super_admin().within(company.id).json(&body).send().await.expect(200);
        for key in [json!("tax.declare"), json!(null), json!("tax.file")] {
            patch(&api, &path, json!({ "key": key })).await.expect(200);
        }
    }

    /// A view or feature that menu items link to cannot be deleted. The error names the items and sub-items.
    async fn entries_that_a_menu_uses_cannot_be_deleted(api: TestApi) {
        let company = api.company().await;
        let view = api.make("views", None, json!({ "name": "New", "url": "/new" })).await;
        let feature = api.make("features", None, json!({ "name": "New", "key": "new" })).await;
        let body = json!({ "label": "Item", "viewId": view["id"], "featureId": feature["id"] });
        let item = api.make("menu-items", Some(company.id), body).await;
        let body = json!({
            "menuItemId": item["id"], "label": "Below", "viewId": view["id"], "featureId": feature["id"],
        });
        let below = api.make("sub-menu-items", Some(company.id), body).await;
        let names = format!("Below ({}), Item ({})", below["id"].as_str().unwrap(), item["id"].as_str().unwrap());
        for (path, what) in [(path_of("views", &view), "View"), (path_of("features", &feature), "Feature")] {
            let answer = api.delete(&path).by_super_admin().send().await;
            assert_eq!(answer.error(), conflict(&format!("{what} is used by menu items: {names}")));
        }
        let path = path_of("menu-items", &item);
        api.delete(&path).by_super_admin().within(company.id).send().await.expect(200);
        for (path, what) in [(path_of("views", &view), "View"), (path_of("features", &feature), "Feature")] {
            let answer = api.delete(&path).by_super_admin().send().await.expect(200);
            assert_eq!(answer.data(), json!({ "message": format!("{what} deleted successfully") }));
            assert_eq!(api.get(&path).by_super_admin().send().await.error(), not_found(what));
        }
    }

    /// Deleting a view or a feature deletes its permissions and mappings too.
    async fn deleting_a_catalog_entry_deletes_its_permissions(api: TestApi) {
        let company = api.company().await;
        let view = api.make("views", None, json!({ "name": "New", "url": "/new" })).await;
        let feature = api.make("features", None, json!({ "name": "New", "key": "new" })).await;
        let level = api.new_level(company, "Auditors").await;
        let home = api.view_id("/home").await;
        let cells = json!([{ "viewId": view["id"], "modifiable": false }, { "viewId": home }]);
        api.set_matrix(company, &level, "views", cells).await;
        api.set_matrix(company, &level, "features", json!([{ "featureId": feature["id"], "action": "Read" }])).await;
        let module = path_of("modules", &api.make("modules", None, json!({ "code": "new", "name": "New" })).await);
        let body = json!({ "viewIds": [view["id"]] });
        api.put(&format!("{module}/views")).by_super_admin().json(&body).send().await.expect(200);

        for path in [path_of("views", &view), path_of("features", &feature)] {
            api.delete(&path).by_super_admin().send().await.expect(200);
        }
        assert_eq!(each(&Value::from(api.matrix(company, &level, "views").await), "viewId"), [home]);
        assert!(api.matrix(company, &level, "features").await.is_empty());
        let data = api.get(&format!("{module}/views")).by_super_admin().send().await.data();
        assert_eq!(data, json!({ "views": [] }));
    }

    /// A request with an unknown id returns 404, and the message names the type of the entity.
    async fn entries_that_do_not_exist_are_not_found(api: TestApi) {
        let id = new_company();
        for (collection, what) in [("views", "View"), ("features", "Feature"), ("modules", "Module")] {
            let path = format!("/api/iam/{collection}/{id}");
            let change = json!({ "name": "New" });
            for request in [api.get(&path), api.patch(&path).json(&change), api.delete(&path)] {
                assert_eq!(request.by_super_admin().send().await.error(), not_found(what));
            }
        }
        for (owner, mapped, what) in
            [("modules", "views", "Module"), ("modules", "features", "Module"), ("features", "views", "Feature")]
        {
            let path = format!("/api/iam/{owner}/{id}/{mapped}");
            assert_eq!(api.get(&path).by_super_admin().send().await.error(), not_found(what));
            let ids = if mapped == "views" { "viewIds" } else { "featureIds" };
            let answer = api.put(&path).by_super_admin().json(&json!({ ids: [] })).send().await;
            assert_eq!(answer.error(), not_found(what));
        }
    }

    /// A mapping is replaced as a whole. The views of a mapping are sorted by url, and its features by key.
    async fn mappings_are_replaced_as_a_whole(api: TestApi) {
        let module = path_of("modules", &api.make("modules", None, json!({ "code": "new", "name": "New" })).await);
        let feature = path_of("features", &api.make("features", None, json!({ "name": "New" })).await);
        let (home, dashboard) = (api.view_id("/home").await, api.view_id("/dashboard").await);
        let (read, create) = (api.feature_id("general.read").await, api.feature_id("general.create").await);
        for (path, ids, list, key, two, names, message) in [
            (
                format!("{module}/views"),
                "viewIds",
                "views",
                "url",
                [&home, &dashboard],
                ["/dashboard", "/home"],
                "Module views updated successfully",
            ),
            (
                format!("{feature}/views"),
                "viewIds",
                "views",
                "url",
                [&home, &dashboard],
                ["/dashboard", "/home"],
                "Feature views updated successfully",
            ),
            (
                format!("{module}/features"),
                "featureIds",
                "features",
                "key",
                [&read, &create],
                ["general.create", "general.read"],
                "Module features updated successfully",
            ),
        ] {
            let put = |value: Value, ungate: bool| {
                let mut body = json!({ ids: value });
                if ungate && path.starts_with(&module) {
                    body["ungate"] = json!(true);
                }
                api.put(&path).by_super_admin().json(&body).send()
            };
            let held = async || {
                let data = api.get(&path).by_super_admin().send().await.expect(200).data();
                assert_eq!(fields(&data), [list]);
                each(&data[list], key).into_iter().map(str::to_owned).collect::<Vec<_>>()
            };
            assert!(held().await.is_empty());
            assert_eq!(put(json!(two), false).await.expect(200).data()["message"], message);
            assert_eq!(held().await, names);
            // A mapping with an unknown id is rejected. The error identifies this id, and nothing is stored.
            let unknown = new_company().to_string();
            let kind = if list == "views" { "view" } else { "feature" };
            let answer = put(json!([two[0], unknown]), true).await;
            let text = format!("{ids}[1] refers to an unknown {kind}: {unknown}");
            assert_eq!(answer.error(), (400, "ERR_VALIDATION_001".into(), text));
            for wrong in [json!(null), json!("all"), json!({})] {
                let answer = put(wrong, true).await;
                assert_eq!(answer.error(), (400, "ERR_VALIDATION_001".into(), format!("{ids} must be an array")));
            }
            let answer = put(json!([two[0], two[0]]), true).await;
            assert_eq!(answer.error(), (400, "ERR_VALIDATION_001".into(), format!("{ids}[1] occurs twice")));
            assert_eq!(held().await, names);
            put(json!([two[1]]), true).await.expect(200);
            assert_eq!(held().await, [names[0]]);
        }
    }

    /// The seed maps each feature to the views on which the feature is used.
    async fn the_seed_maps_features_to_views(api: TestApi) {
        let urls = async |key: &str| {
            let path = format!("/api/iam/features/{}/views", api.feature_id(key).await);
            let data = api.get(&path).by_super_admin().send().await.expect(200).data();
            each(&data["views"], "url").join(" ")
        };
        assert_eq!(urls("general.create").await, "/companies");
        assert_eq!(urls("general.delete").await, "/companies/:id");
        assert_eq!(urls("users.remove").await, "/users");
        assert_eq!(urls("iam.assign_permissions").await, "/admin/permissions");
        assert_eq!(urls("risks.approve").await, "/modules/risks");
        assert_eq!(urls("general.export").await, "");
    }

    /// Not even super admins can create, disable or delete a reserved feature (`iam.…`), or change its key.
    async fn reserved_features_stay(api: TestApi) {
        let reserved = "Features whose keys begin with iam. are reserved for the service. They cannot be created, \
                        disabled, deleted or gated by a module, and their keys cannot be changed";
        let own = format!("/api/iam/features/{}", api.feature_id("iam.manage_levels").await);
        let other = format!("/api/iam/features/{}", api.feature_id("general.read").await);
        let new = json!({ "key": "iam.fly", "name": "Fly" });
        for answer in [
            api.post("/api/iam/features").by_super_admin().json(&new).send().await,
            patch(&api, &own, json!({ "enabled": false })).await,
            patch(&api, &own, json!({ "key": "levels.manage" })).await,
            patch(&api, &own, json!({ "key": null })).await,
            patch(&api, &other, json!({ "key": "iam.read" })).await,
            api.delete(&own).by_super_admin().send().await,
        ] {
            assert_eq!(answer.error(), conflict(reserved));
        }
        // The fields of a reserved feature that do not affect decisions can be changed.
        let answer = patch(&api, &own, json!({ "name": "Levels", "enabled": true, "key": "iam.manage_levels" })).await;
        assert_eq!(answer.expect(200).data()["feature"]["name"], "Levels");
    }

    /// Removing an action from a feature's list of actions deletes the permissions for that action. Permissions for
    /// standard actions remain.
    async fn removing_an_action_deletes_its_permissions(api: TestApi) {
        let (company, other) = (api.company().await, api.company().await);
        let body = json!({ "name": "New", "key": "new", "actions": ["Sign", "Burn", "Publish"] });
        let feature = api.make("features", None, body).await;
        let cells: Vec<_> = ["Burn", "Publish", "Read", "Sign"]
            .iter()
            .map(|action| json!({ "featureId": feature["id"], "action": action }))
            .collect();
        let mut held = Vec::new();
        for company in [company, other] {
            let (user, level) = api.holder_of(company, json!([]), Value::from(cells.clone())).await;
            held.push((company, user, level));
        }
        patch(&api, &path_of("features", &feature), json!({ "actions": ["Burn"] })).await.expect(200);
        for (company, user, level) in &held {
            let left = Value::from(api.matrix(*company, level, "features").await);
            assert_eq!(each(&left, "action"), ["Burn", "Publish", "Read"]);
            let sign = api.check(*company, *user, json!({ "feature": "new", "action": "Sign" })).await;
            assert_eq!(sign["reasonCode"], "unknown_action");
        }
        // When the action is added again, its deleted permissions are not restored.
        patch(&api, &path_of("features", &feature), json!({ "actions": ["Burn", "Sign"] })).await.expect(200);
        let (company, _, level) = &held[0];
        assert_eq!(api.matrix(*company, level, "features").await.len(), 3);
        patch(&api, &path_of("features", &feature), json!({ "actions": null })).await.expect(200);
        let left = Value::from(api.matrix(*company, level, "features").await);
        assert_eq!(each(&left, "action"), ["Publish", "Read"]);
    }
}
