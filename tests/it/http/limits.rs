//! Tests of the limits on the number of validation errors in a response, on the request rate, and on the request
//! duration. A change that has begun is completed even after a timeout.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use iam_application::BudgetOptions;
use iam_http::HttpOptions;
use iam_storage::{ChangeContext, Target, UnitOfWork};
use iam_storage_postgres::{PostgresOptions, PostgresStorage};
use serde_json::json;
use tokio::sync::Notify;

use super::authority::Watched;
use crate::support::api::{Company, TestApi, both_adapters, each, new_user, one_a_second};
use crate::support::replica::until;

/// Begins a change to the company. The change holds the company's row lock until the returned unit of work is dropped.
async fn hold(api: &TestApi, company: Company) -> Box<dyn UnitOfWork> {
    api.storage.begin(Target::Company(company.id), ChangeContext::command_line()).await.unwrap()
}

/// Creates an API instance whose changes wait at most 2 s for a lock. By default, the lock timeout on test databases is
/// longer.
async fn waiting_two_seconds(api: &TestApi) -> TestApi {
    let Some(database) = &api.database else { return api.clone() };
    let options = PostgresOptions { lock_timeout: Duration::from_secs(2), ..database.options() };
    let storage = Arc::new(PostgresStorage::connect(&options).unwrap());
    TestApi::over(storage, Some(Rc::clone(database)), HttpOptions::default()).await
}

async fn names(api: &TestApi, company: Company) -> Vec<String> {
    let data = api.get("/api/iam/user-levels").by_super_admin().within(company.id).send().await.expect(200).data();
    each(&data["userLevels"], "name").into_iter().map(str::to_owned).collect()
}

both_adapters! {
    /// An error response lists at most 100 validation errors. One more entry states how many errors are omitted.
    async fn a_response_lists_at_most_a_hundred_errors(api: TestApi) {
        let company = api.company().await;
        let level = api.level_id(company, "Visitor").await;
        let path = format!("/api/iam/user-levels/{level}/permissions/views");
        let answer = |body: serde_json::Value| {
            let request = api.put(&path).by(company.admin).within(company.id).json(&body);
            async move { request.send().await.expect(400).json() }
        };
        let senseless = answer(json!({ "views": vec![0; 10_000] })).await;
        assert_eq!(senseless["errors"].as_array().unwrap().len(), 100);
        let unknown: Vec<_> = (0..5_000).map(|_| json!({ "viewId": new_user(), "state": "allow" })).collect();
        let unknown = answer(json!({ "views": unknown })).await;
        let findings = unknown["errors"].as_array().unwrap();
        assert_eq!(findings.len(), 101);
        assert_eq!(findings[100]["message"], "4900 more errors are not listed");
        let too_many = answer(json!({ "views": vec![0; 400_000] })).await;
        assert_eq!(too_many["code"], "ERR_VALIDATION_001");
        assert!(too_many["message"].as_str().unwrap().contains("too many values"), "{too_many}");
    }

    /// A caller that exceeds the rate limit receives 429 with `Retry-After`. Other callers are not affected.
    async fn a_caller_over_the_limit_must_wait(api: TestApi) {
        let router = api.with_options(BudgetOptions { user: one_a_second(2), ..BudgetOptions::default() }).await;
        let (eager, other) = (new_user(), new_user());
        // Requests without a company are rejected quickly. The caller can therefore exceed one request per second even
        // on a slow machine.
        let ask = |user| router.get("/api/iam/navigation").by(user).send();
        let mut answers = Vec::new();
        for _ in 0..20 {
            answers.push(ask(eager).await);
        }
        assert!(answers[..2].iter().all(|answer| answer.status == 400), "the burst must be admitted");
        let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
        assert!(!refused.is_empty());
        for answer in refused {
            assert_eq!(answer.error(), (429, "ERR_RATE_LIMIT_001".into(), "Too many requests".into()));
            let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=2).contains(&seconds), "{seconds}");
            assert_eq!(answer.header("cache-control"), Some("no-store"));
        }
        ask(other).await.expect(400);
        // Health checks and requests without a valid credential do not count towards the limit.
        for _ in 0..5 {
            router.get("/health").send().await.expect(200);
            router.get("/api/iam/navigation").send().await.expect(401);
        }
    }

    /// Without a rate limit, no request is rejected with 429.
    async fn without_a_limit_no_request_is_rejected(api: TestApi) {
        let eager = new_user();
        for _ in 0..200 {
            api.get("/api/iam/navigation").by(eager).send().await.expect(400);
        }
    }

    /// A request that times out returns 503. If its change has begun, the change is still completed.
    async fn a_change_continues_after_its_request_timed_out(api: TestApi) {
        let company = api.company().await;
        let lock = hold(&api, company).await;
        let begins = Arc::new(Notify::new());
        let watched = Arc::new(Watched { inner: Arc::clone(&api.storage), begins: Arc::clone(&begins) });
        let options = HttpOptions { request_timeout: Duration::from_millis(50), ..HttpOptions::default() };
        let router = TestApi::over(watched, api.database.clone(), options).await;
        // On a busy machine the timeout may expire before the change begins. Such a request stores nothing and is
        // repeated.
        until(async || {
            let request = router.post("/api/iam/user-levels").by_super_admin().within(company.id);
            let answer = request.json(&json!({ "name": "Slow" })).send().await;
            let message = "The service is temporarily unavailable";
            assert_eq!(answer.error(), (503, "ERR_UNAVAILABLE_001".into(), message.into()));
            assert_eq!(answer.header("retry-after"), Some("1"));
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            assert!(answer.header("x-request-id").is_some());
            begins.notified().now_or_never().is_some()
        })
        .await;
        assert_eq!(names(&api, company).await, ["Admin", "Member", "Visitor"]);
        lock.commit().await.unwrap();
        router.application.finish().await;
        assert_eq!(names(&api, company).await, ["Admin", "Member", "Slow", "Visitor"]);
    }

    /// A change that has begun is completed even if its client disconnects.
    async fn a_change_continues_after_its_client_disconnected(api: TestApi) {
        let company = api.company().await;
        let lock = hold(&api, company).await;
        let begins = Arc::new(Notify::new());
        let router =
            api.behind(Arc::new(Watched { inner: Arc::clone(&api.storage), begins: Arc::clone(&begins) })).await;
        let body = json!({ "name": "Abandoned" });
        let request = router.post("/api/iam/user-levels").by_super_admin().within(company.id).json(&body);
        tokio::select! {
            answer = request.send() => panic!("the change must not complete while the lock is held: {answer:?}"),
            () = begins.notified() => {}
        }
        lock.commit().await.unwrap();
        router.application.finish().await;
        assert_eq!(names(&api, company).await, ["Abandoned", "Admin", "Member", "Visitor"]);
    }

    /// The response to a change is 503 if the change cannot acquire the lock within the lock timeout. The response is
    /// never a denial. Changes to other companies are not affected.
    async fn a_lock_timeout_is_a_503(api: TestApi) {
        let (company, other) = (api.company().await, api.company().await);
        let lock = hold(&api, company).await;
        let body = json!({ "name": "New" });
        let router = waiting_two_seconds(&api).await;
        let request = router.post("/api/iam/user-levels").by(company.admin).within(company.id).json(&body);
        let answer = request.send().await;
        let message = "The service is temporarily unavailable";
        assert_eq!(answer.error(), (503, "ERR_UNAVAILABLE_001".into(), message.into()));
        assert_eq!(answer.header("retry-after"), Some("1"));
        api.new_level(other, "New").await;
        // Reads do not wait for locks.
        assert_eq!(names(&api, company).await, ["Admin", "Member", "Visitor"]);
        api.get("/api/iam/navigation").by(company.admin).within(company.id).send().await.expect(200);
        drop(lock);
        api.new_level(company, "New").await;
    }

    /// A unit of work that is dropped before the commit is rolled back, and has no effect.
    async fn a_rolled_back_change_has_no_effect(api: TestApi) {
        let company = api.company().await;
        let mut tx = hold(&api, company).await;
        tx.assignments_mut().replace_for_user(company.id, company.admin, &[], None).await.unwrap();
        drop(tx);
        api.get("/api/iam/user-levels").by(company.admin).within(company.id).send().await.expect(200);
    }
}
