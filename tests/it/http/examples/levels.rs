//! The examples of the operations on levels and their matrices.

use serde_json::json;

use super::{Callers, Examples, id};

use crate::support::api::new_user;

/// Records the examples of the operations on levels, their matrices and assignments.
pub async fn record(examples: &mut Examples, callers: &Callers) {
    let list = "/api/iam/user-levels";
    let body = json!({ "name": "Auditor", "description": "Reads everything and changes nothing" });
    let made = examples.record("POST /api/iam/user-levels", callers.admin("POST", list), Some(body)).await;
    let level = id(&made, "userLevel");
    let path = format!("{list}/{level}");
    examples.record("GET /api/iam/user-levels", callers.admin("GET", list), None).await;
    examples.record("GET /api/iam/user-levels/{id}", callers.admin("GET", &path), None).await;
    let body = json!({ "name": "External auditor", "description": "Reads everything" });
    examples.record("PATCH /api/iam/user-levels/{id}", callers.admin("PATCH", &path), Some(body)).await;
    let matrix = format!("{path}/permissions/views");
    let view = callers.api.view_id("/dashboard").await;
    let body = json!({ "views": [{ "viewId": view, "state": "allow", "modifiable": true }] });
    let name = "PUT /api/iam/user-levels/{id}/permissions/views";
    examples.record(name, callers.admin("PUT", &matrix), Some(body)).await;
    let name = "GET /api/iam/user-levels/{id}/permissions/views";
    examples.record(name, callers.admin("GET", &matrix), None).await;
    let matrix = format!("{path}/permissions/features");
    let feature = callers.api.feature_id("general.read").await;
    let cell = json!({ "featureId": feature, "action": "Read", "value": true, "scope": "company", "modifiable": true });
    let name = "PUT /api/iam/user-levels/{id}/permissions/features";
    examples.record(name, callers.admin("PUT", &matrix), Some(json!({ "features": [cell] }))).await;
    let name = "GET /api/iam/user-levels/{id}/permissions/features";
    examples.record(name, callers.admin("GET", &matrix), None).await;
    let body = json!({
        "set": [{ "featureId": feature, "action": "Read", "value": true, "scope": "team", "modifiable": true }],
        "unset": [{ "featureId": feature, "action": "Update" }],
    });
    let name = "PATCH /api/iam/user-levels/{id}/permissions/features";
    examples.record(name, callers.admin("PATCH", &matrix), Some(body)).await;
    let body = json!({
        "set": [{ "viewId": view, "state": "deny", "modifiable": true }],
        "unset": [{ "viewId": callers.api.view_id("/modules/risks").await }],
    });
    let name = "PATCH /api/iam/user-levels/{id}/permissions/views";
    let request = callers.admin("PATCH", &format!("{path}/permissions/views"));
    examples.record(name, request, Some(body)).await;
    examples.record("GET /api/iam/matrix", callers.admin("GET", "/api/iam/matrix"), None).await;
    let body = json!({ "name": "Copy", "description": "Has the same permissions", "copyFrom": level });
    examples.record("POST /api/iam/user-levels", callers.admin("POST", list), Some(body)).await;
    let held = format!("/api/iam/users/{}/user-levels", callers.company.member);
    let name = "PUT /api/iam/users/{userId}/user-levels";
    examples.record(name, callers.admin("PUT", &held), Some(json!({ "userLevelIds": [level] }))).await;
    let name = "GET /api/iam/users/{userId}/user-levels";
    examples.record(name, callers.admin("GET", &held), None).await;
    let one = format!("{held}/{}", callers.api.level_id(callers.company, "Visitor").await);
    let name = "PUT /api/iam/users/{userId}/user-levels/{levelId}";
    let body = json!({ "startsAt": "2026-01-01T00:00:00Z", "expiresAt": "2998-01-01T00:00:00Z" });
    examples.record(name, callers.admin("PUT", &one), Some(body)).await;
    let ending = callers.admin("GET", "/api/iam/assignments?expiresBefore=2999-01-01T00:00:00Z");
    examples.record("GET /api/iam/assignments", ending, None).await;
    examples.record("GET /api/iam/users/{userId}/user-levels", callers.admin("GET", &held), None).await;
    let name = "DELETE /api/iam/users/{userId}/user-levels/{levelId}";
    examples.record(name, callers.admin("DELETE", &one), None).await;
    let body = json!({
        "add": [
            { "userId": new_user(), "userLevelId": level },
            { "userId": new_user(), "userLevelId": level, "startsAt": null, "expiresAt": "2998-01-01T00:00:00Z" },
        ],
        "remove": [{ "userId": callers.company.visitor, "userLevelId": level }],
    });
    let request = callers.admin("POST", "/api/iam/assignments");
    examples.record("POST /api/iam/assignments", request, Some(body)).await;
    let name = "GET /api/iam/user-levels/{id}/users";
    examples.record(name, callers.admin("GET", &format!("{path}/users?limit=1")), None).await;
    let unused = callers.api.make("user-levels", Some(callers.company.id), json!({ "name": "Unused" })).await;
    let unused = format!("{list}/{}", unused["id"].as_str().unwrap());
    examples.record("DELETE /api/iam/user-levels/{id}", callers.admin("DELETE", &unused), None).await;
}
