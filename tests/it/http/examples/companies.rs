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
    let name = "POST /api/iam/companies/{companyId}/provision";
    let path = format!("/api/iam/companies/{}/provision", new_company());
    let body = json!({ "adminUserId": new_user(), "restoreAdmin": false });
    examples.record(name, callers.platform("POST", &path), Some(body)).await;
}
