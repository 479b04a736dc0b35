//! Tests of decisions through the API: single checks, their reasons, and a user's permissions.

use serde_json::{Value, json};

use crate::support::api::{Company, TestApi, both_adapters, fields, new_company, new_user};

/// Creates two levels and a user who holds both. Returns the user, and the ids of the levels in ascending order, which
/// is their order in decisions.
async fn holder_of_two(api: &TestApi, company: Company) -> (iam_domain::UserId, Vec<String>) {
    let user = new_user();
    let mut levels = vec![api.new_level(company, "One").await, api.new_level(company, "Two").await];
    levels.sort_unstable();
    api.assign(company, user, &[&levels[0], &levels[1]]).await;
    (user, levels)
}

/// Returns the essential fields of a decision: the result, the scope, the reason code, and the levels that determined
/// the result.
fn short(decision: &Value) -> (bool, Option<&str>, &str, Vec<&str>) {
    let levels = decision["decidedBy"].as_array().unwrap().iter().map(|level| level.as_str().unwrap()).collect();
    let code = decision["reasonCode"].as_str().unwrap();
    (decision["allowed"].as_bool().unwrap(), decision["scope"].as_str(), code, levels)
}

both_adapters! {
    /// An allow decision identifies the level that allows the view. A deny decision states the reason.
    async fn a_check_returns_the_reason(api: TestApi) {
        let company = api.company().await;
        let read = json!({ "feature": "general.read", "action": "Read" });
        let answer =
            api.post("/api/iam/check").by(company.member).within(company.id).json(&read).send().await.expect(200);
        let member = api.level_id(company, "Member").await;
        assert_eq!(
            answer.data(),
            json!({
                "allowed": true, "scope": "company", "reason": "Explicitly allowed by one or more user levels",
                "reasonCode": "explicit_allow", "decidedBy": [member], "decidedByCount": 1,
            })
        );
        assert!(answer.header("x-iam-version").is_some());

        let gated = json!({ "view": "/modules/risks" });
        let answer =
            api.post("/api/iam/check").by(company.admin).within(company.id).json(&gated).send().await.expect(200);
        assert_eq!(
            answer.data(),
            json!({
                "allowed": false, "scope": null,
                "reason": "Company does not have access to the module containing this view",
                "reasonCode": "view_module_missing", "decidedBy": [], "decidedByCount": 0,
            })
        );
    }

    /// Non-members are denied everything, in existing and in unknown companies.
    async fn a_non_member_is_denied_everything(api: TestApi) {
        let company = api.company().await;
        let non_member = new_user();
        for id in [company.id, new_company()] {
            let view = json!({ "view": "/dashboard" });
            let answer =
                api.post("/api/iam/check").by(non_member).within(id).json(&view).send().await.expect(200).data();
            assert_eq!(answer["reason"], "User has no assigned user levels");
            let navigation = api.get("/api/iam/navigation").by(non_member).within(id).send().await.expect(200).data();
            assert_eq!(navigation, json!({ "menu": [], "entrypoint": null }));
            let current =
                api.get("/api/iam/permissions/current").by(non_member).within(id).send().await.expect(200).data();
            assert!(current["views"].as_object().unwrap().values().all(|allowed| *allowed == false));
        }
    }

    /// A check identifies a view by its url or its id. It identifies a feature by its key or its id.
    async fn views_and_features_can_be_specified_by_id_or_key(api: TestApi) {
        let company = api.company().await;
        let (view, feature) = (api.view_id("/dashboard").await, api.feature_id("general.read").await);
        for name in ["/dashboard", &view, &view.to_uppercase()] {
            let answer = api.check(company, company.member, json!({ "view": name })).await;
            assert_eq!(answer["allowed"], true, "{name}");
        }
        for name in ["general.read", &feature] {
            let question = json!({ "feature": name, "action": "Read" });
            assert_eq!(api.check(company, company.member, question).await["allowed"], true, "{name}");
        }
    }

    /// Views and features are identified by exact match. Prefixes, strings that differ only in letter case, and urls
    /// with values instead of path parameters do not match.
    async fn unknown_views_and_features_are_denied(api: TestApi) {
        let company = api.company().await;
        let unknown = new_company().to_string();
        for name in ["/companies/123", "/Dashboard", "/dashboard/", "dashboard", &unknown] {
            let answer = api.check(company, company.admin, json!({ "view": name })).await;
            assert_eq!(short(&answer), (false, None, "unknown_view", vec![]), "{name}");
            assert_eq!(answer["reason"], "View not found");
        }
        for name in ["general.Read", "general", &unknown] {
            let answer = api.check(company, company.admin, json!({ "feature": name, "action": "Read" })).await;
            assert_eq!(short(&answer), (false, None, "unknown_feature", vec![]), "{name}");
            assert_eq!(answer["reason"], "Feature not found");
        }
        let action = api.check(company, company.admin, json!({ "feature": "general.read", "action": "read" })).await;
        assert_eq!(short(&action), (false, None, "unknown_action", vec![]));
    }

    /// Deny overrides allow: if one level of a user denies a view or an action, the allows of the user's other levels
    /// have no effect.
    async fn a_deny_wins_over_allows(api: TestApi) {
        let company = api.company().await;
        let (user, levels) = holder_of_two(&api, company).await;
        let (view, feature) = (api.view_id("/dashboard").await, api.feature_id("general.read").await);
        for (level, state, value) in [(&levels[0], "allow", true), (&levels[1], "deny", false)] {
            api.set_matrix(company, level, "views", json!([{ "viewId": view, "state": state }])).await;
            let cell = json!({ "featureId": feature, "action": "Read", "value": value });
            api.set_matrix(company, level, "features", json!([cell])).await;
        }
        let answer = api.check(company, user, json!({ "view": "/dashboard" })).await;
        assert_eq!(short(&answer), (false, None, "explicit_deny", vec![levels[1].as_str()]));
        assert_eq!(answer["reason"], "Explicitly denied by one or more user levels");
        let answer = api.check(company, user, json!({ "feature": "general.read", "action": "Read" })).await;
        assert_eq!(short(&answer), (false, None, "explicit_deny", vec![levels[1].as_str()]));
    }

    /// A decision for an allowed view lists all levels that allow it. A decision for a denied view lists all levels
    /// that deny it.
    async fn all_deciding_levels_are_returned(api: TestApi) {
        let company = api.company().await;
        let (user, levels) = holder_of_two(&api, company).await;
        let view = api.view_id("/dashboard").await;
        for (state, allowed, code) in [("allow", true, "explicit_allow"), ("deny", false, "explicit_deny")] {
            for level in &levels {
                api.set_matrix(company, level, "views", json!([{ "viewId": view, "state": state }])).await;
            }
            let answer = api.check(company, user, json!({ "view": "/dashboard" })).await;
            assert_eq!(short(&answer), (allowed, None, code, vec![levels[0].as_str(), levels[1].as_str()]));
        }
    }

    /// If several levels allow an action, the widest of their scopes applies. The decision identifies the level that
    /// grants this scope.
    async fn the_widest_scope_wins(api: TestApi) {
        let company = api.company().await;
        let (user, levels) = holder_of_two(&api, company).await;
        let feature = api.feature_id("general.read").await;
        let widest = [("own", "team"), ("team", "company"), ("company", "any")];
        for (narrow, wide) in widest {
            for (level, scope) in [(&levels[0], wide), (&levels[1], narrow)] {
                let cell = json!({ "featureId": feature, "action": "Read", "scope": scope });
                api.set_matrix(company, level, "features", json!([cell])).await;
            }
            let answer = api.check(company, user, json!({ "feature": "general.read", "action": "Read" })).await;
            assert_eq!(short(&answer), (true, Some(wide), "explicit_allow", vec![levels[0].as_str()]));
        }
    }

    /// Default deny: a view or action that no level allows is denied. This applies to cells with the state `inherit`
    /// and to missing cells.
    async fn permissions_without_an_allow_are_denied(api: TestApi) {
        let company = api.company().await;
        let view = api.view_id("/home").await;
        let (user, _) = api.holder_of(company, json!([{ "viewId": view, "state": "inherit" }]), json!([])).await;
        for url in ["/home", "/dashboard"] {
            let answer = api.check(company, user, json!({ "view": url })).await;
            assert_eq!(short(&answer), (false, None, "no_explicit_allow", vec![]), "{url}");
            assert_eq!(answer["reason"], "No explicit allow permission (inherit or no permission)");
        }
        let answer = api.check(company, user, json!({ "feature": "general.read", "action": "Read" })).await;
        assert_eq!(short(&answer), (false, None, "no_explicit_allow", vec![]));
    }

    /// A check can require a minimum scope.
    async fn a_minimum_scope_must_be_reached(api: TestApi) {
        let company = api.company().await;
        let feature = api.feature_id("general.read").await;
        let cells = json!([{ "featureId": feature, "action": "Read", "scope": "team" }]);
        let (user, level) = api.holder_of(company, json!([]), cells).await;
        for (least, allowed, code) in [
            ("own", true, "explicit_allow"),
            ("team", true, "explicit_allow"),
            ("company", false, "scope_too_narrow"),
            ("any", false, "scope_too_narrow"),
        ] {
            let question = json!({ "feature": "general.read", "action": "Read", "scope": least });
            let answer = api.check(company, user, question).await;
            assert_eq!(short(&answer), (allowed, allowed.then_some("team"), code, vec![level.as_str()]), "{least}");
        }
    }

    /// A disabled feature is denied to all users except super admins.
    async fn a_disabled_feature_is_denied(api: TestApi) {
        let company = api.company().await;
        let feature = api.feature_id("general.read").await;
        let path = format!("/api/iam/features/{feature}");
        api.patch(&path).by_super_admin().json(&json!({ "enabled": false })).send().await.expect(200);
        let question = json!({ "feature": "general.read", "action": "Read" });
        let answer = api.check(company, company.admin, question.clone()).await;
        assert_eq!(short(&answer), (false, None, "feature_disabled", vec![]));
        assert_eq!(answer["reason"], "Feature is disabled");
        api.patch(&path).by_super_admin().json(&json!({ "enabled": true })).send().await.expect(200);
        assert_eq!(api.check(company, company.admin, question).await["allowed"], true);
    }

    /// A public view is allowed to every member, regardless of levels and modules, and denied to non-members.
    async fn a_public_view_is_allowed_to_members(api: TestApi) {
        let company = api.company().await;
        let view = api.view_id("/modules/risks").await;
        let (user, _) = api.holder_of(company, json!([{ "viewId": view, "state": "deny" }]), json!([])).await;
        let path = format!("/api/iam/views/{view}");
        api.patch(&path).by_super_admin().json(&json!({ "requiresAuth": false })).send().await.expect(200);
        let answer = api.check(company, user, json!({ "view": "/modules/risks" })).await;
        assert_eq!(short(&answer), (true, None, "public_view", vec![]));
        let answer = api.check(company, new_user(), json!({ "view": "/modules/risks" })).await;
        assert_eq!(short(&answer), (false, None, "no_user_levels", vec![]));
    }

    /// Update on one of the administrative features (`iam.…`) suffices to check other users.
    async fn administrators_can_check_other_users(api: TestApi) {
        let company = api.company().await;
        let ask = |by, about| {
            let question = json!({ "feature": "general.read", "action": "Read", "userId": about });
            api.post("/api/iam/check").by(by).within(company.id).json(&question).send()
        };
        let about = ask(company.admin, company.visitor).await.expect(200).data();
        let visitor = api.level_id(company, "Visitor").await;
        assert_eq!(short(&about), (true, Some("company"), "explicit_allow", vec![visitor.as_str()]));
        // A check for an unknown user is denied and is not an error.
        assert_eq!(ask(company.admin, new_user()).await.expect(200).data()["reasonCode"], "no_user_levels");
        for (key, action, status) in [
            ("iam.manage_levels", "Update", 200),
            ("iam.assign_permissions", "Update", 200),
            ("iam.manage_levels", "Read", 403),
            ("iam.assign_permissions", "Read", 403),
        ] {
            let cells = json!([{ "featureId": api.feature_id(key).await, "action": action }]);
            let (user, _) = api.holder_of(company, json!([]), cells).await;
            let answer = ask(user, company.visitor).await;
            assert_eq!(answer.status.as_u16(), status, "{key} {action}");
            if status == 403 {
                let message = "You do not have permission to check other users";
                assert_eq!(answer.error(), (403, "ERR_AUTH_003".into(), message.into()));
            }
        }
        // All users may check their own permissions. This includes requests that specify the caller's own id as
        // `userId`.
        ask(company.visitor, company.visitor).await.expect(200);
        ask(company.visitor, company.admin).await.expect(403);
    }

    /// A check must specify either a view, or a feature and an action.
    async fn an_invalid_check_is_rejected(api: TestApi) {
        let company = api.company().await;
        for question in [
            json!({}),
            json!({ "action": "Read" }),
            json!({ "view": "/home", "feature": "general.read", "action": "Read" }),
            json!({ "view": "/home", "action": "Read" }),
            json!({ "view": "/home", "scope": "own" }),
            json!({ "feature": "general.read" }),
            json!({ "feature": "general.read", "action": "" }),
            json!({ "feature": "general.read", "action": "a".repeat(51) }),
            json!({ "feature": "general.read", "action": "Read", "scope": "world" }),
            json!({ "view": null }),
            json!({ "view": "/home", "userId": "somebody" }),
        ] {
            let answer = api.post("/api/iam/check").by(company.admin).within(company.id).json(&question).send().await;
            let (status, code, _) = answer.error();
            assert_eq!((status, code.as_str()), (400, "ERR_VALIDATION_001"), "{question}");
        }
    }

    /// An administrator who requests a user's permissions receives the same list as that user.
    async fn administrators_read_the_same_permissions_as_the_user(api: TestApi) {
        let company = api.company().await;
        let path = format!("/api/iam/users/{}/permissions", company.member);
        let answer = api.get(&path).by(company.admin).within(company.id).send().await.expect(200);
        assert!(answer.header("x-iam-version").is_some());
        assert_eq!(answer.header("cache-control"), Some("private, no-cache"));
        assert_eq!(fields(&answer.data()), ["features", "views"]);
        let own = api.get("/api/iam/permissions/current").by(company.member).within(company.id).send().await;
        assert_eq!(answer.data(), own.data());

        let answer = api.get(&path).by(company.member).within(company.id).send().await.error();
        assert_eq!(answer, (403, "ERR_AUTH_003".into(), "You do not have permission to view IAM data".into()));
        // In the list of an unknown user's permissions, all views are denied.
        let path = format!("/api/iam/users/{}/permissions", new_user());
        let data = api.get(&path).by(company.admin).within(company.id).send().await.expect(200).data();
        assert!(data["views"].as_object().unwrap().values().all(|allowed| *allowed == false));
    }
}
