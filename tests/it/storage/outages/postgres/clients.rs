//! Tests of the API's responses when the database is unreachable or blocked, or when no connection is free.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use iam_http::HttpOptions;
use iam_storage::Target;
use iam_storage_postgres::{PostgresOptions, PostgresStorage};
use serde_json::json;

use super::{begin, ending, holding, impatient, one_connection, release, row_of, storage_with};
use crate::support::api::{Answer, Company, Request, TestApi, new_company};
use crate::support::database::{Content, TestDatabase};
use crate::support::proxy::Proxy;

/// Asserts that the response is a 503 without a decision and with `Retry-After`.
#[track_caller]
fn assert_no_answer(answer: &Answer) {
    let (status, code, _) = answer.error();
    assert_eq!((status, code.as_str()), (503, "ERR_UNAVAILABLE_001"));
    assert!(answer.header("retry-after").is_some_and(|wait| wait.parse::<u64>().is_ok_and(|wait| wait > 0)));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.json().get("data"), None);
}

/// Returns requests of different kinds. The caller of each request has the required permission.
fn requests(api: &TestApi, company: Company) -> Vec<Request> {
    let member = |request: Request| request.by(company.member).within(company.id);
    let admin = |request: Request| request.by(company.admin).within(company.id);
    vec![
        member(api.get("/api/iam/navigation")),
        member(api.get("/api/iam/permissions/current")),
        member(api.post("/api/iam/check")).json(&json!({ "view": "/dashboard" })),
        member(api.post("/api/iam/check")).json(&json!({ "feature": "general.read", "action": "Read" })),
        api.get("/api/iam/permissions/current").by_super_admin().within(company.id),
        api.post("/api/iam/check").by_super_admin().within(company.id).json(&json!({ "view": "/dashboard" })),
        member(api.get("/api/iam/nav-trail?sessionId=session")),
        admin(api.get("/api/iam/user-levels")),
        admin(api.get("/api/iam/audit-logs")),
        admin(api.post("/api/iam/user-levels")).json(&json!({ "name": "Auditors" })),
        admin(api.put(&format!("/api/iam/users/{}/user-levels", company.member))).json(&json!({ "userLevelIds": [] })),
        api.get("/api/iam/views").by_super_admin(),
        api.post("/api/iam/modules").by_super_admin().json(&json!({ "name": "Module", "code": "module" })),
    ]
}

async fn api_over(storage: Arc<PostgresStorage>) -> TestApi {
    TestApi::over(storage, None, HttpOptions::default()).await
}

#[actix_web::test]
async fn without_a_database_every_request_is_503() {
    let database = TestDatabase::new(Content::Seeded).await;
    let proxy = Proxy::to(&database).await;
    let api = api_over(storage_with(proxy.url(), |options| PostgresOptions {
        acquire_timeout: Duration::from_secs(2),
        ..options
    }))
    .await;
    let company = api.company().await;
    proxy.refuse().await;
    proxy.cut();
    let answers = ending(join_all(requests(&api, company).into_iter().map(Request::send))).await;
    answers.iter().for_each(assert_no_answer);

    proxy.admit().await;
    // The pool may still contain broken connections. Each of them makes at most one request fail.
    crate::support::replica::until(async || {
        for _ in 0..5 {
            let request = api.get("/api/iam/user-levels").by(company.admin).within(company.id);
            if !request.send().await.status.is_success() {
                return false;
            }
        }
        true
    })
    .await;
    for request in requests(&api, company) {
        let answer = request.send().await;
        assert!(answer.status.is_success(), "{}", String::from_utf8_lossy(&answer.body));
    }
}

#[actix_web::test]
async fn without_a_free_connection_every_request_is_503() {
    let database = TestDatabase::new(Content::Seeded).await;
    let storage = storage_with(database.url(), one_connection);
    let api = api_over(Arc::clone(&storage)).await;
    let company = api.company().await;
    let tx = begin(storage.as_ref(), Target::Company(new_company())).await.unwrap();
    let answers = ending(join_all(requests(&api, company).into_iter().map(Request::send))).await;
    answers.iter().for_each(assert_no_answer);
    drop(tx);
    api.get("/api/iam/permissions/current").by(company.member).within(company.id).send().await.expect(200);
}

#[actix_web::test]
async fn a_change_that_waits_too_long_for_its_lock_is_503_and_reads_succeed() {
    let database = TestDatabase::new(Content::Seeded).await;
    let api = api_over(storage_with(database.url(), impatient)).await;
    let (company, other) = (api.company().await, api.company().await);
    let add = |company: Company| {
        api.post("/api/iam/user-levels").by(company.admin).within(company.id).json(&json!({ "name": "Auditors" }))
    };
    let holder = holding(&database, &row_of(Some(company.id))).await;
    assert_no_answer(&ending(add(company).send()).await);
    add(other).send().await.expect(201);
    let view = json!({ "view": "/dashboard" });
    let check = api.post("/api/iam/check").by(company.member).within(company.id).json(&view);
    assert_eq!(check.send().await.expect(200).data()["allowed"], true);
    release(holder).await;
    add(company).send().await.expect(201);
}
