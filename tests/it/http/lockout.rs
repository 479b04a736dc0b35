//! Tests of the lockout guard. It rejects changes after which a company would have no administrator, or no user who
//! holds Approve. A super admin can force such a change.

use iam_domain::UserId;
use serde_json::{Value, json};

use super::delegation::{
    LEVELS, PERMISSIONS, allow, delegate, deny, held, put_levels, put_levels_to, put_matrix, sendable,
};
use crate::support::api::{Answer, Company, Request, TestApi, both_adapters, new_user};

const LOCKED_OUT: &str = "The company would be left without an administrator";
const NO_APPROVE: &str = "The company would be left without a user who holds iam.assign_permissions/Approve";

#[track_caller]
fn assert_locked_out(answer: &Answer) {
    assert_eq!(answer.error(), (409, "ERR_RESOURCE_002".into(), LOCKED_OUT.into()));
}

#[track_caller]
fn assert_without_approve(answer: &Answer) {
    assert_eq!(answer.error(), (409, "ERR_RESOURCE_002".into(), NO_APPROVE.into()));
}

/// Creates an administrator who holds Approve. Returns the user and the user's level.
async fn another_admin(api: &TestApi, company: Company) -> (UserId, String) {
    let approve = allow(api, PERMISSIONS, "Approve", "company").await;
    delegate(api, company, &[], &[approve]).await
}

both_adapters! {
    /// The last administrator cannot remove their own administrative rights by any kind of change. The levels of other
    /// users can be revoked.
    async fn the_last_administrator_cannot_be_demoted(api: TestApi) {
        let company = api.company().await;
        let (admin, visitor) = (api.level_id(company, "Admin").await, api.level_id(company, "Visitor").await);
        let extra = api.new_level(company, "Extra").await;
        let denying = api.new_level(company, "Denying").await;
        api.set_matrix(company, &denying, "features", json!([deny(&api, LEVELS, "Update").await])).await;
        api.assign(company, company.admin, &[&admin, &extra]).await;
        let features = sendable(&api, company, &admin, "features").await;
        let changed = async |key: &str, field: &str, value: Value| {
            let id = api.feature_id(key).await;
            let is_it = |cell: &Value| cell["featureId"] == id.as_str() && cell["action"] == "Update";
            let mut features = features.clone();
            features.iter_mut().find(|cell| is_it(cell)).unwrap()[field] = value;
            features
        };
        let attempts = [
            ("all levels taken", put_levels(&api, company, company.admin, &[])),
            ("another level instead", put_levels(&api, company, company.admin, &[&visitor])),
            ("a level that denies", put_levels(&api, company, company.admin, &[&admin, &denying])),
            ("no rows", put_matrix(&api, company, &admin, "features", &[])),
            ("a denied row", {
                put_matrix(&api, company, &admin, "features", &changed(LEVELS, "value", json!(false)).await)
            }),
            ("a narrower row", {
                put_matrix(&api, company, &admin, "features", &changed(PERMISSIONS, "scope", json!("team")).await)
            }),
            ("denied by another level", {
                put_matrix(&api, company, &extra, "features", &[deny(&api, PERMISSIONS, "Update").await])
            }),
        ];
        for (way, request) in attempts {
            let answer = request.by(company.admin).send().await;
            assert_eq!(answer.error(), (409, "ERR_RESOURCE_002".into(), LOCKED_OUT.into()), "{way}");
        }
        assert_eq!(held(&api, company, company.admin).await, ["Admin", "Extra"]);
        assert_eq!(sendable(&api, company, &admin, "features").await, features);
        // Changes that do not affect the administrator's administrative rights are accepted.
        put_matrix(&api, company, &admin, "views", &[]).by(company.admin).send().await.expect(200);
        let narrower = changed(LEVELS, "scope", json!("company")).await;
        put_matrix(&api, company, &admin, "features", &narrower).by(company.admin).send().await.expect(200);
        put_levels(&api, company, company.admin, &[&admin]).by(company.admin).send().await.expect(200);
        put_levels(&api, company, company.member, &[]).by(company.admin).send().await.expect(200);
        // Once the company has another administrator who holds Approve, the first administrator can remove their own
        // administrative rights.
        delegate(&api, company, &[], &[]).await;
        assert_without_approve(&put_matrix(&api, company, &admin, "features", &[]).by(company.admin).send().await);
        another_admin(&api, company).await;
        put_matrix(&api, company, &admin, "features", &[]).by(company.admin).send().await.expect(200);
    }

    /// The lockout guard also protects the last administrator from changes by other callers: users who hold Approve but
    /// are not administrators, services, and super admins without `force`.
    async fn the_last_administrator_cannot_be_removed_by_others(api: TestApi) {
        let company = api.company().await;
        let admin = api.level_id(company, "Admin").await;
        let approve = allow(&api, PERMISSIONS, "Approve", "any").await;
        let half = [allow(&api, LEVELS, "Update", "any").await, approve.clone()];
        let (levels, _) = api.holder_of(company, json!([]), json!(half)).await;
        let half = [allow(&api, PERMISSIONS, "Update", "any").await, approve];
        let (permissions, _) = api.holder_of(company, json!([]), json!(half)).await;
        let take = || put_levels(&api, company, company.admin, &[]);
        let empty = || put_matrix(&api, company, &admin, "features", &[]);
        assert_locked_out(&take().by(levels).send().await);
        assert_locked_out(&empty().by(permissions).send().await);
        assert_locked_out(&take().by_super_admin().send().await);
        assert_locked_out(&empty().by_super_admin().send().await);
        let key = api.api_key("administer", Some(company.id)).await;
        assert_locked_out(&take().by_key(&key).send().await);
        assert_locked_out(&empty().by_key(&key).send().await);

        // Two users hold the same level. One of them can lose the level, but the level cannot lose its permissions.
        let second = new_user();
        api.assign(company, second, &[&admin]).await;
        assert_locked_out(&empty().by(permissions).send().await);
        take().by(levels).send().await.expect(200);
        assert_eq!(held(&api, company, second).await, ["Admin"]);
        // A third user is an administrator through another level. The level of the other two users can then lose its
        // permissions too.
        delegate(&api, company, &[], &[]).await;
        empty().by(permissions).send().await.expect(200);
    }

    /// The last user who holds Approve keeps it, even if the company has other administrators. This applies to every
    /// kind of change and to every caller, and Approve must apply to the whole company. A super admin can force the
    /// change.
    async fn the_last_holder_of_approve_cannot_be_demoted(api: TestApi) {
        let company = api.company().await;
        let admin = api.level_id(company, "Admin").await;
        delegate(&api, company, &[], &[]).await;
        let denying = api.new_level(company, "Denying").await;
        api.set_matrix(company, &denying, "features", json!([deny(&api, PERMISSIONS, "Approve").await])).await;
        let features = sendable(&api, company, &admin, "features").await;
        let id = api.feature_id(PERMISSIONS).await;
        let is_approve = |cell: &Value| cell["featureId"] == id.as_str() && cell["action"] == "Approve";
        let changed = |change: &dyn Fn(&mut Value)| {
            let mut features = features.clone();
            change(features.iter_mut().find(|cell| is_approve(cell)).unwrap());
            features
        };
        let without: Vec<_> = features.iter().filter(|cell| !is_approve(cell)).cloned().collect();
        let key = api.api_key("administer", None).await;
        let narrower = changed(&|cell| cell["scope"] = json!("team"));
        let denied = changed(&|cell| cell["value"] = json!(false));
        let levels = [vec![], vec![admin.as_str(), &denying]];
        let callers: [&dyn Fn(Request) -> Request; 3] =
            [&|request| request.by(company.admin), &Request::by_super_admin, &|request| request.by_key(&key)];
        for by in callers {
            for levels in &levels {
                assert_without_approve(&by(put_levels(&api, company, company.admin, levels)).send().await);
            }
            for cells in [&without, &narrower, &denied] {
                assert_without_approve(&by(put_matrix(&api, company, &admin, "features", cells)).send().await);
            }
        }
        assert_eq!(sendable(&api, company, &admin, "features").await, features);
        // A change that keeps Approve for the whole company is accepted.
        let company_wide = changed(&|cell| cell["scope"] = json!("company"));
        put_matrix(&api, company, &admin, "features", &company_wide).by(company.admin).send().await.expect(200);
        // Approve on `iam.manage_levels` is a different permission.
        let other = [allow(&api, LEVELS, "Approve", "any").await];
        delegate(&api, company, &[], &other).await;
        assert_without_approve(&put_levels(&api, company, company.admin, &[]).by(company.admin).send().await);
        let path = format!("/api/iam/users/{}/user-levels?force=true", company.admin);
        put_levels_to(&api, company, &path, &[]).by_super_admin().send().await.expect(200);
        // No user holds Approve any more, so the rule rejects no changes.
        put_matrix(&api, company, &admin, "features", &without).by_super_admin().send().await.expect(200);
    }

    /// If a company has no administrator, the lockout guard rejects no changes to this company.
    async fn a_company_without_an_administrator_is_not_blocked(api: TestApi) {
        let company = api.company().await;
        let admin = api.level_id(company, "Admin").await;
        api.assign(company, company.admin, &[]).await;
        let (levels, _) = api.holder_of(company, json!([]), json!([allow(&api, LEVELS, "Update", "any").await])).await;
        put_levels(&api, company, company.member, &[]).by(levels).send().await.expect(200);
        put_levels(&api, company, company.visitor, &[]).by_super_admin().send().await.expect(200);
        put_matrix(&api, company, &admin, "features", &[]).by_super_admin().send().await.expect(200);
    }

    /// With `force`, a super admin can make a change after which the company has no administrator. The audit record
    /// contains the caller and states that the change was forced.
    async fn a_super_admin_may_force_a_lockout(api: TestApi) {
        let (one, other) = (api.company().await, api.company().await);
        let admin = api.level_id(one, "Admin").await;
        let matrix = format!("/api/iam/user-levels/{admin}/permissions/features");
        let levels = format!("/api/iam/users/{}/user-levels", other.admin);
        let empty = |path: &str| api.put(path).within(one.id).json(&json!({ "features": [] }));
        let take = |path: &str| put_levels_to(&api, other, path, &[]);
        for query in ["", "?force=false", "?force="] {
            assert_locked_out(&empty(&format!("{matrix}{query}")).by_super_admin().send().await);
            assert_locked_out(&take(&format!("{levels}{query}")).by_super_admin().send().await);
        }
        empty(&format!("{matrix}?force=true")).by_super_admin().send().await.expect(200);
        take(&format!("{levels}?force=true")).by_super_admin().send().await.expect(200);
        for company in [one, other] {
            let request = api.get("/api/iam/audit-logs?limit=1").by_super_admin().within(company.id);
            let record = request.send().await.expect(200).data()["logs"][0].clone();
            assert_eq!(record["userId"], api.super_admin.to_string());
            assert_eq!(
                (&record["metadata"]["superAdmin"], &record["metadata"]["forced"]),
                (&json!(true), &json!(true))
            );
        }
    }

    /// The parameter `force` has no effect for callers other than super admins. Invalid values of the parameter are
    /// rejected.
    async fn others_cannot_force(api: TestApi) {
        let company = api.company().await;
        let admin = api.level_id(company, "Admin").await;
        let matrix = format!("/api/iam/user-levels/{admin}/permissions/features");
        let levels = format!("/api/iam/users/{}/user-levels", company.admin);
        let empty =
            |query: &str| api.put(&format!("{matrix}{query}")).within(company.id).json(&json!({ "features": [] }));
        let take = |query: &str| put_levels_to(&api, company, &format!("{levels}{query}"), &[]);
        assert_locked_out(&empty("?force=true").by(company.admin).send().await);
        assert_locked_out(&take("?force=true").by(company.admin).send().await);
        for query in ["?force=1", "?force=TRUE", "?force=yes", "?force=%00", "?force=true%20"] {
            for request in [empty(query), take(query)] {
                let answer = request.by_super_admin().send().await;
                let message = "force must be true or false";
                assert_eq!(answer.error(), (400, "ERR_VALIDATION_001".into(), message.into()), "{query}");
            }
        }
        let answer = take("?force=true&force=true").by_super_admin().send().await;
        assert_eq!(answer.error(), (400, "ERR_VALIDATION_001".into(), "force is specified more than once".into()));
        // The parameter `force` does not bypass the delegation guard.
        let (user, _) = delegate(&api, company, &[], &[]).await;
        let path = format!("/api/iam/users/{}/user-levels?force=true", company.visitor);
        let answer = put_levels_to(&api, company, &path, &[&admin]).by(user).send().await;
        assert_eq!(answer.error().0, 403);
    }

    /// If two administrators concurrently revoke each other's level, exactly one change succeeds.
    async fn of_two_administrators_who_demote_each_other_one_remains(api: TestApi) {
        let company = api.company().await;
        let admin = api.level_id(company, "Admin").await;
        let second = new_user();
        for _ in 0..8 {
            api.assign(company, company.admin, &[&admin]).await;
            api.assign(company, second, &[&admin]).await;
            let (one, other) = futures_util::join!(
                put_levels(&api, company, second, &[]).by(company.admin).send(),
                put_levels(&api, company, company.admin, &[]).by(second).send(),
            );
            let mut statuses = [one.status.as_u16(), other.status.as_u16()];
            statuses.sort_unstable();
            assert!(matches!(statuses, [200, 403 | 409]), "{statuses:?}");
            let left = [held(&api, company, company.admin).await, held(&api, company, second).await].concat();
            assert_eq!(left, ["Admin"]);
        }
    }

    /// If two administrators concurrently revoke their own levels, exactly one change succeeds. The same applies if one
    /// of them revokes the level and the other removes the level's permissions.
    async fn of_two_administrators_who_resign_concurrently_one_remains(api: TestApi) {
        let company = api.company().await;
        let admin = api.level_id(company, "Admin").await;
        let cells = sendable(&api, company, &admin, "features").await;
        let (second, own) = another_admin(&api, company).await;
        for round in 0..8 {
            api.set_matrix(company, &admin, "features", json!(cells)).await;
            api.assign(company, company.admin, &[&admin]).await;
            api.assign(company, second, &[&own]).await;
            let first = if round % 2 == 0 {
                put_levels(&api, company, company.admin, &[])
            } else {
                put_matrix(&api, company, &admin, "features", &[])
            };
            let (one, other) = futures_util::join!(
                first.by(company.admin).send(),
                put_levels(&api, company, second, &[]).by(second).send(),
            );
            let mut statuses = [one.status.as_u16(), other.status.as_u16()];
            statuses.sort_unstable();
            assert_eq!(statuses, [200, 409]);
        }
    }

    /// Changes to the catalog and to modules never remove administrative rights. Provisioning never removes them
    /// either.
    async fn catalog_changes_demote_no_administrator(api: TestApi) {
        let company = api.company().await;
        for key in [LEVELS, PERMISSIONS] {
            let path = format!("/api/iam/features/{}", api.feature_id(key).await);
            for (change, status) in [
                (json!({ "actions": [] }), 200),
                (json!({ "actions": ["Sign"] }), 200),
                (json!({ "actions": null }), 200),
                (json!({ "enabled": false }), 409),
                (json!({ "key": null }), 409),
            ] {
                api.patch(&path).by_super_admin().json(&change).send().await.expect(status);
            }
            api.delete(&path).by_super_admin().send().await.expect(409);
        }
        let body = json!({ "featureIds": [api.feature_id(LEVELS).await] });
        let path = format!("/api/iam/modules/{}/features", api.module_id("risks").await);
        api.put(&path).by_super_admin().json(&body).send().await.expect(409);
        let path = format!("/api/iam/companies/{}", company.id);
        let none = json!({ "moduleIds": [] });
        api.put(&format!("{path}/modules")).by_super_admin().json(&none).send().await.expect(200);
        let body = json!({ "adminUserId": new_user() });
        api.post(&format!("{path}/provision")).by_super_admin().json(&body).send().await.expect(200);
        put_levels(&api, company, company.member, &[]).by(company.admin).send().await.expect(200);
        let level = api.new_level(company, "New").await;
        put_matrix(&api, company, &level, "features", &[]).by(company.admin).send().await.expect(200);
    }

    /// A service with the role `administer` may grant all permissions, but it cannot force a change.
    async fn a_service_that_administers_cannot_force(api: TestApi) {
        let company = api.company().await;
        let admin = api.level_id(company, "Admin").await;
        let assign = |user: UserId, levels: Value| {
            let path = format!("/api/iam/users/{user}/user-levels?force=true");
            api.put(&path).within(company.id).json(&json!({ "userLevelIds": levels }))
        };
        let replace = |cells: Value| {
            let path = format!("/api/iam/user-levels/{admin}/permissions/features?force=true");
            api.put(&path).within(company.id).json(&json!({ "features": cells }))
        };
        for only in [None, Some(company.id)] {
            let key = api.api_key("administer", only).await;
            for refused in [assign(company.admin, json!([])), replace(json!([]))] {
                let answer = refused.by_key(&key).send().await;
                assert_eq!(answer.error(), (409, "ERR_RESOURCE_002".into(), LOCKED_OUT.into()));
            }
        }
        let key = api.api_key("administer", Some(company.id)).await;
        assign(new_user(), json!([admin])).by_key(&key).send().await.expect(200);
        let reader = api.api_key("read", None).await;
        assign(new_user(), json!([admin])).by_key(&reader).send().await.expect(403);
        let mut cells = Vec::new();
        for feature in [LEVELS, PERMISSIONS] {
            cells.push(json!({ "featureId": api.feature_id(feature).await, "action": "Update", "scope": "any" }));
        }
        cells.push(allow(&api, PERMISSIONS, "Approve", "any").await);
        replace(json!(cells)).by_key(&key).send().await.expect(200);
    }
}
