//! Tests of the bound on the bytes of responses that clients do not read.

use iam_domain::UserId;
use serde_json::json;

use crate::support::api::{Company, TestApi, Unread, both_adapters, bytes_in_flight, new_user};

/// A list whose response is large in the companies of [`company`].
const LEVELS: &str = "/api/iam/user-levels";

/// Creates a company whose list of levels has between 20,000 and 25,000 bytes.
async fn company(api: &TestApi) -> Company {
    let company = api.company().await;
    for level in 0..10 {
        let body = json!({ "name": format!("Level {level}"), "description": "x".repeat(2_000) });
        api.make("user-levels", Some(company.id), body).await;
    }
    company
}

/// Creates a user who holds the level Admin.
async fn admin(api: &TestApi, company: Company) -> UserId {
    let (user, level) = (new_user(), api.level_id(company, "Admin").await);
    api.assign(company, user, &[&level]).await;
    user
}

/// Sends a `GET` as a user of a company, and returns the response, whose body is not read.
async fn unread(api: &TestApi, path: &str, user: UserId, company: Company) -> Unread {
    api.get(path).by(user).within(company.id).send_unread().await
}

both_adapters! {
    /// Users who do not read their responses use up their own share and the share of their company, and no more.
    async fn unread_responses_of_a_company_are_bounded(api: TestApi) {
        let (company, other) = (company(&api).await, company(&api).await);
        let (second, third) = (admin(&api, company).await, admin(&api, company).await);
        // The list of levels has more than 20,000 bytes: the share of a user. Two lists are the share of a company.
        let api = api.with_options(bytes_in_flight(160_000)).await;
        let first = unread(&api, LEVELS, company.admin, company).await;
        assert_eq!(first.status(), 200);
        assert_eq!(unread(&api, LEVELS, company.admin, company).await.status(), 429);
        let also = unread(&api, LEVELS, second, company).await;
        assert_eq!(also.status(), 200);
        assert_eq!(unread(&api, LEVELS, third, company).await.status(), 429);
        assert_eq!(unread(&api, "/api/iam/navigation", third, company).await.status(), 200);
        assert_eq!(unread(&api, LEVELS, other.admin, other).await.status(), 200);
        drop(first);
        assert_eq!(unread(&api, LEVELS, third, company).await.status(), 200);
    }

    /// Many companies together cannot exceed the pool. Small responses are not refused, and a part of the pool is reserved
    /// for super admins.
    async fn unread_responses_of_many_companies_are_bounded(api: TestApi) {
        let mut companies = Vec::new();
        for _ in 0..9 {
            companies.push(company(&api).await);
        }
        // All callers except super admins may use seven eighths: 175,000 bytes, which is 7 to 9 lists.
        let api = api.with_options(bytes_in_flight(200_000)).await;
        let (mut held, mut bytes) = (Vec::new(), 0);
        for company in &companies {
            let size = api.get(LEVELS).by(company.admin).within(company.id).send().await;
            if bytes >= 175_000 {
                assert_eq!(size.status, 503);
                assert_eq!(unread(&api, "/api/iam/navigation", company.admin, *company).await.status(), 200);
                let by_super_admin = api.get(LEVELS).by_super_admin().within(company.id).send_unread().await;
                assert_eq!(by_super_admin.status(), 200);
                return;
            }
            bytes += size.expect(200).body.len();
            held.push(unread(&api, LEVELS, company.admin, *company).await);
        }
        panic!("nine lists must exceed the pool: {bytes}");
    }

    /// Clients without a credential who do not read the documentation cannot occupy the memory of the process.
    async fn unread_documentation_is_bounded(api: TestApi) {
        let company = api.company().await;
        // The share of requests without a caller is less than one document. One document is sent nevertheless.
        let api = api.with_options(bytes_in_flight(2_000_000)).await;
        let document = || api.get("/openapi.json").send_unread();
        let first = document().await;
        assert_eq!(first.status(), 200);
        assert_eq!(document().await.status(), 503);
        assert_eq!(api.get("/livez").send_unread().await.status(), 200);
        assert_eq!(unread(&api, LEVELS, company.admin, company).await.status(), 200);
        drop(first);
        assert_eq!(document().await.status(), 200);
    }

    /// The response to a batch counts while it is being written.
    async fn the_response_to_a_batch_is_bounded(api: TestApi) {
        let company = api.company().await;
        let router = api.with_options(bytes_in_flight(400_000)).await;
        let ask = |count: usize| {
            let checks = vec![json!({ "view": "/dashboard" }); count];
            router.post("/api/iam/checks").json(&json!({ "checks": checks })).by(company.member).within(company.id).send()
        };
        ask(100).await.expect(200);
        let message = "Too many bytes of this caller are in progress".to_owned();
        assert_eq!(ask(600).await.error(), (429, "ERR_RATE_LIMIT_001".to_owned(), message));
    }
}
