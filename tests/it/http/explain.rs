//! Tests of explanations of decisions, through the API.

use iam_domain::{
    Description, Name, UserId, UserLevel, UserLevelId, ViewId, ViewPermission, ViewPermissionId, ViewState,
};
use iam_storage::{ChangeContext, Target};
use serde_json::{Value, json};

use crate::support::api::{Company, TestApi, both_adapters, each, fields, new_company, new_user};

async fn explain(api: &TestApi, company: Company, user: UserId, question: &Value) -> Value {
    api.post("/api/iam/explain").by(user).within(company.id).json(question).send().await.expect(200).data()
}

/// Creates levels with the given states of a view, and assigns all of them to a user. Returns the ids of the levels in
/// ascending order. The unit of work bypasses the quotas.
async fn hold(api: &TestApi, company: Company, user: UserId, view: &str, states: &[ViewState]) -> Vec<UserLevelId> {
    let (company, view_id) = (company.id, ViewId::parse(view).unwrap());
    let mut tx = api.storage.begin(Target::Company(company), ChangeContext::command_line()).await.unwrap();
    let now = tx.now();
    let mut ids: Vec<_> = states.iter().map(|_| UserLevelId::generate(now)).collect();
    ids.sort_unstable();
    for (id, state) in ids.iter().copied().zip(states.iter().copied()) {
        let level = UserLevel {
            id,
            company_id: company,
            name: Name::parse(id.to_string()).unwrap(),
            description: Description::parse("").unwrap(),
            is_default: false,
            created_at: now,
            updated_at: now,
        };
        tx.user_levels_mut().create(&level).await.unwrap();
        let cell = ViewPermission {
            id: ViewPermissionId::generate(now),
            company_id: company,
            user_level_id: id,
            view_id,
            state,
            modifiable: true,
            created_at: now,
            updated_at: now,
        };
        tx.view_permissions_mut().upsert(&cell).await.unwrap();
    }
    tx.assignments_mut().replace_for_user(company, user, &ids, None).await.unwrap();
    tx.commit().await.unwrap();
    ids
}

/// Returns the explanation that contains only the decision and the subject.
fn bare(decision: &Value, subject: UserId) -> Value {
    let mut all = decision.clone();
    all["ceiling"] = Value::Null;
    for part in ["gate", "levels", "suggestion"] {
        all[part] = json!([]);
    }
    (all["levelsCount"], all["suggestionCount"]) = (json!(0), json!(0));
    for part in ["viewId", "featureId", "externalUserId"] {
        all[part] = Value::Null;
    }
    (all["userId"], all["names"]) = (json!(subject), json!({}));
    all
}

both_adapters! {
    /// An explanation contains the modules that gate the view, and the cell of each level. It also suggests the changes
    /// that would allow the view. After all these changes, the view is allowed.
    async fn an_explanation_lists_the_whole_derivation(api: TestApi) {
        let company = api.company().await;
        let (view, module) = (api.view_id("/modules/risks").await, api.module_id("risks").await);
        let user = new_user();
        let mut levels = [api.new_level(company, "One").await, api.new_level(company, "Two").await];
        levels.sort_unstable();
        api.assign(company, user, &[&levels[0], &levels[1]]).await;
        api.set_matrix(company, &levels[0], "views", json!([{ "viewId": view, "state": "deny" }])).await;
        let question = json!({ "view": "/modules/risks" });
        let answer = api.post("/api/iam/explain").by(user).within(company.id).json(&question).send().await.expect(200);
        assert!(answer.header("x-iam-version").is_some());
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(
            answer.data(),
            json!({
                "allowed": false, "scope": null,
                "reason": "Company does not have access to the module containing this view",
                "reasonCode": "view_module_missing", "decidedBy": [], "decidedByCount": 0,
                "userId": user, "externalUserId": null, "viewId": view, "featureId": null,
                "gate": [{ "moduleId": module, "enabled": true, "granted": false }], "ceiling": null,
                "levels": [
                    { "userLevelId": levels[0], "says": "deny" }, { "userLevelId": levels[1], "says": "nothing" },
                ],
                "levelsCount": 2,
                "suggestion": [{ "step": "grantModule", "id": module }, { "step": "allow", "id": levels[0] }],
                "suggestionCount": 2,
                "names": { &levels[0]: "One", &levels[1]: "Two", &module: "Risks", &view: "Risks" },
            })
        );

        let core = api.module_id("core").await;
        let path = format!("/api/iam/companies/{}/modules", company.id);
        api.put(&path).by_super_admin().json(&json!({ "moduleIds": [core, module] })).send().await.expect(200);
        let explained = explain(&api, company, user, &question).await;
        assert_eq!((&explained["reasonCode"], &explained["decidedBy"]), (&json!("explicit_deny"), &json!([levels[0]])));
        assert_eq!(explained["suggestion"], json!([{ "step": "allow", "id": levels[0] }]));
        api.set_matrix(company, &levels[0], "views", json!([{ "viewId": view, "state": "allow" }])).await;
        let explained = explain(&api, company, user, &question).await;
        assert_eq!((&explained["allowed"], &explained["suggestion"]), (&json!(true), &json!([])));
    }

    /// The explanation of an action contains the scope of each level's cell. It suggests a cell with a sufficient scope
    /// in the level that determined the decision.
    async fn a_scope_that_is_too_narrow_is_explained(api: TestApi) {
        let company = api.company().await;
        let feature = api.feature_id("general.read").await;
        let cells = json!([{ "featureId": feature, "action": "Read", "scope": "team" }]);
        let (user, level) = api.holder_of(company, json!([]), cells).await;
        let question = json!({ "feature": "general.read", "action": "Read", "scope": "company" });
        let explained = explain(&api, company, user, &question).await;
        assert_eq!(explained["reasonCode"], "scope_too_narrow");
        assert_eq!(explained["gate"], json!([]));
        assert_eq!(explained["levels"], json!([{ "userLevelId": level, "says": "allow", "scope": "team" }]));
        assert_eq!(explained["suggestion"], json!([{ "step": "allow", "id": level }]));
    }

    /// An explanation contains at most 100 levels and 100 steps, and counts the others. The levels that determined the
    /// decision come first.
    async fn the_lists_of_an_explanation_are_bounded(api: TestApi) {
        let company = api.company().await;
        let (user, view) = (new_user(), api.view_id("/dashboard").await);
        let states: Vec<_> =
            (0..115).map(|n| if n < 3 { ViewState::Inherit } else { ViewState::Deny }).collect();
        let ids = hold(&api, company, user, &view, &states).await;
        let question = json!({ "view": "/dashboard" });
        let explained = explain(&api, company, user, &question).await;
        assert_eq!((&explained["decidedBy"], &explained["decidedByCount"]), (&json!(ids[3..13]), &json!(112)));
        let levels: Vec<_> =
            ids[3..103].iter().map(|id| json!({ "userLevelId": id, "says": "deny" })).collect();
        assert_eq!((&explained["levels"], &explained["levelsCount"]), (&json!(levels), &json!(115)));
        assert_eq!(explained["suggestion"].as_array().unwrap().len(), 100);
        assert_eq!(explained["suggestionCount"], 112);
        assert!(explained["names"].as_object().unwrap().len() <= 201);

        let allows: Vec<_> = (0..12).map(|n| if n % 2 == 0 { ViewState::Inherit } else { ViewState::Allow }).collect();
        let other = new_user();
        let held = hold(&api, company, other, &view, &allows).await;
        let explained = explain(&api, company, other, &question).await;
        let order: Vec<_> = [1, 3, 5, 7, 9, 11, 0, 2, 4, 6, 8, 10].map(|nth: usize| held[nth].to_string()).into();
        assert_eq!(each(&explained["levels"], "userLevelId"), order);
        assert_eq!(explained["decidedBy"], json!(order[..6]));
    }

    /// If the feature is disabled, the explanation suggests enabling the feature.
    async fn a_disabled_feature_is_explained(api: TestApi) {
        let company = api.company().await;
        let feature = api.feature_id("general.read").await;
        let path = format!("/api/iam/features/{feature}");
        api.patch(&path).by_super_admin().json(&json!({ "enabled": false })).send().await.expect(200);
        let question = json!({ "feature": "general.read", "action": "Read" });
        let explained = explain(&api, company, company.member, &question).await;
        assert_eq!(explained["suggestion"], json!([{ "step": "enableFeature", "id": feature }]));
    }

    /// An explanation contains the same decision as a check.
    async fn an_explanation_contains_the_decision_of_a_check(api: TestApi) {
        let company = api.company().await;
        for user in [company.admin, company.member, company.visitor] {
            for question in [
                json!({ "view": "/dashboard" }),
                json!({ "view": "/admin/permissions" }),
                json!({ "view": "/modules/risks" }),
                json!({ "view": "/nowhere" }),
                json!({ "feature": "general.update", "action": "Update", "scope": "any" }),
                json!({ "feature": "risks.create", "action": "Create" }),
                json!({ "feature": "general.read", "action": "Fly" }),
                json!({ "feature": "nothing", "action": "Read" }),
            ] {
                let mut explained = explain(&api, company, user, &question).await;
                let subject = ["userId", "externalUserId", "viewId", "featureId"];
                let own = [subject.as_slice(), &["ceiling", "gate", "levels", "levelsCount", "names", "suggestion", "suggestionCount"]].concat();
                let decision = ["allowed", "decidedBy", "decidedByCount", "reason", "reasonCode", "scope"];
                let mut names = [own.as_slice(), &decision].concat();
                names.sort_unstable();
                assert_eq!(fields(&explained), names);
                for part in &own {
                    explained.as_object_mut().unwrap().remove(*part);
                }
                assert_eq!(explained, api.check(company, user, question.clone()).await, "{question}");
            }
        }
    }

    /// Non-members and super admins receive the decision without a derivation. The response to a non-member must reveal
    /// nothing about the company, and must not reveal whether the view exists. For super admins there is no derivation,
    /// because the company's rules do not apply to them.
    async fn non_members_and_super_admins_learn_only_the_decision(api: TestApi) {
        let company = api.company().await;
        let question = json!({ "view": "/modules/risks" });
        let non_member = new_user();
        for id in [company.id, new_company()] {
            let answer =
                api.post("/api/iam/explain").by(non_member).within(id).json(&question).send().await.expect(200).data();
            assert_eq!(answer["reasonCode"], "no_user_levels");
            assert_eq!(answer, bare(&api.check(Company { id, ..company }, non_member, question.clone()).await, non_member));
        }
        let request = api.post("/api/iam/explain").by_super_admin().within(company.id).json(&question);
        let answer = request.send().await.expect(200).data();
        assert_eq!(answer["reason"], "super admin");
        assert_eq!((&answer["gate"], &answer["levels"], &answer["suggestion"]), (&json!([]), &json!([]), &json!([])));
        let view = api.view_id("/modules/risks").await;
        assert_eq!((&answer["viewId"], &answer["names"]), (&json!(view), &json!({ &view: "Risks" })));
    }

    /// An explanation for another user requires the right to check other users.
    async fn only_permitted_callers_may_check_other_users(api: TestApi) {
        let company = api.company().await;
        let about = |user: UserId| json!({ "view": "/dashboard", "userId": user });
        let explained = explain(&api, company, company.admin, &about(company.visitor)).await;
        let visitor = api.level_id(company, "Visitor").await;
        assert_eq!(explained["levels"], json!([{ "userLevelId": visitor, "says": "allow" }]));
        explain(&api, company, company.visitor, &about(company.visitor)).await;
        let request = api.post("/api/iam/explain").by(company.visitor).within(company.id).json(&about(company.admin));
        let message = "You do not have permission to check other users";
        assert_eq!(request.send().await.error(), (403, "ERR_AUTH_003".to_owned(), message.to_owned()));
        let question = json!({ "view": "/home", "feature": "general.read" });
        let request = api.post("/api/iam/explain").by(company.visitor).within(company.id).json(&question);
        assert_eq!(request.send().await.error().2, "view cannot be combined with feature");
    }

    /// An explanation contains levels of the request's company. It contains no levels that the user holds in another
    /// company.
    async fn an_explanation_discloses_nothing_about_other_companies(api: TestApi) {
        let (ours, theirs) = (api.company().await, api.company().await);
        let their_admin = api.level_id(theirs, "Admin").await;
        api.assign(theirs, ours.member, &[&their_admin]).await;
        let question = json!({ "view": "/admin/permissions" });
        let (here, there) =
            (explain(&api, ours, ours.member, &question).await, explain(&api, theirs, ours.member, &question).await);
        let member = api.level_id(ours, "Member").await;
        assert_eq!(here["levels"], json!([{ "userLevelId": member, "says": "nothing" }]));
        assert_eq!(there["levels"], json!([{ "userLevelId": their_admin, "says": "allow" }]));
        assert!(!here.to_string().contains(&their_admin) && !here.to_string().contains(&theirs.id.to_string()));
    }
}
