//! Tests of combined default levels, and of the list of allows that a deny overrides.

use serde_json::{Value, json};

use crate::support::api::{Company, TestApi, both_adapters};

/// Sets the feature matrix of a level, and returns the member `nullified` of the response.
async fn set_features(api: &TestApi, company: Company, level: &str, cells: Value) -> Value {
    let path = format!("/api/iam/user-levels/{level}/permissions/features");
    let request = api.put(&path).by(company.admin).within(company.id).json(&json!({ "features": cells }));
    request.send().await.expect(200).data()["nullified"].take()
}

async fn assign(api: &TestApi, company: Company, levels: &[&str]) -> Value {
    let path = format!("/api/iam/users/{}/user-levels", company.member);
    let request = api.put(&path).by(company.admin).within(company.id).json(&json!({ "userLevelIds": levels }));
    request.send().await.expect(200).data()["nullified"].take()
}

fn nothing() -> Value {
    json!({ "count": 0, "cells": [] })
}

both_adapters! {
    /// A user who holds two default levels has the permissions of both levels.
    async fn the_permissions_of_default_levels_are_combined(api: TestApi) {
        let company = api.company().await;
        let [admin, member, visitor] =
            [api.level_id(company, "Admin").await, api.level_id(company, "Member").await, api.level_id(company, "Visitor").await];
        let permissions = async || {
            let path = format!("/api/iam/users/{}/permissions?keys=true", company.member);
            api.get(&path).by(company.admin).within(company.id).send().await.expect(200).data()
        };
        for level in [&member, &admin] {
            assert_eq!(assign(&api, company, &[level]).await, nothing());
            let alone = permissions().await;
            assert_eq!(assign(&api, company, &[level, &visitor]).await, nothing());
            assert_eq!(permissions().await, alone);
        }
        for level in [&member, &visitor] {
            for matrix in ["views", "features"] {
                for cell in api.matrix(company, level, matrix).await {
                    assert!(cell["state"] == "allow" || cell["value"] == true, "{cell}");
                }
            }
        }
    }

    /// The response to an assignment lists the permissions that the denies of the newly assigned level override.
    async fn an_assignment_lists_the_allows_that_it_overrides(api: TestApi) {
        let company = api.company().await;
        let (view, feature) = (api.view_id("/dashboard").await, api.feature_id("general.read").await);
        let member = api.level_id(company, "Member").await;
        let denying = api.new_level(company, "Suspended").await;
        api.set_matrix(company, &denying, "views", json!([{ "viewId": view, "state": "deny" }])).await;
        let cells = json!([
            { "featureId": feature, "action": "Read", "value": false },
            { "featureId": feature, "action": "Delete", "value": false },
        ]);
        assert_eq!(set_features(&api, company, &denying, cells).await, nothing());
        // The member was not allowed to delete before, so the deny of Delete overrides no allow.
        let expected = json!({ "count": 2, "cells": [
            { "kind": "view", "viewId": view, "url": "/dashboard" },
            { "kind": "action", "featureId": feature, "key": "general.read", "action": "Read" },
        ] });
        assert_eq!(assign(&api, company, &[&member, &denying]).await, expected);
        // The next assignments override no allow: the user already held the denying level, or the change revokes levels
        // without assigning a level with denies.
        assert_eq!(assign(&api, company, &[&member, &denying]).await, nothing());
        assert_eq!(assign(&api, company, &[&denying]).await, nothing());
        assert_eq!(assign(&api, company, &[&member]).await, nothing());
        // The new level overrides no allow if the same change removes the level with the allows.
        assert_eq!(assign(&api, company, &[&denying]).await, nothing());
    }

    /// A deny of a public view has no effect, so it overrides no allow.
    async fn a_deny_of_a_public_view_overrides_no_allow(api: TestApi) {
        let company = api.company().await;
        let public = json!({ "name": "Public", "url": "/public", "requiresAuth": false });
        let view = api.make("views", None, public).await["id"].as_str().unwrap().to_owned();
        let mut levels = Vec::new();
        for state in ["allow", "deny"] {
            let level = api.new_level(company, state).await;
            api.set_matrix(company, &level, "views", json!([{ "viewId": view, "state": state }])).await;
            levels.push(level);
        }
        assert_eq!(assign(&api, company, &[&levels[0], &levels[1]]).await, nothing());
    }

    /// The response to a matrix change lists at most ten of the allows of other levels that the new denies override.
    async fn a_matrix_lists_the_allows_that_it_overrides(api: TestApi) {
        let company = api.company().await;
        let member = api.level_id(company, "Member").await;
        let empty = api.new_level(company, "Suspended").await;
        assign(&api, company, &[&member, &empty]).await;
        let cells: Vec<_> = api.matrix(company, &member, "features").await;
        let deny = |cell: &Value| json!({ "featureId": cell["featureId"], "action": cell["action"], "value": false });
        let denies: Vec<_> = cells.iter().map(deny).collect();
        let report = set_features(&api, company, &empty, json!(denies[..3])).await;
        assert_eq!((&report["count"], report["cells"].as_array().unwrap().len()), (&json!(3), 3));
        let report = set_features(&api, company, &empty, json!(denies)).await;
        assert_eq!((&report["count"], report["cells"].as_array().unwrap().len()), (&json!(cells.len() - 3), 10));
        assert_eq!(set_features(&api, company, &empty, json!([])).await, nothing());
        let path = format!("/api/iam/user-levels/{empty}/permissions/views");
        let view = api.view_id("/dashboard").await;
        let body = json!({ "views": [{ "viewId": view, "state": "deny" }] });
        let answer = api.put(&path).by(company.admin).within(company.id).json(&body).send().await.expect(200).data();
        assert_eq!(answer["nullified"]["cells"][0]["url"], "/dashboard");
    }
}
