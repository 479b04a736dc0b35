//! Tests of the bound on the bytes of responses that clients do not read.

use std::sync::Arc;

use actix_web::{App, HttpResponse, test};
use iam_domain::UserId;
use iam_http::{Api, HttpOptions, InFlightLimits, Services};
use iam_identity::{TokenVerifier, system_clock};
use serde_json::json;

use crate::support::api::{Company, Fine, TestApi, both_adapters, new_user, secret, token};

/// Returns options with this bound on the bytes in flight.
fn bytes_in_flight(bytes: usize) -> HttpOptions {
    HttpOptions { in_flight: InFlightLimits { bytes, ..InFlightLimits::default() }, ..HttpOptions::default() }
}

/// Returns a function that sends a `GET` and returns the response, whose body is not read.
async fn unread(api: &TestApi, bytes: usize) -> impl AsyncFn(&str, Option<(UserId, Company)>) -> HttpResponse {
    let services = Services {
        application: Arc::clone(&api.application),
        verifier: Arc::new(TokenVerifier::hs256(&secret())),
        probe: Arc::new(Fine),
        clock: system_clock(),
    };
    let api = Api::new(services, bytes_in_flight(bytes));
    let service = test::init_service(App::new().configure(|config| iam_http::configure(config, &api))).await;
    async move |path: &str, caller: Option<(UserId, Company)>| {
        let mut request = test::TestRequest::get().uri(path);
        if let Some((user, company)) = caller {
            request = request.insert_header(("authorization", format!("Bearer {}", token(user, false))));
            request = request.insert_header(("x-company-id", company.id.to_string()));
        }
        match test::try_call_service(&service, request.to_request()).await {
            Ok(response) => response.into_parts().1.map_into_boxed_body(),
            Err(error) => error.error_response(),
        }
    }
}

both_adapters! {
    /// Users who do not read their responses use up their own share and the share of their company, and no more.
    async fn unread_responses_of_a_company_are_bounded(api: TestApi) {
        const LEVELS: &str = "/api/iam/user-levels";
        let (company, other) = (api.company().await, api.company().await);
        for of in [company, other] {
            for level in 0..10 {
                let body = json!({ "name": format!("Level {level}"), "description": "x".repeat(2_000) });
                api.make("user-levels", Some(of.id), body).await;
            }
        }
        let [second, third] = [new_user(), new_user()];
        let admin = api.level_id(company, "Admin").await;
        for user in [second, third] {
            api.assign(company, user, &[&admin]).await;
        }
        // The list of levels has more than 20,000 bytes: the share of a user. Two lists are the share of a company.
        let get = unread(&api, 160_000).await;
        let first = get(LEVELS, Some((company.admin, company))).await;
        assert_eq!(first.status(), 200);
        assert_eq!(get(LEVELS, Some((company.admin, company))).await.status(), 429);
        let also = get(LEVELS, Some((second, company))).await;
        assert_eq!(also.status(), 200);
        assert_eq!(get(LEVELS, Some((third, company))).await.status(), 429);
        assert_eq!(get("/api/iam/navigation", Some((third, company))).await.status(), 200);
        assert_eq!(get(LEVELS, Some((other.admin, other))).await.status(), 200);
        drop(first);
        assert_eq!(get(LEVELS, Some((third, company))).await.status(), 200);
    }

    /// Clients without a credential who do not read the documentation cannot occupy the memory of the process.
    async fn unread_documentation_is_bounded(api: TestApi) {
        let company = api.company().await;
        // The share of requests without a caller is less than one document. One document is sent nevertheless.
        let get = unread(&api, 2_000_000).await;
        let first = get("/openapi.json", None).await;
        assert_eq!(first.status(), 200);
        assert_eq!(get("/openapi.json", None).await.status(), 503);
        assert_eq!(get("/livez", None).await.status(), 200);
        assert_eq!(get("/api/iam/user-levels", Some((company.admin, company))).await.status(), 200);
        drop(first);
        assert_eq!(get("/openapi.json", None).await.status(), 200);
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
