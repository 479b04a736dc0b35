//! Records the examples of operations on companies.

use serde_json::json;

use super::{Callers, Examples};
use crate::support::api::{new_company, new_user};

pub(super) async fn record(examples: &mut Examples, callers: &Callers, module: &str) {
    let company = callers.company.id;
    let path = format!("/api/iam/companies/{company}/modules");
    let core = callers.api.module_id("core").await;
    let name = "PUT /api/iam/companies/{companyId}/modules";
    examples.record(name, callers.platform("PUT", &path), Some(json!({ "moduleIds": [core, module] }))).await;
    let name = "GET /api/iam/companies/{companyId}/modules";
    examples.record(name, callers.platform("GET", &path), None).await;
    let name = "PATCH /api/iam/companies/{companyId}/modules/{moduleId}";
    let one = format!("{path}/{module}");
    examples.record(name, callers.platform("PATCH", &one), Some(json!({ "enabled": false }))).await;
    let path = format!("/api/iam/companies/{company}/quotas");
    let name = "PUT /api/iam/companies/{companyId}/quotas";
    let body = json!({ "levels": 2000, "levelSets": 8000, "menuItems": 500, "permissionCells": 400_000,
        "apiKeys": 100, "textBytes": 8_388_608, "levelsPerUser": 100 });
    examples.record(name, callers.platform("PUT", &path), Some(body)).await;
    let name = "GET /api/iam/companies/{companyId}/quotas";
    examples.record(name, callers.platform("GET", &path), None).await;
    let path = format!("/api/iam/companies/{company}/ceilings");
    let ceilings = json!({
        "hiddenViews": [callers.api.view_id("/modules/audit").await],
        "actions": [
            { "featureId": callers.api.feature_id("general.read").await, "action": "Read", "maxScope": "team" },
            { "featureId": callers.api.feature_id("risks.create").await, "action": "Create", "maxScope": null },
        ],
    });
    let name = "POST /api/iam/companies/{companyId}/ceilings/preview";
    let preview = callers.platform("POST", &format!("{path}/preview"));
    examples.record(name, preview, Some(ceilings.clone())).await;
    let name = "PUT /api/iam/companies/{companyId}/ceilings";
    examples.record(name, callers.platform("PUT", &path), Some(ceilings)).await;
    let name = "GET /api/iam/companies/{companyId}/ceilings";
    examples.record(name, callers.platform("GET", &path), None).await;
    directory(examples, callers, module).await;
    let name = "POST /api/iam/companies/{companyId}/provision";
    let path = format!("/api/iam/companies/{}/provision", new_company());
    let body = json!({ "adminUserId": new_user(), "restoreAdmin": false });
    examples.record(name, callers.platform("POST", &path), Some(body)).await;
}

async fn directory(examples: &mut Examples, callers: &Callers, module: &str) {
    let list = "/api/iam/companies";
    let body = json!({
        "id": new_company(), "name": "Example Ltd", "moduleIds": [module], "adminUserId": new_user(),
    });
    let made = examples.record("POST /api/iam/companies", callers.platform("POST", list), Some(body)).await;
    let path = format!("{list}/{}", super::id(&made, "company"));
    examples.record("GET /api/iam/companies/{companyId}", callers.platform("GET", &path), None).await;
    let body = json!({ "name": "Example Holding", "status": "suspended" });
    let name = "PATCH /api/iam/companies/{companyId}";
    examples.record(name, callers.platform("PATCH", &path), Some(body)).await;
    examples.record("DELETE /api/iam/companies/{companyId}", callers.platform("DELETE", &path), None).await;
    let user = new_user();
    let level = callers.api.level_id(callers.company, "Member").await;
    callers.api.assign(callers.company, user, &[&level]).await;
    let path = format!("/api/iam/users/{user}");
    let body = json!({ "displayName": "Ada Lovelace", "email": "ada@example.com" });
    let request = callers.admin("PUT", &format!("{path}/profile"));
    examples.record("PUT /api/iam/users/{userId}/profile", request, Some(body)).await;
    let request = callers.admin("GET", &format!("{path}/profile"));
    examples.record("GET /api/iam/users/{userId}/profile", request, None).await;
    let request = callers.platform("GET", &format!("{path}/companies"));
    examples.record("GET /api/iam/users/{userId}/companies", request, None).await;
    examples.record("DELETE /api/iam/users/{userId}", callers.admin("DELETE", &path), None).await;
}
