//! Tests of optimistic concurrency with `If-Match`, versions, request ids, and the headers of every response.

use serde_json::{Value, json};

use crate::support::api::{Company, Request, TestApi, both_adapters, new_company};

/// A resource with an entity tag, and two different changes to this resource.
struct Tagged {
    path: String,
    changes: Vec<(&'static str, String, Value)>,
}

impl Tagged {
    fn put(path: String, bodies: [Value; 2]) -> Self {
        let changes = bodies.into_iter().map(|body| ("PUT", path.clone(), body)).collect();
        Self { path, changes }
    }

    fn patch(path: String, bodies: [Value; 2]) -> Self {
        let changes = bodies.into_iter().map(|body| ("PATCH", path.clone(), body)).collect();
        Self { path, changes }
    }
}

fn send(api: &TestApi, company: Company, change: &(&str, String, Value), tag: &str) -> Request {
    let (method, path, body) = change;
    let request = if *method == "PUT" { api.put(path) } else { api.patch(path) };
    of(request, company, path).json(body).header("if-match", tag)
}

/// Adds the super admin's token to the request. If the path refers to a user or a level, also adds the company.
fn of(request: Request, company: Company, path: &str) -> Request {
    let request = request.by_super_admin();
    if path.contains("/user") { request.within(company.id) } else { request }
}

/// Returns the version of the catalog and the version of the company from a value of `X-IAM-Version`.
fn versions(version: &str) -> (i64, i64) {
    let mut parts = version.split('.').skip(1).map(|part| i64::from_str_radix(part, 16).unwrap());
    (parts.next().unwrap(), parts.next().unwrap())
}

async fn everything_tagged(api: &TestApi, company: Company) -> Vec<Tagged> {
    let level = format!("/api/iam/user-levels/{}", api.new_level(company, "Auditors").await);
    let (member, visitor) = (api.level_id(company, "Member").await, api.level_id(company, "Visitor").await);
    let (home, read) = (api.view_id("/home").await, api.feature_id("general.read").await);
    let id = |made: Value| made["id"].as_str().unwrap().to_owned();
    let view = id(api.make("views", None, json!({ "name": "New", "url": "/new" })).await);
    let feature = id(api.make("features", None, json!({ "name": "New", "key": "new" })).await);
    let module = id(api.make("modules", None, json!({ "name": "New", "code": "new" })).await);
    let item = id(api.make("menu-items", None, json!({ "label": "New" })).await);
    let sub = id(api.make("sub-menu-items", None, json!({ "menuItemId": item, "label": "New" })).await);
    let (core, risks) = (api.module_id("core").await, api.module_id("risks").await);
    let own = format!("/api/iam/companies/{}/modules", company.id);
    let named = || [json!({ "name": "One" }), json!({ "name": "Two" })];
    let labelled = || [json!({ "label": "One" }), json!({ "label": "Two" })];
    let some = |name: &str, one: Value| [json!({ name: [one] }), json!({ name: [] })];
    let gated = |name: &str, one: Value| [json!({ name: [one] }), json!({ name: [], "ungate": true })];
    vec![
        Tagged::patch(level.clone(), named()),
        Tagged::put(format!("{level}/permissions/views"), some("views", json!({ "viewId": home }))),
        Tagged::put(
            format!("{level}/permissions/features"),
            some("features", json!({ "featureId": read, "action": "Read" })),
        ),
        Tagged::put(
            format!("/api/iam/users/{}/user-levels", company.member),
            [json!({ "userLevelIds": [visitor] }), json!({ "userLevelIds": [member] })],
        ),
        Tagged::patch(format!("/api/iam/views/{view}"), named()),
        Tagged::patch(format!("/api/iam/features/{feature}"), named()),
        Tagged::put(format!("/api/iam/features/{feature}/views"), some("viewIds", json!(home))),
        Tagged::patch(format!("/api/iam/modules/{module}"), named()),
        Tagged::put(format!("/api/iam/modules/{module}/views"), gated("viewIds", json!(home))),
        Tagged::put(format!("/api/iam/modules/{module}/features"), gated("featureIds", json!(read))),
        Tagged::patch(format!("/api/iam/menu-items/{item}"), labelled()),
        Tagged::patch(format!("/api/iam/sub-menu-items/{sub}"), labelled()),
        Tagged::put(own.clone(), [json!({ "moduleIds": [core, risks] }), json!({ "moduleIds": [core] })]),
        // The change sets the enabled flag of one module. Its `If-Match` is compared with the entity tag of the list of
        // modules.
        Tagged {
            path: own.clone(),
            changes: [false, true]
                .map(|enabled| ("PATCH", format!("{own}/{core}"), json!({ "enabled": enabled })))
                .to_vec(),
        },
    ]
}

both_adapters! {
    /// A change with a matching entity tag is accepted. A change with a stale or unknown tag is rejected, and nothing
    /// is stored.
    async fn a_change_requires_a_matching_etag(api: TestApi) {
        let company = api.company().await;
        for Tagged { path, changes } in everything_tagged(&api, company).await {
            let get = async || of(api.get(&path), company, &path).send().await.expect(200);
            let before = get().await;
            let tag = before.etag().to_owned();
            assert!(tag.starts_with('"') && tag.ends_with('"'), "{path}: {tag}");
            let bare = tag.trim_matches('"').to_owned();
            let (stale, other) = (format!("w/{tag}"), format!("\"{bare}-gz\""));
            for wrong in ["\"x\"", "", "\"x\", \"y\"", "W/\"x\"", &stale, &other, &bare] {
                let answer = send(&api, company, &changes[0], wrong).send().await;
                let message = "The resource has changed since it was read";
                assert_eq!(answer.error(), (412, "ERR_RESOURCE_003".into(), message.into()), "{path} {wrong}");
            }
            let unchanged = get().await;
            assert_eq!((unchanged.json(), unchanged.etag()), (before.json(), tag.as_str()), "{path}");

            send(&api, company, &changes[0], &format!("\"x\", W/\"y\", {tag}")).send().await.expect(200);
            let after = get().await;
            assert_ne!(after.etag(), tag, "{path}");
            send(&api, company, &changes[1], &tag).send().await.expect(412);
            assert_eq!(get().await.json(), after.json(), "{path}");
            send(&api, company, &changes[1], "*").send().await.expect(200);
            assert_ne!(get().await.json(), after.json(), "{path}");
        }
    }

    /// A proxy that compresses a response modifies the response's entity tag. A change with a modified tag is accepted
    /// if the content has not changed since the client read it. Otherwise the change is rejected.
    async fn an_etag_that_a_proxy_modified_still_matches(api: TestApi) {
        let company = api.company().await;
        for Tagged { path, changes } in everything_tagged(&api, company).await {
            let tag = async || of(api.get(&path), company, &path).send().await.expect(200).etag().to_owned();
            let forms: [fn(&str) -> String; 6] = [
                |tag| format!("W/{tag}"),
                |tag| format!("{}-gzip\"", tag.trim_end_matches('"')),
                |tag| format!("W/{}-gzip\"", tag.trim_end_matches('"')),
                |tag| format!("{}-br\"", tag.trim_end_matches('"')),
                |tag| format!("{}--gzip\"", tag.trim_end_matches('"')),
                |tag| format!("\"x\", W/{}-zstd\"", tag.trim_end_matches('"')),
            ];
            for (number, form) in forms.iter().enumerate() {
                let before = tag().await;
                let change = &changes[number % changes.len()];
                send(&api, company, change, &form(&before)).send().await.expect(200);
                assert_ne!(tag().await, before, "{path}");
                send(&api, company, change, &form(&before)).send().await.expect(412);
            }
        }
        for path in ["/api/iam/navigation", "/api/iam/permissions/current"] {
            let get =
                |tag: &str| api.get(path).by(company.member).within(company.id).header("if-none-match", tag).send();
            let tag = get("\"x\"").await.expect(200).etag().to_owned();
            for form in [tag.replace('"', "").as_str(), "w/\"x\"", "W/\"x-gzip\""] {
                get(form).await.expect(200);
            }
            let bare = tag.trim_matches('"');
            for form in [format!("W/{tag}"), format!("\"{bare}-gzip\""), format!("W/\"{bare}--br\", \"x\"")] {
                let answer = get(&form).await.expect(304);
                assert_eq!(answer.etag(), tag, "{path} {form}");
            }
        }
    }

    /// A deletion with a matching entity tag is accepted. A deletion with a stale or unknown tag is rejected.
    async fn a_deletion_requires_a_matching_etag(api: TestApi) {
        let company = api.company().await;
        let tagged = everything_tagged(&api, company).await;
        let single =
            tagged.iter().rev().filter(|tagged| tagged.changes[0].0 == "PATCH" && tagged.path == tagged.changes[0].1);
        for Tagged { path, changes } in single {
            let first = of(api.get(path), company, path).send().await.expect(200).etag().to_owned();
            send(&api, company, &changes[0], "*").send().await.expect(200);
            let now = of(api.get(path), company, path).send().await.expect(200).etag().to_owned();
            for wrong in [&first, &format!("W/{first}"), &first.replacen('"', "W/\"", 1), "\"x\""] {
                let answer = of(api.delete(path), company, path).header("if-match", wrong).send().await;
                assert_eq!(answer.error().1, "ERR_RESOURCE_003", "{path} {wrong}");
            }
            of(api.delete(path), company, path).header("if-match", &now).send().await.expect(200);
            // A request for a deleted entity returns 404, regardless of the entity tag that the client sends.
            of(api.delete(path), company, path).header("if-match", "*").send().await.expect(404);
        }
    }

    /// The response to a change has the same entity tag as the response to the next read.
    async fn the_response_to_a_change_contains_the_new_etag(api: TestApi) {
        let company = api.company().await;
        let body = json!({ "name": "Auditors" });
        let made = api.post("/api/iam/user-levels").by(company.admin).within(company.id).json(&body).send().await;
        let path = format!("/api/iam/user-levels/{}", made.data()["userLevel"]["id"].as_str().unwrap());
        let got = api.get(&path).by(company.admin).within(company.id).send().await;
        assert_eq!(got.etag(), made.etag());
        let renamed = api.patch(&path).by(company.admin).within(company.id).header("if-match", made.etag());
        let renamed = renamed.json(&json!({ "name": "Others" })).send().await.expect(200);
        let got = api.get(&path).by(company.admin).within(company.id).send().await;
        assert_eq!(got.etag(), renamed.etag());
    }

    /// If two clients concurrently send changes with the same entity tag, exactly one change succeeds (no lost update).
    async fn of_two_clients_with_the_same_etag_one_succeeds(api: TestApi) {
        let company = api.company().await;
        let path = format!("/api/iam/user-levels/{}", api.new_level(company, "Auditors").await);
        let tag = api.get(&path).by(company.admin).within(company.id).send().await.etag().to_owned();
        let rename = |name: &str| {
            let request = api.patch(&path).by(company.admin).within(company.id).header("if-match", &tag);
            request.json(&json!({ "name": name })).send()
        };
        let (one, other) = futures_util::join!(rename("One"), rename("Two"));
        let mut statuses = [one.status.as_u16(), other.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 412]);
    }

    /// Permissions are checked before `If-Match`: a caller without the permission receives 403, not 412.
    async fn authorization_precedes_the_check_of_the_etag(api: TestApi) {
        let company = api.company().await;
        let path = format!("/api/iam/user-levels/{}", api.level_id(company, "Member").await);
        let request = api.patch(&path).by(company.member).within(company.id).header("if-match", "\"x\"");
        request.json(&json!({ "name": "Mine" })).send().await.expect(403);
        let path = format!("/api/iam/user-levels/{}", new_company());
        let request = api.patch(&path).by(company.admin).within(company.id).header("if-match", "\"x\"");
        request.json(&json!({ "name": "Mine" })).send().await.expect(404);
    }

    /// A change increments the version of its target, which is a company or the catalog. Later decisions return the new
    /// version.
    async fn only_changes_increment_the_version(api: TestApi) {
        let (company, other) = (api.company().await, api.company().await);
        let check = async |company: Company| {
            let body = json!({ "view": "/home" });
            let request = api.post("/api/iam/check").by(company.member).within(company.id).json(&body);
            versions(request.send().await.expect(200).header("x-iam-version").unwrap())
        };
        let (first, elsewhere) = (check(company).await, check(other).await);
        assert_eq!(check(company).await, first, "a check must not change the version");

        let member = api.level_id(company, "Member").await;
        let path = format!("/api/iam/user-levels/{member}/permissions/views");
        let request = api.put(&path).by(company.admin).within(company.id).json(&json!({ "views": [] }));
        let written = versions(request.send().await.expect(200).header("x-iam-version").unwrap());
        assert_eq!(written.0, first.0);
        assert!(written.1 > first.1);
        assert_eq!(check(company).await, written);
        assert_eq!(check(other).await, elsewhere, "a change to one company must not change another company's version");

        let body = json!({ "name": "New", "url": "/new" });
        let answer = api.post("/api/iam/views").by_super_admin().json(&body).send().await.expect(201);
        let (catalog, _) = versions(answer.header("x-iam-version").unwrap());
        assert!(catalog > written.0);
        assert_eq!(check(company).await, (catalog, written.1));
        assert_eq!(check(other).await, (catalog, elsewhere.1));
        for path in ["navigation", "permissions/current"] {
            let request = api.get(&format!("/api/iam/{path}")).by(company.member).within(company.id);
            assert_eq!(versions(request.send().await.header("x-iam-version").unwrap()), (catalog, written.1));
        }
    }

    /// The response to a change states the version that the change created. The response to a change without effect
    /// states the unchanged version.
    async fn the_response_to_every_change_contains_its_version(api: TestApi) {
        let company = api.company().await;
        let mut seen = (0, 0);
        for Tagged { path, changes } in everything_tagged(&api, company).await {
            for change in changes {
                let answer = send(&api, company, &change, "*").send().await.expect(200);
                let version = versions(answer.header("x-iam-version").unwrap_or_else(|| panic!("{path}")));
                assert!(version.0 > seen.0 || version.1 > seen.1, "{path}: {version:?} after {seen:?}");
                let again = send(&api, company, &change, "*").send().await.expect(200);
                assert_eq!(versions(again.header("x-iam-version").unwrap()), version, "{path}");
                seen = (version.0.max(seen.0), version.1.max(seen.1));
            }
        }
    }

    /// Every response contains the request id, even if it is an error. A request id with invalid characters or an
    /// invalid length is replaced.
    async fn every_response_has_a_request_id(api: TestApi) {
        let long = "x".repeat(128);
        for id in ["the-request", "7b0c/{}!~", &long] {
            for path in ["/health", "/api/iam/views", "/nowhere", "/openapi.json"] {
                let answer = api.get(path).header("x-request-id", id).send().await;
                assert_eq!(answer.header("x-request-id"), Some(id), "{path}");
            }
        }
        let mut made = Vec::new();
        for id in ["", "two words", "ümlaut", &format!("{long}x")] {
            let answer = api.get("/health").header("x-request-id", id).send().await;
            made.push(answer.header("x-request-id").unwrap().to_owned());
        }
        made.push(api.get("/nowhere").send().await.header("x-request-id").unwrap().to_owned());
        assert!(made.iter().all(|id| uuid::Uuid::try_parse(id).is_ok()), "{made:?}");
        made.sort_unstable();
        made.dedup();
        assert_eq!(made.len(), 5);
    }

    /// The headers of every response prevent browsers from sniffing the content type and from loading resources. They
    /// also prevent caches from storing the response.
    async fn every_response_has_the_security_headers(api: TestApi) {
        let company = api.company().await;
        for request in [
            api.get("/health"),
            api.get("/nowhere"),
            api.get("/api/iam/views"),
            api.get("/api/iam/views").by_super_admin(),
            api.get("/api/iam/user-levels").by(company.admin).within(company.id),
            api.post("/api/iam/check").by(company.admin).within(company.id).json(&json!({ "view": "/home" })),
            api.post("/api/iam/user-levels").by(company.admin).within(company.id).json(&json!({ "name": "New" })),
            api.post("/api/iam/user-levels").by(company.member).within(company.id),
            api.post("/health"),
        ] {
            let answer = request.send().await;
            assert_eq!(answer.header("content-type"), Some("application/json"), "{answer:?}");
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer:?}");
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
            let policy = "default-src 'none'; frame-ancestors 'none'";
            assert_eq!(answer.header("content-security-policy"), Some(policy));
        }
    }
}
