//! The examples of the operations that return decisions, and of the lists of users.

use serde_json::json;

use super::{Callers, Examples};
use crate::support::contract;

/// Records the examples of the operations that return decisions, and of the lists of users.
pub async fn record(examples: &mut Examples, callers: &Callers) {
    let member = callers.company.member;
    let by_member = |method: &str, path: &str| callers.request(method, path).by(member).within(callers.company.id);
    examples.record("GET /api/iam/navigation", by_member("GET", "/api/iam/navigation"), None).await;
    examples.record("GET /api/iam/me", by_member("GET", "/api/iam/me"), None).await;
    examples.record("GET /api/iam/me/companies", by_member("GET", "/api/iam/me/companies"), None).await;
    examples.record("GET /api/iam/me/catalog", by_member("GET", "/api/iam/me/catalog"), None).await;
    let path = "/api/iam/permissions/current";
    examples.record("GET /api/iam/permissions/current", by_member("GET", path), None).await;
    let path = format!("/api/iam/users/{member}/permissions");
    examples.record("GET /api/iam/users/{userId}/permissions", callers.admin("GET", &path), None).await;
    let path = format!("/api/iam/what-can?userId={member}");
    examples.record("GET /api/iam/what-can", callers.admin("GET", &path), None).await;
    let denied = json!({ "feature": "risks.create", "action": "Create", "scope": "team", "userId": member });
    for body in
        [json!({ "view": "/dashboard" }), denied.clone(), json!({ "feature": "general.read", "action": "Read" })]
    {
        examples.record("POST /api/iam/check", callers.admin("POST", "/api/iam/check"), Some(body)).await;
    }
    let checks = json!({ "checks": [
        { "view": "/dashboard" },
        { "feature": "risks.create", "action": "Create", "userId": "not a user" },
    ] });
    let answer = callers.admin("POST", "/api/iam/checks").json(&checks).send().await.expect(200).json();
    let normal = examples.normalizer.json(&answer);
    examples.learn(&contract::response_schema("/api/iam/checks", "post", "200"), None, &normal);
    let checks = json!({ "checks": [{ "view": "/dashboard" }, { "feature": "general.read", "action": "Read" }] });
    examples.record("POST /api/iam/checks", callers.admin("POST", "/api/iam/checks"), Some(checks)).await;
    for body in [json!({ "view": "/dashboard" }), denied.clone()] {
        examples.record("POST /api/iam/explain", callers.admin("POST", "/api/iam/explain"), Some(body)).await;
    }
    let path = "/api/iam/explanations";
    let checks = json!({ "checks": [{ "view": "/dashboard" }, denied] });
    examples.record("POST /api/iam/explanations", callers.admin("POST", path), Some(checks)).await;
    let path = "/api/iam/who-can?feature=general.read&action=Read&scope=team";
    examples.record("GET /api/iam/who-can", callers.admin("GET", path), None).await;
    let path = format!("/api/iam/users/{member}/user-levels?force=false");
    let body = json!({ "method": "PUT", "path": path, "body": { "userLevelIds": [] }, "ifMatch": "*" });
    examples.record("POST /api/iam/previews", callers.admin("POST", "/api/iam/previews"), Some(body)).await;
    let companies = callers.platform("GET", "/api/iam/companies?sort=name");
    examples.record("GET /api/iam/companies", companies, None).await;
    examples.record("GET /api/iam/users", callers.admin("GET", "/api/iam/users?total=true"), None).await;
}
