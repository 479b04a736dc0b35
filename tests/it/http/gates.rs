//! Tests of modules that gate views and features. A change that would remove the last gate of a view or a feature
//! requires confirmation.

use serde_json::{Value, json};

use crate::support::api::{Answer, Company, TestApi, both_adapters, each};

/// Checks whether the company's administrator may access a view, and returns the reason code of the decision.
async fn why(api: &TestApi, company: Company, view: &str) -> String {
    let answer = api.check(company, company.admin, json!({ "view": view })).await;
    answer["reasonCode"].as_str().unwrap().to_owned()
}

/// Checks whether the company's administrator may perform `Read` on a feature, and returns the reason code of the
/// decision.
async fn why_action(api: &TestApi, company: Company, feature: &str) -> String {
    let answer = api.check(company, company.admin, json!({ "feature": feature, "action": "Read" })).await;
    answer["reasonCode"].as_str().unwrap().to_owned()
}

async fn grant(api: &TestApi, company: Company, codes: &[&str]) {
    let mut ids = Vec::new();
    for code in codes {
        ids.push(api.module_id(code).await);
    }
    let path = format!("/api/iam/companies/{}/modules", company.id);
    api.put(&path).by_super_admin().json(&json!({ "moduleIds": ids })).send().await.expect(200);
}

async fn put(api: &TestApi, path: &str, body: Value) -> Answer {
    api.put(path).by_super_admin().json(&body).send().await
}

fn conflict(opened: &str) -> (u16, String, String) {
    let message = format!(
        "This change would make the following available to every company: {opened}. To confirm, set \"ungate\": true. \
         To disable the module instead, update it with \"enabled\": false"
    );
    (409, "ERR_RESOURCE_002".to_owned(), message)
}

both_adapters! {
    /// Views and features that a module gates are denied in companies that do not have the module.
    async fn a_module_gates_views_and_features(api: TestApi) {
        let company = api.company().await;
        let view = api.check(company, company.admin, json!({ "view": "/modules/risks" })).await;
        assert_eq!(view["reason"], "Company does not have access to the module containing this view");
        let feature = api.check(company, company.admin, json!({ "feature": "risks.create", "action": "Read" })).await;
        assert_eq!(
            feature,
            json!({
                "allowed": false, "scope": null, "reasonCode": "feature_module_missing", "decidedBy": [],
                "decidedByCount": 0,
                "reason": "Company does not have access to the module containing this feature",
            })
        );
        grant(&api, company, &["core", "risks"]).await;
        assert_eq!(why(&api, company, "/modules/risks").await, "explicit_allow");
        assert_eq!(why_action(&api, company, "risks.create").await, "explicit_allow");
        assert_eq!(why(&api, company, "/modules/audit").await, "view_module_missing");
        grant(&api, company, &[]).await;
        assert_eq!(why(&api, company, "/dashboard").await, "view_module_missing");
        assert_eq!(why_action(&api, company, "general.read").await, "explicit_allow", "the feature must be ungated");
    }

    /// A disabled module makes none of its views and features available. A module can be disabled for one company or
    /// for all companies.
    async fn a_module_disabled_by_either_switch_allows_nothing(api: TestApi) {
        let (company, other) = (api.company().await, api.company().await);
        grant(&api, company, &["core", "risks"]).await;
        grant(&api, other, &["core", "risks"]).await;
        let module = api.module_id("risks").await;
        let own = format!("/api/iam/companies/{}/modules/{module}", company.id);
        let all = format!("/api/iam/modules/{module}");
        for (path, shut_elsewhere) in [(&own, "explicit_allow"), (&all, "view_module_missing")] {
            api.patch(path).by_super_admin().json(&json!({ "enabled": false })).send().await.expect(200);
            assert_eq!(why(&api, company, "/modules/risks").await, "view_module_missing");
            assert_eq!(why_action(&api, company, "risks.edit").await, "feature_module_missing");
            assert_eq!(why(&api, other, "/modules/risks").await, shut_elsewhere);
            api.patch(path).by_super_admin().json(&json!({ "enabled": true })).send().await.expect(200);
            assert_eq!(why(&api, company, "/modules/risks").await, "explicit_allow");
        }
    }

    /// Several modules can gate the same view. It suffices that the company has one of these modules and that this
    /// module is enabled.
    async fn one_enabled_module_suffices(api: TestApi) {
        let company = api.company().await;
        let audit = api.module_id("audit").await;
        let views = json!({ "viewIds": [api.view_id("/modules/audit").await, api.view_id("/modules/risks").await] });
        put(&api, &format!("/api/iam/modules/{audit}/views"), views).await.expect(200);
        assert_eq!(why(&api, company, "/modules/risks").await, "view_module_missing");
        grant(&api, company, &["core", "audit"]).await;
        assert_eq!(why(&api, company, "/modules/risks").await, "explicit_allow");
        let path = format!("/api/iam/modules/{audit}");
        api.patch(&path).by_super_admin().json(&json!({ "enabled": false })).send().await.expect(200);
        assert_eq!(why(&api, company, "/modules/risks").await, "view_module_missing");
        grant(&api, company, &["core", "audit", "risks"]).await;
        assert_eq!(why(&api, company, "/modules/risks").await, "explicit_allow");
    }

    /// Removing a view from its last module would make the view available to every company. The request must therefore
    /// confirm the removal with `ungate`.
    async fn removing_the_last_gate_of_a_view_requires_confirmation(api: TestApi) {
        let company = api.company().await;
        let path = format!("/api/iam/modules/{}/views", api.module_id("risks").await);
        for body in [json!({ "viewIds": [] }), json!({ "viewIds": [], "ungate": false })] {
            assert_eq!(put(&api, &path, body).await.error(), conflict("/modules/risks"));
        }
        assert_eq!(why(&api, company, "/modules/risks").await, "view_module_missing");
        put(&api, &path, json!({ "viewIds": [], "ungate": true })).await.expect(200);
        assert_eq!(why(&api, company, "/modules/risks").await, "explicit_allow");
    }

    /// A view that is in two modules can be removed from one of them without confirmation.
    async fn removing_a_view_from_one_of_two_modules_requires_no_confirmation(api: TestApi) {
        let company = api.company().await;
        let (risks, audit) = (api.module_id("risks").await, api.module_id("audit").await);
        let view = api.view_id("/modules/risks").await;
        let both = json!({ "viewIds": [api.view_id("/modules/audit").await, view] });
        put(&api, &format!("/api/iam/modules/{audit}/views"), both).await.expect(200);
        put(&api, &format!("/api/iam/modules/{risks}/views"), json!({ "viewIds": [] })).await.expect(200);
        assert_eq!(why(&api, company, "/modules/risks").await, "view_module_missing");
    }

    /// Removing a feature from the last module that gates it requires confirmation. The error lists all features that
    /// the change would ungate.
    async fn removing_the_last_gate_of_a_feature_requires_confirmation(api: TestApi) {
        let company = api.company().await;
        let path = format!("/api/iam/modules/{}/features", api.module_id("risks").await);
        let kept = json!([api.feature_id("risks.create").await, api.feature_id("risks.edit").await]);
        let error = put(&api, &path, json!({ "featureIds": kept })).await.error();
        assert!(
            error == conflict("risks.approve, risks.delete") || error == conflict("risks.delete, risks.approve"),
            "{error:?}"
        );
        let data = api.get(&path).by_super_admin().send().await.data();
        assert_eq!(each(&data["features"], "key"), ["risks.approve", "risks.create", "risks.delete", "risks.edit"]);
        put(&api, &path, json!({ "featureIds": kept, "ungate": true })).await.expect(200);
        assert_eq!(why_action(&api, company, "risks.delete").await, "explicit_allow");
        assert_eq!(why_action(&api, company, "risks.edit").await, "feature_module_missing");
    }

    /// Deleting a module that is the only gate of a view or feature requires confirmation.
    async fn deleting_a_module_requires_confirmation(api: TestApi) {
        let company = api.company().await;
        let path = format!("/api/iam/modules/{}", api.module_id("compliance").await);
        let refused = [
            api.delete(&path),
            api.delete(&path).json(&json!({})),
            api.delete(&path).json(&json!({ "ungate": false })),
            api.delete(&format!("{path}?ungate=false")),
            api.delete(&format!("{path}?ungate=")),
        ];
        for request in refused {
            assert_eq!(request.by_super_admin().send().await.error(), conflict("/modules/compliance"));
        }
        let wrong = api.delete(&path).json(&json!({ "ungate": "true" })).by_super_admin().send().await;
        assert_eq!(wrong.error(), (400, "ERR_VALIDATION_001".into(), "ungate must be a boolean".into()));
        assert_eq!(why(&api, company, "/modules/compliance").await, "view_module_missing");
    }

    /// The deletion of a module can be confirmed with `ungate` in the body.
    async fn a_module_deletion_is_confirmed_in_the_body(api: TestApi) {
        let company = api.company().await;
        let path = format!("/api/iam/modules/{}", api.module_id("compliance").await);
        let request = api.delete(&path).by_super_admin().json(&json!({ "ungate": true }));
        assert_eq!(request.send().await.expect(200).data(), json!({ "message": "Module deleted successfully" }));
        assert_eq!(why(&api, company, "/modules/compliance").await, "explicit_allow");
        let gone = api.get(&path).by_super_admin().send().await.error();
        assert_eq!(gone, (404, "ERR_RESOURCE_001".into(), "Module not found".into()));
    }

    /// The deletion of a module can be confirmed with `ungate` in the query.
    async fn a_module_deletion_is_confirmed_in_the_query(api: TestApi) {
        let company = api.company().await;
        grant(&api, company, &["core", "risks"]).await;
        let path = format!("/api/iam/modules/{}", api.module_id("risks").await);
        api.delete(&format!("{path}?ungate=true")).by_super_admin().send().await.expect(200);
        let path = format!("/api/iam/companies/{}/modules", company.id);
        let data = api.get(&path).by_super_admin().send().await.expect(200).data();
        assert_eq!(data["modules"].as_array().unwrap().len(), 1, "the company must lose the module too");
        assert_eq!(why_action(&api, company, "risks.create").await, "explicit_allow");
    }

    /// A module that is not the last gate of any view or feature can be deleted without confirmation.
    async fn deleting_an_empty_module_requires_no_confirmation(api: TestApi) {
        let module = api.make("modules", None, json!({ "code": "empty", "name": "Empty" })).await;
        let path = format!("/api/iam/modules/{}", module["id"].as_str().unwrap());
        api.delete(&path).by_super_admin().send().await.expect(200);
    }

    /// Not even super admins can gate a reserved feature (`iam.…`).
    async fn reserved_features_are_never_gated(api: TestApi) {
        let company = api.company().await;
        let (risks, own) = (api.module_id("risks").await, api.feature_id("iam.manage_levels").await);
        let path = format!("/api/iam/modules/{risks}/features");
        let (status, code, message) = put(&api, &path, json!({ "featureIds": [own], "ungate": true })).await.error();
        assert_eq!((status, code.as_str()), (409, "ERR_RESOURCE_002"));
        assert!(message.starts_with("Features whose keys begin with iam. are reserved for the service"), "{message}");
        assert_eq!(why_action(&api, company, "iam.manage_levels").await, "explicit_allow");
    }

    /// A new view or feature is not gated by any module. Decisions for it therefore depend only on the levels.
    async fn new_views_and_features_have_no_gate(api: TestApi) {
        let company = api.company().await;
        api.make("views", None, json!({ "name": "New", "url": "/new" })).await;
        assert_eq!(why(&api, company, "/new").await, "no_explicit_allow");
    }
}
