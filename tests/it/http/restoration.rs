//! Tests of `restoreAdmin`: a super admin restores the administration of a company in which no user holds Approve.

use iam_domain::UserId;
use serde_json::{Value, json};

use super::delegation::{LEVELS, PERMISSIONS, allow, delegate, deny, held, sendable};
use crate::support::api::{Answer, Company, Request, TestApi, both_adapters, each, new_company, new_user};

fn restoration(api: &TestApi, company: Company, admin: UserId) -> Request {
    let path = format!("/api/iam/companies/{}/provision", company.id);
    api.post(&path).json(&json!({ "adminUserId": admin, "restoreAdmin": true }))
}

async fn restore(api: &TestApi, company: Company, admin: UserId) -> Answer {
    restoration(api, company, admin).by_super_admin().send().await
}

async fn records(api: &TestApi, company: Company) -> Vec<Value> {
    let request = api.get("/api/iam/audit-logs?limit=50").by_super_admin().within(company.id);
    request.send().await.expect(200).data()["logs"].as_array().unwrap().clone()
}

/// Asserts that the user is an administrator of the company and can grant all permissions.
async fn assert_restored(api: &TestApi, company: Company, user: UserId) {
    for (key, action) in [(LEVELS, "Update"), (PERMISSIONS, "Update"), (PERMISSIONS, "Approve")] {
        let question = json!({ "feature": key, "action": action, "scope": "company" });
        assert_eq!(api.check(company, user, question).await["allowed"], true, "{key} {action}");
    }
}

both_adapters! {
    /// The level Admin was deleted. It is created again from the template and assigned to the specified user.
    async fn a_deleted_level_is_created_again(api: TestApi) {
        let company = api.company().await;
        let admin = api.level_id(company, "Admin").await;
        let cells = [sendable(&api, company, &admin, "views").await, sendable(&api, company, &admin, "features").await];
        api.assign(company, company.admin, &[]).await;
        api.delete(&format!("/api/iam/user-levels/{admin}")).by_super_admin().within(company.id).send().await.expect(200);
        let user = new_user();
        let data = restore(&api, company, user).await.expect(200).data();
        assert_eq!(each(&data["userLevels"], "name"), ["Admin", "Member", "Visitor"]);
        assert_eq!(held(&api, company, user).await, ["Admin"]);
        assert_restored(&api, company, user).await;
        let restored = data["userLevels"][0]["id"].as_str().unwrap().to_owned();
        assert_ne!(restored, admin);
        for (matrix, expected) in ["views", "features"].into_iter().zip(cells) {
            assert_eq!(sendable(&api, company, &restored, matrix).await, expected);
        }
        // The audit log contains the restoration, and the changes that it consists of.
        let records = records(&api, company).await;
        let record = records.iter().find(|record| record["action"] == "company.administration_restored").unwrap();
        assert_eq!(record["userId"], api.super_admin.to_string());
        assert_eq!(record["metadata"]["superAdmin"], true);
        assert_eq!(record["changes"], json!({ "userId": user, "userLevelId": restored }));
        let is_assignment = |record: &&Value| record["entityType"] == "assignment" && record["entityId"] == json!(user);
        assert_eq!(records.iter().filter(is_assignment).count(), 1);
        // The restored administrator can restore the others.
        let path = format!("/api/iam/users/{}/user-levels", company.admin);
        let body = json!({ "userLevelIds": [restored] });
        api.put(&path).by(user).within(company.id).json(&body).send().await.expect(200);
    }

    /// The level Admin lost cells. Its cells for the service's own features are restored, missing cells are added, and
    /// its other cells are kept.
    async fn an_incomplete_level_is_completed(api: TestApi) {
        let company = api.company().await;
        let admin = api.level_id(company, "Admin").await;
        let complete = sendable(&api, company, &admin, "features").await;
        let (view, feature) = (api.view_id("/home").await, api.feature_id("general.read").await);
        let kept = json!({ "featureId": feature, "action": "Read", "value": false, "scope": "own" });
        let cells = [kept.clone(), deny(&api, PERMISSIONS, "Approve").await, allow(&api, LEVELS, "Update", "own").await];
        api.set_matrix(company, &admin, "features", json!(cells)).await;
        api.set_matrix(company, &admin, "views", json!([{ "viewId": view, "state": "deny" }])).await;
        restore(&api, company, company.admin).await.expect(200);
        assert_eq!(held(&api, company, company.admin).await, ["Admin"]);
        assert_restored(&api, company, company.admin).await;
        let is_kept = |cell: &Value| cell["featureId"] == feature.as_str() && cell["action"] == "Read";
        let expected: Vec<_> =
            complete.into_iter().map(|cell| if is_kept(&cell) { kept.clone() } else { cell }).collect();
        assert_eq!(sendable(&api, company, &admin, "features").await, expected);
        let views = api.matrix(company, &admin, "views").await;
        let denied: Vec<_> = views.iter().filter(|cell| cell["state"] == "deny").map(|cell| &cell["viewId"]).collect();
        assert_eq!((views.len(), denied), (14, vec![&json!(view)]));
    }

    /// Other users hold the level Admin. Its completion would grant them permissions, so a new level is created.
    async fn a_level_that_others_hold_is_not_completed(api: TestApi) {
        let company = api.company().await;
        let admin = api.level_id(company, "Admin").await;
        api.set_matrix(company, &admin, "features", json!([])).await;
        api.new_level(company, "Admin 2").await;
        restore(&api, company, company.visitor).await.expect(200);
        assert_eq!(held(&api, company, company.visitor).await, ["Admin 3", "Visitor"]);
        assert_restored(&api, company, company.visitor).await;
        assert!(api.matrix(company, &admin, "features").await.is_empty());
        let question = json!({ "feature": LEVELS, "action": "Read" });
        assert_eq!(api.check(company, company.admin, question).await["allowed"], false);
    }

    /// Levels of the user that deny permissions on the service's own features are revoked. Other levels are kept.
    async fn levels_that_deny_administration_are_revoked(api: TestApi) {
        let company = api.company().await;
        let denying = api.new_level(company, "Denying").await;
        api.set_matrix(company, &denying, "features", json!([deny(&api, LEVELS, "Update").await])).await;
        let member = api.level_id(company, "Member").await;
        api.assign(company, company.member, &[&member, &denying]).await;
        api.assign(company, company.admin, &[]).await;
        restore(&api, company, company.member).await.expect(200);
        assert_eq!(held(&api, company, company.member).await, ["Admin", "Member"]);
        assert_restored(&api, company, company.member).await;
    }

    /// Nothing is restored while a user of the company holds Approve. If this user is the specified user and an
    /// administrator, the request succeeds without an effect, so it can be repeated.
    async fn nothing_is_restored_while_a_user_holds_approve(api: TestApi) {
        let company = api.company().await;
        let expected = "A user of this company still holds iam.assign_permissions/Approve";
        let before = records(&api, company).await;
        let answer = restore(&api, company, company.member).await;
        assert_eq!(answer.error(), (409, "ERR_RESOURCE_002".into(), expected.into()));
        restore(&api, company, company.admin).await.expect(200);
        assert_eq!(records(&api, company).await, before);
        // Administrators without Approve do not prevent the restoration.
        api.assign(company, company.admin, &[]).await;
        delegate(&api, company, &[], &[]).await;
        for _ in 0..2 {
            restore(&api, company, company.member).await.expect(200);
            assert_eq!(held(&api, company, company.member).await, ["Admin", "Member"]);
        }
    }

    /// Only super admins can restore, not services that administer every company. The user is required, and the first
    /// provisioning ignores the option.
    async fn only_super_admins_restore(api: TestApi) {
        let company = api.company().await;
        api.assign(company, company.admin, &[]).await;
        let key = api.api_key("administer", None).await;
        let answer = restoration(&api, company, company.admin).by_key(&key).send().await;
        let message = "Only super admins may restore the administration of a company";
        assert_eq!(answer.error(), (403, "ERR_AUTH_003".into(), message.into()));
        restoration(&api, company, company.admin).by(company.admin).send().await.expect(403);
        assert!(held(&api, company, company.admin).await.is_empty());

        let path = format!("/api/iam/companies/{}/provision", company.id);
        for (body, message) in [
            (json!({ "restoreAdmin": true }), "AdminUserId is required if restoreAdmin is true"),
            (json!({ "restoreAdmin": "true", "adminUserId": company.admin }), "restoreAdmin must be a boolean"),
            (json!({ "restoreAdmin": null, "adminUserId": company.admin }), "restoreAdmin must be a boolean"),
        ] {
            let answer = api.post(&path).by_super_admin().json(&body).send().await;
            assert_eq!(answer.error(), (400, "ERR_VALIDATION_001".into(), message.into()));
        }
        let new = Company { id: new_company(), ..company };
        restore(&api, new, company.admin).await.expect(201);
        assert_eq!(held(&api, new, company.admin).await, ["Admin"]);
    }
}
