//! Tests of properties that every operation must have. They cover the authorized callers, the ways in which requests
//! specify the company, and the responses to requests with ids of another company.

use std::collections::{BTreeMap, BTreeSet};

use iam_identity::TokenSigner;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::operation::{CompanyParameter, Entity, ForeignAnswer, Needs, TestCaller};
use super::operations::{HEALTH, documented, operations};
use super::world::World;
use crate::support::api::{Answer, both_adapters, new_company, new_user, now, secret};

/// Bodies that are invalid for every operation, each with its content type.
const GARBAGE: [(&str, &str); 4] = [
    ("application/json", "{\"name\":"),
    ("application/json", "[]"),
    ("application/json", "\"\\ud800\""),
    ("text/plain", "x"),
];

/// The table of operations and the OpenAPI document contain the same operations.
#[test]
fn the_table_matches_the_openapi_document() {
    let known: BTreeSet<String> = operations().map(|row| row.name).chain(HEALTH).map(str::to_owned).collect();
    assert_eq!(documented(), known);
    assert_eq!(operations().count() + HEALTH.len(), known.len(), "each operation must be in the table exactly once");
    for operation in operations() {
        assert_eq!(
            operation.company == CompanyParameter::InPath,
            operation.path().contains("{companyId}"),
            "{}",
            operation.name
        );
    }
}

/// The OpenAPI document describes two kinds of headers for every operation: the request headers that specify the
/// required consistency or mark a repetition, and the response header `X-IAM-Version`.
#[test]
fn the_openapi_document_lists_the_headers() {
    let document = iam_http::document().unwrap();
    for operation in operations() {
        let described = &document["paths"][operation.path()][operation.method().to_lowercase()];
        let in_header = |parameter: &&Value| parameter["in"] == "header";
        let asked = described["parameters"].as_array().unwrap().iter().filter(in_header);
        let mut asked: Vec<_> = asked.map(|parameter| parameter["name"].as_str().unwrap()).collect();
        asked.retain(|name| !["X-Company-Id", "If-Match", "If-None-Match"].contains(name));
        // Creations accept an idempotency key, except steps of navigation trails.
        let creates = operation.method() == "POST" && operation.status == 201 && operation.needs != Needs::Membership;
        let own = ["Idempotency-Key"].into_iter().filter(|_| creates);
        let is_decision = described["tags"][0] == "Decisions" || operation.path().ends_with("/ceilings/preview");
        let is_change = operation.method() != "GET" && operation.is_stamped() && !is_decision;
        let version = ["X-IAM-If-Version"].into_iter().filter(|_| is_change);
        let expected: Vec<_> = ["X-IAM-Min-Version", "Cache-Control"].into_iter().chain(own).chain(version).collect();
        assert_eq!(asked, expected, "{}", operation.name);
        for (status, response) in described["responses"].as_object().unwrap() {
            let describes = |name: &str| response["headers"].get(name).is_some();
            let is_stamped = operation.is_stamped() && ["200", "201", "304"].contains(&status.as_str());
            assert_eq!(describes("X-IAM-Version"), is_stamped, "{} {status}", operation.name);
            let is_decision = described["tags"][0] == "Decisions";
            let has_age = is_decision && is_stamped;
            assert_eq!((describes("Age"), describes("Warning")), (has_age, has_age), "{} {status}", operation.name);
        }
    }
}

both_adapters! {
    /// A request without a valid token is rejected with 401 before any other check.
    async fn authentication_precedes_all_other_checks(api: TestApi) {
        let world = World::new(api).await;
        let signed = |key: &SecretString, at| TokenSigner::hs256(key).sign(world.ours.admin, true, at, 3600).unwrap();
        let wrong = signed(&SecretString::from("another secret that has more than thirty-two bytes"), now());
        let expired = signed(&secret(), now() - 7200);
        let good = signed(&secret(), now());
        let tokens = [
            (vec![], "No token provided"),
            (vec![format!("Bearer {wrong}")], "Invalid token"),
            (vec![format!("Bearer {expired}")], "Token expired"),
            (vec!["Bearer nonsense".to_owned()], "Invalid token"),
            (vec![good.clone()], "Invalid token format. Use: Bearer <token>"),
            (vec![format!("Bearer {good}"), format!("Bearer {good}")], "Invalid token format. Use: Bearer <token>"),
        ];
        for operation in operations() {
            let path = world.fill(&operation.valid_path()).await;
            let odd = operation.path_with(&["not-an-id"; 2], "sessionId=&limit=x&companyId=x");
            for (headers, message) in &tokens {
                for (path, (content_type, body)) in [&path, &odd].into_iter().zip(GARBAGE.into_iter().cycle()) {
                    let mut request =
                        world.request(operation.method(), path, TestCaller::Anonymous, None).bytes(content_type, body);
                    for value in headers {
                        request = request.header("authorization", value);
                    }
                    let answer = world.send(operation.name, request).await;
                    let expected = (401, "ERR_AUTH_001".to_owned(), (*message).to_owned());
                    assert_eq!(answer.error(), expected, "{}", operation.name);
                    let challenge = answer.header("www-authenticate").unwrap();
                    assert!(challenge.starts_with("Bearer"), "{challenge}");
                    assert_eq!(challenge.contains("invalid_token"), !headers.is_empty(), "{challenge}");
                }
            }
        }
        for name in HEALTH {
            let request = world.request("GET", name.strip_prefix("GET ").unwrap(), TestCaller::Anonymous, None);
            world.send(name, request).await.expect(200);
        }
    }

    /// A caller without the required permission receives the same 403 for every body and every id. The response
    /// therefore reveals nothing.
    async fn callers_without_permission_learn_only_the_denial(api: TestApi) {
        let world = World::new(api).await;
        let too_large = "x".repeat(1024 * 1024 + 1);
        for operation in operations().filter(|operation| operation.needs != Needs::Token) {
            let (status, code, message) = operation.refusal();
            let expected = (status, code.to_owned(), message.to_owned());
            let path = world.fill(&operation.valid_path()).await;
            for &who in operation.refused() {
                let request = world.valid(operation, who, Some(world.ours.id)).await;
                assert_eq!(world.send(operation.name, request).await.error(), expected, "{} {who:?}", operation.name);
                for (content_type, body) in GARBAGE.into_iter().chain([("application/json", too_large.as_str())]) {
                    let request = world.request(operation.method(), &path, who, Some(world.ours.id));
                    let answer = world.send(operation.name, request.bytes(content_type, body)).await;
                    assert_eq!(answer.error(), expected, "{} {who:?}", operation.name);
                }
                if operation.has_ids() {
                    let odd = operation
                        .path_with(&["not-an-id"; 2], "")
                        .replace("companies/not-an-id", &format!("companies/{}", Entity::Company));
                    let odd = format!("{}?sessionId=&limit=x", world.fill(&odd).await);
                    let answer = world
                        .send(operation.name, world.request(operation.method(), &odd, who, Some(world.ours.id)))
                        .await;
                    assert_eq!(answer.error(), expected, "{} {who:?}", operation.name);
                }
            }
        }
    }

    /// Non-members can request decisions for themselves. All of these decisions are denials.
    async fn non_members_are_denied_everything(api: TestApi) {
        let world = World::new(api).await;
        let decisions = operations().filter(|operation| operation.needs == Needs::Token);
        for operation in decisions.filter(|operation| !operation.describes_the_caller()) {
            let request = world.valid(operation, TestCaller::NonMember, Some(world.ours.id)).await;
            let answer = world.send(operation.name, request).await.expect(200);
            assert_nothing_is_allowed(&answer);
        }
        let ask = |path| world.request("POST", path, TestCaller::NonMember, Some(world.ours.id));
        for path in ["/api/iam/check", "/api/iam/checks", "/api/iam/explain", "/api/iam/explanations"] {
            for (content_type, body) in GARBAGE {
                let answer = world.send(path, ask(path).bytes(content_type, body)).await;
                assert!(matches!(answer.error().0, 400 | 415), "{body}");
            }
        }
        // Non-members cannot check other users. The denial does not reveal whether the other user exists.
        let refusal = "You do not have permission to check other users";
        for user in [world.ours.admin, new_user()] {
            let question = json!({ "view": "/dashboard", "userId": user });
            for path in ["/api/iam/check", "/api/iam/explain"] {
                let answer = world.send(path, ask(path).json(&question)).await;
                assert_eq!(answer.error(), (403, "ERR_AUTH_003".to_owned(), refusal.to_owned()));
            }
            let error = json!({ "code": "ERR_AUTH_003", "message": refusal });
            let refused = json!({ "allowed": false, "reasonCode": "not_decided", "error": error });
            for path in ["/api/iam/checks", "/api/iam/explanations"] {
                let batch = json!({ "checks": [question] });
                let answer = world.send(path, ask(path).json(&batch)).await.expect(200).data();
                assert_eq!(answer["results"], json!([refused]));
            }
        }
    }

    /// A non-member receives the same response for an existing company and for a company that does not exist.
    async fn unknown_and_foreign_companies_are_indistinguishable(api: TestApi) {
        let world = World::new(api).await;
        let unknown = new_company();
        for operation in operations() {
            for who in [TestCaller::NonMember, TestCaller::Admin, TestCaller::Reader] {
                let has_body = operation.method() != "GET";
                for garbage in [None, Some(GARBAGE[0]).filter(|_| has_body)] {
                    let mut answers = Vec::new();
                    for company in [world.theirs.id, unknown] {
                        let path = operation.valid_path().replace(&Entity::Company.to_string(), &company.to_string());
                        let mut request = world.valid_at(operation, &path, who, Some(company)).await;
                        if let Some((_, body)) = garbage {
                            let path = world.fill(&path).await;
                            request = world
                                .request(operation.method(), &path, who, Some(company))
                                .bytes("application/json", body);
                        }
                        answers.push(world.send(operation.name, request).await);
                    }
                    let [foreign, unknown] = answers.try_into().unwrap();
                    let about = format!("{} {who:?}", operation.name);
                    assert_eq!(foreign.status, unknown.status, "{about}");
                    assert_eq!(foreign.body, unknown.body, "{about}");
                    let headers = |answer: &Answer| -> Vec<_> {
                        let shown = |name: &str| name != "x-request-id";
                        let headers = answer.headers.iter().filter(|(name, _)| shown(name.as_str()));
                        let mut headers: Vec<_> = headers
                            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                            .collect();
                        headers.sort();
                        headers
                    };
                    assert_eq!(headers(&foreign), headers(&unknown), "{about}");
                    if operation.describes_the_caller() {
                        assert_eq!(foreign.status, 200, "{about}");
                    } else if operation.needs == Needs::Token && garbage.is_none() {
                        assert_nothing_is_allowed(&foreign);
                    } else {
                        assert!(foreign.status.is_client_error(), "{about}");
                    }
                }
            }
        }
    }

    /// A request must specify the company if the operation requires one. This is checked before permissions and bodies.
    async fn a_company_must_be_specified(api: TestApi) {
        let world = World::new(api).await;
        let missing = (400, "ERR_AUTH_002".to_owned(), "Company ID is required".to_owned());
        for operation in operations().filter(|operation| operation.company != CompanyParameter::InPath) {
            let path = world.fill(&operation.valid_path()).await;
            for who in [TestCaller::NonMember, TestCaller::Visitor, TestCaller::Admin, TestCaller::SuperAdmin] {
                let request =
                    world.request(operation.method(), &path, who, None).bytes("application/json", GARBAGE[0].1);
                let answer = world.send(operation.name, request).await;
                let needed = match operation.company {
                    CompanyParameter::Required => true,
                    CompanyParameter::OptionalForSuperAdmins => who != TestCaller::SuperAdmin,
                    CompanyParameter::Optional | CompanyParameter::InPath => false,
                };
                let about = format!("{} {who:?}", operation.name);
                if operation.describes_the_caller() {
                    assert_eq!(answer.status, 200, "{about}");
                } else if needed {
                    assert_eq!(answer.error(), missing, "{about}");
                } else if who == TestCaller::SuperAdmin {
                    assert_ne!(answer.json()["code"], "ERR_AUTH_002", "{about}");
                } else {
                    assert_eq!(answer.error().0, 403, "{about}");
                }
            }
        }
    }

    /// A request with an invalid company id, or with two different company ids, is rejected before permissions are
    /// checked. The ids can be in the path, the header, the query or the body.
    async fn conflicting_companies_are_rejected(api: TestApi) {
        let world = World::new(api).await;
        let (ours, theirs) = (world.ours.id, world.theirs.id);
        let disagree = "companyId is specified more than once, with different values";
        let no_id = "companyId must be a valid UUID";
        for operation in operations() {
            let has_body = operation.method() != "GET";
            let in_path = operation.company == CompanyParameter::InPath;
            let path = world.fill(&operation.valid_path()).await;
            let and = if path.contains('?') { '&' } else { '?' };
            let in_query = |id: &dyn std::fmt::Display| format!("{path}{and}companyId={id}");
            // The ids in the header, the query and the body of a request. Each of them is optional.
            let mut cases = vec![
                (Some(ours.to_string()), Some(theirs.to_string()), None, disagree),
                (None, Some(format!("{ours}&companyId={theirs}")), None, disagree),
            ];
            for bad in
                ["x", "", "00000000-0000-0000-0000-000000000000", "urn:uuid:018f3c1e-0000-7000-8000-000000000001"]
            {
                cases.push((Some(bad.to_owned()), None, None, no_id));
                cases.push((Some(ours.to_string()), Some(bad.to_owned()), None, no_id));
                if has_body {
                    cases.push((None, None, Some(json!(bad)), no_id));
                }
            }
            if has_body {
                cases.push((Some(ours.to_string()), None, Some(json!(theirs)), disagree));
                cases.push((None, Some(ours.to_string()), Some(json!(theirs)), disagree));
                cases.push((Some(ours.to_string()), None, Some(json!(1)), "companyId must be a string"));
                cases.push((Some(ours.to_string()), None, Some(json!([ours])), "companyId must be a string"));
            }
            if in_path {
                cases.push((Some(theirs.to_string()), None, None, disagree));
                cases.push((None, Some(theirs.to_string()), None, disagree));
                cases.push((None, None, Some(json!(theirs)).filter(|_| has_body), disagree));
            }
            for (header, query, body, message) in cases {
                if in_path && header.is_none() && query.is_none() && body.is_none() {
                    continue;
                }
                for who in [TestCaller::NonMember, operation.user()] {
                    let path = query.as_ref().map_or_else(|| path.clone(), |id| in_query(id));
                    let mut request = world.request(operation.method(), &path, who, None);
                    if let Some(header) = &header {
                        request = request.header("x-company-id", header);
                    }
                    if let Some(body) = &body {
                        request = request.json(&json!({ "companyId": body }));
                    }
                    let answer = world.send(operation.name, request).await;
                    let expected = (400, "ERR_VALIDATION_001".to_owned(), message.to_owned());
                    // A caller without the permission is rejected before the body is read, if the company is known.
                    let is_known = in_path || header.is_some() || query.is_some();
                    if who == TestCaller::NonMember && body.is_some() && is_known && answer.status == 403 {
                        continue;
                    }
                    assert_eq!(answer.error(), expected, "{} {who:?} {header:?} {query:?} {body:?}", operation.name);
                }
            }
        }
        let two_headers = world.request("GET", "/api/iam/user-levels", TestCaller::Admin, Some(ours)).within(theirs);
        assert_eq!(world.send("two headers", two_headers).await.error().2, disagree);
    }

    /// A request can specify the company in each of these places. It can also use several places if the ids are equal.
    async fn a_company_may_be_specified_in_each_place(api: TestApi) {
        let world = World::new(api).await;
        let ours = world.ours.id;
        let in_query = format!("/api/iam/user-levels?companyId={ours}");
        let (list, create) = ("/api/iam/user-levels", |name: &str| json!({ "name": name, "companyId": ours }));
        let upper_case = ours.to_string().to_uppercase();
        for (request, status) in [
            (world.request("GET", &in_query, TestCaller::Admin, None), 200),
            (world.request("GET", list, TestCaller::Admin, Some(ours)), 200),
            (world.request("POST", list, TestCaller::Admin, None).json(&create("By body")), 201),
            (world.request("POST", &in_query, TestCaller::Admin, Some(ours)).json(&create("By all")), 201),
            (world.request("GET", list, TestCaller::Admin, None).header("x-company-id", &upper_case), 200),
        ] {
            world.send("a company somewhere", request).await.expect(status);
        }
    }

    /// Another company's entities are treated as if they did not exist, and remain unchanged.
    async fn entities_of_other_companies_are_not_found(api: TestApi) {
        let world = World::new(api).await;
        for entity in [
            Entity::TheirLevel,
            Entity::TheirItem,
            Entity::TheirSub,
            Entity::Level,
            Entity::Item,
            Entity::Sub,
            Entity::View,
            Entity::Feature,
        ] {
            world.entity(entity).await;
        }
        let step = json!({ "url": "/theirs", "label": "Theirs", "sessionId": "s" });
        let request = world.api.post("/api/iam/nav-trail").by(world.theirs.member).within(world.theirs.id);
        world.send("/api/iam/nav-trail", request.json(&step)).await.expect(201);
        let before = world.dump(world.theirs).await;
        let mut asked = 0;
        for operation in operations() {
            for foreign in operation.foreign {
                asked += 1;
                let mut query: Vec<_> = foreign.query.iter().map(|(name, entity)| format!("{name}={entity}")).collect();
                let is_own = |pair: &&str| !foreign.query.iter().any(|(name, _)| pair.starts_with(&format!("{name}=")));
                let own = operation.query.split('&').filter(|pair| !pair.is_empty());
                query.extend(own.filter(is_own).map(str::to_owned));
                let path = world.fill(&operation.path_with(foreign.ids, &query.join("&"))).await;
                let mut request = world.request(operation.method(), &path, operation.user(), Some(world.ours.id));
                let body =
                    world.fill(&foreign.body.map_or_else(|| operation.valid_body(), |body| body().to_string())).await;
                if !body.is_empty() {
                    request = request.bytes("application/json", body);
                }
                let answer = world.send(operation.name, request).await;
                match foreign.answer {
                    ForeignAnswer::NotFound(message) => {
                        assert_eq!(answer.expect(404).error().2, message, "{}", operation.name)
                    }
                    ForeignAnswer::Unknown(message, entity) => {
                        let message = format!("{message}: {}", world.entity(entity).await);
                        assert_eq!(answer.expect(400).error().2, message, "{}", operation.name);
                    }
                    ForeignAnswer::Data(data) => {
                        let expected: Value = serde_json::from_str(&world.fill(&data().to_string()).await).unwrap();
                        assert_eq!(answer.expect(200).data(), expected, "{}", operation.name);
                    }
                    ForeignAnswer::NothingAllowed => assert_nothing_is_allowed(&answer.expect(200)),
                    ForeignAnswer::Success => drop(answer.expect(200)),
                }
            }
        }
        assert!(asked > 20, "{asked}");
        assert_eq!(world.dump(world.theirs).await, before);
    }

    /// The valid request of each operation returns the success status and the headers of the operation.
    async fn every_operation_works(api: TestApi) {
        let world = World::new(api).await;
        for operation in operations() {
            world.renew();
            let id = format!("request-{}", operation.name.replace(' ', "-"));
            let request = match operation.name {
                // Only a suspended company can be erased.
                "DELETE /api/iam/companies/{companyId}" => {
                    let path = operation.path_with(&[Entity::Doomed], "");
                    world.valid_at(operation, &path, operation.user(), None).await
                }
                _ => world.valid(operation, operation.user(), Some(world.ours.id)).await,
            };
            let answer = world.send(operation.name, request.header("x-request-id", &id)).await.expect(operation.status);
            assert_eq!(answer.header("x-request-id"), Some(id.as_str()));
            assert_eq!(answer.header("x-iam-version").is_some(), operation.is_stamped(), "{}", operation.name);
            let may_be_kept = [
                "GET /api/iam/navigation",
                "GET /api/iam/permissions/current",
                "GET /api/iam/users/{userId}/permissions",
                "GET /api/iam/what-can",
            ]
            .contains(&operation.name);
            assert_eq!(answer.header("cache-control") != Some("no-store"), may_be_kept, "{}", operation.name);
            if may_be_kept {
                let request = world.valid(operation, operation.user(), Some(world.ours.id)).await;
                let again = world.send(operation.name, request.header("if-none-match", "*")).await.expect(304);
                for name in ["etag", "cache-control", "vary", "x-iam-version"] {
                    assert_eq!(again.header(name), answer.header(name), "{name}");
                }
                assert!(again.body.is_empty());
                // A caller without a valid credential receives 401, not 304, even with `If-None-Match: *`.
                let request = world.request("GET", operation.path(), TestCaller::Anonymous, Some(world.ours.id));
                world.send(operation.name, request.header("if-none-match", "*")).await.expect(401);
            }
        }
    }

    /// A request for an unknown path returns 404 with a JSON error. A request with a wrong method returns 405 and lists
    /// the allowed methods in the header `Allow`.
    async fn the_error_for_a_wrong_path_or_method_contains_it(api: TestApi) {
        let world = World::new(api).await;
        let nowhere = [
            "/",
            "/api",
            "/api/iam",
            "/api/iam/",
            "/api/iam/nope",
            "/api/iam/user-levels/",
            "/api/iam//navigation",
            "/API/IAM/navigation",
            "/api/iam/user-levels/x/permissions",
            "/api/iam/user-levels/x/permissions/views/y",
            "/api/iam/companies/x/y",
            "/health/",
            "/metrics",
            "/api/iam/%00",
            "/api/iam/navigation%2f",
        ];
        for path in nowhere {
            for method in ["GET", "POST", "DELETE"] {
                let answer = world.send(path, world.request(method, path, TestCaller::Anonymous, None)).await;
                let expected = (404, "ERR_RESOURCE_001".to_owned(), "Route not found".to_owned());
                assert_eq!(answer.error(), expected, "{method} {path}");
            }
        }
        let mut methods: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for operation in documented() {
            let (method, path) = operation.split_once(' ').unwrap();
            methods.entry(path.to_owned()).or_default().push(method.to_owned());
        }
        for (path, mut allowed) in methods {
            // Every path that allows `GET` also allows `HEAD`.
            allowed.extend(allowed.contains(&"GET".to_owned()).then(|| "HEAD".to_owned()));
            allowed.sort();
            let path = path
                .split('/')
                .map(|part| if part.starts_with('{') { "x" } else { part })
                .collect::<Vec<_>>()
                .join("/");
            let all = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"];
            for method in all.into_iter().filter(|method| !allowed.iter().any(|allowed| allowed == method)) {
                let request = world.request(method, &path, TestCaller::Anonymous, None);
                let answer = if method == "HEAD" { request.send().await } else { world.send(&path, request).await };
                if method == "HEAD" {
                    assert_eq!((answer.status.as_u16(), answer.body.len()), (405, 0), "{path}");
                } else {
                    let message = format!("Method {method} is not allowed here");
                    assert_eq!(answer.error(), (405, "ERR_RESOURCE_004".to_owned(), message), "{path}");
                }
                let mut listed: Vec<_> = answer.header("allow").unwrap().split(", ").collect();
                listed.sort_unstable();
                assert_eq!(listed, allowed, "{method} {path}");
            }
        }
    }
}

/// Asserts that the response (a decision, a menu or a list of permissions) grants no access.
#[track_caller]
fn assert_nothing_is_allowed(answer: &Answer) {
    let data = answer.data();
    let text = data.to_string();
    assert!(!text.contains("true"), "{text}");
    let results = data["results"].as_array();
    let are_denials = results.is_some_and(|all| !all.is_empty() && all.iter().all(|one| one["allowed"] == false));
    let is_denial = are_denials || data["allowed"] == false || data == json!({ "menu": [], "entrypoint": null });
    assert!(is_denial || data["views"].as_object().is_some_and(|views| !views.is_empty()), "{text}");
}
