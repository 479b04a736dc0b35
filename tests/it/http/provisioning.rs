//! Tests of provisioning and of the endpoints for a company's modules, through the API.

use iam_domain::UserId;
use serde_json::{Value, json};

use crate::support::api::{Answer, Company, TestApi, both_adapters, each, fields, is_time, new_company, new_user};

async fn provision(api: &TestApi, company: Company, admin: Option<UserId>) -> Answer {
    let path = format!("/api/iam/companies/{}/provision", company.id);
    let request = api.post(&path).by_super_admin();
    match admin {
        Some(admin) => request.json(&json!({ "adminUserId": admin })).send().await,
        None => request.send().await,
    }
}

/// Returns a company id and user ids that are not stored yet.
fn unknown() -> Company {
    Company { id: new_company(), admin: new_user(), member: new_user(), visitor: new_user() }
}

async fn levels(api: &TestApi, company: Company) -> Vec<String> {
    let data = api.get("/api/iam/user-levels").by_super_admin().within(company.id).send().await.expect(200).data();
    each(&data["userLevels"], "name").into_iter().map(str::to_owned).collect()
}

async fn modules(api: &TestApi, company: Company) -> Vec<(String, bool)> {
    let path = format!("/api/iam/companies/{}/modules", company.id);
    let data = api.get(&path).by_super_admin().send().await.expect(200).data();
    let modules = data["modules"].as_array().unwrap().iter();
    modules
        .map(|module| (module["module"]["code"].as_str().unwrap().to_owned(), module["enabled"].as_bool().unwrap()))
        .collect()
}

async fn held(api: &TestApi, company: Company, user: UserId) -> String {
    let path = format!("/api/iam/users/{user}/user-levels");
    let data = api.get(&path).by_super_admin().within(company.id).send().await.expect(200).data();
    each(&data["userLevels"], "name").join(" ")
}

both_adapters! {
    /// Provisioning is idempotent. The first request creates the module and the levels, and later requests change
    /// nothing.
    async fn a_company_is_provisioned_once(api: TestApi) {
        let company = unknown();
        assert!(modules(&api, company).await.is_empty());
        let answer = provision(&api, company, None).await.expect(201);
        assert_eq!(answer.data()["message"], "Company provisioned successfully");
        assert_eq!(modules(&api, company).await, [("core".to_owned(), true)]);
        assert_eq!(levels(&api, company).await, ["Admin", "Member", "Visitor"]);
        let again = provision(&api, company, None).await.expect(200);
        assert_eq!(again.data()["message"], "Company was already provisioned");
        assert_eq!(again.header("x-iam-version"), answer.header("x-iam-version"));
    }

    /// Each of the three default levels has the expected number of permissions.
    async fn the_default_levels_have_the_planned_permissions(api: TestApi) {
        let company = api.company().await;
        let data = api.get("/api/iam/user-levels").by(company.admin).within(company.id).send().await.data();
        assert!(data["userLevels"].as_array().unwrap().iter().all(|level| level["isDefault"] == true));
        let count = |cells: &[Value], test: &dyn Fn(&Value) -> bool| cells.iter().filter(|cell| test(cell)).count();
        let is = |field: &'static str, value: Value| move |cell: &Value| cell[field] == value;
        let reserved = [api.feature_id("iam.manage_levels").await, api.feature_id("iam.assign_permissions").await];
        // The numbers of cells are, in this order: allowed views, denied views, actions, allowed actions, actions
        // allowed with the scope `any`, actions allowed with the scope `company`, and actions of reserved features.
        for (name, expected) in [
            ("Admin", [14, 0, 114, 114, 114, 0, 12]),
            ("Member", [12, 0, 51, 51, 0, 51, 0]),
            ("Visitor", [12, 0, 17, 17, 0, 17, 0]),
        ] {
            let level = api.level_id(company, name).await;
            let views = api.matrix(company, &level, "views").await;
            let features = api.matrix(company, &level, "features").await;
            let allowed: Vec<_> = features.iter().filter(|cell| cell["value"] == true).cloned().collect();
            let own = |cell: &Value| reserved.iter().any(|id| cell["featureId"] == id.as_str());
            let counts = [
                count(&views, &is("state", json!("allow"))),
                count(&views, &is("state", json!("deny"))),
                features.len(),
                allowed.len(),
                count(&allowed, &is("scope", json!("any"))),
                count(&allowed, &is("scope", json!("company"))),
                count(&features, &own),
            ];
            assert_eq!(counts, expected, "{name}");
            assert_eq!(count(&views, &is("modifiable", json!(true))), views.len());
            let admin = [api.view_id("/admin/user-levels").await, api.view_id("/admin/permissions").await];
            let of_admin = |cell: &Value| admin.iter().any(|id| cell["viewId"] == id.as_str());
            assert_eq!(count(&views, &of_admin), if name == "Admin" { 2 } else { 0 }, "{name}");
        }
    }

    /// The user whom the provisioning request specifies as administrator can administer the company.
    async fn the_first_admin_is_an_administrator(api: TestApi) {
        let company = unknown();
        provision(&api, company, Some(company.admin)).await.expect(201);
        assert_eq!(held(&api, company, company.admin).await, "Admin");
        api.get("/api/iam/audit-logs").by(company.admin).within(company.id).send().await.expect(200);
    }

    /// Repeated provisioning does not restore levels or modules that were renamed or deleted.
    async fn provisioning_again_keeps_renamed_and_deleted_levels(api: TestApi) {
        let company = api.company().await;
        let (member, visitor) = (api.level_id(company, "Member").await, api.level_id(company, "Visitor").await);
        let path = format!("/api/iam/user-levels/{member}");
        api.patch(&path)
            .by(company.admin)
            .within(company.id)
            .json(&json!({ "name": "Staff" }))
            .send()
            .await
            .expect(200);
        api.assign(company, company.visitor, &[]).await;
        let path = format!("/api/iam/user-levels/{visitor}");
        api.delete(&path).by(company.admin).within(company.id).send().await.expect(200);
        let path = format!("/api/iam/companies/{}/modules", company.id);
        api.put(&path).by_super_admin().json(&json!({ "moduleIds": [] })).send().await.expect(200);
        let logs = format!("/api/iam/audit-logs?includeTotal=true&companyId={}", company.id);
        let total = api.get(&logs).by(company.admin).send().await.data()["total"].clone();

        provision(&api, company, Some(company.member)).await.expect(200);
        assert_eq!(levels(&api, company).await, ["Admin", "Staff"]);
        assert!(modules(&api, company).await.is_empty());
        assert_eq!(
            held(&api, company, company.member).await,
            "Staff",
            "the user must not get the level Admin, because the company already has an administrator"
        );
        assert_eq!(api.get(&logs).by(company.admin).send().await.data()["total"], total);
    }

    /// Repeated provisioning assigns no level, even if the company has no administrator.
    async fn provisioning_again_restores_no_administrator(api: TestApi) {
        let company = api.company().await;
        let admin = api.level_id(company, "Admin").await;
        api.assign(company, company.admin, &[]).await;
        api.delete(&format!("/api/iam/user-levels/{admin}")).by_super_admin().within(company.id).send().await.expect(200);
        for body in [json!({}), json!({ "restoreAdmin": false })] {
            let mut body = body;
            body["adminUserId"] = json!(company.admin);
            let path = format!("/api/iam/companies/{}/provision", company.id);
            api.post(&path).by_super_admin().json(&body).send().await.expect(200);
            assert_eq!(held(&api, company, company.admin).await, "");
            assert_eq!(levels(&api, company).await, ["Member", "Visitor"]);
        }
    }

    /// Of two concurrent provisioning requests, exactly one provisions the company.
    async fn concurrent_requests_provision_a_company_once(api: TestApi) {
        let company = unknown();
        let (one, other) = futures_util::join!(provision(&api, company, None), provision(&api, company, None));
        let mut statuses = [one.status.as_u16(), other.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 201]);
        assert_eq!(levels(&api, company).await, ["Admin", "Member", "Visitor"]);
    }

    /// A company's module in a response has all its fields. The field `module` contains the module of the catalog.
    async fn a_module_of_a_company_has_the_documented_shape(api: TestApi) {
        let company = api.company().await;
        let path = format!("/api/iam/companies/{}/modules", company.id);
        let data = api.get(&path).by_super_admin().send().await.expect(200).data();
        assert_eq!(fields(&data), ["modules"]);
        let granted = &data["modules"][0];
        assert_eq!(fields(granted), ["companyId", "createdAt", "enabled", "module", "moduleId", "updatedAt"]);
        assert_eq!(granted["companyId"], company.id.to_string());
        assert_eq!(granted["enabled"], true);
        assert!(is_time(&granted["createdAt"]) && is_time(&granted["updatedAt"]));
        let module = api.get(&format!("/api/iam/modules/{}", granted["moduleId"].as_str().unwrap()));
        assert_eq!(granted["module"], module.by_super_admin().send().await.expect(200).data()["module"]);
    }

    /// A replacement of a company's modules does not change the enabled flags of modules that the company already had.
    async fn modules_keep_their_switch(api: TestApi) {
        let (company, other) = (api.company().await, api.company().await);
        let (core, risks) = (api.module_id("core").await, api.module_id("risks").await);
        let path = format!("/api/iam/companies/{}/modules", company.id);
        let answer =
            api.patch(&format!("{path}/{core}")).by_super_admin().json(&json!({ "enabled": false })).send().await;
        let data = answer.expect(200).data();
        assert_eq!(fields(&data), ["module"]);
        assert_eq!((&data["module"]["enabled"], &data["module"]["module"]["code"]), (&json!(false), &json!("core")));
        assert_eq!(data["module"]["module"]["enabled"], true, "only the company's flag must change");

        let body = json!({ "moduleIds": [risks, core] });
        let answer = api.put(&path).by_super_admin().json(&body).send().await.expect(200);
        assert_eq!(answer.data()["message"], "Company modules updated successfully");
        let expected = [("core".to_owned(), false), ("risks".to_owned(), true)];
        assert_eq!(modules(&api, company).await, expected, "modules must be sorted by name");
        assert_eq!(modules(&api, other).await, [("core".to_owned(), true)]);
        // A module that is removed and added again is enabled, regardless of its earlier enabled flag.
        for ids in [json!([risks]), json!([risks, core])] {
            api.put(&path).by_super_admin().json(&json!({ "moduleIds": ids })).send().await.expect(200);
        }
        assert_eq!(modules(&api, company).await, [("core".to_owned(), true), ("risks".to_owned(), true)]);
    }

    /// A request with unknown modules is rejected. The error identifies these modules, and nothing is stored.
    async fn the_error_for_unknown_modules_contains_their_ids(api: TestApi) {
        let company = api.company().await;
        let path = format!("/api/iam/companies/{}/modules", company.id);
        let (risks, unknown) = (api.module_id("risks").await, new_company());
        let body = json!({ "moduleIds": [risks, unknown] });
        let answer = api.put(&path).by_super_admin().json(&body).send().await.error();
        let message = format!("moduleIds[1] refers to an unknown module: {unknown}");
        assert_eq!(answer, (400, "ERR_VALIDATION_001".into(), message));
        let answer = api.put(&path).by_super_admin().json(&json!({})).send().await.error();
        assert_eq!(answer, (400, "ERR_VALIDATION_001".into(), "moduleIds must be an array".into()));
        assert_eq!(modules(&api, company).await, [("core".to_owned(), true)]);
        // The module exists, but the company does not have it. A change to it returns 404, like a change to an unknown
        // module.
        for module in [risks, unknown.to_string()] {
            let request = api.patch(&format!("{path}/{module}")).by_super_admin().json(&json!({ "enabled": true }));
            let error = request.send().await.error();
            assert_eq!(error, (404, "ERR_RESOURCE_001".into(), "Company module not found".into()));
        }
    }
}
