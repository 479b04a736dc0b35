//! Tests of the setting that determines where the API documentation is served.

use actix_web::App;
use actix_web::test::{TestRequest, call_service, init_service};
use iam_http::{HttpOptions, configure_documentation};

use crate::support::api::TestApi;

/// The paths of the documentation.
pub const PATHS: [&str; 4] = ["/openapi.json", "/docs", "/docs/", "/docs/swagger-ui.css"];

/// Without the documentation, its paths do not exist, and all other paths are unchanged.
#[actix_web::test]
async fn documentation_that_is_switched_off_is_not_found() {
    let api = TestApi::memory().await;
    let without = api.with_options(HttpOptions { documentation: false, ..HttpOptions::default() }).await;
    for path in PATHS {
        assert!(api.get(path).send().await.status.as_u16() < 400, "{path}");
        let answer = without.get(path).send().await;
        assert_eq!(answer.error(), (404, "ERR_RESOURCE_001".into(), "Route not found".into()), "{path}");
    }
    without.get("/livez").send().await.expect(200);
    without.get("/api/iam/views").by_super_admin().send().await.expect(200);
}

/// The documentation can be mounted without the API, as on the admin port.
#[actix_web::test]
async fn the_documentation_needs_no_api() {
    let app = init_service(App::new().configure(configure_documentation)).await;
    for path in PATHS {
        let answer = call_service(&app, TestRequest::get().uri(path).to_request()).await;
        assert!(answer.status().as_u16() < 400, "{path}: {}", answer.status());
    }
    let answer = call_service(&app, TestRequest::get().uri("/api/iam/views").to_request()).await;
    assert_eq!(answer.status(), 404);
}
