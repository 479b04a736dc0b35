//! Tests of the guard that protects the administrative permissions of users. Callers without Approve cannot revoke them
//! from other users.

use serde_json::{Value, json};

use super::delegation::{LEVELS, PERMISSIONS, allow, delegate, deny, held, put_levels, put_matrix, sendable};
use crate::support::api::{Answer, both_adapters, new_user};

/// Asserts that the change was refused because it would revoke these permissions of another user.
#[track_caller]
fn assert_protected(answer: &Answer, field: &str, names: &[&str]) {
    let message = format!("You cannot revoke administrative permissions of other users: {}", names.join(", "));
    assert_eq!(answer.error(), (403, "ERR_AUTH_003".into(), message));
    let finding = |name: &&str| {
        let message = format!("{field} would revoke an administrative permission of another user: {name}");
        json!({ "field": field, "message": message, "code": "protected" })
    };
    assert_eq!(answer.json()["errors"], names.iter().map(finding).collect::<Value>());
}

both_adapters! {
    /// A caller without Approve cannot take the administrative permissions of another user by any kind of change:
    /// revoking a level, replacing it with another, assigning a level that denies, removing, narrowing or denying a
    /// cell, or denying the permission in another level of the user.
    async fn a_caller_without_approve_cannot_depose_an_administrator(api: TestApi) {
        let company = api.company().await;
        let (user, _) = delegate(&api, company, &[], &[]).await;
        let (admin, visitor) = (api.level_id(company, "Admin").await, api.level_id(company, "Visitor").await);
        let second = new_user();
        let (extra, denying) = (api.new_level(company, "Extra").await, api.new_level(company, "Denying").await);
        let denies = [deny(&api, LEVELS, "Update").await];
        api.set_matrix(company, &denying, "features", json!(denies)).await;
        for other in [company.admin, second] {
            api.assign(company, other, &[&admin, &extra]).await;
        }
        let features = sendable(&api, company, &admin, "features").await;
        let id = api.feature_id(PERMISSIONS).await;
        let is_approve = |cell: &Value| cell["featureId"] == id.as_str() && cell["action"] == "Approve";
        let changed = |change: &dyn Fn(&mut Value)| {
            let mut features = features.clone();
            change(features.iter_mut().find(|cell| is_approve(cell)).unwrap());
            features
        };
        let without: Vec<_> = features.iter().filter(|cell| !is_approve(cell)).cloned().collect();

        for (way, levels) in [("all", &[] as &[&str]), ("one", &[&extra]), ("another instead", &[&extra, &visitor])] {
            for other in [company.admin, second] {
                let answer = put_levels(&api, company, other, levels).by(user).send().await;
                let (status, code, message) = answer.error();
                assert_eq!((status, code.as_str()), (403, "ERR_AUTH_003"), "{way}");
                // The level Admin has six actions of each of the two features.
                let expected = "You cannot revoke administrative permissions of other users: ";
                assert!(message.starts_with(expected) && message.ends_with(", …"), "{message}");
                let errors = answer.json()["errors"].as_array().unwrap().clone();
                assert_eq!(errors.len(), 12, "{way}");
                assert!(errors.iter().all(|error| error["code"] == "protected" && error["field"] == "userLevelIds"));
            }
        }
        let levels = [admin.as_str(), &extra, &denying];
        let answer = put_levels(&api, company, second, &levels).by(user).send().await;
        assert_protected(&answer, "userLevelIds", &["iam.manage_levels/Update (any)"]);
        let approve = ["iam.assign_permissions/Approve (any)"];
        for (way, cells) in [
            ("no cell", without),
            ("a narrower cell", changed(&|cell| cell["scope"] = json!("company"))),
            ("a denied cell", changed(&|cell| cell["value"] = json!(false))),
        ] {
            let answer = put_matrix(&api, company, &admin, "features", &cells).by(user).send().await;
            assert_eq!(answer.status.as_u16(), 403, "{way}");
            assert_protected(&answer, "features", &approve);
        }
        let answer = put_matrix(&api, company, &extra, "features", &denies).by(user).send().await;
        assert_protected(&answer, "features", &["iam.manage_levels/Update (any)"]);
        let request = api.delete(&format!("/api/iam/user-levels/{admin}")).by(user).within(company.id);
        request.send().await.expect(400);

        for other in [company.admin, second] {
            assert_eq!(held(&api, company, other).await, ["Admin", "Extra"]);
        }
        assert_eq!(sendable(&api, company, &admin, "features").await, features);
        assert!(api.matrix(company, &extra, "features").await.is_empty());
        // Callers with Approve, super admins and services can make these changes.
        put_matrix(&api, company, &extra, "features", &denies).by_super_admin().send().await.expect(200);
        api.set_matrix(company, &extra, "features", json!([])).await;
        put_levels(&api, company, second, &[]).by(company.admin).send().await.expect(200);
        api.assign(company, second, &[&admin]).await;
        let key = api.api_key("administer", Some(company.id)).await;
        put_levels(&api, company, second, &[&visitor]).by_key(&key).send().await.expect(200);
    }

    /// A caller without Approve can also not take the administrative permissions of users who are no administrators. A
    /// caller who holds Approve only with a narrow scope counts as a caller without Approve.
    async fn the_permissions_of_other_delegates_are_protected(api: TestApi) {
        let company = api.company().await;
        let narrow = [allow(&api, PERMISSIONS, "Approve", "team").await];
        let (user, _) = delegate(&api, company, &[], &narrow).await;
        let read = [allow(&api, LEVELS, "Read", "own").await];
        let (reader, level) = api.holder_of(company, json!([]), json!(read)).await;
        let answer = put_levels(&api, company, reader, &[]).by(user).send().await;
        assert_protected(&answer, "userLevelIds", &["iam.manage_levels/Read (own)"]);
        let answer = put_matrix(&api, company, &level, "features", &[]).by(user).send().await;
        assert_protected(&answer, "features", &["iam.manage_levels/Read (own)"]);
        // The caller holds the same level. The other user would still lose the permission.
        let (other, shared) = delegate(&api, company, &[], &[]).await;
        api.assign(company, user, &[&shared]).await;
        let answer = put_matrix(&api, company, &shared, "features", &[]).by(user).send().await;
        assert_protected(
            &answer,
            "features",
            &["iam.manage_levels/Update (company)", "iam.assign_permissions/Update (company)"],
        );
        assert_eq!(held(&api, company, other).await.len(), 1);
    }

    /// A caller without Approve can still make changes that revoke no administrative permission of another user.
    async fn other_permissions_can_be_revoked(api: TestApi) {
        let company = api.company().await;
        let (user, own) = delegate(&api, company, &[], &[]).await;
        let (admin, member) = (api.level_id(company, "Admin").await, api.level_id(company, "Member").await);
        // A member has no administrative permissions.
        let denies = [deny(&api, "general.read", "Read").await];
        put_matrix(&api, company, &member, "features", &denies).by(user).send().await.expect(200);
        put_levels(&api, company, company.member, &[]).by(user).send().await.expect(200);
        // The views and the other features of an administrator can be reduced.
        put_matrix(&api, company, &admin, "views", &[]).by(user).send().await.expect(200);
        let reserved = [api.feature_id(LEVELS).await, api.feature_id(PERMISSIONS).await];
        let mut cells = sendable(&api, company, &admin, "features").await;
        cells.retain(|cell| reserved.iter().any(|id| cell["featureId"] == id.as_str()));
        put_matrix(&api, company, &admin, "features", &cells).by(user).send().await.expect(200);
        // Another level of the user still allows the permissions, or a deny already overrides them.
        let (other, first) = delegate(&api, company, &[], &[]).await;
        api.assign(company, other, &[&first, &own]).await;
        put_levels(&api, company, other, &[&own]).by(user).send().await.expect(200);
        let denying = api.new_level(company, "Denying").await;
        let denies = [deny(&api, LEVELS, "Update").await, deny(&api, PERMISSIONS, "Update").await];
        api.set_matrix(company, &denying, "features", json!(denies)).await;
        api.assign(company, other, &[&first, &denying]).await;
        put_matrix(&api, company, &first, "features", &[]).by(user).send().await.expect(200);
        put_levels(&api, company, other, &[&denying]).by(user).send().await.expect(200);
        // No user holds the level.
        let unheld = api.new_level(company, "Unheld").await;
        api.set_matrix(company, &unheld, "features", json!([allow(&api, LEVELS, "Read", "any").await])).await;
        put_matrix(&api, company, &unheld, "features", &denies).by(user).send().await.expect(200);
        // The callers' own permissions can be given up.
        put_matrix(&api, company, &own, "features", &[]).by(user).send().await.expect(200);
    }

    /// The guard is evaluated under the company's lock. Of a revocation of the caller's Approve and a change that needs
    /// Approve, either the change comes first or it is refused.
    async fn of_two_callers_who_depose_each_other_one_remains(api: TestApi) {
        let company = api.company().await;
        let admin = api.level_id(company, "Admin").await;
        let (second, own) = delegate(&api, company, &[], &[]).await;
        for _ in 0..4 {
            api.assign(company, second, &[&own, &admin]).await;
            let (one, other) = futures_util::join!(
                put_levels(&api, company, second, &[&own]).by(company.admin).send(),
                put_levels(&api, company, company.admin, &[]).by(second).send(),
            );
            let mut statuses = [one.status.as_u16(), other.status.as_u16()];
            statuses.sort_unstable();
            assert_eq!(statuses, [200, 403]);
            api.assign(company, company.admin, &[&admin]).await;
        }
    }
}
