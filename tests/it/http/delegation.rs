//! Tests of the delegation guard, which prevents privilege escalation. Callers can grant only permissions that they
//! hold themselves. Callers with Approve are exempt.

use iam_domain::{UserId, UserLevelId};
use serde_json::{Value, json};

use super::authority::overtaken;
use crate::support::api::{Answer, Company, Request, TestApi, both_adapters, each, new_user};

pub const LEVELS: &str = "iam.manage_levels";
pub const PERMISSIONS: &str = "iam.assign_permissions";

/// Returns a cell of a view matrix with this state.
async fn view(api: &TestApi, url: &str, state: &str) -> Value {
    json!({ "viewId": api.view_id(url).await, "state": state })
}

/// Returns a cell of a feature matrix that allows the action.
pub async fn allow(api: &TestApi, key: &str, action: &str, scope: &str) -> Value {
    json!({ "featureId": api.feature_id(key).await, "action": action, "scope": scope })
}

/// Returns a cell of a feature matrix that denies the action.
pub async fn deny(api: &TestApi, key: &str, action: &str) -> Value {
    json!({ "featureId": api.feature_id(key).await, "action": action, "value": false })
}

/// Creates a user who has Update on levels and permissions, but not Approve. The user also holds the permissions that
/// these cells allow. Returns the user and the user's level.
pub async fn delegate(api: &TestApi, company: Company, views: &[Value], features: &[Value]) -> (UserId, String) {
    let mut features = features.to_vec();
    for key in [LEVELS, PERMISSIONS] {
        features.push(allow(api, key, "Update", "company").await);
    }
    api.holder_of(company, json!(views), json!(features)).await
}

pub fn put_matrix(api: &TestApi, company: Company, level: &str, matrix: &str, cells: &[Value]) -> Request {
    let path = format!("/api/iam/user-levels/{level}/permissions/{matrix}");
    api.put(&path).within(company.id).json(&json!({ matrix: cells }))
}

pub fn put_levels(api: &TestApi, company: Company, user: UserId, levels: &[&str]) -> Request {
    put_levels_to(api, company, &format!("/api/iam/users/{user}/user-levels"), levels)
}

pub fn put_levels_to(api: &TestApi, company: Company, path: &str, levels: &[&str]) -> Request {
    api.put(path).within(company.id).json(&json!({ "userLevelIds": levels }))
}

/// Returns the cells of a matrix in the form that a request to replace the matrix accepts.
pub async fn sendable(api: &TestApi, company: Company, level: &str, matrix: &str) -> Vec<Value> {
    let mut cells = api.matrix(company, level, matrix).await;
    for cell in &mut cells {
        let noise = ["id", "companyId", "userLevelId", "createdAt", "updatedAt", "modifiable"];
        cell.as_object_mut().unwrap().retain(|name, _| !noise.contains(&name.as_str()));
    }
    cells
}

#[track_caller]
fn assert_not_held(answer: &Answer, names: &str) {
    let message = format!("You cannot grant what you do not hold: {names}");
    assert_eq!(answer.error(), (403, "ERR_AUTH_003".into(), message));
}

/// Returns the names of the levels that a user holds.
pub async fn held(api: &TestApi, company: Company, user: UserId) -> Vec<String> {
    let path = format!("/api/iam/users/{user}/user-levels");
    let data = api.get(&path).by_super_admin().within(company.id).send().await.expect(200).data();
    each(&data["userLevels"], "name").into_iter().map(str::to_owned).collect()
}

both_adapters! {
    /// A change is denied if it grants a permission that the caller does not hold. The error lists these permissions,
    /// and nothing is stored.
    async fn the_error_contains_the_permissions_that_the_caller_does_not_hold(api: TestApi) {
        let company = api.company().await;
        let views = [view(&api, "/dashboard", "allow").await, view(&api, "/home", "allow").await];
        let features = [
            allow(&api, "general.read", "Read", "company").await,
            allow(&api, "risks.approve", "Approve", "any").await,
        ];
        let (user, _) = delegate(&api, company, &views[..1], &features[..1]).await;
        let level = api.new_level(company, "New").await;

        let answer = put_matrix(&api, company, &level, "views", &views).by(user).send().await;
        assert_not_held(&answer, "/home");
        let message = "views would grant a permission you do not hold: /home";
        assert_eq!(answer.json()["errors"], json!([{ "field": "views", "message": message, "code": "not_held" }]));
        let answer = put_matrix(&api, company, &level, "features", &features).by(user).send().await;
        assert_not_held(&answer, "risks.approve/Approve (any)");
        assert_eq!(answer.json()["errors"][0]["field"], "features");
        for matrix in ["views", "features"] {
            assert!(api.matrix(company, &level, matrix).await.is_empty(), "{matrix}");
        }

        api.set_matrix(company, &level, "views", json!(views)).await;
        let target = new_user();
        let answer = put_levels(&api, company, target, &[&level]).by(user).send().await;
        assert_not_held(&answer, "/home");
        assert_eq!(answer.json()["errors"][0]["field"], "userLevelIds");
        assert!(held(&api, company, target).await.is_empty());
        // The assignment of the level is accepted for a user who already has the view, because this user gains no
        // permission.
        let member = api.level_id(company, "Member").await;
        put_levels(&api, company, company.member, &[&member, &level]).by(user).send().await.expect(200);
    }

    /// The error message lists at most ten permissions that the caller does not hold. The validation errors of the
    /// response list more of them. A feature without a key is identified by its id.
    async fn a_long_list_of_permissions_not_held_is_truncated(api: TestApi) {
        let company = api.company().await;
        let (user, _) = delegate(&api, company, &[], &[]).await;
        let level = api.new_level(company, "New").await;
        let nameless = api.make("features", None, json!({ "name": "Nameless" })).await;
        let cell = json!({ "featureId": nameless["id"], "action": "Read", "scope": "own" });
        let answer = put_matrix(&api, company, &level, "features", &[cell]).by(user).send().await;
        assert_not_held(&answer, &format!("{}/Read (own)", nameless["id"].as_str().unwrap()));

        let admin = api.level_id(company, "Admin").await;
        let answer = put_levels(&api, company, company.member, &[&admin]).by(user).send().await;
        let (status, _, message) = answer.error();
        assert_eq!((status, message.matches(", ").count()), (403, 10));
        assert!(message.ends_with(", …"), "{message}");
        let errors = answer.json()["errors"].as_array().unwrap().clone();
        assert_eq!(errors.len(), 101);
        assert_eq!(errors[100]["code"], "more");
        assert_eq!(held(&api, company, company.member).await, ["Member"]);
    }

    /// Callers can grant permissions that they hold, with a scope no wider than their own.
    async fn permissions_that_the_caller_holds_may_be_granted(api: TestApi) {
        let company = api.company().await;
        let views = [view(&api, "/dashboard", "allow").await];
        let features = async |scope: &str| [allow(&api, "general.read", "Read", scope).await];
        let (user, own) = delegate(&api, company, &views, &features("company").await).await;
        let level = api.new_level(company, "New").await;
        put_matrix(&api, company, &level, "views", &views).by(user).send().await.expect(200);
        for scope in ["own", "team", "company"] {
            put_matrix(&api, company, &level, "features", &features(scope).await).by(user).send().await.expect(200);
        }
        let answer = put_matrix(&api, company, &level, "features", &features("any").await).by(user).send().await;
        assert_not_held(&answer, "general.read/Read (any)");
        // Callers can also assign all of their own levels.
        put_levels(&api, company, new_user(), &[&own, &level]).by(user).send().await.expect(200);
    }

    /// An allow counts as a grant even while a deny overrides it. Otherwise a later removal of the deny would put the
    /// allow into effect.
    async fn an_allow_that_a_deny_overrides_counts_as_granted(api: TestApi) {
        let company = api.company().await;
        let (user, _) = delegate(&api, company, &[], &[]).await;
        let (denying, plain) = (api.new_level(company, "Denying").await, api.new_level(company, "Plain").await);
        api.set_matrix(company, &denying, "views", json!([view(&api, "/home", "deny").await])).await;
        let target = new_user();
        api.assign(company, target, &[&denying, &plain]).await;
        let allowing = [view(&api, "/home", "allow").await];
        let answer = put_matrix(&api, company, &plain, "views", &allowing).by(user).send().await;
        assert_not_held(&answer, "/home");
        // A level can allow a permission that another level of the user denies. The assignment of such a level counts
        // as a grant of the permission too.
        let hidden = api.new_level(company, "Hidden").await;
        api.set_matrix(company, &hidden, "views", json!(allowing)).await;
        let answer = put_levels(&api, company, target, &[&denying, &plain, &hidden]).by(user).send().await;
        assert_not_held(&answer, "/home");
    }

    /// If one of the caller's levels denies a permission, the caller does not hold this permission. It does not matter
    /// whether another level of the caller allows it.
    async fn callers_do_not_hold_denied_permissions(api: TestApi) {
        let company = api.company().await;
        let allowing = [view(&api, "/home", "allow").await];
        let (user, own) = delegate(&api, company, &allowing, &[]).await;
        let (denying, level) = (api.new_level(company, "Denying").await, api.new_level(company, "New").await);
        api.set_matrix(company, &denying, "views", json!([view(&api, "/home", "deny").await])).await;
        api.assign(company, user, &[&own, &denying]).await;
        let answer = put_matrix(&api, company, &level, "views", &allowing).by(user).send().await;
        assert_not_held(&answer, "/home");
    }

    /// The removal of a deny counts as a grant of the denied permission. This applies to the removal of the cell and to
    /// the revocation of the level.
    async fn removing_a_deny_is_a_grant(api: TestApi) {
        let company = api.company().await;
        let (user, _) = delegate(&api, company, &[], &[]).await;
        let (allowing, denying) = (api.new_level(company, "Allowing").await, api.new_level(company, "Denying").await);
        api.set_matrix(company, &allowing, "features", json!([allow(&api, "general.read", "Read", "team").await]))
            .await;
        api.set_matrix(company, &denying, "features", json!([deny(&api, "general.read", "Read").await])).await;
        let target = new_user();
        api.assign(company, target, &[&allowing, &denying]).await;

        let answer = put_matrix(&api, company, &denying, "features", &[]).by(user).send().await;
        assert_not_held(&answer, "general.read/Read (team)");
        let answer = put_levels(&api, company, target, &[&allowing]).by(user).send().await;
        assert_not_held(&answer, "general.read/Read (team)");
        // The guard cannot be bypassed by deleting the level, because a level with holders cannot be deleted.
        let answer = api.delete(&format!("/api/iam/user-levels/{denying}")).by(user).within(company.id).send().await;
        let message = "Cannot delete user level: 1 user(s) are assigned to it";
        assert_eq!(answer.error(), (400, "ERR_VALIDATION_001".into(), message.into()));
        let question = json!({ "feature": "general.read", "action": "Read" });
        assert_eq!(api.check(company, target, question).await["reasonCode"], "explicit_deny");

        // Two levels can be revoked together: the level with the deny and the level whose allow it overrides. The deny
        // can also be removed if it overrides no allow of the user.
        put_levels(&api, company, target, &[]).by(user).send().await.expect(200);
        api.assign(company, target, &[&denying]).await;
        put_matrix(&api, company, &denying, "features", &[]).by(user).send().await.expect(200);
    }

    /// A matrix change can contain existing cells that allow permissions that the caller does not hold. It can also
    /// narrow the scopes of such cells.
    async fn unchanged_permissions_need_not_be_held(api: TestApi) {
        let company = api.company().await;
        let own = [view(&api, "/home", "allow").await];
        let (user, _) = delegate(&api, company, &own, &[]).await;
        let level = api.new_level(company, "New").await;
        api.set_matrix(company, &level, "views", json!([view(&api, "/dashboard", "allow").await])).await;
        api.set_matrix(company, &level, "features", json!([allow(&api, "general.read", "Read", "any").await])).await;
        api.assign(company, company.visitor, &[&level]).await;

        let views = [view(&api, "/dashboard", "allow").await, own[0].clone()];
        put_matrix(&api, company, &level, "views", &views).by(user).send().await.expect(200);
        for scope in ["any", "company"] {
            let cells = [allow(&api, "general.read", "Read", scope).await];
            put_matrix(&api, company, &level, "features", &cells).by(user).send().await.expect(200);
        }
        put_levels(&api, company, company.visitor, &[&level]).by(user).send().await.expect(200);
        // The scope was narrowed. To widen it again, the caller must hold the wider scope.
        let cells = [allow(&api, "general.read", "Read", "any").await];
        let answer = put_matrix(&api, company, &level, "features", &cells).by(user).send().await;
        assert_not_held(&answer, "general.read/Read (any)");
    }

    /// A permission can be granted in advance, while the company does not yet have the module that gates it. The
    /// caller's levels must allow this permission.
    async fn permissions_of_a_missing_module_can_be_granted(api: TestApi) {
        let company = api.company().await;
        let views = [view(&api, "/modules/risks", "allow").await];
        let features = [allow(&api, "risks.approve", "Approve", "company").await];
        let (user, _) = delegate(&api, company, &views, &features).await;
        let (other, _) = delegate(&api, company, &[], &[]).await;
        let question = json!({ "view": "/modules/risks" });
        assert_eq!(api.check(company, user, question).await["reasonCode"], "view_module_missing");
        let level = api.new_level(company, "New").await;
        let answer = put_matrix(&api, company, &level, "views", &views).by(other).send().await;
        assert_not_held(&answer, "/modules/risks");
        let answer = put_matrix(&api, company, &level, "features", &features).by(other).send().await;
        assert_not_held(&answer, "risks.approve/Approve (company)");
        put_matrix(&api, company, &level, "views", &views).by(user).send().await.expect(200);
        put_matrix(&api, company, &level, "features", &features).by(user).send().await.expect(200);
    }

    /// Users cannot escalate their own privileges through their own level, another level, or the removal of a deny.
    async fn users_cannot_promote_themselves(api: TestApi) {
        let company = api.company().await;
        let (user, own) = delegate(&api, company, &[], &[]).await;
        let mut cells = sendable(&api, company, &own, "features").await;
        cells.push(allow(&api, PERMISSIONS, "Approve", "company").await);
        let answer = put_matrix(&api, company, &own, "features", &cells).by(user).send().await;
        assert_not_held(&answer, "iam.assign_permissions/Approve (company)");
        let wider: Vec<_> = cells[..2]
            .iter()
            .cloned()
            .map(|mut cell| {
                cell["scope"] = json!("any");
                cell
            })
            .collect();
        let answer = put_matrix(&api, company, &own, "features", &wider).by(user).send().await;
        assert!(answer.error().2.contains("iam.manage_levels/Update (any)"), "{answer:?}");
        for level in ["Admin", "Member"] {
            let level = api.level_id(company, level).await;
            for target in [user, new_user(), company.visitor] {
                let answer = put_levels(&api, company, target, &[&own, &level]).by(user).send().await;
                assert_eq!(answer.error().0, 403, "{level}");
            }
        }
        let denying = api.new_level(company, "Denying").await;
        api.set_matrix(company, &denying, "features", json!([deny(&api, PERMISSIONS, "Update").await])).await;
        api.assign(company, user, &[&own, &denying]).await;
        let answer = put_levels(&api, company, user, &[&own]).by(user).send().await;
        assert_not_held(&answer, "iam.assign_permissions/Update (company)");
    }

    /// Users with Approve on `iam.assign_permissions`, with the scope `company` or `any`, can grant all permissions.
    /// The default level Admin has this permission.
    async fn a_user_with_approve_can_grant_anything(api: TestApi) {
        let company = api.company().await;
        let level = api.new_level(company, "New").await;
        let cells = [view(&api, "/home", "allow").await];
        for (scope, may) in [("own", false), ("team", false), ("company", true), ("any", true)] {
            let approve = allow(&api, PERMISSIONS, "Approve", scope).await;
            let (user, own) = delegate(&api, company, &[], &[approve]).await;
            let answer = put_matrix(&api, company, &level, "views", &cells).by(user).send().await;
            if may {
                answer.expect(200);
                api.set_matrix(company, &level, "views", json!([])).await;
                // Another level of the user now denies Approve. The user can then grant only permissions that the user
                // holds.
                let denying = api.new_level(company, &format!("Denying {scope}")).await;
                api.set_matrix(company, &denying, "features", json!([deny(&api, PERMISSIONS, "Approve").await])).await;
                api.assign(company, user, &[&own, &denying]).await;
                let answer = put_matrix(&api, company, &level, "views", &cells).by(user).send().await;
                assert_not_held(&answer, "/home");
            } else {
                assert_not_held(&answer, "/home");
            }
        }
        put_matrix(&api, company, &level, "views", &cells).by(company.admin).send().await.expect(200);
        // A user with Approve can also grant permissions that no level contains.
        let publish = [allow(&api, "risks.approve", "Publish", "any").await];
        put_matrix(&api, company, &level, "features", &publish).by(company.admin).send().await.expect(200);
    }

    /// Approve implies no other right, and does not allow changes to pinned cells.
    async fn approve_includes_no_other_right(api: TestApi) {
        let company = api.company().await;
        let level = api.new_level(company, "New").await;
        let approve = allow(&api, PERMISSIONS, "Approve", "any").await;
        let (only, _) = api.holder_of(company, json!([]), json!([approve])).await;
        let answer = put_matrix(&api, company, &level, "views", &[]).by(only).send().await;
        let message = "You do not have permission to manage permissions";
        assert_eq!(answer.error(), (403, "ERR_AUTH_003".into(), message.into()));
        let answer = put_levels(&api, company, company.member, &[]).by(only).send().await;
        let message = "You do not have permission to assign user levels";
        assert_eq!(answer.error(), (403, "ERR_AUTH_003".into(), message.into()));

        let pinned = json!({ "viewId": api.view_id("/home").await, "state": "deny", "modifiable": false });
        api.set_matrix(company, &level, "views", json!([pinned])).await;
        let (user, _) = delegate(&api, company, &[], &[approve]).await;
        let answer = put_matrix(&api, company, &level, "views", &[]).by(user).send().await;
        assert!(answer.error().2.starts_with("Only super admins may change pinned permissions"), "{answer:?}");
    }

    /// Holding a permission does not imply the right to assign levels that contain it.
    async fn holding_a_permission_does_not_permit_granting_it(api: TestApi) {
        let company = api.company().await;
        let member = api.level_id(company, "Member").await;
        let answer = put_levels(&api, company, new_user(), &[&member]).by(company.member).send().await;
        let message = "You do not have permission to assign user levels";
        assert_eq!(answer.error(), (403, "ERR_AUTH_003".into(), message.into()));
    }

    /// The delegation guard is evaluated under the company's row lock. If the caller loses a permission while the
    /// change waits for the lock, the change cannot grant this permission.
    async fn a_permission_lost_while_waiting_is_not_granted(api: TestApi) {
        let company = api.company().await;
        let (user, own) = delegate(&api, company, &[], &[]).await;
        let (more, level) = (api.new_level(company, "More").await, api.new_level(company, "New").await);
        let cells = [view(&api, "/home", "allow").await];
        api.set_matrix(company, &more, "views", json!(cells)).await;
        api.assign(company, user, &[&own, &more]).await;
        let left = [UserLevelId::parse(&own).unwrap()];
        let answer =
            overtaken(&api, company, user, &left, |router| put_matrix(router, company, &level, "views", &cells)).await;
        assert_not_held(&answer, "/home");
        assert!(api.matrix(company, &level, "views").await.is_empty());
    }
}
