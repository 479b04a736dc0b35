//! Tests of API documentation, CORS and `HEAD` requests.

use std::collections::BTreeSet;
use std::io::Read;
use std::time::Duration;

use actix_web::http::Method;
use flate2::read::GzDecoder;
use iam_http::{AllowedOrigins, HttpOptions};
use iam_storage::{ChangeContext, Target};
use serde_json::{Value, json};

use crate::support::api::{Answer, TestApi, both_adapters, fields};

/// The method and the path of every operation.
const OPERATIONS: [&str; 96] = [
    "DELETE /api/iam/api-keys/{id}",
    "DELETE /api/iam/companies/{companyId}",
    "DELETE /api/iam/features/{id}",
    "DELETE /api/iam/menu-items/{id}",
    "DELETE /api/iam/modules/{id}",
    "DELETE /api/iam/nav-trail",
    "DELETE /api/iam/sub-menu-items/{id}",
    "DELETE /api/iam/user-levels/{id}",
    "DELETE /api/iam/users/{userId}",
    "DELETE /api/iam/users/{userId}/user-levels/{levelId}",
    "DELETE /api/iam/views/{id}",
    "GET /api/iam/api-keys",
    "GET /api/iam/api-keys/{id}",
    "GET /api/iam/assignments",
    "GET /api/iam/audit-logs",
    "GET /api/iam/companies",
    "GET /api/iam/companies/{companyId}",
    "GET /api/iam/companies/{companyId}/ceilings",
    "GET /api/iam/companies/{companyId}/modules",
    "GET /api/iam/companies/{companyId}/quotas",
    "GET /api/iam/features",
    "GET /api/iam/features/{id}",
    "GET /api/iam/features/{id}/views",
    "GET /api/iam/matrix",
    "GET /api/iam/me",
    "GET /api/iam/me/catalog",
    "GET /api/iam/me/companies",
    "GET /api/iam/menu-items",
    "GET /api/iam/menu-items/{id}",
    "GET /api/iam/modules",
    "GET /api/iam/modules/{id}",
    "GET /api/iam/modules/{id}/features",
    "GET /api/iam/modules/{id}/views",
    "GET /api/iam/nav-trail",
    "GET /api/iam/navigation",
    "GET /api/iam/permissions/current",
    "GET /api/iam/sub-menu-items",
    "GET /api/iam/sub-menu-items/{id}",
    "GET /api/iam/user-levels",
    "GET /api/iam/user-levels/{id}",
    "GET /api/iam/user-levels/{id}/permissions/features",
    "GET /api/iam/user-levels/{id}/permissions/views",
    "GET /api/iam/user-levels/{id}/users",
    "GET /api/iam/users",
    "GET /api/iam/users/{userId}",
    "GET /api/iam/users/{userId}/companies",
    "GET /api/iam/users/{userId}/permissions",
    "GET /api/iam/users/{userId}/profile",
    "GET /api/iam/users/{userId}/user-levels",
    "GET /api/iam/views",
    "GET /api/iam/views/{id}",
    "GET /api/iam/what-can",
    "GET /api/iam/who-can",
    "GET /health",
    "GET /health/db",
    "GET /livez",
    "GET /readyz",
    "PATCH /api/iam/companies/{companyId}",
    "PATCH /api/iam/companies/{companyId}/modules/{moduleId}",
    "PATCH /api/iam/features/{id}",
    "PATCH /api/iam/menu-items/{id}",
    "PATCH /api/iam/modules/{id}",
    "PATCH /api/iam/sub-menu-items/{id}",
    "PATCH /api/iam/user-levels/{id}",
    "PATCH /api/iam/user-levels/{id}/permissions/features",
    "PATCH /api/iam/user-levels/{id}/permissions/views",
    "PATCH /api/iam/views/{id}",
    "POST /api/iam/api-keys",
    "POST /api/iam/assignments",
    "POST /api/iam/check",
    "POST /api/iam/checks",
    "POST /api/iam/companies",
    "POST /api/iam/companies/{companyId}/ceilings/preview",
    "POST /api/iam/companies/{companyId}/provision",
    "POST /api/iam/explain",
    "POST /api/iam/explanations",
    "POST /api/iam/features",
    "POST /api/iam/menu-items",
    "POST /api/iam/modules",
    "POST /api/iam/nav-trail",
    "POST /api/iam/previews",
    "POST /api/iam/sub-menu-items",
    "POST /api/iam/user-levels",
    "POST /api/iam/views",
    "PUT /api/iam/companies/{companyId}/ceilings",
    "PUT /api/iam/companies/{companyId}/modules",
    "PUT /api/iam/companies/{companyId}/quotas",
    "PUT /api/iam/features/{id}/views",
    "PUT /api/iam/modules/{id}/features",
    "PUT /api/iam/modules/{id}/views",
    "PUT /api/iam/user-levels/{id}/permissions/features",
    "PUT /api/iam/user-levels/{id}/permissions/views",
    "PUT /api/iam/users/{userId}/not-before",
    "PUT /api/iam/users/{userId}/profile",
    "PUT /api/iam/users/{userId}/user-levels",
    "PUT /api/iam/users/{userId}/user-levels/{levelId}",
];

const HERE: &str = "https://app.example.com";
const ELSEWHERE: &str = "https://elsewhere.example.com";

/// Sends the CORS preflight request that a browser sends before a cross-origin request.
async fn preflight(api: &TestApi, origin: &str, method: &str, headers: &str) -> Answer {
    api.request(Method::OPTIONS, "/api/iam/user-levels/7")
        .header("origin", origin)
        .header("access-control-request-method", method)
        .header("access-control-request-headers", headers)
        .send()
        .await
}

both_adapters! {
    /// The OpenAPI document has version 3.1 and contains every operation with its full path.
    async fn the_openapi_document_lists_every_operation(api: TestApi) {
        let answer = api.get("/openapi.json").send().await.expect(200);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let document = answer.json();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1."), "{}", document["openapi"]);
        let mut operations: Vec<_> = document["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, item)| {
                fields(item).into_iter().map(move |method| format!("{} {path}", method.to_uppercase()))
            })
            .collect();
        operations.sort_unstable();
        assert_eq!(operations, OPERATIONS);
    }

    /// Every operation documents its responses and parameters, and whether it requires a token.
    async fn every_operation_is_described(api: TestApi) {
        let document = api.get("/openapi.json").send().await.expect(200).json();
        let mut ids = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let place = format!("{method} {path}");
                ids.push(operation["operationId"].as_str().unwrap().to_owned());
                assert!(operation["summary"].is_string() || operation["description"].is_string(), "{place}");
                let responses = operation["responses"].as_object().unwrap();
                assert!(responses.keys().any(|status| status.starts_with('2')), "{place}");
                let guarded = path.starts_with("/api/iam/");
                assert_eq!(operation["security"] == json!([{ "token": [] }]), guarded, "{place}");
                assert_eq!(responses.contains_key("401") && responses.contains_key("403"), guarded, "{place}");
                let named: Vec<_> = operation["parameters"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter(|parameter| parameter["in"] == "path")
                    .map(|parameter| format!("{{{}}}", parameter["name"].as_str().unwrap()))
                    .collect();
                let in_path: Vec<_> = path.split('/').filter(|part| part.starts_with('{')).collect();
                assert_eq!(named, in_path, "{place}");
            }
        }
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count, "operation ids must be unique");
    }

    /// Every reference (`$ref`) in the OpenAPI document can be resolved within the document.
    async fn every_reference_of_the_openapi_document_resolves(api: TestApi) {
        fn references(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(object) => {
                    found.extend(object.get("$ref").and_then(Value::as_str).map(str::to_owned));
                    object.values().for_each(|value| references(value, found));
                }
                Value::Array(list) => list.iter().for_each(|value| references(value, found)),
                _ => {}
            }
        }
        let document = api.get("/openapi.json").send().await.expect(200).json();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 50);
        for reference in found {
            assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
        }
    }

    /// The documentation page is Swagger UI. It loads no resources from other origins.
    async fn the_documentation_page_loads_nothing_from_other_hosts(api: TestApi) {
        let answer = api.get("/docs").send().await.expect(308);
        assert_eq!(answer.header("location"), Some("/docs/"));
        let page = api.get("/docs/").send().await.expect(200);
        assert!(page.header("content-type").unwrap().starts_with("text/html"));
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'self'"), "{policy}");
        assert!(!policy.contains("http") && !policy.contains('*') && !policy.contains("script-src"), "{policy}");
        // The files are embedded in compressed form.
        assert_eq!(page.header("content-encoding"), Some("gzip"));
        let mut html = String::new();
        GzDecoder::new(&page.body[..]).read_to_string(&mut html).unwrap();
        assert!(html.contains("swagger-ui"), "{html}");
        // The page must work under its content security policy, which forbids inline scripts.
        let mut files = Vec::new();
        for attribute in ["src=\"", "href=\""] {
            files.extend(html.split(attribute).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()));
        }
        assert!(files.len() >= 4, "{files:?}");
        for file in &files {
            assert!(!file.contains("//") && !file.starts_with("data:"), "{file}");
            let answer = api.get(&format!("/docs/{}", file.trim_start_matches("./"))).send().await.expect(200);
            assert!(!answer.body.is_empty(), "{file}");
        }
        let inline = html.split("<script").skip(1).filter(|script| !script.split('>').next().unwrap().contains("src="));
        assert_eq!(inline.count(), 0, "{html}");
        let start = api.get("/docs/swagger-initializer.js").send().await.expect(200);
        let start = String::from_utf8(start.body).unwrap();
        assert!(start.contains("/openapi.json") && !start.contains("https://"), "{start}");
    }

    /// A request for an unknown file of the documentation returns 404 with a JSON error.
    async fn an_unknown_file_is_not_found(api: TestApi) {
        let answer = api.get("/docs/nothing.js").send().await;
        assert_eq!(answer.error(), (404, "ERR_RESOURCE_001".into(), "Route not found".into()));
    }

    /// By default, cross-origin requests are not allowed, so responses have no CORS headers.
    async fn other_origins_are_rejected(api: TestApi) {
        for answer in [
            api.get("/health").header("origin", ELSEWHERE).send().await.expect(200),
            preflight(&api, ELSEWHERE, "GET", "authorization").await,
        ] {
            assert_eq!(answer.header("access-control-allow-origin"), None, "{answer:?}");
        }
    }

    /// The response to a rejected CORS preflight is a JSON error.
    async fn a_rejected_preflight_is_json(api: TestApi) {
        let answer = preflight(&api, ELSEWHERE, "GET", "authorization").await;
        assert!(answer.status.is_client_error());
        assert_eq!(answer.header("content-type"), Some("application/json"));
        answer.error();
    }

    /// A configured origin may use all methods and headers of the API. Other origins are rejected.
    async fn a_configured_origin_is_allowed(api: TestApi) {
        let options = HttpOptions { cors_origins: AllowedOrigins::parse([HERE]).unwrap(), ..HttpOptions::default() };
        let router = api.with_options(options).await;
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] {
            // Tracing libraries, retry libraries and SDKs add some of these headers.
            let headers = "authorization, content-type, if-match, if-none-match, x-company-id, x-request-id, \
                           traceparent, tracestate, baggage, sentry-trace, idempotency-key, x-requested-with, pragma";
            let answer = preflight(&router, HERE, method, headers).await.expect(200);
            assert_eq!(answer.header("access-control-allow-origin"), Some(HERE));
            let allowed = answer.header("access-control-allow-methods").unwrap();
            assert!(allowed.contains(method), "{allowed}");
            let allowed = answer.header("access-control-allow-headers").unwrap().to_lowercase();
            assert!(headers.split(", ").all(|header| allowed.contains(header)), "{allowed}");
        }
        let answer = router.get("/api/iam/views").header("origin", HERE).by_super_admin().send().await.expect(200);
        assert_eq!(answer.header("access-control-allow-origin"), Some(HERE));
        let exposed = answer.header("access-control-expose-headers").unwrap().to_lowercase();
        for header in ["age", "etag", "retry-after", "warning", "x-iam-version", "x-request-id"] {
            assert!(exposed.contains(header), "{exposed}");
        }
        // Scripts of the configured origin can read error responses too.
        let answer = router.get("/api/iam/views").header("origin", HERE).send().await.expect(401);
        assert_eq!(answer.header("access-control-allow-origin"), Some(HERE));
        let answer = router.get("/nowhere").header("origin", HERE).send().await.expect(404);
        assert_eq!(answer.header("access-control-allow-origin"), Some(HERE));
        for answer in [
            router.get("/health").header("origin", ELSEWHERE).send().await,
            preflight(&router, ELSEWHERE, "GET", "authorization").await,
        ] {
            assert_eq!(answer.header("access-control-allow-origin"), None);
        }
    }

    /// A wildcard origin allows the origins of all subdomains of its domain that have the same scheme and port. Other
    /// origins are rejected.
    async fn a_wildcard_allows_the_subdomains_of_a_domain(api: TestApi) {
        let cors_origins = AllowedOrigins::parse(["https://*.Example.com/", HERE]).unwrap();
        let router = api.with_options(HttpOptions { cors_origins, ..HttpOptions::default() }).await;
        for (origin, is_in) in [
            ("https://tenant.example.com", true),
            ("https://a.tenant.example.com", true),
            (HERE, true),
            ("https://example.com", false),
            ("https://example.com.evil.example", false),
            ("https://tenant.example.com:8443", false),
            ("http://tenant.example.com", false),
            ("null", false),
        ] {
            let expected = is_in.then_some(origin);
            let preflight = preflight(&router, origin, "POST", "authorization, traceparent").await;
            assert_eq!(preflight.status.is_success(), is_in, "{origin}");
            assert_eq!(preflight.header("access-control-allow-origin"), expected, "{origin}");
            let answer = router.get("/health").header("origin", origin).send().await.expect(200);
            assert_eq!(answer.header("access-control-allow-origin"), expected, "{origin}");
        }
    }

    /// `HEAD` returns the status and headers of `GET` without a body.
    async fn head_returns_the_headers_of_get_without_a_body(api: TestApi) {
        let company = api.company().await;
        let level = api.level_id(company, "Member").await;
        let document = api.get("/openapi.json").send().await.expect(200).json();
        let mut paths =
            vec!["/docs".to_owned(), "/docs/".to_owned(), "/openapi.json".to_owned(), "/nowhere".to_owned()];
        for (path, item) in document["paths"].as_object().unwrap() {
            let path =
                path.replace("{userId}", &company.member.to_string()).replace("{companyId}", &company.id.to_string());
            paths.extend(item.get("get").map(|_| path.replace("{id}", &level)));
        }
        assert!(paths.len() > 30);
        for path in paths {
            for who in ["unknown", "admin", "super"] {
                let ask = |method| {
                    let request = api.request(method, &path).header("x-request-id", "same");
                    match who {
                        "admin" => request.by(company.admin).within(company.id),
                        "super" => request.by_super_admin().within(company.id),
                        _ => request,
                    }
                };
                let (get, head) = (ask(Method::GET).send().await, ask(Method::HEAD).send().await);
                assert_eq!(head.status, get.status, "{path} {who}");
                assert_eq!(head.body, b"", "{path} {who}");
                let headers = |answer: &Answer| {
                    let named = |(name, value): (&_, &_)| (format!("{name}"), format!("{value:?}"));
                    answer.headers.iter().map(named).collect::<BTreeSet<_>>()
                };
                assert_eq!(headers(&head), headers(&get), "{path} {who}");
            }
        }
        let request = api.request(Method::HEAD, "/api/iam/navigation").by(company.member).within(company.id);
        let tag = request.send().await.expect(200).etag().to_owned();
        let request = api.request(Method::HEAD, "/api/iam/navigation").by(company.member).within(company.id);
        request.header("if-none-match", &tag).send().await.expect(304);
    }

    /// If a path does not allow `GET`, it does not allow `HEAD` either. The header `Allow` of a 405 lists the allowed
    /// methods.
    async fn a_405_lists_the_allowed_methods(api: TestApi) {
        for (path, methods, expected) in [
            ("/livez", &["POST", "OPTIONS", "TRACE", "PROPFIND"][..], "GET, HEAD"),
            ("/api/iam/check", &["GET", "HEAD", "PUT"], "POST"),
            ("/api/iam/user-levels/7", &["POST", "PUT"], "GET, HEAD, PATCH, DELETE"),
            ("/api/iam/user-levels/7/users", &["POST"], "GET, HEAD"),
            ("/api/iam/users/7/not-before", &["GET", "HEAD"], "PUT"),
        ] {
            for method in methods {
                let answer = api.request(method.parse().unwrap(), path).send().await.expect(405);
                assert_eq!(answer.header("allow"), Some(expected), "{method} {path}");
            }
        }
    }

    /// Scripts of a configured origin can read the 503 response to a request that timed out.
    async fn an_outage_can_be_read_by_a_configured_origin(api: TestApi) {
        let company = api.company().await;
        let options = HttpOptions {
            cors_origins: AllowedOrigins::parse([HERE]).unwrap(),
            request_timeout: Duration::from_millis(50),
            ..HttpOptions::default()
        };
        let router = api.with_options(options).await;
        let lock = api.storage.begin(Target::Company(company.id), ChangeContext::command_line()).await.unwrap();
        let request = router.post("/api/iam/user-levels").by_super_admin().within(company.id).header("origin", HERE);
        let answer = request.json(&json!({ "name": "Slow" })).send().await.expect(503);
        assert_eq!(answer.header("access-control-allow-origin"), Some(HERE));
        drop(lock);
        router.application.finish().await;
    }

    /// Cacheable responses vary by credential, company and origin (`Vary`). This also applies to responses to requests
    /// without an `Origin` header.
    async fn cacheable_responses_vary_by_origin(api: TestApi) {
        let company = api.company().await;
        let options = HttpOptions { cors_origins: AllowedOrigins::parse([HERE]).unwrap(), ..HttpOptions::default() };
        let router = api.with_options(options).await;
        for path in ["navigation", "permissions/current"] {
            let request = || router.get(&format!("/api/iam/{path}")).by(company.member).within(company.id);
            for request in [request().header("origin", HERE), request()] {
                let answer = request.send().await.expect(200);
                let vary: Vec<_> = answer.headers.get_all("vary").map(|value| value.to_str().unwrap()).collect();
                let vary = vary.join(", ").to_lowercase();
                for header in ["authorization", "x-company-id", "origin"] {
                    assert!(vary.split(", ").any(|name| name == header), "{vary}");
                }
            }
        }
    }

    /// Responses to requests without an `Origin` header have no CORS headers. Responses that may not be cached have no
    /// `Vary`.
    async fn a_request_without_an_origin_gets_no_cors_headers(api: TestApi) {
        let options = HttpOptions { cors_origins: AllowedOrigins::parse([HERE]).unwrap(), ..HttpOptions::default() };
        let router = api.with_options(options).await;
        let answer = router.get("/api/iam/views").by_super_admin().send().await.expect(200);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        for name in ["access-control-allow-origin", "access-control-expose-headers", "vary"] {
            assert_eq!(answer.header(name), None, "{name}");
        }
    }

    /// Browsers must not show the documentation in a frame, which prevents clickjacking. They send no referrer when a
    /// user follows a link in the documentation.
    async fn the_documentation_cannot_be_framed(api: TestApi) {
        let answer = api.get("/docs/").send().await.expect(200);
        assert_eq!(answer.header("x-frame-options"), Some("DENY"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert!(answer.header("content-security-policy").unwrap().contains("frame-ancestors 'none'"));
    }
}
