//! Tests of the budget of audit records per company.

use std::num::NonZeroU32;

use iam_application::{BudgetOptions, Rate};
use serde_json::{Value, json};

use crate::support::api::{Answer, Company, TestApi, both_adapters, new_user};

/// Returns a budget of 20,000 bytes of audit records per company and hour.
fn twenty_kilobytes() -> BudgetOptions {
    let audit_bytes = NonZeroU32::new(20_000).map(Rate::per_hour);
    BudgetOptions { audit_bytes, ..BudgetOptions::default() }
}

/// Creates levels with long descriptions until the company has exhausted its budget. Returns the ids of the levels, and
/// the first response that is not 201.
async fn exhaust(api: &TestApi, company: Company) -> (Vec<String>, Answer) {
    let mut levels = Vec::new();
    for n in 0..100 {
        let body = json!({ "name": format!("Level {n}"), "description": "x".repeat(2_000) });
        let answer = api.post("/api/iam/user-levels").by(company.admin).within(company.id).json(&body).send().await;
        if answer.status != 201 {
            return (levels, answer);
        }
        levels.push(answer.data()["userLevel"]["id"].as_str().unwrap().to_owned());
    }
    panic!("the company does not exhaust its budget");
}

both_adapters! {
    /// A company that has exhausted its budget receives 429 for changes that add or replace data, with the time after
    /// which it has budget again. Nothing is changed. Other companies are not affected.
    async fn a_company_writes_a_bounded_number_of_bytes(api: TestApi) {
        let (company, other) = (api.company().await, api.company().await);
        let router = api.with_options(twenty_kilobytes()).await;
        let (levels, refused) = exhaust(&router, company).await;
        assert!((6..=9).contains(&levels.len()), "{}", levels.len());
        let (status, code, message) = refused.error();
        assert_eq!((status, code.as_str()), (429, "ERR_RATE_LIMIT_001"), "{message}");
        assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
        let rename = |company: Company, level: &str| {
            let path = format!("/api/iam/user-levels/{level}");
            router.patch(&path).by(company.admin).within(company.id).json(&json!({ "name": "New" }))
        };
        rename(company, &levels[0]).send().await.expect(429);
        let stored = router.get(&format!("/api/iam/user-levels/{}", levels[0])).by(company.admin).within(company.id);
        assert_eq!(stored.send().await.expect(200).data()["userLevel"]["name"], "Level 0");
        let theirs = router.level_id(other, "Member").await;
        rename(other, &theirs).send().await.expect(200);
    }

    /// A company that has exhausted its budget can still remove: levels, levels of a user, and cells. A change that
    /// also adds something is rejected, and has no effect.
    async fn removals_work_without_budget(api: TestApi) {
        let company = api.company().await;
        let user = new_user();
        let [first, second] = [api.new_level(company, "First").await, api.new_level(company, "Second").await];
        let view = api.view_id("/dashboard").await;
        api.set_matrix(company, &first, "views", json!([{ "viewId": view, "state": "allow" }])).await;
        let router = api.with_options(twenty_kilobytes()).await;
        let put = async |path: &str, body: Value, status: u16| {
            let path = format!("/api/iam{path}");
            router.put(&path).by(company.admin).within(company.id).json(&body).send().await.expect(status);
        };
        let held = format!("/users/{user}/user-levels");
        put(&held, json!({ "userLevelIds": [first, second] }), 200).await;
        let (levels, _) = exhaust(&router, company).await;

        put(&held, json!({ "userLevelIds": [first, second, levels[0]] }), 429).await;
        put(&held, json!({ "userLevelIds": [levels[0]] }), 429).await;
        let data = router.get(&format!("/api/iam{held}")).by(company.admin).within(company.id).send().await.data();
        assert_eq!(data["userLevels"].as_array().unwrap().len(), 2);
        put(&held, json!({ "userLevelIds": [first] }), 200).await;
        put(&held, json!({ "userLevelIds": [] }), 200).await;
        let matrix = format!("/user-levels/{first}/permissions/views");
        put(&matrix, json!({ "views": [{ "viewId": view, "state": "deny" }] }), 429).await;
        put(&matrix, json!({ "views": [] }), 200).await;
        for level in &levels {
            let path = format!("/api/iam/user-levels/{level}");
            router.delete(&path).by(company.admin).within(company.id).send().await.expect(200);
        }
        // A change that changes nothing is not rejected.
        put(&held, json!({ "userLevelIds": [] }), 200).await;
    }

    /// Super admins can change a company that has exhausted its budget. Their changes are not charged to the company.
    /// Cut-offs and API keys are not changes to a company.
    async fn super_admins_and_credentials_need_no_budget(api: TestApi) {
        let company = api.company().await;
        let router = api.with_options(twenty_kilobytes()).await;
        for n in 0..15 {
            let body = json!({ "name": format!("Of a super admin {n}"), "description": "x".repeat(2_000) });
            let request = router.post("/api/iam/user-levels").by_super_admin().within(company.id);
            request.json(&body).send().await.expect(201);
        }
        let (levels, _) = exhaust(&router, company).await;
        assert!(levels.len() >= 6, "changes of super admins must not be charged: {}", levels.len());
        let request = router.post("/api/iam/user-levels").by_super_admin().within(company.id);
        request.json(&json!({ "name": "Late" })).send().await.expect(201);
        let key = router.api_key("administer", Some(company.id)).await;
        let path = format!("/api/iam/user-levels/{}", levels[0]);
        let request = router.patch(&path).by_key(&key).within(company.id).json(&json!({ "name": "By a key" }));
        request.send().await.expect(429);
        let cut_off = format!("/api/iam/users/{}/not-before", company.member);
        router.put(&cut_off).by_super_admin().send().await.expect(200);
    }
}
