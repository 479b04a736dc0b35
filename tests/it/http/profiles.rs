//! Tests of the profiles of users, of removing users from companies, and of the companies of users.

use iam_domain::UserId;
use serde_json::{Value, json};

use super::delegation::{LEVELS, delegate};
use crate::support::api::{Answer, Company, TestApi, both_adapters, each, new_user};

fn path_of(user: UserId) -> String {
    format!("/api/iam/users/{user}/profile")
}

async fn put(api: &TestApi, company: Company, user: UserId, body: Value) -> Answer {
    api.put(&path_of(user)).by(company.admin).within(company.id).json(&body).send().await
}

async fn read(api: &TestApi, company: Company, user: UserId) -> Answer {
    api.get(&path_of(user)).by(company.admin).within(company.id).send().await
}

both_adapters! {
    /// The profile of a member is read as written, in each company separately. A member without a profile has an empty
    /// one. `If-Match` is compared with the profile.
    async fn the_profile_of_a_member_is_read_as_written(api: TestApi) {
        let (company, other) = (api.company().await, api.company().await);
        let user = company.member;
        let empty = read(&api, company, user).await.expect(200);
        let nothing = json!({ "userId": user, "displayName": null, "email": null, "source": null, "updatedAt": null });
        assert_eq!(empty.data()["profile"], nothing);
        let body = json!({ "displayName": "Ada Lovelace", "email": "Ada@Example.com" });
        let written = put(&api, company, user, body).await.expect(200);
        let profile = written.data()["profile"].take();
        assert_eq!((&profile["displayName"], &profile["email"]), (&json!("Ada Lovelace"), &json!("Ada@Example.com")));
        assert_eq!(profile["source"], "api");
        let found = read(&api, company, user).await.expect(200);
        assert_eq!((found.data()["profile"].clone(), found.etag()), (profile.clone(), written.etag()));
        let put_if = async |tag: &str| {
            let request = api.put(&path_of(user)).by(company.admin).within(company.id).header("if-match", tag);
            request.json(&json!({ "displayName": "Ada" })).send().await
        };
        put_if(empty.etag()).await.expect(412);
        put_if(written.etag()).await.expect(200);
        let found = read(&api, company, user).await.expect(200).data()["profile"].take();
        assert_eq!((&found["displayName"], &found["email"]), (&json!("Ada"), &Value::Null));
        assert_eq!(read(&api, other, user).await.error(), (404, "ERR_RESOURCE_001".into(), "User not found".into()));
        // Only members have profiles.
        put(&api, other, user, json!({ "displayName": "Ada" })).await.expect(404);
        put(&api, company, new_user(), json!({ "displayName": "Ada" })).await.expect(404);
        // The audit log states which fields changed, and contains no values.
        let logs = api.get("/api/iam/audit-logs?action=user.profile_updated").by(company.admin).within(company.id);
        let logs = logs.send().await.expect(200).data();
        let changes: Vec<_> = logs["logs"].as_array().unwrap().iter().map(|log| log["changes"].clone()).collect();
        let expected = [
            json!({ "fields": ["displayName", "email"], "source": "api" }),
            json!({ "fields": ["displayName", "email", "source"], "source": "api" }),
        ];
        assert_eq!(changes, expected);
    }

    /// Callers who may only read IAM data cannot read profiles, because profiles contain e-mail addresses.
    async fn profiles_require_update(api: TestApi) {
        let company = api.company().await;
        put(&api, company, company.member, json!({ "email": "ada@example.com" })).await.expect(200);
        let feature = api.feature_id(LEVELS).await;
        let cells = json!([{ "featureId": feature, "action": "Read", "scope": "company" }]);
        let (reader, _) = api.holder_of(company, json!([]), cells).await;
        api.get("/api/iam/user-levels").by(reader).within(company.id).send().await.expect(200);
        for user in [reader, company.member, new_user()] {
            api.get(&path_of(company.member)).by(user).within(company.id).send().await.expect(403);
            let request = api.put(&path_of(company.member)).by(user).within(company.id);
            request.json(&json!({ "displayName": "Eve" })).send().await.expect(403);
        }
        for (role, status) in [("check", 403), ("read", 200), ("administer", 200)] {
            let key = api.api_key(role, Some(company.id)).await;
            api.get(&path_of(company.member)).by_key(&key).within(company.id).send().await.expect(status);
        }
    }

    /// A removed user holds no level, and has no profile and no navigation trail in this company. The user's data in
    /// other companies remains.
    async fn a_removed_user_leaves_no_data_in_the_company(api: TestApi) {
        let (company, other) = (api.company().await, api.company().await);
        let user = company.member;
        let level = api.level_id(other, "Member").await;
        api.assign(other, user, &[&level]).await;
        put(&api, company, user, json!({ "displayName": "Ada" })).await.expect(200);
        put(&api, other, user, json!({ "displayName": "Ada elsewhere" })).await.expect(200);
        let step = json!({ "sessionId": "s", "url": "/a", "label": "A" });
        for company in [company, other] {
            api.post("/api/iam/nav-trail").by(user).within(company.id).json(&step).send().await.expect(201);
        }
        let remove = || api.delete(&format!("/api/iam/users/{user}")).by(company.admin).within(company.id).send();
        assert_eq!(api.check(company, user, json!({ "view": "/dashboard" })).await["allowed"], true);
        remove().await.expect(200);
        let decision = api.check(company, user, json!({ "view": "/dashboard" })).await;
        assert_eq!(decision["reasonCode"], "no_user_levels");
        read(&api, company, user).await.expect(404);
        assert_eq!(remove().await.error(), (404, "ERR_RESOURCE_001".into(), "User not found".into()));
        let trail = async |company: Company| api.storage.nav_trail().find_recent(company.id, user, 9).await.unwrap().len();
        assert_eq!((trail(company).await, trail(other).await), (0, 1));
        let kept = read(&api, other, user).await.expect(200).data();
        assert_eq!(kept["profile"]["displayName"], "Ada elsewhere");
        assert_eq!(api.check(other, user, json!({ "view": "/dashboard" })).await["allowed"], true);
        // The profile does not return with a new assignment.
        let member = api.level_id(company, "Member").await;
        api.assign(company, user, &[&member]).await;
        assert_eq!(read(&api, company, user).await.expect(200).data()["profile"]["displayName"], Value::Null);
    }

    /// The guards of assignments apply to removals: a caller without Approve cannot remove an administrator, and the last
    /// administrator cannot be removed, unless a super admin forces it.
    async fn the_guards_of_assignments_apply_to_removals(api: TestApi) {
        let company = api.company().await;
        let (limited, _) = delegate(&api, company, &[], &[]).await;
        let path = format!("/api/iam/users/{}", company.admin);
        let refused = api.delete(&path).by(limited).within(company.id).send().await.expect(403);
        assert!(refused.json()["errors"].as_array().unwrap().iter().all(|error| error["code"] == "protected"));
        api.delete(&format!("/api/iam/users/{}", company.member)).by(limited).within(company.id).send().await.expect(200);
        let last = api.delete(&path).by(company.admin).within(company.id).send().await;
        assert_eq!(last.error().0, 409);
        api.delete(&path).by_super_admin().within(company.id).send().await.expect(409);
        api.delete(&format!("{path}?force=true")).by(company.admin).within(company.id).send().await.expect(409);
        api.delete(&format!("{path}?force=true")).by_super_admin().within(company.id).send().await.expect(200);
        for user in [company.visitor, new_user()] {
            api.delete(&path).by(user).within(company.id).send().await.expect(403);
        }
    }

    /// The companies of a user are listed in pages, with their names and status. Only super admins can list the companies
    /// of others.
    async fn the_companies_of_a_user_are_listed(api: TestApi) {
        let (one, two) = (api.company().await, api.company().await);
        let user = one.member;
        let level = api.level_id(two, "Visitor").await;
        api.assign(two, user, &[&level]).await;
        let details = json!({ "name": "Two", "status": "suspended" });
        api.patch(&format!("/api/iam/companies/{}", two.id)).by_super_admin().json(&details).send().await.expect(200);
        let of = |query: &str| format!("/api/iam/users/{user}/companies{query}");
        let all = api.get(&of("")).by_super_admin().send().await.expect(200).data();
        let companies = all["companies"].as_array().unwrap();
        let mut expected = [
            (one.id.to_string(), Value::Null, "active", "Member"),
            (two.id.to_string(), json!("Two"), "suspended", "Visitor"),
        ];
        expected.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(companies.len(), 2);
        for (company, (id, name, status, level)) in companies.iter().zip(expected) {
            assert_eq!((&company["companyId"], &company["name"], &company["status"]), (&json!(id), &name, &json!(status)));
            assert_eq!(each(&company["userLevels"], "name"), [level]);
        }
        let mine = api.get("/api/iam/me/companies").by(user).send().await.expect(200).data();
        assert_eq!(mine, all);
        let first = api.get(&of("?limit=1")).by_super_admin().send().await.expect(200).data();
        assert_eq!(first["companies"], json!([companies[0]]));
        let next = format!("?limit=1&cursor={}", first["nextCursor"].as_str().unwrap());
        let second = api.get(&of(&next)).by_super_admin().send().await.expect(200).data();
        assert_eq!(second, json!({ "companies": [companies[1]], "nextCursor": null }));
        for caller in [user, one.admin] {
            api.get(&of("")).by(caller).within(one.id).send().await.expect(403);
        }
        let none = json!({ "companies": [], "nextCursor": null });
        assert_eq!(api.get("/api/iam/me/companies").by(new_user()).send().await.expect(200).data(), none);
        let key = api.api_key("read", Some(one.id)).await;
        assert_eq!(api.get("/api/iam/me/companies").by_key(&key).send().await.expect(200).data(), none);
        api.get("/api/iam/me/companies?limit=0").by(user).send().await.expect(400);
    }
}
