//! Tests of idempotency keys: repetitions of a request create nothing.

use std::num::NonZeroU32;

use iam_application::BudgetOptions;
use iam_storage::{ChangeContext, Target};
use serde_json::{Value, json};

use crate::support::api::{Answer, Company, Request, TestApi, both_adapters, each, fields};

const KEY: &str = "idempotency-key";

fn create(api: &TestApi, company: Company, key: &str, name: &str) -> Request {
    let request = api.post("/api/iam/user-levels").by(company.admin).within(company.id);
    request.header(KEY, key).json(&json!({ "name": name }))
}

async fn names(api: &TestApi, company: Company) -> Vec<String> {
    let data = api.get("/api/iam/user-levels").by(company.admin).within(company.id).send().await.expect(200).data();
    each(&data["userLevels"], "name").into_iter().map(str::to_owned).collect()
}

fn header(answer: &Answer, name: &str) -> Option<String> {
    answer.header(name).map(str::to_owned)
}

both_adapters! {
    /// A repetition of a creation returns the created entity in its current state, with status 200, and creates
    /// nothing. The version and the audit log remain the same.
    async fn a_repetition_returns_what_the_first_request_created(api: TestApi) {
        let company = api.company().await;
        let first = create(&api, company, "one", "Auditors").send().await.expect(201);
        let again = create(&api, company, "one", "Auditors").send().await.expect(200);
        assert_eq!(again.data(), first.data());
        for name in ["location", "etag", "x-iam-version"] {
            assert_eq!(header(&again, name), header(&first, name), "{name}");
        }
        assert_eq!(names(&api, company).await, ["Admin", "Auditors", "Member", "Visitor"]);
        let path = header(&first, "location").unwrap();
        let renamed = api.patch(&path).by(company.admin).within(company.id).json(&json!({ "name": "Inspectors" }));
        renamed.send().await.expect(200);
        let again = create(&api, company, "one", "Auditors").send().await.expect(200);
        assert_eq!(again.data()["userLevel"]["name"], "Inspectors");
        // Another key is another request.
        create(&api, company, "other", "Auditors").send().await.expect(201);
        create(&api, company, "another", "Auditors").send().await.expect(409);
    }

    /// Every operation that creates an entity accepts an idempotency key.
    async fn every_creation_can_be_repeated(api: TestApi) {
        let company = api.company().await;
        let item = api.make("menu-items", None, json!({ "label": "Item" })).await;
        for (collection, name, body) in [
            ("views", "view", json!({ "name": "View", "url": "/new" })),
            ("features", "feature", json!({ "name": "Feature", "key": "new" })),
            ("modules", "module", json!({ "name": "Module", "code": "new" })),
            ("menu-items", "menuItem", json!({ "label": "New" })),
            ("sub-menu-items", "subMenuItem", json!({ "label": "New", "menuItemId": item["id"] })),
            ("user-levels", "userLevel", json!({ "name": "New" })),
            ("companies", "company", json!({ "name": "New" })),
        ] {
            let send = || {
                let request = api.post(&format!("/api/iam/{collection}")).by_super_admin().header(KEY, collection);
                let request = if collection == "user-levels" { request.within(company.id) } else { request };
                request.json(&body).send()
            };
            let (first, again) = (send().await.expect(201), send().await.expect(200));
            assert_eq!(first.data()[name]["id"], again.data()[name]["id"], "{collection}");
            assert_eq!(header(&first, "location"), header(&again, "location"), "{collection}");
        }
    }

    /// A repetition of the creation of a company creates no second company, also if the service chooses the id. After the
    /// erasure of the company, the same request is a new request.
    async fn the_creation_of_a_company_can_be_repeated_until_its_erasure(api: TestApi) {
        let send = |name: &str| {
            let body = json!({ "name": name });
            api.post("/api/iam/companies").by_super_admin().header(KEY, "company").json(&body).send()
        };
        let made = send("One").await.expect(201);
        let again = send("One").await.expect(200);
        assert_eq!((again.data(), header(&again, "location")), (made.data(), header(&made, "location")));
        assert_eq!(send("Two").await.error().1, "ERR_IDEMPOTENCY_001");
        let listed = api.get("/api/iam/companies").by_super_admin().send().await.expect(200).data();
        assert_eq!(listed["companies"].as_array().unwrap().len(), 1);
        let path = header(&made, "location").unwrap();
        api.patch(&path).by_super_admin().json(&json!({ "status": "suspended" })).send().await.expect(200);
        api.delete(&path).by_super_admin().send().await.expect(200);
        assert_ne!(send("Two").await.expect(201).data()["company"]["id"], made.data()["company"]["id"]);
    }

    /// The repetition of the creation of an API key states that the key was created, and does not contain it. No table
    /// contains it either: its row has only a digest.
    async fn an_api_key_is_not_returned_again(api: TestApi) {
        let send = || {
            let body = json!({ "name": "Billing", "role": "check" });
            api.post("/api/iam/api-keys").by_super_admin().header(KEY, "billing").json(&body).send()
        };
        let (first, again) = (send().await.expect(201).data(), send().await.expect(200).data());
        assert_eq!(fields(&again), ["alreadyCreated", "apiKey"]);
        assert_eq!((&again["alreadyCreated"], &again["apiKey"]["id"]), (&json!(true), &first["apiKey"]["id"]));
        let keys = api.get("/api/iam/api-keys").by_super_admin().send().await.data();
        assert_eq!(each(&keys["apiKeys"], "name"), ["Billing"]);
    }

    /// A key belongs to one request of one caller: another body, another company or another operation is rejected with
    /// 422. Another caller can use the same key.
    async fn a_key_belongs_to_one_request_of_one_caller(api: TestApi) {
        let (company, other) = (api.company().await, api.company().await);
        create(&api, company, "one", "Auditors").send().await.expect(201);
        let reused = (422, "ERR_IDEMPOTENCY_001".to_owned(), "The idempotency key belongs to another request".to_owned());
        assert_eq!(create(&api, company, "one", "Others").send().await.error(), reused);
        let by_admin = |path: &str, company: Company, body: Value| {
            api.post(path).by_super_admin().within(company.id).header(KEY, "two").json(&body).send()
        };
        by_admin("/api/iam/user-levels", company, json!({ "name": "Two" })).await.expect(201);
        assert_eq!(by_admin("/api/iam/user-levels", other, json!({ "name": "Two" })).await.error(), reused);
        assert_eq!(by_admin("/api/iam/menu-items", company, json!({ "label": "Two" })).await.error(), reused);
        let request = api.post("/api/iam/user-levels").by(other.admin).within(other.id).header(KEY, "one");
        request.json(&json!({ "name": "Others" })).send().await.expect(201);
        assert_eq!(names(&api, other).await, ["Admin", "Member", "Others", "Visitor"]);
    }

    /// A repetition is authorized anew: a caller who has lost the right, or whose company does not have the level any
    /// more, does not receive it.
    async fn a_repetition_is_authorized_anew(api: TestApi) {
        let company = api.company().await;
        let admin = api.level_id(company, "Admin").await;
        let user = crate::support::api::new_user();
        api.assign(company, user, &[&admin]).await;
        let send = || {
            let request = api.post("/api/iam/user-levels").by(user).within(company.id).header(KEY, "one");
            request.json(&json!({ "name": "Auditors" })).send()
        };
        let made = send().await.expect(201);
        api.assign(company, user, &[]).await;
        assert_eq!(send().await.error().0, 403);
        api.assign(company, user, &[&admin]).await;
        send().await.expect(200);
        let path = header(&made, "location").unwrap();
        api.delete(&path).by(company.admin).within(company.id).send().await.expect(200);
        let message = "The request was already executed, and what it created no longer exists";
        assert_eq!(send().await.error(), (409, "ERR_RESOURCE_002".into(), message.into()));
    }

    /// A failed request does not use up its key: the client can repeat it, also with another body.
    async fn a_failed_request_does_not_use_its_key(api: TestApi) {
        let company = api.company().await;
        create(&api, company, "one", "Admin").send().await.expect(409);
        create(&api, company, "one", "").send().await.expect(400);
        create(&api, company, "one", "Auditors").send().await.expect(201);
    }

    /// While a request is in progress, a repetition is rejected with 409. Afterwards the repetition succeeds, and exactly
    /// one level exists.
    async fn a_request_in_progress_cannot_be_repeated(api: TestApi) {
        let company = api.company().await;
        let unit = api.storage.begin(Target::Company(company.id), ChangeContext::command_line()).await.unwrap();
        let (one, other) = (create(&api, company, "one", "A").send(), create(&api, company, "one", "A").send());
        // Both requests start, and the lock of the company delays the first one.
        let (first, second) = futures_util::join!(one, async {
            let second = other.await;
            drop(unit);
            second
        });
        let message = "A request with this idempotency key is in progress";
        assert_eq!(second.error(), (409, "ERR_RESOURCE_002".into(), message.into()));
        first.expect(201);
        create(&api, company, "one", "A").send().await.expect(200);
        assert_eq!(names(&api, company).await, ["A", "Admin", "Member", "Visitor"]);
    }

    /// The number of keys that a caller uses within their validity is limited. Other callers are not affected.
    async fn the_number_of_keys_is_limited(api: TestApi) {
        let most = NonZeroU32::new(3);
        let api = api.with_options(BudgetOptions { idempotency_keys: most, ..BudgetOptions::default() }).await;
        let (company, other) = (api.company().await, api.company().await);
        for n in 0..3 {
            create(&api, company, &format!("key {n}").replace(' ', "-"), &format!("Level {n}")).send().await.expect(201);
        }
        let refused = create(&api, company, "key-3", "Level 3").send().await;
        let message = "The caller has used 3 idempotency keys within 24 hours";
        assert_eq!(refused.error(), (429, "ERR_RATE_LIMIT_001".into(), message.into()));
        assert!(refused.header("retry-after").is_some());
        create(&api, company, "key-2", "Level 2").send().await.expect(200);
        create(&api, other, "key-3", "Level 3").send().await.expect(201);
        let without = api.post("/api/iam/user-levels").by(company.admin).within(company.id);
        without.json(&json!({ "name": "Level 3" })).send().await.expect(201);
    }

    /// A key that is empty, too long, not visible ASCII or specified twice is rejected. Operations that create nothing
    /// ignore keys.
    async fn an_invalid_key_is_rejected(api: TestApi) {
        let company = api.company().await;
        let message = "Idempotency-Key must consist of 1 to 255 visible ASCII characters";
        for key in ["", "a b", &"k".repeat(256)] {
            let answer = create(&api, company, key, "Auditors").send().await;
            assert_eq!(answer.error(), (400, "ERR_VALIDATION_001".into(), message.into()), "{key}");
        }
        let twice = create(&api, company, "one", "Auditors").header(KEY, "two").send().await;
        assert_eq!(twice.error().2, "Idempotency-Key is specified more than once");
        let check = json!({ "view": "/dashboard" });
        for key in ["check", "check", ""] {
            let request = api.post("/api/iam/check").by(company.member).within(company.id).header(KEY, key);
            request.json(&check).send().await.expect(200);
        }
        assert_eq!(names(&api, company).await, ["Admin", "Member", "Visitor"]);
    }
}
