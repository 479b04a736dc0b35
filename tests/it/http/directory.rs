//! Tests of the directory of companies: creation, names, suspension and erasure, through the API.

use iam_domain::{CompanyId, UserId};
use iam_permissions_cache::{FillOptions, Filled};
use serde_json::{Value, json};

use crate::support::api::{Answer, Company, TestApi, both_adapters, each, new_company, new_user};
use crate::support::replica::Replica;

const COMPANIES: &str = "/api/iam/companies";

pub fn path_of(company: CompanyId) -> String {
    format!("{COMPANIES}/{company}")
}

/// Sends a `PATCH` for the company as a super admin.
async fn patch(api: &TestApi, company: CompanyId, body: Value) -> Answer {
    api.patch(&path_of(company)).by_super_admin().json(&body).send().await
}

pub async fn set_status(api: &TestApi, company: CompanyId, status: &str) {
    patch(api, company, json!({ "status": status })).await.expect(200);
}

/// Returns the checks of every view and of every listed action of every feature, and of a view and a feature that do not
/// exist.
async fn questions(api: &TestApi) -> Vec<Value> {
    let catalog = api.storage.reader().snapshots().load_catalog().await.unwrap().value;
    let views = catalog.views().map(|view| json!({ "view": view.url }));
    let features = catalog.features().flat_map(|feature| {
        let key = feature.key.clone().unwrap();
        ["Read", "Update", "Approve"].map(|action| json!({ "feature": key, "action": action }))
    });
    let unknown = [json!({ "view": "/nowhere" }), json!({ "feature": "no.key", "action": "Read" })];
    views.chain(features).chain(unknown).collect()
}

/// Returns the distinct reason codes of all decisions about a user. Asserts that every decision is a denial.
async fn denials(
    api: &TestApi,
    company: CompanyId,
    by: impl Fn(crate::support::api::Request) -> crate::support::api::Request,
    user: Option<UserId>,
) -> Vec<String> {
    let mut reasons = Vec::new();
    let questions = questions(api).await;
    let checks: Vec<_> = questions
        .into_iter()
        .map(|mut question| {
            if let Some(user) = user {
                question["userId"] = json!(user);
            }
            question
        })
        .collect();
    let request = by(api.post("/api/iam/checks")).within(company).json(&json!({ "checks": checks }));
    for result in request.send().await.expect(200).data()["results"].as_array().unwrap() {
        assert_eq!(result["allowed"], false, "{result}");
        reasons.push(result["reasonCode"].as_str().unwrap().to_owned());
    }
    reasons.sort();
    reasons.dedup();
    reasons
}

both_adapters! {
    /// A company is created and provisioned in one request: it has its name, the module `core` and the given modules,
    /// the default levels, and its first administrator. The id can be chosen, and cannot be used twice.
    async fn a_company_is_created_in_one_request(api: TestApi) {
        let (id, admin) = (new_company(), new_user());
        let (core, extra) = (api.module_id("core").await, api.module_id("risks").await);
        let body = json!({ "id": id, "name": "Ärzte GmbH", "moduleIds": [extra], "adminUserId": admin });
        let create = || api.post(COMPANIES).by_super_admin().json(&body).send();
        let answer = create().await.expect(201);
        assert_eq!(answer.header("location"), Some(path_of(id).as_str()));
        let company = answer.data()["company"].take();
        assert_eq!((&company["name"], &company["status"]), (&json!("Ärzte GmbH"), &json!("active")));
        assert_eq!(company["counts"], json!({ "userLevels": 3, "menuItems": 0, "apiKeys": 0 }));
        let mut modules = each(&company["modules"], "moduleId");
        modules.sort_unstable();
        let mut expected = [core.as_str(), extra.as_str()];
        expected.sort_unstable();
        assert_eq!(modules, expected);
        let read = api.get(&path_of(id)).by_super_admin().send().await.expect(200);
        assert_eq!(read.data()["company"], company);
        assert_eq!(read.etag(), answer.etag());
        let levels = api.get("/api/iam/user-levels").by(admin).within(id).send().await.expect(200).data();
        assert_eq!(each(&levels["userLevels"], "name"), ["Admin", "Member", "Visitor"]);
        assert_eq!(create().await.error(), (409, "ERR_RESOURCE_002".into(), "A company with this id already exists".into()));
        let provisioned = api.company().await;
        let again = json!({ "id": provisioned.id, "name": "Again" });
        api.post(COMPANIES).by_super_admin().json(&again).send().await.expect(409);
        // Without an id, the service chooses one.
        let other = api.post(COMPANIES).by_super_admin().json(&json!({ "name": "Other" })).send().await.expect(201);
        assert_ne!(other.data()["company"]["id"], json!(id));
        let unknown = json!({ "name": "X", "moduleIds": [extra, new_company()] });
        let refused = api.post(COMPANIES).by_super_admin().json(&unknown).send().await.expect(400);
        assert_eq!(refused.json()["errors"][0]["field"], "moduleIds[1]");
    }

    /// The name and the status of a company are changed separately. `If-Match` is compared with both. Each change is
    /// recorded in the audit log of the company.
    async fn the_name_and_the_status_of_a_company_are_changed(api: TestApi) {
        let company = api.company().await;
        let first = api.get(&path_of(company.id)).by_super_admin().send().await.expect(200);
        assert_eq!(first.data()["company"]["name"], Value::Null);
        let named = patch(&api, company.id, json!({ "name": "First" })).await.expect(200);
        assert_eq!(named.data()["company"]["status"], "active");
        let stale = api.patch(&path_of(company.id)).by_super_admin().header("if-match", first.etag());
        stale.json(&json!({ "name": "Second" })).send().await.expect(412);
        let fresh = api.patch(&path_of(company.id)).by_super_admin().header("if-match", named.etag());
        let suspended = fresh.json(&json!({ "status": "suspended" })).send().await.expect(200).data();
        assert_eq!((&suspended["company"]["name"], &suspended["company"]["status"]), (&json!("First"), &json!("suspended")));
        let logs = "/api/iam/audit-logs?action=company.updated";
        let logs = api.get(logs).by_super_admin().within(company.id).send().await.expect(200).data();
        let expected = json!({ "before": { "status": "active" }, "after": { "status": "suspended" } });
        assert_eq!(logs["logs"][0]["changes"], expected);
        assert_eq!(logs["logs"].as_array().unwrap().len(), 2);
        let error = (404, "ERR_RESOURCE_001".to_owned(), "Company not found".to_owned());
        let unknown = new_company();
        assert_eq!(patch(&api, unknown, json!({ "name": "X" })).await.error(), error);
        assert_eq!(api.get(&path_of(unknown)).by_super_admin().send().await.error(), error);
        api.delete(&path_of(unknown)).by_super_admin().send().await.expect(404);
        api.get(&path_of(unknown)).by_super_admin().send().await.expect(404);
    }

    /// In a suspended company, every decision about a level holder is a denial with one reason, also if the decision was
    /// cached. Non-members learn nothing. Menus, catalogs and all permissions are empty or denied. When the suspension
    /// ends, the decisions are as before.
    async fn a_suspended_company_denies_everything_to_its_users(api: TestApi) {
        let company = api.company().await;
        let key = api.api_key("check", Some(company.id)).await;
        let seen = async || {
            let mut seen = Vec::new();
            for path in ["/api/iam/permissions/current", "/api/iam/navigation", "/api/iam/me/catalog"] {
                seen.push(api.get(path).by(company.member).within(company.id).send().await.expect(200).data());
            }
            seen.push(api.check(company, company.member, json!({ "view": "/dashboard" })).await);
            seen
        };
        let before = seen().await;
        assert_eq!(before[3]["allowed"], true);
        set_status(&api, company.id, "suspended").await;

        for user in [company.admin, company.member, company.visitor] {
            assert_eq!(denials(&api, company.id, |request| request.by(user), None).await, ["company_suspended"]);
        }
        let by_key = |request: crate::support::api::Request| request.by_key(&key);
        assert_eq!(denials(&api, company.id, by_key, Some(company.admin)).await, ["company_suspended"]);
        let non_member = new_user();
        assert_eq!(denials(&api, company.id, |request| request.by(non_member), None).await, ["no_user_levels"]);
        assert_eq!(denials(&api, company.id, by_key, Some(non_member)).await, ["no_user_levels"]);
        let asked = api.post("/api/iam/check").by_super_admin().within(company.id).json(&json!({ "view": "/dashboard" }));
        assert_eq!(asked.send().await.expect(200).data()["reasonCode"], "super_admin");

        let during = seen().await;
        let views = during[0]["views"].as_object().unwrap();
        assert!(!views.is_empty() && views.values().all(|is_allowed| is_allowed == false), "{views:?}");
        let features = during[0]["features"].as_object().unwrap().values();
        assert!(features.flat_map(|actions| actions.as_object().unwrap().values()).all(|cell| cell["allowed"] == false));
        assert_eq!(during[1], json!({ "menu": [], "entrypoint": null }));
        assert_eq!(during[2], json!({ "views": [], "features": [] }));
        assert_eq!(during[3]["reason"], "Company is suspended");
        let question = json!({ "view": "/dashboard" });
        let explained = api.post("/api/iam/explain").by(company.member).within(company.id).json(&question);
        let explained = explained.send().await.expect(200).data();
        assert_eq!(explained["reasonCode"], "company_suspended");
        assert_eq!(explained["suggestion"], json!([{ "step": "activateCompany" }]));

        set_status(&api, company.id, "active").await;
        assert_eq!(seen().await, before);
    }

    /// Only super admins can administer a suspended company. The company keeps its last administrator.
    async fn a_suspended_company_is_administered_by_super_admins(api: TestApi) {
        let company = api.company().await;
        let admin = api.level_id(company, "Admin").await;
        let member = api.level_id(company, "Member").await;
        let key = api.api_key("administer", Some(company.id)).await;
        set_status(&api, company.id, "suspended").await;
        let level = json!({ "name": "New" });
        api.get("/api/iam/user-levels").by(company.admin).within(company.id).send().await.expect(403);
        api.post("/api/iam/user-levels").by(company.admin).within(company.id).json(&level).send().await.expect(403);
        api.get("/api/iam/audit-logs").by(company.admin).within(company.id).send().await.expect(403);
        set_status_as(&api, company, company.admin).await.expect(403);
        let single = format!("/api/iam/users/{}/user-levels/{admin}", company.member);
        let pair = json!({ "add": [{ "userId": company.member, "userLevelId": admin }] });
        let cells = format!("/api/iam/user-levels/{member}/permissions/views");
        let once = api.post("/api/iam/user-levels").header("idempotency-key", "once").json(&level);
        for request in [
            api.put(&single),
            api.delete(&single),
            api.post("/api/iam/assignments").json(&pair),
            api.patch(&cells).json(&json!({ "set": [] })),
            api.get("/api/iam/matrix"),
            once,
        ] {
            request.by(company.admin).within(company.id).send().await.expect(403);
        }
        api.post("/api/iam/user-levels").by_super_admin().within(company.id).json(&level).send().await.expect(201);
        // An API key of the company does not suffice either. A key of the platform does.
        api.get("/api/iam/user-levels").by_key(&key).within(company.id).send().await.expect(403);
        api.post("/api/iam/user-levels").by_key(&key).within(company.id).json(&level).send().await.expect(403);
        let platform = api.api_key("administer", None).await;
        api.get("/api/iam/user-levels").by_key(&platform).within(company.id).send().await.expect(200);
        let path = format!("/api/iam/users/{}/user-levels", company.admin);
        let put = |levels: Value| api.put(&path).by_super_admin().within(company.id).json(&json!({ "userLevelIds": levels })).send();
        assert_eq!(put(json!([member])).await.error().0, 409);
        put(json!([admin, member])).await.expect(200);
    }

    /// A suspension reaches another replica like every other change, and invalidates the effective-permission rows. New
    /// rows contain only denials.
    async fn a_suspension_reaches_replicas_and_effective_rows(api: TestApi) {
        let company = api.company().await;
        let (a, b) = (Replica::of(&api).await, Replica::of(&api).await);
        let dashboard = json!({ "view": "/dashboard" });
        let allowed = async |replica: &Replica| {
            let decision = replica.api.check(company, company.member, dashboard.clone()).await;
            (decision["allowed"].as_bool().unwrap(), decision["reasonCode"].as_str().unwrap().to_owned())
        };
        for replica in [&a, &b] {
            assert_eq!(allowed(replica).await, (true, "explicit_allow".to_owned()));
        }
        let rows = async || {
            let rows = api.storage.effective_view_permissions().find_all_for_user(company.id, company.member).await;
            rows.unwrap().into_iter().map(|row| row.has_access).collect::<Vec<_>>()
        };
        let fill = async || b.permissions.fill(&mut Filled::default(), &FillOptions::default()).await;
        fill().await;
        assert!(rows().await.contains(&true));
        set_status(&a.api, company.id, "suspended").await;
        assert!(rows().await.is_empty(), "the rows must be outdated");
        b.catch_up().await;
        for replica in [&a, &b] {
            assert_eq!(allowed(replica).await, (false, "company_suspended".to_owned()));
        }
        fill().await;
        let filled = rows().await;
        assert!(!filled.is_empty() && !filled.contains(&true));
    }

    /// Only a suspended company can be erased. Afterwards its API keys are rejected, its users are non-members, and its
    /// data does not exist. The audit log of the platform states the numbers of deleted rows.
    async fn a_suspended_company_is_erased(api: TestApi) {
        let company = api.company().await;
        let key = api.api_key("administer", Some(company.id)).await;
        let erase = || api.delete(&path_of(company.id)).by_super_admin().send();
        let active = "The company is active. Suspend the company before you erase it";
        assert_eq!(erase().await.error(), (409, "ERR_RESOURCE_002".into(), active.into()));
        api.get("/api/iam/user-levels").by_key(&key).within(company.id).send().await.expect(200);
        set_status(&api, company.id, "suspended").await;
        api.delete(&path_of(company.id)).by(company.admin).send().await.expect(403);
        api.delete(&path_of(company.id)).by_key(&key).send().await.expect(403);
        let stale = api.delete(&path_of(company.id)).by_super_admin().header("if-match", "\"outdated\"");
        stale.send().await.expect(412);
        let rows = erase().await.expect(200).data()["rows"].take();
        assert_eq!((&rows["user_levels"], &rows["user_user_levels"], &rows["api_keys"]), (&json!(3), &json!(3), &json!(1)));
        assert!(rows["iam_audit_logs"].as_u64().unwrap() > 3);

        api.get("/api/iam/user-levels").by_key(&key).within(company.id).send().await.expect(401);
        for user in [company.admin, company.member] {
            assert_eq!(denials(&api, company.id, |request| request.by(user), None).await, ["no_user_levels"]);
        }
        api.get("/api/iam/user-levels").by(company.admin).within(company.id).send().await.expect(403);
        api.get(&path_of(company.id)).by_super_admin().send().await.expect(404);
        let lists = [("user-levels", "userLevels"), ("audit-logs", "logs")];
        for (list, of) in lists {
            let request = api.get(&format!("/api/iam/{list}")).by_super_admin().within(company.id);
            assert_eq!(request.send().await.expect(200).data()[of], json!([]));
        }
        let logs = format!("/api/iam/audit-logs?action=company.erased&entityId={}", company.id);
        let logs = api.get(&logs).by_super_admin().send().await.expect(200).data();
        assert_eq!(logs["logs"][0]["changes"], json!({ "rows": rows }));
        assert_eq!(logs["logs"][0]["companyId"], Value::Null);
    }

    /// The id of an erased company can never be used again: every change to it is rejected, on every replica.
    async fn the_id_of_an_erased_company_is_rejected_forever(api: TestApi) {
        let company = api.company().await;
        let b = Replica::of(&api).await;
        b.api.check(company, company.member, json!({ "view": "/dashboard" })).await;
        set_status(&api, company.id, "suspended").await;
        api.delete(&path_of(company.id)).by_super_admin().send().await.expect(200);
        b.catch_up().await;
        let (id, view) = (company.id, api.view_id("/dashboard").await);
        let member = format!("/api/iam/users/{}", company.member);
        for replica in [&api, &b.api] {
            let decision = replica.check(company, company.member, json!({ "view": "/dashboard" })).await;
            assert_eq!(decision["reasonCode"], "no_user_levels");
            let changes = [
                (replica.delete(&path_of(id)), Value::Null),
                (replica.patch(&path_of(id)), json!({ "status": "active" })),
                (replica.post(COMPANIES), json!({ "id": id, "name": "Again" })),
                (replica.post(&format!("{}/provision", path_of(id))), json!({})),
                (replica.put(&format!("{}/modules", path_of(id))), json!({ "moduleIds": [] })),
                (replica.put(&format!("{}/quotas", path_of(id))), json!({ "levels": 7 })),
                (replica.post("/api/iam/user-levels").within(id), json!({ "name": "New" })),
                (replica.post("/api/iam/menu-items").within(id), json!({ "label": "New", "viewId": view })),
                (replica.put(&format!("{member}/user-levels")).within(id), json!({ "userLevelIds": [] })),
                (replica.put(&format!("{member}/profile")).within(id), json!({ "displayName": "Ada" })),
                (replica.delete(&member).within(id), Value::Null),
                (replica.post("/api/iam/api-keys"), json!({ "name": "Key", "role": "check", "companyId": id })),
            ];
            for (request, body) in changes {
                let request = request.by_super_admin();
                let request = if body.is_null() { request } else { request.json(&body) };
                let error = (409, "ERR_RESOURCE_002".to_owned(), "The company was erased".to_owned());
                assert_eq!(request.send().await.error(), error, "{body}");
            }
        }
    }

    /// A platform key can erase a company. Each API key of the company is revoked before, and recorded.
    async fn a_platform_service_erases_a_company(api: TestApi) {
        let company = api.company().await;
        let platform = api.api_key("administer", None).await;
        for role in ["check", "read"] {
            api.api_key(role, Some(company.id)).await;
        }
        let suspend = api.patch(&path_of(company.id)).by_key(&platform).json(&json!({ "status": "suspended" }));
        suspend.send().await.expect(200);
        let rows = api.delete(&path_of(company.id)).by_key(&platform).send().await.expect(200).data();
        assert_eq!(rows["rows"]["api_keys"], 2);
        let logs = api.get("/api/iam/audit-logs?action=api_key.revoked").by_super_admin().send().await.data();
        assert_eq!(logs["logs"].as_array().unwrap().len(), 2);
        api.get(&format!("{COMPANIES}/{}", new_company())).by_key(&platform).send().await.expect(404);
    }
}

/// Sends a `PATCH` that would end the suspension, as this user.
async fn set_status_as(api: &TestApi, company: Company, user: UserId) -> Answer {
    api.patch(&path_of(company.id)).by(user).json(&json!({ "status": "active" })).send().await
}
