//! Tests of cache invalidation for every kind of change. They check the decisions after a change, both on the replica
//! that makes the change and on another replica. They also check which cache entries are invalidated.

mod changes;

use std::collections::{BTreeMap, BTreeSet};

use actix_web::http::Method;
use iam_domain::{CompanyId, UserId};
use iam_http::HttpOptions;
use iam_permissions_cache::{FillOptions, Filled};
use iam_storage::Polled;
use serde_json::{Value, json};

use self::changes::{Change, Of, Seen, TABLE};
use crate::support::api::{TestApi, both_adapters, new_company, new_user};
use crate::support::replica::Replica;

/// Operations with a method other than `GET` that never affect decisions.
const NO_CHANGES: [&str; 11] = [
    "POST /api/iam/check",
    "POST /api/iam/checks",
    "POST /api/iam/explain",
    "POST /api/iam/explanations",
    "POST /api/iam/companies/{companyId}/ceilings/preview",
    "POST /api/iam/nav-trail",
    "POST /api/iam/previews",
    "DELETE /api/iam/nav-trail",
    "PUT /api/iam/users/{userId}/not-before",
    "POST /api/iam/api-keys",
    "DELETE /api/iam/api-keys/{id}",
];

/// The entities that the changes in the table affect: a company, a user of this company, and entities of the catalog.
struct Scene {
    words: BTreeMap<&'static str, String>,
    company: CompanyId,
    user: UserId,
}

impl Scene {
    /// Creates the company, the user and the entities through the API, with unique names.
    async fn new(api: &TestApi) -> Self {
        let (company, user) = (new_company(), new_user());
        let mut scene = Self { words: BTreeMap::new(), company, user };
        scene.words.extend([("$company", company.to_string()), ("$user", user.to_string())]);
        for (word, collection, body) in [
            ("$view", "views", r#"{"name":"View","url":"/view/$company"}"#),
            ("$spare-view", "views", r#"{"name":"Spare","url":"/spare/$company"}"#),
            ("$shut-view", "views", r#"{"name":"Shut","url":"/shut/$company"}"#),
            ("$feature", "features", r#"{"name":"Feature","key":"feature.$company","actions":["Seal","Sign"]}"#),
            ("$spare-feature", "features", r#"{"name":"Spare","key":"spare.$company"}"#),
            ("$shut-feature", "features", r#"{"name":"Shut","key":"shut.$company"}"#),
            ("$module", "modules", r#"{"name":"Module","code":"module.$company"}"#),
            ("$shut-module", "modules", r#"{"name":"Shut","code":"shut.$company"}"#),
            ("$item", "menu-items", r#"{"label":"Item","viewId":"$view"}"#),
            ("$sub", "sub-menu-items", r#"{"label":"Sub","menuItemId":"$item","viewId":"$view"}"#),
        ] {
            scene.make(api, word, collection, None, body).await;
        }
        for (word, collection, body) in [
            ("$level", "user-levels", r#"{"name":"Held"}"#),
            ("$free", "user-levels", r#"{"name":"Free"}"#),
            ("$own-item", "menu-items", r#"{"label":"Own","viewId":"$view"}"#),
            ("$own-sub", "sub-menu-items", r#"{"label":"Own sub","menuItemId":"$own-item","viewId":"$view"}"#),
        ] {
            scene.make(api, word, collection, Some(company), body).await;
        }
        for (operation, ids, body) in [
            ("PUT /api/iam/modules/{id}/views", "$module", r#"{"viewIds":["$view","$spare-view"]}"#),
            ("PUT /api/iam/modules/{id}/features", "$module", r#"{"featureIds":["$feature","$spare-feature"]}"#),
            ("PUT /api/iam/modules/{id}/views", "$shut-module", r#"{"viewIds":["$shut-view"]}"#),
            ("PUT /api/iam/modules/{id}/features", "$shut-module", r#"{"featureIds":["$shut-feature"]}"#),
        ] {
            scene.send(api, operation, Of::All, ids, body).await;
        }
        let dashboard = api.view_id("/dashboard").await;
        scene.words.insert("$dashboard", dashboard);
        for (operation, ids, body) in [
            ("PUT /api/iam/companies/{companyId}/modules", "$company", r#"{"moduleIds":["$module"]}"#),
            (
                "PUT /api/iam/user-levels/{id}/permissions/views",
                "$level",
                r#"{"views":[{"viewId":"$view","state":"allow"},{"viewId":"$spare-view","state":"allow"},
                    {"viewId":"$shut-view","state":"allow"},{"viewId":"$dashboard","state":"allow"}]}"#,
            ),
            (
                "PUT /api/iam/user-levels/{id}/permissions/features",
                "$level",
                r#"{"features":[{"featureId":"$feature","action":"Read","scope":"company"},
                    {"featureId":"$feature","action":"Seal"},{"featureId":"$spare-feature","action":"Read"},
                    {"featureId":"$shut-feature","action":"Read"}]}"#,
            ),
            ("PUT /api/iam/users/{userId}/user-levels", "$user", r#"{"userLevelIds":["$level"]}"#),
        ] {
            scene.send(api, operation, Of::Company, ids, body).await;
        }
        scene
    }

    fn fill(&self, text: &str) -> String {
        // One placeholder can be a prefix of another, so longer placeholders are replaced first.
        self.words.iter().rev().fold(text.to_owned(), |text, (word, id)| text.replace(word, id))
    }

    async fn make(&mut self, api: &TestApi, word: &'static str, collection: &str, of: Option<CompanyId>, body: &str) {
        let body = serde_json::from_str(&self.fill(body)).unwrap();
        let made = api.make(collection, of, body).await;
        self.words.insert(word, made["id"].as_str().unwrap().to_owned());
    }

    /// Sends the operation as a super admin and asserts that it succeeds.
    async fn send(&self, api: &TestApi, operation: &str, of: Of, ids: &str, body: &str) {
        let (method, path) = operation.split_once(' ').unwrap();
        let mut path = path.to_owned();
        for id in ids.split_whitespace() {
            let (open, close) = (path.find('{').unwrap(), path.find('}').unwrap());
            path.replace_range(open..=close, &self.fill(id));
        }
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = api.request(method, &path).by_super_admin();
        if of == Of::Company {
            request = request.within(self.company);
        }
        if !body.is_empty() {
            request = request.bytes("application/json", self.fill(body));
        }
        let answer = request.send().await;
        assert!(answer.status.is_success(), "{operation}: {}", String::from_utf8_lossy(&answer.body));
        assert!(answer.header("x-iam-version").is_some(), "the response to {operation} must state a version");
    }

    /// Returns all decisions and menus of the user in the company.
    async fn seen(&self, api: &TestApi) -> Value {
        self.seen_with(api, "max-age=0").await
    }

    async fn seen_with(&self, api: &TestApi, cache_control: &str) -> Value {
        let request = |request: crate::support::api::Request| {
            request.by(self.user).within(self.company).header("cache-control", cache_control)
        };
        let mut seen = Vec::new();
        for path in ["/api/iam/permissions/current", "/api/iam/navigation"] {
            seen.push(request(api.get(path)).send().await.expect(200).data());
        }
        for question in [
            r#"{"view":"/view/$company"}"#,
            r#"{"view":"/shut/$company"}"#,
            r#"{"feature":"feature.$company","action":"Read"}"#,
            r#"{"feature":"feature.$company","action":"Seal"}"#,
        ] {
            let question = self.fill(question);
            let asked = request(api.post("/api/iam/check")).bytes("application/json", question);
            seen.push(asked.send().await.expect(200).data());
        }
        Value::from(seen)
    }

    /// Returns all decisions and menus of the user, as [`Self::seen`] does. Asserts that the replica serves them from
    /// its cache, without reading the database.
    async fn seen_by_hits(&self, replica: &Replica) -> Value {
        let before = replica.stats();
        let seen = self.seen(&replica.api).await;
        let after = replica.stats();
        assert_eq!(
            (after.misses, after.loads),
            (before.misses, before.loads),
            "the replica must serve the decisions without reading the database"
        );
        assert!(after.hits > before.hits);
        seen
    }
}

/// Returns the rows of the invalidation table in docs/consistency.md.
fn documented() -> Vec<String> {
    let text = include_str!("../../../docs/consistency.md");
    let (_, table) = text.split_once("| change | operation | affected users |\n|---|---|---|\n").expect("the table");
    table.lines().take_while(|line| line.starts_with('|')).map(str::to_owned).collect()
}

#[test]
fn the_documentation_contains_the_same_table() {
    let table: Vec<_> = TABLE
        .iter()
        .map(|Change { what, operation, of, .. }| {
            let whose = if *of == Of::Company { "of its company" } else { "of all companies" };
            format!("| {what} | `{operation}` | {whose} |")
        })
        .collect();
    assert_eq!(documented(), table);
}

#[actix_web::test]
async fn the_table_lists_every_operation_that_changes_data() {
    let document = TestApi::memory().await.get("/openapi.json").send().await.json();
    let mut operations = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let methods = methods.as_object().unwrap().keys().map(|method| method.to_uppercase());
        operations.extend(methods.filter(|method| method != "GET").map(|method| format!("{method} {path}")));
    }
    operations.retain(|operation| !NO_CHANGES.contains(&operation.as_str()));
    let here = TABLE.iter().map(|change| change.operation.to_owned());
    assert_eq!(here.collect::<BTreeSet<_>>(), operations);
}

both_adapters! {
    /// Each change is visible at once on the replica that makes it. It becomes visible on another replica when that
    /// replica detects the change. A change to one company leaves the cache entries of other companies unchanged.
    async fn a_change_is_visible_on_its_own_and_on_other_replicas(api: TestApi) {
        let (a, b) = (Replica::of(&api).await, Replica::of(&api).await);
        // This API instance reads the database for each request of this test.
        let store = api.with_options(HttpOptions::default()).await;
        let other = Scene::new(&a.api).await;
        for Change { what, operation, of, seen: sees, ids, body } in TABLE {
            let scene = Scene::new(&a.api).await;
            if ids.contains("$left") {
                // The placeholder `$left` stands for a company that is provisioned but has no administrator.
                scene.send(&a.api, operation, *of, "$company", "{}").await;
            }
            if ids.contains("$suspended") {
                // The placeholder `$suspended` stands for a suspended company.
                let suspend = ("PATCH /api/iam/companies/{companyId}", r#"{"status":"suspended"}"#);
                scene.send(&a.api, suspend.0, *of, "$company", suspend.1).await;
            }
            let ids = ids.replace("$left", "$company").replace("$suspended", "$company");
            b.catch_up().await;
            for replica in [&a, &b] {
                scene.seen(&replica.api).await;
                other.seen(&replica.api).await;
            }
            let before = [scene.seen_by_hits(&a).await, scene.seen_by_hits(&b).await];
            let elsewhere = [other.seen_by_hits(&a).await, other.seen_by_hits(&b).await];
            let at_b = b.stats();

            scene.send(&a.api, operation, *of, &ids, body).await;
            let here = scene.seen(&a.api).await;
            b.catch_up().await;
            let heard = b.stats().invalidations - at_b.invalidations;
            assert_eq!(heard, 1, "{what}: the change must be reported exactly once");
            let there = scene.seen(&b.api).await;

            let truth = scene.seen_with(&store, "no-cache").await;
            assert_eq!(here, truth, "{what}: decisions of the replica that made the change");
            assert_eq!(there, truth, "{what}: decisions of the other replica");
            assert_eq!(
                before == [truth.clone(), truth],
                *sees == Seen::Same,
                "{what}: the decisions must differ or be equal, as the table states"
            );
            let compared = b.stats().confirmations - at_b.confirmations;
            assert_eq!(compared, 0, "{what}: no request may wait for a poll");

            // A replica that has changed the catalog polls until the change feed reports this change.
            a.catch_up().await;
            let reads = |replica: &Replica| replica.stats().loads;

            for (replica, before) in [&a, &b].into_iter().zip(elsewhere) {
                let (kept, read) = (replica.stats(), reads(replica));
                let seen = other.seen(&replica.api).await;
                assert_eq!(reads(replica), read, "{what}: no data of the other company may be loaded again");
                if *of == Of::Company {
                    assert_eq!(
                        replica.stats().misses,
                        kept.misses,
                        "{what}: requests must hit the other company's entries"
                    );
                    assert_eq!(seen, before, "{what}");
                } else {
                    assert_eq!(seen, other.seen_with(&store, "no-cache").await, "{what}");
                }
            }
        }
    }

    /// Writes to navigation trails and `effective_*` tables, rejected changes, and changes without effect neither wake
    /// replicas nor invalidate cache entries.
    async fn changes_without_effect_on_decisions_wake_no_replica(api: TestApi) {
        let (a, b) = (Replica::of(&api).await, Replica::of(&api).await);
        let scene = Scene::new(&a.api).await;
        a.catch_up().await;
        b.catch_up().await;
        scene.seen(&a.api).await;
        scene.seen(&b.api).await;
        let Polled::Primary(before) = api.storage.changes().poll(None).await.unwrap() else { panic!() };
        let (at_a, at_b) = (a.stats(), b.stats());

        let step = json!({ "sessionId": "tab", "url": "/here", "label": "Here" });
        let trail = "/api/iam/nav-trail";
        a.api.post(trail).by(scene.user).within(scene.company).json(&step).send().await.expect(201);
        let clear = format!("{trail}?sessionId=tab");
        a.api.delete(&clear).by(scene.user).within(scene.company).send().await.expect(200);

        let filled = a.permissions.fill(&mut Filled::default(), &FillOptions::default()).await;
        assert!(filled > 0, "the fill must write rows of the `effective_*` tables");
        a.permissions.sweep(100).await.unwrap();

        let refused = [
            // Changes that are rejected: without permission, with an unknown id, with a name that already exists, and
            // with an invalid body.
            (a.api.put(&scene.fill("/api/iam/users/$user/user-levels")).by(scene.user), r#"{"userLevelIds":[]}"#, 403),
            (a.api.delete(&format!("/api/iam/user-levels/{}", new_user())).by_super_admin(), "", 404),
            (a.api.delete(&scene.fill("/api/iam/user-levels/$level")).by_super_admin(), "", 400),
            (a.api.post("/api/iam/user-levels").by_super_admin(), r#"{"name":"Free"}"#, 409),
            (a.api.put(&scene.fill("/api/iam/user-levels/$level/permissions/views")).by_super_admin(), "[]", 400),
        ];
        for (request, body, status) in refused {
            let request = request.within(scene.company);
            let request = if body.is_empty() { request } else { request.bytes("application/json", body) };
            request.send().await.expect(status);
        }
        for (operation, of, ids, body) in [
            ("PUT /api/iam/users/{userId}/user-levels", Of::Company, "$user", r#"{"userLevelIds":["$level"]}"#),
            ("PUT /api/iam/companies/{companyId}/modules", Of::Company, "$company", r#"{"moduleIds":["$module"]}"#),
            (
                "PATCH /api/iam/companies/{companyId}/modules/{moduleId}",
                Of::Company,
                "$company $module",
                r#"{"enabled":true}"#,
            ),
            ("PUT /api/iam/companies/{companyId}/quotas", Of::Company, "$company", r#"{"levels":null}"#),
            ("PATCH /api/iam/companies/{companyId}", Of::Company, "$company", r#"{"status":"active"}"#),
            (
                "PUT /api/iam/companies/{companyId}/ceilings",
                Of::Company,
                "$company",
                r#"{"hiddenViews":[],"actions":[]}"#,
            ),
            ("PUT /api/iam/modules/{id}/views", Of::All, "$shut-module", r#"{"viewIds":["$shut-view"]}"#),
        ] {
            scene.send(&a.api, operation, of, ids, body).await;
        }

        let Polled::Primary(after) = api.storage.changes().poll(Some(&before.position)).await.unwrap() else {
            panic!()
        };
        assert_eq!(after.companies, [], "no change must be reported");
        assert_eq!((after.catalog, after.credentials), (before.catalog, before.credentials));
        b.catch_up().await;
        scene.seen_by_hits(&a).await;
        scene.seen_by_hits(&b).await;
        assert_eq!(a.stats().invalidations, at_a.invalidations);
        assert_eq!(b.stats().invalidations, at_b.invalidations);
    }
}
