//! Tests of authorization: which callers have administrative rights, and when the revocation of a right takes effect.

use std::sync::Arc;

use iam_domain::{CompanyId, UserId, UserLevelId};
use iam_storage::{
    ApiKeyUses, ChangeContext, ChangeFeed, EffectiveFeaturePermissions, EffectiveViewPermissions, IdempotencyKeys,
    NavTrail, Reader, Result, Sessions, Storage, StorageError, Target, UnitOfWork,
};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::support::api::{
    Answer, Company, Request, TestApi, both_adapters, each, new_company, new_user, token_with_claims,
};

/// A storage that signals when a unit of work is about to begin. At that time the request has been authorized, but the
/// change has not acquired its lock yet.
pub struct Watched {
    pub inner: Arc<dyn Storage>,
    pub begins: Arc<Notify>,
}

#[async_trait::async_trait]
impl Storage for Watched {
    fn reader(&self) -> &dyn Reader {
        self.inner.reader()
    }

    async fn snapshot(&self) -> Result<Box<dyn Reader>> {
        self.inner.snapshot().await
    }

    /// Begins a unit of work, and retries if the storage's lock timeout expires. On a busy machine the test may hold
    /// the lock for longer than this timeout.
    async fn begin(&self, target: Target, context: ChangeContext) -> Result<Box<dyn UnitOfWork>> {
        self.begins.notify_one();
        for _ in 0..30 {
            let begun = self.inner.begin(target, context.clone()).await;
            if !matches!(begun, Err(StorageError::Unavailable { retryable: false, .. })) {
                return begun;
            }
        }
        self.inner.begin(target, context).await
    }

    fn nav_trail(&self) -> &dyn NavTrail {
        self.inner.nav_trail()
    }

    fn effective_view_permissions(&self) -> &dyn EffectiveViewPermissions {
        self.inner.effective_view_permissions()
    }

    fn effective_feature_permissions(&self) -> &dyn EffectiveFeaturePermissions {
        self.inner.effective_feature_permissions()
    }

    fn api_key_uses(&self) -> &dyn ApiKeyUses {
        self.inner.api_key_uses()
    }

    fn idempotency_keys(&self) -> &dyn IdempotencyKeys {
        self.inner.idempotency_keys()
    }

    fn sessions(&self) -> &dyn Sessions {
        self.inner.sessions()
    }

    fn changes(&self) -> &dyn ChangeFeed {
        self.inner.changes()
    }
}

/// Sends a change that waits for the company's row lock. During the wait, all levels of the caller except those in
/// `left` are revoked. Returns the response to the change.
pub async fn overtaken(
    api: &TestApi,
    company: Company,
    user: UserId,
    left: &[UserLevelId],
    request: impl FnOnce(&TestApi) -> Request,
) -> Answer {
    let begins = Arc::new(Notify::new());
    let watched = Watched { inner: Arc::clone(&api.storage), begins: Arc::clone(&begins) };
    let router = api.behind(Arc::new(watched)).await;
    let mut tx = api.storage.begin(Target::Company(company.id), ChangeContext::command_line()).await.unwrap();
    tx.assignments_mut().replace_for_user(company.id, user, left, None).await.unwrap();
    let revoke = async {
        begins.notified().await;
        tx.commit().await.unwrap();
    };
    let (answer, ()) = futures_util::join!(request(&router).by(user).within(company.id).send(), revoke);
    answer
}

/// Returns requests that require an administrative right, each with the name of the right and the error message for
/// callers who lack the right.
fn administrations(api: &TestApi, level: &str) -> Vec<(&'static str, &'static str, Request)> {
    let path = |rest: &str| format!("/api/iam/{rest}");
    let user = new_user();
    vec![
        ("read", "You do not have permission to view IAM data", api.get(&path("user-levels"))),
        ("read", "You do not have permission to view IAM data", api.get(&path("views"))),
        ("read", "You do not have permission to view IAM data", api.get(&path(&format!("users/{user}/permissions")))),
        (
            "levels",
            "You do not have permission to manage user levels",
            api.post(&path("user-levels")).json(&json!({ "name": format!("New {user}") })),
        ),
        (
            "levels",
            "You do not have permission to assign user levels",
            api.put(&path(&format!("users/{user}/user-levels"))).json(&json!({ "userLevelIds": [] })),
        ),
        (
            "permissions",
            "You do not have permission to manage permissions",
            api.put(&path(&format!("user-levels/{level}/permissions/views"))).json(&json!({ "views": [] })),
        ),
        ("either", "You do not have permission to view audit logs", api.get(&path("audit-logs"))),
        (
            "either",
            "You do not have permission to check other users",
            api.post(&path("check")).json(&json!({ "view": "/home", "userId": user })),
        ),
    ]
}

both_adapters! {
    /// Each administrative right is granted by certain actions of the reserved features (`iam.…`). No other action
    /// grants it.
    async fn each_administrative_right_permits_its_operations(api: TestApi) {
        let company = api.company().await;
        let target = api.new_level(company, "Target").await;
        for (key, action, opens) in [
            ("iam.manage_levels", "Read", &["read"][..]),
            ("iam.manage_levels", "Update", &["levels", "either"]),
            ("iam.assign_permissions", "Read", &["read"]),
            ("iam.assign_permissions", "Update", &["permissions", "either"]),
            ("iam.manage_levels", "Create", &[]),
            ("general.update", "Update", &[]),
        ] {
            let cells = json!([{ "featureId": api.feature_id(key).await, "action": action }]);
            let (user, _) = api.holder_of(company, json!([]), cells).await;
            for (right, refusal, request) in administrations(&api, &target) {
                let answer = request.by(user).within(company.id).send().await;
                if opens.contains(&right) {
                    assert!(answer.status.is_success(), "{key} {action} {right}: {answer:?}");
                } else {
                    assert_eq!(answer.error(), (403, "ERR_AUTH_003".into(), refusal.into()), "{key} {action}");
                }
            }
        }
    }

    /// Administrative rights require the scope `company` or `any`. A narrower scope does not suffice.
    async fn administration_requires_the_scope_company(api: TestApi) {
        let company = api.company().await;
        let target = api.new_level(company, "Target").await;
        let (levels, permissions) =
            (api.feature_id("iam.manage_levels").await, api.feature_id("iam.assign_permissions").await);
        for (scope, suffices) in [("own", false), ("team", false), ("company", true), ("any", true)] {
            let cell = |id: &str, action: &str| json!({ "featureId": id, "action": action, "scope": scope });
            let cells: Vec<_> =
                [&levels, &permissions].into_iter().flat_map(|id| [cell(id, "Read"), cell(id, "Update")]).collect();
            let (user, _) = api.holder_of(company, json!([]), Value::from(cells)).await;
            for (_, refusal, request) in administrations(&api, &target) {
                let answer = request.by(user).within(company.id).send().await;
                if suffices {
                    assert!(answer.status.is_success(), "{scope}: {answer:?}");
                } else {
                    assert_eq!(answer.error(), (403, "ERR_AUTH_003".into(), refusal.into()), "{scope}");
                }
            }
        }
    }

    /// A right in one company grants no right in another company. The denial does not reveal whether the other company
    /// exists.
    async fn an_administrative_right_applies_to_one_company(api: TestApi) {
        let (company, other) = (api.company().await, api.company().await);
        let target = api.level_id(other, "Member").await;
        for id in [other.id, new_company()] {
            for (_, refusal, request) in administrations(&api, &target) {
                let answer = request.by(company.admin).within(id).send().await;
                assert_eq!(answer.error(), (403, "ERR_AUTH_003".into(), refusal.into()));
            }
        }
    }

    /// The revocation of a right takes effect for the next request.
    async fn a_revoked_right_is_denied_immediately(api: TestApi) {
        let company = api.company().await;
        let target = api.new_level(company, "Target").await;
        let admin = api.level_id(company, "Admin").await;
        let second = new_user();
        api.assign(company, second, &[&admin]).await;
        let revoke = json!({ "userLevelIds": [] });
        let path = format!("/api/iam/users/{second}/user-levels");
        api.put(&path).by(company.admin).within(company.id).json(&revoke).send().await.expect(200);
        for (_, refusal, request) in administrations(&api, &target) {
            let answer = request.by(second).within(company.id).send().await;
            assert_eq!(answer.error(), (403, "ERR_AUTH_003".into(), refusal.into()));
        }
    }

    /// A user also loses a right when a level of the user loses the permission, or when a second level denies the
    /// permission. The loss takes effect for the next request.
    async fn a_changed_level_applies_immediately(api: TestApi) {
        let company = api.company().await;
        let manage = api.feature_id("iam.manage_levels").await;
        let cells = json!([{ "featureId": manage, "action": "Update" }]);
        let (user, level) = api.holder_of(company, json!([]), cells.clone()).await;
        let attempt = async |name: &str| {
            let body = json!({ "name": name });
            api.post("/api/iam/user-levels").by(user).within(company.id).json(&body).send().await.status.as_u16()
        };
        assert_eq!(attempt("one").await, 201);
        api.set_matrix(company, &level, "features", json!([])).await;
        assert_eq!(attempt("two").await, 403);
        api.set_matrix(company, &level, "features", cells).await;
        assert_eq!(attempt("three").await, 201);
        let denying = api.new_level(company, "Denying").await;
        let cells = json!([{ "featureId": manage, "action": "Update", "value": false }]);
        api.set_matrix(company, &denying, "features", cells).await;
        api.assign(company, user, &[&level, &denying]).await;
        assert_eq!(attempt("four").await, 403, "the second level denies Update, so the user must lose the right");
    }

    /// A change is authorized while it holds the lock, which prevents a time-of-check to time-of-use race. The creation
    /// of a level is rejected if the caller loses the permission while the change waits for the company's row lock.
    async fn a_waiting_creation_of_a_level_fails_after_a_revocation(api: TestApi) {
        let company = api.company().await;
        let answer = overtaken(&api, company, company.admin, &[], |router| {
            router.post("/api/iam/user-levels").json(&json!({ "name": "Late" }))
        })
        .await;
        let message = "You do not have permission to manage user levels";
        assert_eq!(answer.error(), (403, "ERR_AUTH_003".into(), message.into()));
        let data = api.get("/api/iam/user-levels").by_super_admin().within(company.id).send().await.data();
        assert_eq!(each(&data["userLevels"], "name"), ["Admin", "Member", "Visitor"]);
    }

    /// An assignment is rejected if its caller loses the right while the change waits for the company's row lock.
    async fn a_waiting_assignment_fails_after_a_revocation(api: TestApi) {
        let company = api.company().await;
        let admin = api.level_id(company, "Admin").await;
        let path = format!("/api/iam/users/{}/user-levels", company.admin);
        // The former administrator tries to assign the revoked level to themselves again.
        let answer = overtaken(&api, company, company.admin, &[], |router| {
            router.put(&path).json(&json!({ "userLevelIds": [admin] }))
        })
        .await;
        let message = "You do not have permission to assign user levels";
        assert_eq!(answer.error(), (403, "ERR_AUTH_003".into(), message.into()));
        let data = api.get(&path).by_super_admin().within(company.id).send().await.data();
        assert_eq!(data, json!({ "userLevels": [] }));
    }

    /// A matrix change is rejected if its caller loses the right while the change waits for the company's row lock.
    async fn a_waiting_matrix_change_fails_after_a_revocation(api: TestApi) {
        let company = api.company().await;
        let member = api.level_id(company, "Member").await;
        let before = api.matrix(company, &member, "views").await;
        let path = format!("/api/iam/user-levels/{member}/permissions/views");
        let answer =
            overtaken(&api, company, company.admin, &[], |router| router.put(&path).json(&json!({ "views": [] })))
                .await;
        let message = "You do not have permission to manage permissions";
        assert_eq!(answer.error(), (403, "ERR_AUTH_003".into(), message.into()));
        assert_eq!(api.matrix(company, &member, "views").await, before);
    }

    /// The deletion of a level waits for the company's row lock. If the level is meanwhile assigned to its first
    /// holder, the deletion is rejected.
    async fn a_waiting_deletion_of_a_level_fails_after_its_assignment(api: TestApi) {
        let company = api.company().await;
        let level = api.new_level(company, "Auditors").await;
        let begins = Arc::new(Notify::new());
        let watched = Watched { inner: Arc::clone(&api.storage), begins: Arc::clone(&begins) };
        let router = api.behind(Arc::new(watched)).await;
        let mut tx = api.storage.begin(Target::Company(company.id), ChangeContext::command_line()).await.unwrap();
        let id = UserLevelId::parse(&level).unwrap();
        tx.assignments_mut().replace_for_user(company.id, new_user(), &[id], None).await.unwrap();
        let assign = async {
            begins.notified().await;
            tx.commit().await.unwrap();
        };
        let path = format!("/api/iam/user-levels/{level}");
        let remove = router.delete(&path).by(company.admin).within(company.id).send();
        let (answer, ()) = futures_util::join!(remove, assign);
        let message = "Cannot delete user level: 1 user(s) are assigned to it";
        assert_eq!(answer.error(), (400, "ERR_VALIDATION_001".into(), message.into()));
    }

    /// A super admin can administer the platform and every company, even a company that is not provisioned.
    async fn a_super_admin_has_every_permission(api: TestApi) {
        let company = api.company().await;
        let target = api.new_level(company, "Target").await;
        for (_, _, request) in administrations(&api, &target) {
            let answer = request.by_super_admin().within(company.id).send().await;
            assert!(answer.status.is_success(), "{answer:?}");
        }
        api.get("/api/iam/user-levels").by_super_admin().within(new_company()).send().await.expect(200);
        for list in ["views", "features", "modules", "menu-items", "sub-menu-items", "audit-logs"] {
            api.get(&format!("/api/iam/{list}")).by_super_admin().send().await.expect(200);
        }
    }

    /// Only super admins can use the platform's operations. Administrators of a company receive 403.
    async fn only_super_admins_may_change_the_platform(api: TestApi) {
        let company = api.company().await;
        let id = new_company();
        let body = json!({});
        let mut requests = Vec::new();
        for collection in ["views", "features", "modules", "menu-items", "sub-menu-items"] {
            requests.push(api.post(&format!("/api/iam/{collection}")).json(&body));
            requests.push(api.patch(&format!("/api/iam/{collection}/{id}")).json(&body));
            requests.push(api.delete(&format!("/api/iam/{collection}/{id}")));
        }
        for path in ["modules/x/views", "modules/x/features", "features/x/views"] {
            requests.push(api.put(&format!("/api/iam/{path}")).json(&body));
        }
        let own = format!("/api/iam/companies/{}", company.id);
        requests.push(api.get(&format!("{own}/modules")));
        requests.push(api.put(&format!("{own}/modules")).json(&body));
        requests.push(api.patch(&format!("{own}/modules/{id}")).json(&body));
        requests.push(api.post(&format!("{own}/provision")).json(&body));
        for request in requests {
            let answer = request.by(company.admin).within(company.id).send().await;
            assert_eq!(answer.error(), (403, "ERR_AUTH_007".into(), "Superadmin access required".into()));
        }
    }

    /// Decisions for a super admin have the reason code `super_admin`. Unknown views and features are denied even to
    /// super admins.
    async fn decisions_about_super_admins_give_the_reason(api: TestApi) {
        let company = api.company().await;
        let ask = async |question: Value| {
            let request = api.post("/api/iam/check").by_super_admin().within(company.id).json(&question);
            request.send().await.expect(200).data()
        };
        let path = format!("/api/iam/features/{}", api.feature_id("general.read").await);
        api.patch(&path).by_super_admin().json(&json!({ "enabled": false })).send().await.expect(200);
        assert_eq!(
            ask(json!({ "view": "/modules/risks" })).await,
            json!({
                "allowed": true, "scope": null, "reason": "super admin", "reasonCode": "super_admin", "decidedBy": [],
                "decidedByCount": 0,
            })
        );
        let disabled = json!({ "feature": "general.read", "action": "Publish", "scope": "any" });
        assert_eq!(
            ask(disabled).await,
            json!({
                "allowed": true, "scope": "any", "reason": "super admin", "reasonCode": "super_admin", "decidedBy": [],
                "decidedByCount": 0,
            })
        );
        let own = json!({ "view": "/home", "userId": api.super_admin });
        assert_eq!(ask(own).await["reasonCode"], "super_admin");
        assert_eq!(ask(json!({ "view": "/nowhere" })).await["reasonCode"], "unknown_view");
        assert_eq!(ask(json!({ "feature": "x", "action": "Read" })).await["reasonCode"], "unknown_feature");
    }

    /// The super admin claim applies to decisions for the bearer of the token. It does not apply to checks for other
    /// users.
    async fn the_super_admin_claim_applies_only_to_the_bearer(api: TestApi) {
        let company = api.company().await;
        let question = json!({ "feature": "general.read", "action": "Delete", "userId": company.member });
        let request = api.post("/api/iam/check").by_super_admin().within(company.id).json(&question);
        assert_eq!(request.send().await.expect(200).data()["reasonCode"], "no_explicit_allow");

        // If another caller checks a super admin, the decision depends only on the levels of the super admin.
        let question = json!({ "view": "/home", "userId": api.super_admin });
        let request = api.post("/api/iam/check").by(company.admin).within(company.id).json(&question);
        assert_eq!(request.send().await.expect(200).data()["reasonCode"], "no_user_levels");
        let path = format!("/api/iam/users/{}/permissions", api.super_admin);
        for request in [api.get(&path).by(company.admin), api.get(&path).by_super_admin()] {
            let data = request.within(company.id).send().await.expect(200).data();
            assert!(data["views"].as_object().unwrap().values().all(|allowed| *allowed == false));
        }
    }

    /// The bearer is a super admin only if the value of the claim is the JSON boolean `true`.
    async fn only_the_value_true_makes_a_super_admin(api: TestApi) {
        let company = api.company().await;
        let exp = 4_000_000_000_u64;
        for (claim, status) in [(json!(true), 200), (json!("true"), 403), (json!(1), 403), (json!(null), 403)] {
            let claims = json!({ "userId": new_user(), "exp": exp, "isSuperAdmin": claim });
            let header = format!("Bearer {}", token_with_claims(&claims));
            let path = format!("/api/iam/companies/{}/modules", company.id);
            api.get(&path).header("authorization", &header).send().await.expect(status);
            let request = api.get("/api/iam/permissions/current").within(company.id).header("authorization", &header);
            let views = request.send().await.expect(200).data()["views"].clone();
            assert!(views.as_object().unwrap().values().all(|allowed| *allowed == (status == 200)), "{claim}");
        }
    }

    /// Users who may read IAM data can read the catalog within their company. Without a company, only super admins can
    /// read the catalog.
    async fn reading_the_catalog_requires_a_company(api: TestApi) {
        let company = api.company().await;
        for list in ["views", "features", "modules", "menu-items", "sub-menu-items"] {
            let path = format!("/api/iam/{list}");
            api.get(&path).by(company.admin).within(company.id).send().await.expect(200);
            let answer = api.get(&path).by(company.admin).send().await.error();
            assert_eq!(answer, (400, "ERR_AUTH_002".into(), "Company ID is required".into()));
            let answer = api.get(&path).by(company.member).within(company.id).send().await.error();
            assert_eq!(answer, (403, "ERR_AUTH_003".into(), "You do not have permission to view IAM data".into()));
        }
    }

    /// A request can specify its company in the path, in the query, in the body or in a header.
    async fn a_company_can_be_specified_in_four_places(api: TestApi) {
        let company = api.company().await;
        let path = format!("/api/iam/user-levels?companyId={}", company.id);
        api.get(&path).by(company.admin).send().await.expect(200);
        let body = json!({ "name": "Auditors", "companyId": company.id });
        api.post("/api/iam/user-levels").by(company.admin).json(&body).send().await.expect(201);
        api.get(&path).by(company.admin).within(company.id).send().await.expect(200);
        let other: CompanyId = new_company();
        let answer = api.get(&path).by(company.admin).within(other).send().await;
        let message = "companyId is specified more than once, with different values";
        assert_eq!(answer.error(), (400, "ERR_VALIDATION_001".into(), message.into()));
        let answer = api.get("/api/iam/user-levels").by(company.admin).send().await;
        assert_eq!(answer.error(), (400, "ERR_AUTH_002".into(), "Company ID is required".into()));
    }
}
