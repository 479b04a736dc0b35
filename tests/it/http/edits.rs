//! Tests of single edits and bulk edits: one level of one user, many assignments together, and single cells of a matrix.

use iam_domain::{QuotaLimits, UserId};
use serde_json::{Value, json};

use super::delegation::{LEVELS, PERMISSIONS, allow, delegate, deny, held};
use crate::support::api::{Answer, Company, Request, TestApi, both_adapters, each, new_company, new_user};

fn one(user: UserId, level: &str) -> String {
    format!("/api/iam/users/{user}/user-levels/{level}")
}

fn give(api: &TestApi, company: Company, user: UserId, level: &str) -> Request {
    api.put(&one(user, level)).within(company.id)
}

fn take(api: &TestApi, company: Company, user: UserId, level: &str) -> Request {
    api.delete(&one(user, level)).within(company.id)
}

fn pair(user: UserId, level: &str) -> Value {
    json!({ "userId": user, "userLevelId": level })
}

fn edit(api: &TestApi, company: Company, add: &[Value], remove: &[Value]) -> Request {
    api.post("/api/iam/assignments").within(company.id).json(&json!({ "add": add, "remove": remove }))
}

fn cells(api: &TestApi, company: Company, level: &str, matrix: &str, edits: &Value) -> Request {
    api.patch(&format!("/api/iam/user-levels/{level}/permissions/{matrix}")).within(company.id).json(edits)
}

/// Returns the audit records of the company about this entity, newest first.
async fn records(api: &TestApi, company: Company, entity: &str) -> Vec<Value> {
    let path = format!("/api/iam/audit-logs?entityId={entity}&limit=200");
    let data = api.get(&path).by(company.admin).within(company.id).send().await.expect(200).data();
    data["logs"].as_array().unwrap().clone()
}

/// Returns the distinct fields that the errors of a response name, each with the code of its errors.
fn refused(answer: &Answer) -> Vec<(String, String)> {
    let errors = answer.json()["errors"].as_array().unwrap().clone();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut named: Vec<_> = errors.iter().map(|error| (text(&error["field"]), text(&error["code"]))).collect();
    named.retain(|(_, code)| code != "more");
    named.dedup();
    named
}

fn version(answer: &Answer) -> String {
    answer.header("x-iam-version").unwrap().to_owned()
}

both_adapters! {
    /// A level is assigned to a user and removed from the user. The user's other levels remain, and a repeated request
    /// changes nothing.
    async fn one_level_of_a_user_is_assigned_and_removed(api: TestApi) {
        let company = api.company().await;
        let (member, visitor) = (api.level_id(company, "Member").await, api.level_id(company, "Visitor").await);
        let mut versions = Vec::new();
        for _ in 0..2 {
            let answer = give(&api, company, company.member, &visitor).by(company.admin).send().await.expect(200);
            assert_eq!(answer.data()["message"], "User levels updated successfully");
            assert_eq!(each(&answer.data()["userLevels"], "id"), [member.clone(), visitor.clone()]);
            versions.push(version(&answer));
        }
        assert_eq!(versions[0], versions[1]);
        for _ in 0..2 {
            let answer = take(&api, company, company.member, &member).by(company.admin).send().await.expect(200);
            assert_eq!(each(&answer.data()["userLevels"], "id"), [visitor.as_str()]);
            versions.push(version(&answer));
        }
        assert_eq!(versions[2], versions[3]);
        assert_eq!(held(&api, company, company.member).await, ["Visitor"]);
        assert_eq!(records(&api, company, &company.member.to_string()).await.len(), 3);
    }

    /// A level that does not exist in the company is not found, also if it is to be removed. Nothing changes.
    async fn an_unknown_level_is_not_found(api: TestApi) {
        let (company, other) = (api.company().await, api.company().await);
        for level in [new_company().to_string(), api.level_id(other, "Member").await] {
            for request in
                [give(&api, company, company.member, &level), take(&api, company, company.member, &level)]
            {
                let answer = request.by(company.admin).send().await;
                assert_eq!(answer.error(), (404, "ERR_RESOURCE_001".into(), "User level not found".into()));
            }
        }
        assert_eq!(held(&api, company, company.member).await, ["Member"]);
    }

    /// `If-Match` is compared with the entity tag of the user's levels. The response has the new entity tag.
    async fn an_edit_of_one_level_is_conditional(api: TestApi) {
        let company = api.company().await;
        let visitor = api.level_id(company, "Visitor").await;
        let list = format!("/api/iam/users/{}/user-levels", company.member);
        let tag = |answer: &Answer| answer.header("etag").unwrap().to_owned();
        let before = tag(&api.get(&list).by(company.admin).within(company.id).send().await);
        let by = |request: Request, tag: &str| request.by(company.admin).header("if-match", tag).send();
        let given = by(give(&api, company, company.member, &visitor), &before).await.expect(200);
        assert_eq!(tag(&given), tag(&api.get(&list).by(company.admin).within(company.id).send().await));
        by(take(&api, company, company.member, &visitor), &before).await.expect(412);
        assert_eq!(held(&api, company, company.member).await, ["Member", "Visitor"]);
        by(take(&api, company, company.member, &visitor), &tag(&given)).await.expect(200);
    }

    /// The guards apply to an edit of one level: callers cannot grant what they do not hold, cannot revoke
    /// administrative permissions of others, and cannot remove the last administrator. Super admins can force it.
    async fn the_guards_apply_to_an_edit_of_one_level(api: TestApi) {
        let company = api.company().await;
        let admin = api.level_id(company, "Admin").await;
        let (limited, _) = delegate(&api, company, &[], &[]).await;
        let answer = give(&api, company, company.member, &admin).by(limited).send().await.expect(403);
        assert_eq!(refused(&answer), [("levelId".to_owned(), "not_held".to_owned())]);
        let answer = take(&api, company, company.admin, &admin).by(limited).send().await.expect(403);
        assert_eq!(refused(&answer), [("levelId".to_owned(), "protected".to_owned())]);
        take(&api, company, company.admin, &admin).by(company.admin).send().await.expect(409);
        let denying = api.new_level(company, "Denying").await;
        api.set_matrix(company, &denying, "features", json!([deny(&api, PERMISSIONS, "Approve").await])).await;
        give(&api, company, company.admin, &denying).by(company.admin).send().await.expect(409);
        assert_eq!(held(&api, company, company.admin).await, ["Admin"]);
        let forced = api.delete(&format!("{}?force=true", one(company.admin, &admin))).within(company.id);
        forced.by_super_admin().send().await.expect(200);
        assert_eq!(held(&api, company, company.admin).await, [""; 0]);
    }

    /// One request assigns and removes levels of many users. It writes one audit record for each user whose levels
    /// change, and its counts contain only what changed.
    async fn many_assignments_change_together(api: TestApi) {
        let company = api.company().await;
        let (member, visitor) = (api.level_id(company, "Member").await, api.level_id(company, "Visitor").await);
        let users = [(); 10].map(|()| new_user());
        let mut add: Vec<_> = users.iter().map(|user| pair(*user, &member)).collect();
        add.extend(users.iter().take(3).map(|user| pair(*user, &visitor)));
        add.push(pair(company.member, &member));
        let remove = [pair(company.visitor, &visitor), pair(users[9], &visitor)];
        let answer = edit(&api, company, &add, &remove).by(company.admin).send().await.expect(200);
        assert_eq!(
            answer.data(),
            json!({
                "message": "Assignments updated successfully", "usersChanged": 11, "added": 13, "removed": 1,
                "nullified": { "count": 0, "cells": [] },
            })
        );
        assert_eq!(held(&api, company, users[0]).await, ["Member", "Visitor"]);
        assert_eq!(held(&api, company, users[9]).await, ["Member"]);
        assert_eq!(held(&api, company, company.visitor).await, [""; 0]);
        assert_eq!(held(&api, company, company.member).await, ["Member"]);
        for user in &users {
            assert_eq!(records(&api, company, &user.to_string()).await.len(), 1);
        }
        let before = version(&answer);
        let again = edit(&api, company, &add, &remove).by(company.admin).send().await.expect(200);
        assert_eq!((again.data()["usersChanged"].clone(), version(&again)), (json!(0), before));
    }

    /// Too many pairs, a pair in both lists, a repeated pair, and levels that do not exist in the company are errors
    /// that name the pairs. Nothing is stored.
    async fn invalid_pairs_are_rejected_as_a_whole(api: TestApi) {
        let (company, other) = (api.company().await, api.company().await);
        let (member, theirs) = (api.level_id(company, "Member").await, api.level_id(other, "Member").await);
        let users: Vec<_> = (0..1001).map(|_| new_user()).collect();
        let all: Vec<_> = users.iter().map(|user| pair(*user, &member)).collect();
        let send = async |add: &[Value], remove: &[Value]| {
            edit(&api, company, add, remove).by(company.admin).send().await
        };
        let message = "add and remove must together contain at most 1000 elements";
        let too_many = (400, "ERR_VALIDATION_001".to_owned(), message.to_owned());
        assert_eq!(send(&all, &[]).await.error(), too_many);
        assert_eq!(send(&all[1..], &all[..1]).await.error(), too_many);
        let both = send(&all[..3], &all[2..4]).await;
        assert_eq!(both.error().2, "remove[0].userLevelId is also in add");
        assert_eq!(send(&[all[0].clone(), all[0].clone()], &[]).await.error().2, "add[1].userLevelId occurs twice");
        let mut with_theirs = all[..10].to_vec();
        with_theirs.insert(7, pair(users[10], &theirs));
        let answer = send(&with_theirs, &[pair(company.member, &theirs)]).await;
        let unknown = |field: &str| {
            let field = format!("{field}.userLevelId");
            (field.clone(), format!("{field} refers to an unknown user-level: {theirs}"))
        };
        assert_eq!(answer.findings(), [unknown("add[7]"), unknown("remove[0]")]);
        let misspelled = json!({ "adds": all[..1] });
        let answer =
            api.post("/api/iam/assignments").by(company.admin).within(company.id).json(&misspelled).send().await;
        assert_eq!(answer.error().2, "adds is unknown");
        for user in &users[..11] {
            assert_eq!(held(&api, company, *user).await, [""; 0]);
        }
        assert_eq!(held(&api, company, company.member).await, ["Member"]);
    }

    /// The guards apply to all changes of a bulk edit together, and errors name the list that causes them. A removal in
    /// the same request does not make a grant permissible.
    async fn the_guards_apply_to_a_bulk_edit(api: TestApi) {
        let company = api.company().await;
        let (admin, visitor) = (api.level_id(company, "Admin").await, api.level_id(company, "Visitor").await);
        let users = [(); 3].map(|()| new_user());
        let (limited, own) = delegate(&api, company, &[], &[]).await;
        let add = [pair(users[0], &own), pair(users[1], &admin)];
        let answer = edit(&api, company, &add, &[]).by(limited).send().await.expect(403);
        assert_eq!(refused(&answer), [("add".to_owned(), "not_held".to_owned())]);
        let remove = [pair(company.admin, &admin)];
        let answer = edit(&api, company, &add[..1], &remove).by(limited).send().await.expect(403);
        assert_eq!(refused(&answer), [("remove".to_owned(), "protected".to_owned())]);
        assert_eq!(held(&api, company, users[0]).await, [""; 0]);
        edit(&api, company, &add[..1], &[]).by(limited).send().await.expect(200);

        // The last holders of Approve are removed together, and one of them receives it back in the same request.
        edit(&api, company, &[pair(users[2], &admin)], &[]).by(company.admin).send().await.expect(200);
        let both = [pair(users[2], &admin), pair(company.admin, &admin)];
        let answer = edit(&api, company, &[pair(users[1], &visitor)], &both).by(company.admin).send().await;
        assert_eq!(answer.error().0, 409);
        edit(&api, company, &[], &both).by_super_admin().send().await.expect(409);
        assert_eq!(held(&api, company, users[1]).await, [""; 0]);
        edit(&api, company, &[pair(users[1], &admin)], &both).by(company.admin).send().await.expect(200);
        assert_eq!(held(&api, company, users[1]).await, ["Admin"]);
        assert_eq!(held(&api, company, company.admin).await, [""; 0]);
    }

    /// A bulk edit that assigns a level with denies reports the permissions that the denies override.
    async fn a_bulk_edit_reports_nullified_permissions(api: TestApi) {
        let company = api.company().await;
        let denying = api.new_level(company, "Denying").await;
        api.set_matrix(company, &denying, "features", json!([deny(&api, "general.read", "Read").await])).await;
        let add = [pair(company.member, &denying), pair(new_user(), &denying)];
        let data = edit(&api, company, &add, &[]).by(company.admin).send().await.expect(200).data();
        assert_eq!(data["nullified"]["count"], 1, "{data}");
        assert_eq!(data["nullified"]["cells"][0]["key"], "general.read");
    }

    /// The quotas of the levels of a user and of distinct sets of levels apply to a bulk edit. All its changes count
    /// together.
    async fn quotas_apply_to_a_bulk_edit(api: TestApi) {
        let limits = QuotaLimits { level_sets: 1, levels_per_user: 2, ..QuotaLimits::default() };
        let api = api.with_quotas(limits).await;
        let company = api.company().await;
        let [a, b, c] = ["A", "B", "C"].map(|name| api.new_level(company, name));
        let (a, b, c) = (a.await, b.await, c.await);
        let users = [(); 3].map(|()| new_user());
        let exceeded = async |add: &[Value], quota: &str| {
            let answer = edit(&api, company, add, &[]).by(company.admin).send().await.expect(409);
            assert_eq!(answer.json()["errors"][0]["field"], quota);
        };
        exceeded(&[pair(users[0], &a), pair(users[0], &b), pair(users[0], &c)], "levelsPerUser").await;
        exceeded(&[pair(users[0], &a), pair(users[0], &b), pair(users[1], &b), pair(users[1], &c)], "levelSets").await;
        let same: Vec<_> = users.iter().flat_map(|user| [pair(*user, &a), pair(*user, &b)]).collect();
        edit(&api, company, &same, &[]).by(company.admin).send().await.expect(200);
        // All users move from one set to another.
        let add: Vec<_> = users.iter().map(|user| pair(*user, &c)).collect();
        let remove: Vec<_> = users.iter().map(|user| pair(*user, &b)).collect();
        exceeded(&add[..2], "levelsPerUser").await;
        let answer = edit(&api, company, &add[..2], &remove[..2]).by(company.admin).send().await.expect(409);
        assert_eq!(answer.json()["errors"][0]["field"], "levelSets");
        edit(&api, company, &add, &remove).by(company.admin).send().await.expect(200);
    }

    /// Cells of a matrix are added, overwritten and removed. The other cells keep their rows, and a repeated request
    /// changes nothing.
    async fn single_cells_of_a_matrix_change(api: TestApi) {
        let company = api.company().await;
        let level = api.new_level(company, "Auditors").await;
        let [home, dashboard, risks] = ["/home", "/dashboard", "/modules/risks"].map(|url| api.view_id(url));
        let (home, dashboard, risks) = (home.await, dashboard.await, risks.await);
        let both = json!([{ "viewId": home, "state": "allow" }, { "viewId": dashboard, "state": "deny" }]);
        api.set_matrix(company, &level, "views", both).await;
        let kept = api.matrix(company, &level, "views").await.into_iter().find(|cell| cell["viewId"] == home.as_str());
        let edits = json!({
            "set": [{ "viewId": risks, "state": "allow" }],
            "unset": [{ "viewId": dashboard }, { "viewId": api.view_id("/admin/permissions").await }],
        });
        let answer = cells(&api, company, &level, "views", &edits).by(company.admin).send().await.expect(200);
        assert_eq!(answer.data()["message"], "View permissions updated successfully");
        let after = api.matrix(company, &level, "views").await;
        assert_eq!(answer.data()["permissions"], json!(after));
        assert_eq!(after.len(), 2);
        assert!(after.contains(&kept.unwrap()));
        let read = api.get(&format!("/api/iam/user-levels/{level}/permissions/views"));
        let read = read.by(company.admin).within(company.id).send().await;
        assert_eq!(answer.header("etag"), read.header("etag"));
        let again = cells(&api, company, &level, "views", &edits).by(company.admin).send().await.expect(200);
        assert_eq!(version(&again), version(&answer));

        let feature = api.feature_id("general.read").await;
        let action = |action: &str| json!({ "featureId": feature, "action": action, "scope": "team" });
        api.set_matrix(company, &level, "features", json!([action("Read"), action("Update")])).await;
        let edits = json!({
            "set": [{ "featureId": feature, "action": "Read", "value": false }],
            "unset": [{ "featureId": feature, "action": "Update" }],
        });
        cells(&api, company, &level, "features", &edits).by(company.admin).send().await.expect(200);
        let after = api.matrix(company, &level, "features").await;
        assert_eq!((after.len(), &after[0]["action"], &after[0]["value"]), (1, &json!("Read"), &json!(false)));
        let record = records(&api, company, &level).await.remove(0);
        assert_eq!(record["action"], "permissions.features_updated");
        assert_eq!(record["changes"]["counts"], json!({ "allow": 0, "deny": 1 }));
    }

    /// Errors of an edit name the cell. The same cell in both lists, unknown views and features, and unknown actions are
    /// rejected, and nothing is stored.
    async fn the_error_for_an_invalid_cell_names_it(api: TestApi) {
        let company = api.company().await;
        let level = api.new_level(company, "Auditors").await;
        let (view, feature) = (api.view_id("/home").await, api.feature_id("general.read").await);
        let unknown = new_company();
        let read = json!({ "featureId": feature, "action": "Read" });
        for (matrix, edits, message) in [
            ("views", json!({ "set": [{ "viewId": view }], "unset": [{ "viewId": view }] }), {
                "unset[0].viewId is also in set".to_owned()
            }),
            ("views", json!({ "set": [{ "viewId": view }, { "viewId": unknown }] }), {
                format!("set[1].viewId refers to an unknown view: {unknown}")
            }),
            ("views", json!({ "views": [{ "viewId": view }] }), "views is unknown".to_owned()),
            ("features", json!({ "set": [read], "unset": [read] }), "unset[0].action is also in set".to_owned()),
            ("features", json!({ "set": [{ "featureId": unknown, "action": "Read" }] }), {
                format!("set[0].featureId refers to an unknown feature: {unknown}")
            }),
            ("features", json!({ "set": [{ "featureId": feature, "action": "Fly" }] }), {
                "set[0].action refers to an unknown action: Fly".to_owned()
            }),
            ("views", json!({ "unset": [{ "viewId": view }, { "viewId": unknown }] }), {
                format!("unset[1].viewId refers to an unknown view: {unknown}")
            }),
            ("features", json!({ "unset": [{ "featureId": unknown, "action": "Read" }] }), {
                format!("unset[0].featureId refers to an unknown feature: {unknown}")
            }),
            ("features", json!({ "unset": [read, { "featureId": feature, "action": "Raed" }] }), {
                "unset[1].action refers to an unknown action: Raed".to_owned()
            }),
        ] {
            let answer = cells(&api, company, &level, matrix, &edits).by(company.admin).send().await;
            assert_eq!(answer.error(), (400, "ERR_VALIDATION_001".into(), message), "{edits}");
        }
        let edits = json!({ "set": [] });
        let answer = cells(&api, company, &unknown.to_string(), "views", &edits).by(company.admin).send().await;
        assert_eq!(answer.error().0, 404);
        assert!(api.matrix(company, &level, "views").await.is_empty());
        assert!(api.matrix(company, &level, "features").await.is_empty());
    }

    /// The guards apply to single cells: pins, grants of what the caller does not hold, and the last administrator.
    async fn the_guards_apply_to_single_cells(api: TestApi) {
        let company = api.company().await;
        let level = api.new_level(company, "Auditors").await;
        let (view, feature) = (api.view_id("/home").await, api.feature_id("general.read").await);
        let pin = json!({ "set": [{ "viewId": view, "state": "allow", "modifiable": false }] });
        let by_admin = async |matrix: &str, edits: &Value| {
            cells(&api, company, &level, matrix, edits).by(company.admin).send().await
        };
        assert_eq!(by_admin("views", &pin).await.expect(403).json()["errors"][0]["code"], "pinned");
        cells(&api, company, &level, "views", &pin).by_super_admin().send().await.expect(200);
        for edits in [
            json!({ "unset": [{ "viewId": view }] }),
            json!({ "set": [{ "viewId": view, "state": "deny" }] }),
            json!({ "set": [{ "viewId": view, "state": "allow", "modifiable": true }] }),
        ] {
            let answer = by_admin("views", &edits).await.expect(403);
            let field = if edits.get("set").is_some() { "set" } else { "unset" };
            assert_eq!(answer.json()["errors"][0]["field"], field);
            assert_eq!(answer.json()["errors"][0]["code"], "pinned");
        }
        // A pinned cell that the edit does not mention stays pinned.
        let other = json!({ "set": [{ "viewId": api.view_id("/dashboard").await, "state": "allow" }] });
        by_admin("views", &other).await.expect(200);
        assert!(api.matrix(company, &level, "views").await.iter().any(|cell| cell["modifiable"] == false));

        let (limited, _) = delegate(&api, company, &[], &[]).await;
        let set = json!({ "set": [{ "featureId": feature, "action": "Read", "scope": "own" }] });
        let answer = cells(&api, company, &level, "features", &set).by(limited).send().await.expect(403);
        assert_eq!(refused(&answer), [("set".to_owned(), "not_held".to_owned())]);

        let admin = api.level_id(company, "Admin").await;
        let approve = json!({ "featureId": api.feature_id(PERMISSIONS).await, "action": "Approve" });
        let unset = json!({ "unset": [approve] });
        cells(&api, company, &admin, "features", &unset).by(company.admin).send().await.expect(409);
        let tag = json!({ "set": [] });
        let stale = cells(&api, company, &admin, "features", &tag).by(company.admin).header("if-match", "\"x\"");
        stale.send().await.expect(412);
        let forced = api.patch(&format!("/api/iam/user-levels/{admin}/permissions/features?force=true"));
        forced.within(company.id).json(&unset).by_super_admin().send().await.expect(200);
    }

    /// A new level can have the cells of an existing level. Pins are not copied. The caller must be allowed to change
    /// matrices, and must hold the copied permissions.
    async fn a_level_is_copied_with_its_cells(api: TestApi) {
        let (company, other) = (api.company().await, api.company().await);
        let source = api.new_level(company, "Source").await;
        let view = api.view_id("/home").await;
        let pinned = json!({ "set": [{ "viewId": view, "state": "allow", "modifiable": false }] });
        cells(&api, company, &source, "views", &pinned).by_super_admin().send().await.expect(200);
        api.set_matrix(company, &source, "features", json!([
            allow(&api, "general.read", "Read", "team").await, deny(&api, "general.create", "Create").await,
        ])).await;
        let copy = |name: &str, from: &str| {
            let body = json!({ "name": name, "copyFrom": from });
            api.post("/api/iam/user-levels").within(company.id).json(&body)
        };
        let made = copy("Copy", &source).by(company.admin).send().await.expect(201).data();
        let made = made["userLevel"]["id"].as_str().unwrap().to_owned();
        let views = api.matrix(company, &made, "views").await;
        assert_eq!((&views[0]["state"], &views[0]["modifiable"], views.len()), (&json!("allow"), &json!(true), 1));
        let without = |mut cell: Value| {
            let cell = cell.as_object_mut().unwrap();
            cell.retain(|name, _| ["featureId", "action", "value", "scope", "modifiable"].contains(&name.as_str()));
            Value::from(cell.clone())
        };
        let [of_source, of_copy] = [&source, &made].map(|level| api.matrix(company, level, "features"));
        let of_source: Vec<_> = of_source.await.into_iter().map(without).collect();
        let of_copy: Vec<_> = of_copy.await.into_iter().map(without).collect();
        assert_eq!(of_source, of_copy);

        let (limited, own) = delegate(&api, company, &[], &[]).await;
        let answer = copy("Escalated", &api.level_id(company, "Admin").await).by(limited).send().await.expect(403);
        assert_eq!(refused(&answer), [("copyFrom".to_owned(), "not_held".to_owned())]);
        copy("Own", &own).by(limited).send().await.expect(201);
        let levels_only = [allow(&api, LEVELS, "Update", "company").await];
        let (manager, _) = api.holder_of(company, json!([]), json!(levels_only)).await;
        let answer = copy("Refused", &made).by(manager).send().await;
        assert_eq!(answer.error().2, "You do not have permission to manage permissions");
        let theirs = api.level_id(other, "Member").await;
        let answer = copy("Theirs", &theirs).by(company.admin).send().await;
        assert_eq!(answer.error().2, format!("copyFrom refers to an unknown user-level: {theirs}"));
        let names = api.get("/api/iam/user-levels").by(company.admin).within(company.id).send().await.data();
        let names = each(&names["userLevels"], "name").join(" ");
        assert!(names.contains("Copy") && names.contains("Own"), "{names}");
        assert!(["Escalated", "Refused", "Theirs"].iter().all(|name| !names.contains(name)), "{names}");
    }

    /// The matrix contains all levels with their cells, and all views and features of the catalog. Its entity tag
    /// changes with each change to a cell, and a request with the current entity tag receives no body.
    async fn the_matrix_contains_all_levels_and_cells(api: TestApi) {
        let company = api.company().await;
        let empty = api.new_level(company, "Empty").await;
        let get = || api.get("/api/iam/matrix").by(company.admin).within(company.id);
        let answer = get().send().await.expect(200);
        let data = answer.data();
        assert_eq!(each(&data["levels"], "name"), ["Admin", "Empty", "Member", "Visitor"]);
        for level in data["levels"].as_array().unwrap() {
            for matrix in ["views", "features"] {
                let mut expected = api.matrix(company, level["id"].as_str().unwrap(), matrix).await;
                for cell in &mut expected {
                    let noise = ["id", "companyId", "userLevelId", "createdAt", "updatedAt"];
                    cell.as_object_mut().unwrap().retain(|name, _| !noise.contains(&name.as_str()));
                }
                assert_eq!(level[matrix], json!(expected), "{matrix} of {}", level["name"]);
            }
        }
        let views = api.get("/api/iam/views").by(company.admin).within(company.id).send().await.data();
        let features = api.get("/api/iam/features").by(company.admin).within(company.id).send().await.data();
        assert_eq!(each(&data["views"], "url"), each(&views["views"], "url"));
        assert_eq!(each(&data["features"], "id"), each(&features["features"], "id"));
        let tag = answer.header("etag").unwrap().to_owned();
        let known = get().header("if-none-match", &tag).send().await;
        assert_eq!((known.status.as_u16(), known.body.len(), known.header("etag")), (304, 0, Some(tag.as_str())));
        let set = json!({ "set": [{ "viewId": api.view_id("/home").await, "state": "deny" }] });
        let changed = cells(&api, company, &empty, "views", &set).by(company.admin).send().await.expect(200);
        let after = get().header("if-none-match", &tag).send().await.expect(200);
        assert_eq!(version(&after), version(&changed));
        assert_ne!(after.header("etag"), Some(tag.as_str()));
    }
}
