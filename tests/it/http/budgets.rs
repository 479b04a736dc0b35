//! Tests of the budgets of callers and companies, and of the bounds of the work in flight.

use std::future::pending;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use iam_application::{BudgetOptions, Rate};
use iam_http::{HttpOptions, InFlightLimits};
use iam_storage::{ChangeContext, Target};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::authority::Watched;
use crate::support::api::{
    Answer, Company, Request, TestApi, both_adapters, bytes_in_flight, new_company, new_user, one_a_second,
};
use crate::support::replica::until;

fn question(api: &TestApi) -> Request {
    api.post("/api/iam/check").json(&json!({ "view": "/dashboard" }))
}

/// Returns a batch of this many checks about different users.
fn batch_about_others(count: usize) -> Value {
    let checks: Vec<_> = (0..count).map(|_| json!({ "view": "/dashboard", "userId": new_user() })).collect();
    json!({ "checks": checks })
}

/// Returns the two limits of a test: one unit per second with this burst, and no limit.
fn one_a_second_or_none(burst: u32) -> [Option<Rate>; 2] {
    [one_a_second(burst), None]
}

/// Repeats a request until the response is 429. On a slow machine a budget is refilled while it is being used up.
async fn until_refused(ask: impl AsyncFn() -> Answer) -> Answer {
    for _ in 0..1000 {
        let answer = ask().await;
        if answer.status == 429 {
            return answer;
        }
    }
    panic!("the budget must be exhausted");
}

/// Returns a body of this size.
fn body_of(bytes: usize) -> Value {
    json!({ "view": "x".repeat(bytes) })
}

both_adapters! {
    /// A batch costs as much as its checks.
    async fn a_batch_costs_as_much_as_its_checks(api: TestApi) {
        let company = api.company().await;
        let router = api.with_options(BudgetOptions { user: one_a_second(100), ..BudgetOptions::default() }).await;
        let first = question(&router).by(company.admin).within(company.id).send().await.expect(200);
        assert_eq!(first.header("ratelimit-policy"), Some(r#""caller";q=100;w=100"#));
        assert_eq!(first.header("ratelimit"), Some(r#""caller";r=99;t=1"#));
        let checks = vec![json!({ "view": "/dashboard" }); 1000];
        let batch = router.post("/api/iam/checks").json(&json!({ "checks": checks }));
        batch.by(company.admin).within(company.id).send().await.expect(200);
        let refused = question(&router).by(company.admin).within(company.id).send().await;
        assert_eq!(refused.error(), (429, "ERR_RATE_LIMIT_001".into(), "Too many requests".into()));
        let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((800..=1000).contains(&wait), "{wait}");
        assert_eq!(refused.header("ratelimit"), Some(format!(r#""caller";r=0;t={wait}"#).as_str()));
        question(&router).by(company.member).within(company.id).send().await.expect(200);
    }

    /// The budget of an API key is the rate of the key. A key without a rate has the budget that the setting defines.
    async fn an_api_key_may_have_a_rate_of_its_own(api: TestApi) {
        let company = api.company().await;
        let create = async |rate: Value| {
            let body = json!({ "name": "Key", "role": "read", "companyId": company.id, "requestsPerSecond": rate });
            let made = api.post("/api/iam/api-keys").by_super_admin().json(&body).send().await.expect(201).data();
            assert_eq!(made["apiKey"]["requestsPerSecond"], rate);
            made
        };
        let (slow, fast, plain) = (create(json!(1)).await, create(json!(500)).await, create(Value::Null).await);
        for api_key in one_a_second_or_none(7) {
            let router = api.with_options(BudgetOptions { api_key, ..BudgetOptions::default() }).await;
            let ask = async |made: &Value| {
                let request = router.get("/api/iam/user-levels").by_key(made["key"].as_str().unwrap());
                request.within(company.id).send().await
            };
            let first = ask(&slow).await.expect(200);
            assert_eq!(first.header("ratelimit-policy"), Some(r#""caller";q=5;w=5"#));
            assert_eq!(first.header("ratelimit"), Some(r#""caller";r=4;t=1"#));
            let refused = until_refused(async || ask(&slow).await).await;
            assert_eq!(refused.error(), (429, "ERR_RATE_LIMIT_001".into(), "Too many requests".into()));
            assert_eq!(refused.header("ratelimit-policy"), Some(r#""caller";q=5;w=5"#));
            for _ in 0..30 {
                ask(&fast).await.expect(200);
            }
            assert_eq!(ask(&fast).await.header("ratelimit-policy"), Some(r#""caller";q=2500;w=5"#));
            let by_setting = api_key.map(|_| r#""caller";q=7;w=7"#);
            assert_eq!(ask(&plain).await.expect(200).header("ratelimit-policy"), by_setting);
        }
        let keys = api.get("/api/iam/api-keys").by_super_admin().send().await.expect(200).data();
        for made in [slow, fast, plain] {
            let listed = keys["apiKeys"].as_array().unwrap().iter().find(|key| key["id"] == made["apiKey"]["id"]);
            assert_eq!(listed.unwrap()["requestsPerSecond"], made["apiKey"]["requestsPerSecond"]);
        }
    }

    /// Each load from the storage counts, also those that a batch or new company ids cause. Decisions from the cache do
    /// not count.
    async fn loads_from_the_storage_are_bounded(api: TestApi) {
        let company = api.company().await;
        let router = api.with_options(BudgetOptions { user_loads: one_a_second(20), ..BudgetOptions::default() }).await;
        let cached = || question(&router).by(company.admin).within(company.id).send();
        cached().await.expect(200);
        let batch = || {
            let request = router.post("/api/iam/checks").json(&batch_about_others(500));
            async move { request.by(company.admin).within(company.id).send().await }
        };
        batch().await.expect(200);
        let refused = batch().await;
        let message = "Too many requests that read the storage";
        assert_eq!(refused.error(), (429, "ERR_RATE_LIMIT_001".into(), message.into()));
        assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() > 400);
        cached().await.expect(200);
        // The caller's own permissions are loaded again after each change, but these loads do not count.
        let changing = new_user();
        api.assign(company, changing, &[&api.level_id(company, "Admin").await]).await;
        for n in 0..30 {
            let level = router.post("/api/iam/user-levels").by(changing).within(company.id);
            level.json(&json!({ "name": format!("Level {n}") })).send().await.expect(201);
        }
        let wanderer = new_user();
        let refused = until_refused(async || question(&router).by(wanderer).within(new_company()).send().await).await;
        assert_eq!(refused.error().2, message);
    }

    /// The members of a company share its budget. Non-members and other companies do not use it up, and changes that may
    /// revoke rights have a reserve.
    async fn a_company_has_a_budget_with_a_reserve(api: TestApi) {
        let (company, other) = (api.company().await, api.company().await);
        let router = api.with_options(BudgetOptions { company: one_a_second(50), ..BudgetOptions::default() }).await;
        let ask = |user, company: Company| question(&router).by(user).within(company.id).send();
        for _ in 0..60 {
            ask(new_user(), company).await.expect(200);
        }
        let key = api.api_key("check", Some(other.id)).await;
        for _ in 0..60 {
            router.get("/api/iam/navigation").by_key(&key).within(company.id).send().await.expect(200);
        }
        ask(company.admin, company).await.expect(200);
        let checks = json!({ "checks": vec![json!({ "view": "/dashboard" }); 200] });
        let batch = router.post("/api/iam/checks").json(&checks).by(company.member).within(company.id);
        batch.send().await.expect(200);
        let refused = ask(company.admin, company).await;
        assert_eq!(refused.error().2, "Too many requests for this company");
        assert!(refused.header("ratelimit").unwrap().starts_with(r#""company";r=0"#), "{refused:?}");
        ask(other.admin, other).await.expect(200);
        let path = format!("/api/iam/users/{}/user-levels", company.member);
        let revoke = router.put(&path).by(company.admin).within(company.id).json(&json!({ "userLevelIds": [] }));
        revoke.send().await.expect(200);
        router.get("/api/iam/user-levels").by(company.admin).within(company.id).send().await.expect(429);
        let cut_off = router.put(&format!("/api/iam/users/{}/not-before", company.visitor)).by_super_admin();
        cut_off.json(&json!({})).send().await.expect(200);
    }

    /// A refusal because of an exhausted budget is delayed, so that a caller who repeats requests at once causes little work.
    async fn refusals_are_delayed(api: TestApi) {
        let company = api.company().await;
        let router = api.with_options(BudgetOptions { user: one_a_second(3), ..BudgetOptions::default() }).await;
        let refused_after = async || {
            let sent = Instant::now();
            until_refused(async || question(&router).by(company.member).within(company.id).send().await).await;
            sent.elapsed()
        };
        refused_after().await;
        assert!(refused_after().await >= Duration::from_millis(50));
    }

    /// The caller is authorized before the body arrives, if the company is known without the body.
    async fn the_body_of_an_unauthorized_request_is_not_awaited(api: TestApi) {
        let company = api.company().await;
        let body = json!({ "name": "New" });
        let request = |user| api.post("/api/iam/user-levels").by(user).json_after(&body, pending());
        request(new_user()).within(company.id).send().await.expect(403);
        request(company.visitor).within(company.id).send().await.expect(403);
        request(company.admin).header("x-company-id", "none").send().await.expect(400);
    }

    /// A client that sends a body too slowly receives 408. A slow but steady client does not.
    async fn a_stalled_body_is_refused(api: TestApi) {
        let company = api.company().await;
        let router = api.with_body_timeout(20).await;
        let stalled = router.post("/api/iam/check").by(company.admin).within(company.id);
        let refused = stalled.json_after(&json!({ "view": "/dashboard" }), pending()).send().await;
        assert_eq!(refused.error(), (408, "ERR_TIMEOUT_001".into(), "The request body was sent too slowly".into()));
        let long = router.post("/api/iam/check").by(company.admin).within(company.id);
        let long = long.json_after(&body_of(900_000), tokio::time::sleep(Duration::from_millis(25)));
        long.send().await.expect(400);
    }

    /// The bytes of bodies that have not arrived completely are bounded: for each caller, for each company, and for all
    /// callers together who belong to no company of their requests. These callers cannot use up what members need.
    async fn the_bytes_of_bodies_in_flight_are_bounded(api: TestApi) {
        const BODY: usize = 90_000;
        let (company, other) = (api.company().await, api.company().await);
        // One body of a non-member, eight of all non-members, four of a member, eight of a company.
        let router = api.with_options(bytes_in_flight(3_200_000)).await;
        let park = |user, within| {
            let request = router.post("/api/iam/check").by(user).within(within);
            tokio::task::spawn_local(request.json_after(&body_of(BODY), pending()).send())
        };
        let refused = |parked: tokio::task::JoinHandle<Answer>| async move { parked.await.unwrap().error() };
        let limited = |of: &str| (429, "ERR_RATE_LIMIT_001".to_owned(), format!("Too many bytes of this {of} are in progress"));
        let eager = new_user();
        let mut parked = vec![park(eager, company.id)];
        assert_eq!(refused(park(eager, company.id)).await, limited("caller"));
        parked.extend((0..30).map(|_| park(new_user(), company.id)));
        until(async || parked.iter().filter(|request| request.is_finished()).count() == 23).await;
        let place = parked.iter().position(tokio::task::JoinHandle::is_finished).unwrap();
        assert_eq!(refused(parked.remove(place)).await.0, 503);
        for member in [company.member, company.visitor] {
            parked.extend((0..4).map(|_| park(member, company.id)));
            assert_eq!(refused(park(member, company.id)).await.2, limited("caller").2);
        }
        assert_eq!(refused(park(company.admin, company.id)).await, limited("company"));
        // The view of these complete bodies is too long.
        let complete = || router.post("/api/iam/check").json(&body_of(BODY));
        complete().by(other.member).within(other.id).send().await.expect(400);
        complete().by_super_admin().within(company.id).send().await.expect(400);
        question(&router).by(company.admin).within(company.id).send().await.expect(200);
        router.get("/api/iam/navigation").by(new_user()).within(company.id).send().await.expect(200);
        parked.iter().for_each(tokio::task::JoinHandle::abort);
        until(async || complete().by(new_user()).within(company.id).send().await.status == 400).await;
    }

    /// A caller outside a company who does not read a large response receives no further large response. All such callers
    /// together have a common share.
    async fn unread_responses_count_outside_companies(api: TestApi) {
        const CHECKS: usize = 140;
        let company = api.company().await;
        // One unread response of a caller outside a company is below the share of 20,000 bytes, two are above it.
        let router = api.with_options(bytes_in_flight(32 * 20_000)).await;
        let batch = |user| {
            let checks = json!({ "checks": vec![json!({ "view": "/dashboard" }); CHECKS] });
            router.post("/api/iam/checks").json(&checks).by(user).within(company.id)
        };
        let menu = |user| router.get("/api/iam/navigation").by(user).within(company.id).send();
        let slow = new_user();
        let size = batch(slow).send().await.expect(200).body.len();
        assert!((16 * 1024 + 1..20_000).contains(&size), "{size}");
        let mut unread = vec![batch(slow).send_unread().await];
        menu(slow).await.expect(200);
        let refused = (429, "ERR_RATE_LIMIT_001".into(), "Too many bytes of this caller are in progress".into());
        assert_eq!(batch(slow).send().await.error(), refused);
        batch(new_user()).send().await.expect(200);
        unread.clear();
        batch(slow).send().await.expect(200);
        // The common share is a quarter: 160,000 bytes.
        for _ in 0..160_000 / size {
            unread.push(batch(new_user()).send_unread().await);
        }
        assert_eq!(batch(new_user()).send().await.error().0, 503);
        menu(new_user()).await.expect(200);
        batch(company.member).send().await.expect(200);
    }

    /// Requests that wait for their own body do not use up the requests that may wait.
    async fn parked_bodies_are_not_waiting_requests(api: TestApi) {
        let company = api.company().await;
        let in_flight = InFlightLimits { requests: 16, ..InFlightLimits::default() };
        let options = HttpOptions { in_flight, body_timeout: Duration::from_secs(600), ..HttpOptions::default() };
        let router = api.with_options(options).await;
        let arrived = Arc::new(AtomicUsize::new(0));
        let park = |user| {
            let request = router.post("/api/iam/check").by(user).within(company.id);
            let arrived = Arc::clone(&arrived);
            let forever = async move {
                // The body is polled, so the request waits for it.
                arrived.fetch_add(1, Ordering::Relaxed);
                pending().await
            };
            tokio::task::spawn_local(request.json_after(&json!({ "view": "/dashboard" }), forever).send())
        };
        let mut parked = Vec::new();
        for user in (0..10).map(|_| new_user()).flat_map(|user| [user; 3]) {
            parked.push(park(user));
            until(async || arrived.load(Ordering::Relaxed) == parked.len()).await;
        }
        router.new_level(company, "New").await;
        question(&router).by(company.member).within(company.id).send().await.expect(200);
        router.get("/api/iam/navigation").by(company.visitor).within(company.id).send().await.expect(200);
        assert!(parked.iter().all(|request| !request.is_finished()));
    }

    /// The requests that wait are bounded: for each user, for each company, and in total. Super admins have a reserve.
    async fn waiting_requests_are_bounded(api: TestApi) {
        let (company, other) = (api.company().await, api.company().await);
        let lock = api.storage.begin(Target::Company(company.id), ChangeContext::command_line()).await.unwrap();
        let begins = Arc::new(Notify::new());
        let watched = Arc::new(Watched { inner: Arc::clone(&api.storage), begins: Arc::clone(&begins) });
        // A user may have two waiting requests.
        let in_flight = InFlightLimits { requests: 16, ..InFlightLimits::default() };
        let options = HttpOptions { in_flight, ..HttpOptions::default() };
        let router = TestApi::over(watched, api.database.as_ref().map(Rc::clone), options).await;
        let create = |user, company: Company| {
            let request = router.post("/api/iam/user-levels").by(user).within(company.id);
            request.json(&json!({ "name": new_user().to_string() })).send()
        };
        let mut waiting = Vec::new();
        for _ in 0..2 {
            waiting.push(tokio::task::spawn_local(create(company.admin, company)));
            begins.notified().await;
        }
        let refused = create(company.admin, company).await;
        assert_eq!(refused.error(), (429, "ERR_RATE_LIMIT_001".into(), "Too many requests of this caller are in progress".into()));
        create(other.admin, other).await.expect(201);
        let cut_off = router.put(&format!("/api/iam/users/{}/not-before", new_user())).by_super_admin();
        drop(lock);
        cut_off.json(&json!({})).send().await.expect(200);
        for request in waiting {
            request.await.unwrap().expect(201);
        }
    }
}
