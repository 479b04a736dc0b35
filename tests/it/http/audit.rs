//! Tests of the audit record that each change writes.

use serde_json::{Value, json};

use crate::support::api::{
    Answer, Company, Request, TestApi, both_adapters, each, fields, is_time, new_company, new_user,
};

/// Requests a page of the company's audit log as the company's administrator, and returns it.
pub async fn page(api: &TestApi, company: Company, query: &str) -> Value {
    let path = format!("/api/iam/audit-logs?{query}");
    api.get(&path).by(company.admin).within(company.id).send().await.expect(200).data()
}

/// Requests a page of the platform's audit log as a super admin, and returns it.
pub async fn platform(api: &TestApi, query: &str) -> Value {
    api.get(&format!("/api/iam/audit-logs?{query}")).by_super_admin().send().await.expect(200).data()
}

pub async fn total(api: &TestApi, company: Company) -> u64 {
    page(api, company, "limit=1&includeTotal=true").await["total"].as_u64().unwrap()
}

/// Sends a request that changes the company, and asserts that it writes exactly one audit record. Returns the record
/// and the response.
async fn recorded(api: &TestApi, company: Company, request: Request) -> (Value, Answer) {
    let before = total(api, company).await;
    let answer = request.within(company.id).send().await;
    assert!(answer.status.is_success(), "{answer:?}");
    assert_eq!(total(api, company).await, before + 1, "{}", String::from_utf8_lossy(&answer.body));
    (page(api, company, "limit=1").await["logs"][0].clone(), answer)
}

/// Sends a request that changes the platform's data, and asserts that it writes exactly one audit record. Returns the
/// record and the response.
async fn recorded_on_platform(api: &TestApi, request: Request) -> (Value, Answer) {
    let count = async || platform(api, "limit=1&includeTotal=true").await["total"].as_u64().unwrap();
    let before = count().await;
    let answer = request.by_super_admin().send().await;
    assert!(answer.status.is_success(), "{answer:?}");
    assert_eq!(count().await, before + 1, "{}", String::from_utf8_lossy(&answer.body));
    (platform(api, "limit=1").await["logs"][0].clone(), answer)
}

/// Returns the action, the entity type and the entity id of an audit record.
fn about(record: &Value) -> (&str, &str, &str) {
    let text = |name: &str| record[name].as_str().unwrap();
    (text("action"), text("entityType"), text("entityId"))
}

both_adapters! {
    /// An audit record contains the actor, the action, the entity and the changed values.
    async fn a_record_has_the_documented_shape(api: TestApi) {
        let company = api.company().await;
        let request = api.post("/api/iam/user-levels").by(company.admin).json(&json!({ "name": "Auditors" }));
        let (record, answer) = recorded(&api, company, request.header("x-request-id", "the-request")).await;
        let names = [
            "action",
            "actorKind",
            "changes",
            "companyId",
            "entityId",
            "entityType",
            "id",
            "metadata",
            "names",
            "timestamp",
            "userId",
        ];
        assert_eq!(fields(&record), names);
        let level = &answer.data()["userLevel"];
        assert_eq!(about(&record), ("user_level.created", "user-level", level["id"].as_str().unwrap()));
        assert_eq!(record["companyId"], company.id.to_string());
        assert_eq!(record["userId"], company.admin.to_string());
        assert_eq!(record["actorKind"], "user");
        assert_eq!(record["changes"], json!({ "after": level }));
        assert_eq!(record["metadata"], json!({ "requestId": "the-request" }));
        assert!(is_time(&record["timestamp"]));
        assert_eq!(record["timestamp"], level["createdAt"]);
        assert_eq!(record["id"].as_str().unwrap().len(), 36);
    }

    /// The audit record of a change is marked with `superAdmin` if the super admin claim authorized the change.
    async fn a_change_by_a_super_admin_is_marked(api: TestApi) {
        let company = api.company().await;
        let request = api.post("/api/iam/user-levels").by_super_admin().json(&json!({ "name": "Auditors" }));
        let (record, answer) = recorded(&api, company, request).await;
        assert_eq!(record["userId"], api.super_admin.to_string());
        let id = answer.header("x-request-id").unwrap();
        assert_eq!(record["metadata"], json!({ "requestId": id, "superAdmin": true }));
    }

    /// The audit record of a change to a level contains the old and new values of the changed fields.
    async fn levels_are_recorded(api: TestApi) {
        let company = api.company().await;
        let level = api.new_level(company, "Auditors").await;
        let path = format!("/api/iam/user-levels/{level}");
        let request =
            api.patch(&path).by(company.admin).json(&json!({ "name": "Internal auditors", "description": "" }));
        let (record, answer) = recorded(&api, company, request).await;
        assert_eq!(about(&record), ("user_level.updated", "user-level", level.as_str()));
        let changes = json!({ "before": { "name": "Auditors" }, "after": { "name": "Internal auditors" } });
        assert_eq!(record["changes"], changes);
        let (record, _) = recorded(&api, company, api.delete(&path).by(company.admin)).await;
        assert_eq!(about(&record), ("user_level.deleted", "user-level", level.as_str()));
        assert_eq!(record["changes"], json!({ "before": answer.data()["userLevel"] }));
    }

    /// The audit record of a change to a view matrix contains the number of cells in each state, and the changed cells.
    async fn view_matrices_are_recorded(api: TestApi) {
        let company = api.company().await;
        let level = api.new_level(company, "Auditors").await;
        let (kept, changed) = (api.view_id("/dashboard").await, api.view_id("/home").await);
        let (gone, new) = (api.view_id("/users").await, api.view_id("/profile").await);
        let cells = json!([
            { "viewId": kept, "state": "allow" },
            { "viewId": changed, "state": "deny" },
            { "viewId": gone, "state": "allow" },
        ]);
        api.set_matrix(company, &level, "views", cells).await;
        let cells = json!([
            { "viewId": kept, "state": "allow" }, { "viewId": changed, "state": "allow" }, { "viewId": new },
        ]);
        let path = format!("/api/iam/user-levels/{level}/permissions/views");
        let request = api.put(&path).by(company.admin).json(&json!({ "views": cells }));
        let (record, _) = recorded(&api, company, request).await;
        assert_eq!(about(&record), ("permissions.views_updated", "permission", level.as_str()));
        let cell = |state: &str| json!({ "state": state, "modifiable": true });
        assert_eq!(
            record["changes"],
            json!({
                "counts": { "allow": 2, "deny": 0, "inherit": 1 },
                "before": { (changed.as_str()): cell("deny"), (gone.as_str()): cell("allow") },
                "after": { (changed.as_str()): cell("allow"), (new.as_str()): cell("inherit") },
            })
        );
    }

    /// The audit record of a change to a feature matrix contains the numbers of allowed and denied cells, and the
    /// changed cells.
    async fn feature_matrices_are_recorded(api: TestApi) {
        let company = api.company().await;
        let level = api.new_level(company, "Auditors").await;
        let id = api.feature_id("general.read").await;
        let cells = json!([
            { "featureId": id, "action": "Read" }, { "featureId": id, "action": "Update", "scope": "team" },
            { "featureId": id, "action": "Delete", "value": false },
        ]);
        api.set_matrix(company, &level, "features", cells).await;
        let cells = json!([
            { "featureId": id, "action": "Read" }, { "featureId": id, "action": "Update", "scope": "own" },
            { "featureId": id, "action": "Export", "value": false, "scope": "own" },
        ]);
        let path = format!("/api/iam/user-levels/{level}/permissions/features");
        let request = api.put(&path).by(company.admin).json(&json!({ "features": cells }));
        let (record, _) = recorded(&api, company, request).await;
        assert_eq!(about(&record), ("permissions.features_updated", "permission", level.as_str()));
        let cell = |value: bool, scope: &str| json!({ "value": value, "scope": scope, "modifiable": true });
        let key = |action: &str| format!("{id}/{action}");
        assert_eq!(
            record["changes"],
            json!({
                "counts": { "allow": 2, "deny": 1 },
                "before": { (key("Update")): cell(true, "team"), (key("Delete")): cell(false, "any") },
                "after": { (key("Update")): cell(true, "own"), (key("Export")): cell(false, "own") },
            })
        );
    }

    /// The audit record of an assignment contains the user's levels before and after the change, and the levels that
    /// were added and removed.
    async fn assignments_are_recorded(api: TestApi) {
        let company = api.company().await;
        let mut levels = vec![api.level_id(company, "Member").await, api.level_id(company, "Visitor").await];
        let user = new_user();
        api.assign(company, user, &[&levels[0]]).await;
        let path = format!("/api/iam/users/{user}/user-levels");
        let request = api.put(&path).by(company.admin).json(&json!({ "userLevelIds": [levels[1]] }));
        let (record, _) = recorded(&api, company, request).await;
        assert_eq!(about(&record), ("assignment.user_levels_updated", "assignment", user.to_string().as_str()));
        let (visitor, member) = (levels.pop(), levels.pop());
        let changes = json!({ "before": [member], "after": [visitor], "added": [visitor], "removed": [member] });
        assert_eq!(record["changes"], changes);
    }

    /// Changes to a company are recorded in that company's audit log.
    async fn companies_are_recorded(api: TestApi) {
        let company = api.company().await;
        let id = company.id.to_string();
        let (core, risks) = (api.module_id("core").await, api.module_id("risks").await);
        let path = format!("/api/iam/companies/{id}/modules");
        let request = api.put(&path).by_super_admin().json(&json!({ "moduleIds": [risks] }));
        let (record, _) = recorded(&api, company, request).await;
        assert_eq!(about(&record), ("company.modules_updated", "company", id.as_str()));
        assert_eq!(record["changes"], json!({ "added": [risks], "removed": [core] }));
        let request = api.patch(&format!("{path}/{risks}")).by_super_admin().json(&json!({ "enabled": false }));
        let (record, _) = recorded(&api, company, request).await;
        assert_eq!(about(&record), ("company.module_updated", "company", id.as_str()));
        assert_eq!(
            record["changes"],
            json!({ "moduleId": risks, "before": { "enabled": true }, "after": { "enabled": false } })
        );
        let data = page(&api, company, "action=company.provisioned").await;
        assert_eq!(each(&data["logs"], "entityId"), [id]);
        assert_eq!(data["logs"][0]["userId"], api.super_admin.to_string());
        let request = api.post("/api/iam/menu-items").by_super_admin().json(&json!({ "label": "Ours" }));
        let (record, answer) = recorded(&api, company, request).await;
        let item = answer.data()["menuItem"]["id"].as_str().unwrap().to_owned();
        assert_eq!(about(&record), ("menu.created", "menu", item.as_str()));
    }

    /// Changes to the catalog and to the common menu are recorded in the platform's audit log.
    async fn the_catalog_is_recorded(api: TestApi) {
        let company = api.company().await;
        for (collection, kind, body) in [
            ("views", "view", json!({ "name": "New", "url": "/new" })),
            ("features", "feature", json!({ "name": "New", "key": "new" })),
            ("modules", "module", json!({ "name": "New", "code": "new" })),
            ("menu-items", "menu", json!({ "label": "New" })),
        ] {
            let path = format!("/api/iam/{collection}");
            let (record, answer) = recorded_on_platform(&api, api.post(&path).json(&body)).await;
            let made = answer.data().as_object().unwrap().values().next().unwrap().clone();
            let id = made["id"].as_str().unwrap();
            assert_eq!(about(&record), (format!("{kind}.created").as_str(), kind, id));
            assert_eq!(record["companyId"], Value::Null);
            assert_eq!(record["changes"], json!({ "after": made }));
            let name = if kind == "menu" { "label" } else { "name" };
            let path = format!("{path}/{id}");
            let (record, answer) = recorded_on_platform(&api, api.patch(&path).json(&json!({ name: "Old" }))).await;
            assert_eq!(about(&record), (format!("{kind}.updated").as_str(), kind, id));
            assert_eq!(record["changes"], json!({ "before": { name: "New" }, "after": { name: "Old" } }));
            let made = answer.data().as_object().unwrap().values().next().unwrap().clone();
            let (record, _) = recorded_on_platform(&api, api.delete(&path)).await;
            assert_eq!(about(&record), (format!("{kind}.deleted").as_str(), kind, id));
            assert_eq!(record["changes"], json!({ "before": made }));
        }
        // None of these records is in a company's audit log.
        assert_eq!(page(&api, company, "entityType=view&includeTotal=true").await["total"], 0);
    }

    /// The audit record of a change to a mapping contains the ids that were added and removed.
    async fn mappings_are_recorded(api: TestApi) {
        let (module, feature) = (api.module_id("risks").await, api.feature_id("general.read").await);
        let (risks, home) = (api.view_id("/modules/risks").await, api.view_id("/home").await);
        let companies = api.view_id("/companies").await;
        let edit = api.feature_id("risks.edit").await;
        for (path, body, kind, id, action, added, removed) in [
            (
                format!("modules/{module}/views"),
                json!({ "viewIds": [home], "ungate": true }),
                "module",
                &module,
                "module.views_updated",
                &home,
                vec![risks],
            ),
            (
                format!("features/{feature}/views"),
                json!({ "viewIds": [home] }),
                "feature",
                &feature,
                "feature.views_updated",
                &home,
                vec![companies],
            ),
        ] {
            let request = api.put(&format!("/api/iam/{path}")).json(&body);
            let (record, _) = recorded_on_platform(&api, request).await;
            assert_eq!(about(&record), (action, kind, id.as_str()));
            assert_eq!(record["changes"], json!({ "added": [added], "removed": removed }));
        }
        let body = json!({ "featureIds": [edit, feature], "ungate": true });
        let request = api.put(&format!("/api/iam/modules/{module}/features")).json(&body);
        let (record, _) = recorded_on_platform(&api, request).await;
        assert_eq!(about(&record), ("module.features_updated", "module", module.as_str()));
        assert_eq!(record["changes"]["added"], json!([feature]));
        assert_eq!(record["changes"]["removed"].as_array().unwrap().len(), 3);
    }

    /// Rejected changes and changes without effect are not recorded.
    async fn a_request_without_effect_leaves_no_record(api: TestApi) {
        let company = api.company().await;
        let (member, admin) = (api.level_id(company, "Member").await, api.level_id(company, "Admin").await);
        let views = api.matrix(company, &member, "views").await;
        let features = api.matrix(company, &member, "features").await;
        let core = api.module_id("core").await;
        let level = format!("/api/iam/user-levels/{member}");
        let modules = format!("/api/iam/companies/{}/modules", company.id);
        let assign = format!("/api/iam/users/{}/user-levels", company.member);
        let before = total(&api, company).await;
        let nothing_new = [
            api.patch(&level).json(&json!({ "name": "Member" })),
            api.patch(&level).json(&json!({})),
            api.put(&format!("{level}/permissions/views")).json(&json!({ "views": views })),
            api.put(&format!("{level}/permissions/features")).json(&json!({ "features": features })),
            api.put(&assign).json(&json!({ "userLevelIds": [member] })),
        ];
        for request in nothing_new {
            request.by(company.admin).within(company.id).send().await.expect(200);
        }
        for request in [
            api.put(&modules).json(&json!({ "moduleIds": [core] })),
            api.patch(&format!("{modules}/{core}")).json(&json!({ "enabled": true })),
            api.post(&format!("/api/iam/companies/{}/provision", company.id)),
        ] {
            request.by_super_admin().send().await.expect(200);
        }
        let refused = [
            (403, api.post("/api/iam/user-levels").json(&json!({ "name": "New" })).by(company.member)),
            (400, api.post("/api/iam/user-levels").json(&json!({ "name": "" })).by(company.admin)),
            (409, api.post("/api/iam/user-levels").json(&json!({ "name": "Admin" })).by(company.admin)),
            (400, api.delete(&format!("/api/iam/user-levels/{admin}")).by(company.admin)),
            (404, api.delete(&format!("/api/iam/user-levels/{}", new_company())).by(company.admin)),
            (412, api.patch(&level).json(&json!({ "name": "New" })).header("if-match", "\"old\"").by(company.admin)),
            (400, api.put(&assign).json(&json!({ "userLevelIds": [new_company()] })).by(company.admin)),
        ];
        for (status, request) in refused {
            request.within(company.id).send().await.expect(status);
        }
        assert_eq!(total(&api, company).await, before);
    }
}
