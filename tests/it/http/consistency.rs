//! Tests of read consistency: the minimum version that a request requires, and the version that a response states.
//!
//! Most tests use two replicas. One replica makes changes. The other replica does not detect them, and its lease
//! remains valid, so it reads the database only if a request requires a newer version or an up-to-date response.

use std::sync::Arc;
use std::time::Duration;

use iam_application::BudgetOptions;
use iam_domain::{UserId, Versions};
use iam_permissions_cache::CacheOptions;
use serde_json::{Value, json};

use crate::support::api::{
    Answer, Company, Request, TestApi, both_adapters, new_company, new_user, one_a_second, patient,
};
use crate::support::replica::{Line, Replica};

const LEAST: &str = "x-iam-min-version";

/// Returns the version in the header `X-IAM-Version` of a response.
fn version(answer: &Answer) -> Versions {
    Versions::parse(answer.header("x-iam-version").expect("the response must state a version")).unwrap()
}

/// Returns a check of a view in the module `core`.
fn question(api: &TestApi) -> Request {
    api.post("/api/iam/check").json(&json!({ "view": "/dashboard" }))
}

fn is_allowed(answer: Answer) -> bool {
    answer.expect(200).data()["allowed"].as_bool().unwrap()
}

/// Creates a company and loads the permissions of its administrator into the cache of the replica `b`. Then stalls the
/// change feed of `b`, so that `b` detects no further changes.
async fn company_with_cached_administrator(a: &Replica, b: &Replica) -> Company {
    let company = a.api.company().await;
    b.catch_up().await;
    for request in decisions(&b.api, company) {
        request.by(company.admin).within(company.id).send().await.expect(200);
    }
    b.channel.set(Line::Stalled);
    company
}

/// Returns one request for each kind of decision, and a request for the list of levels. The list is included because
/// its authorization also depends on the caller's levels.
fn decisions(api: &TestApi, company: Company) -> [Request; 5] {
    [
        question(api),
        api.get("/api/iam/permissions/current"),
        api.get("/api/iam/navigation"),
        api.get(&format!("/api/iam/users/{}/permissions", company.admin)),
        api.get("/api/iam/user-levels"),
    ]
}

/// Revokes all levels of a user and returns the response.
async fn revoke(api: &TestApi, company: Company, user: UserId) -> Answer {
    let path = format!("/api/iam/users/{user}/user-levels?force=true");
    let none = json!({ "userLevelIds": [] });
    api.put(&path).by_super_admin().within(company.id).json(&none).send().await.expect(200)
}

/// Returns `true` if the responses to these five requests are the responses to a user without levels: denials, an empty
/// menu and the status 403.
fn are_responses_to_a_non_member(answers: &[Answer]) -> bool {
    let [check, permissions, navigation, of_user, levels] = answers else { panic!("five responses") };
    let views = |answer: &Answer| answer.data()["views"].as_object().unwrap().values().any(|seen| *seen == json!(true));
    !is_allowed(check.clone())
        && !views(permissions)
        && navigation.data()["menu"] == Value::Array(Vec::new())
        && of_user.status == 403
        && levels.status == 403
}

async fn send_all(api: &TestApi, company: Company, header: (&str, &str)) -> Vec<Answer> {
    let mut answers = Vec::new();
    for request in decisions(api, company) {
        answers.push(request.by(company.admin).within(company.id).header(header.0, header.1).send().await);
    }
    answers
}

both_adapters! {
    /// A stale replica reads the database for a request with `Cache-Control: no-cache`, and caches the result.
    async fn no_cache_reads_the_storage(api: TestApi) {
        let (a, b) = (Replica::of(&api).await, Replica::of(&api).await);
        let company = company_with_cached_administrator(&a, &b).await;
        revoke(&a.api, company, company.admin).await;
        let kept = send_all(&b.api, company, ("cache-control", "max-age=0")).await;
        assert!(kept.iter().all(|answer| answer.status == 200), "the replica must not have detected the change yet");
        let asked = send_all(&b.api, company, ("cache-control", "no-cache")).await;
        assert!(are_responses_to_a_non_member(&asked), "{asked:?}");
        let learnt = send_all(&b.api, company, ("cache-control", "max-age=0")).await;
        assert!(are_responses_to_a_non_member(&learnt), "the replica must cache the data that it has loaded");
    }

    /// Monotonic reads: a caller that sends the version of an earlier response as the minimum version receives no older
    /// data from any replica.
    async fn a_minimum_version_applies_to_every_read(api: TestApi) {
        let (a, b) = (Replica::of(&api).await, Replica::of(&api).await);
        for nth in 0..5 {
            b.channel.set(Line::Whole);
            let company = company_with_cached_administrator(&a, &b).await;
            let written = revoke(&a.api, company, company.admin).await;
            let request = |least: &str| {
                let request = decisions(&b.api, company).into_iter().nth(nth).unwrap();
                request.by(company.admin).within(company.id).header(LEAST, least).send()
            };
            let before = request(&Versions { company: 0, ..version(&written) }.to_string()).await;
            assert_eq!(before.status, 200, "the cached entry must satisfy a minimum company version of 0");
            let after = request(&version(&written).to_string()).await;
            match nth {
                0 => assert!(!is_allowed(after)),
                1 => assert!(after.data()["views"].as_object().unwrap().values().all(|seen| *seen == json!(false))),
                2 => assert_eq!(after.data()["menu"], json!([])),
                _ => assert_eq!(after.status, 403),
            }
        }
    }

    /// A minimum version also contains a version of the catalog. A replica must not respond with an older version of
    /// the catalog.
    async fn a_minimum_version_of_the_catalog_applies_too(api: TestApi) {
        let (a, b) = (Replica::of(&api).await, Replica::of(&api).await);
        let company = company_with_cached_administrator(&a, &b).await;
        let path = format!("/api/iam/modules/{}", api.module_id("core").await);
        let off = json!({ "enabled": false });
        let written = a.api.patch(&path).by_super_admin().json(&off).send().await.expect(200);
        let asked = || question(&b.api).by(company.admin).within(company.id);
        assert!(is_allowed(asked().send().await), "the replica must not have detected the change yet");
        let answer = asked().header(LEAST, &version(&written).to_string()).send().await;
        assert!(version(&answer).catalog >= version(&written).catalog);
        assert!(!is_allowed(answer));
    }

    /// Every decision states the version at which it was evaluated. Every change states the version that it created.
    /// Each change to a company increments its version.
    async fn responses_contain_the_version_of_their_data(api: TestApi) {
        let a = Replica::of(&api).await;
        let company = a.api.company().await;
        let mut last = version(&question(&a.api).by(company.admin).within(company.id).send().await.expect(200));
        for request in decisions(&a.api, company).into_iter().take(4) {
            let answer = request.by(company.admin).within(company.id).send().await.expect(200);
            assert_eq!(version(&answer), last, "without a change, the version must remain unchanged");
        }
        for name in ["One", "Two"] {
            let path = "/api/iam/user-levels";
            let request = a.api.post(path).by(company.admin).within(company.id).json(&json!({ "name": name }));
            let made = version(&request.send().await.expect(201));
            assert!((made.epoch, made.catalog) == (last.epoch, last.catalog) && made.company > last.company);
            let seen = version(&question(&a.api).by(company.admin).within(company.id).send().await);
            assert_eq!(seen, made, "callers must read their own writes");
            last = made;
        }
        let not_modified = a.api.get("/api/iam/navigation").by(company.admin).within(company.id);
        let answer = not_modified.header("if-none-match", "*").send().await.expect(304);
        assert_eq!(version(&answer), last);
    }

    /// A request that is served from the cache counts as one cache hit, with or without a minimum version.
    async fn a_request_with_a_version_counts_one_hit(api: TestApi) {
        let options = CacheOptions { lease: Duration::from_secs(3600), ..patient() };
        let a = Replica::over(&api, Arc::clone(&api.storage), options).await;
        let company = a.api.company().await;
        let ask = || question(&a.api).by(company.admin).within(company.id);
        // A load that overlaps a poll may not be retained, so the user is cached when a request is a hit.
        let mut hit = None;
        for _ in 0..20 {
            let before = a.stats();
            let seen = version(&ask().send().await.expect(200)).to_string();
            let after = a.stats();
            if after.hits > before.hits {
                hit = Some((seen, before, after));
                break;
            }
        }
        let (seen, before, between) = hit.expect("no request was served from the cache");
        ask().header(LEAST, &seen).send().await.expect(200);
        let after = a.stats();
        assert_eq!((between.hits - before.hits, after.hits - between.hits), (1, 1));
        assert_eq!(after.misses, before.misses);
    }

    /// A malformed minimum version is rejected. A request with two minimum versions is rejected too.
    async fn a_malformed_version_is_rejected(api: TestApi) {
        let company = api.company().await;
        let good = version(&question(&api).by(company.admin).within(company.id).send().await).to_string();
        let others = [good.to_uppercase().replace('.', ":"), format!("{good}.0"), format!("+{good}")];
        for bad in ["", "3", "x.y.z"].into_iter().chain(others.iter().map(String::as_str)) {
            let answer = question(&api).by(company.admin).within(company.id).header(LEAST, bad).send().await;
            let message = "x-iam-min-version must be a single X-IAM-Version value from an earlier response";
            assert_eq!(answer.error(), (400, "ERR_VALIDATION_001".to_owned(), message.to_owned()), "{bad:?}");
        }
        let twice = question(&api).by(company.admin).within(company.id).header(LEAST, &good).header(LEAST, &good);
        assert_eq!(twice.send().await.error().0, 400);
    }

    /// A minimum version from another epoch cannot be compared with the versions of this epoch. The replica reads the
    /// database once and responds without waiting for the minimum version.
    async fn a_minimum_version_of_another_epoch_is_served(api: TestApi) {
        let (a, b) = (Replica::of(&api).await, Replica::of(&api).await);
        let company = company_with_cached_administrator(&a, &b).await;
        let here = version(&revoke(&a.api, company, company.admin).await);
        let elsewhere = Versions { epoch: !here.epoch, catalog: i64::MAX, company: i64::MAX, boundary: 0 }.to_string();
        let answer = question(&b.api).by(company.admin).within(company.id).header(LEAST, &elsewhere).send().await;
        assert_eq!(version(&answer).epoch, here.epoch);
        assert!(!is_allowed(answer), "the replica must read the database");
    }

    /// A request returns 503 if its minimum version does not exist yet. It returns neither a decision from older data
    /// nor a denial.
    async fn a_minimum_version_that_does_not_exist_yet_is_unavailable(api: TestApi) {
        let a = Replica::of(&api).await;
        let company = a.api.company().await;
        let seen = version(&question(&a.api).by(company.admin).within(company.id).send().await);
        for ahead in [Versions { company: seen.company + 1, ..seen }, Versions { catalog: seen.catalog + 1, ..seen }] {
            for request in decisions(&a.api, company) {
                let request = request.by(company.admin).within(company.id).header(LEAST, &ahead.to_string());
                let answer = request.send().await;
                assert_eq!(answer.error().1, "ERR_UNAVAILABLE_001");
                assert!(answer.header("retry-after").is_some());
            }
        }
        assert!(
            is_allowed(question(&a.api).by(company.admin).within(company.id).send().await),
            "a request without a minimum version must be served from the cache"
        );
    }

    /// Responses to non-members reveal neither whether a company exists nor how often it has changed.
    async fn non_members_learn_nothing_about_a_company(api: TestApi) {
        let (a, b) = (Replica::of(&api).await, Replica::of(&api).await);
        let (company, non_member) = (a.api.company().await, new_user());
        let here = version(&question(&a.api).by(company.admin).within(company.id).send().await);
        let nowhere = new_company();
        let mut answers = Vec::new();
        for id in [company.id, nowhere] {
            for least in [None, Some(here), Some(Versions { company: i64::MAX, ..here })] {
                for api in [&api, &a.api, &b.api] {
                    let request = question(api).by(non_member).within(id);
                    let request = match least {
                        Some(least) => request.header(LEAST, &least.to_string()),
                        None => request,
                    };
                    let answer = request.send().await;
                    answers.push((answer.status, version(&answer), answer.body));
                }
            }
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "{answers:?}");
        assert_eq!(answers[0].1.company, 0);
    }

    /// The rate at which a caller can force loads from the database (`no-cache`) is limited. The limit affects neither
    /// other callers nor decisions from the cache.
    async fn forced_loads_are_bounded_for_each_caller(api: TestApi) {
        let a = Replica::of(&api).await;
        let company = a.api.company().await;
        let options = BudgetOptions { user_loads: one_a_second(2), ..BudgetOptions::default() };
        let permissions = Arc::clone(&a.permissions);
        let storage = Arc::clone(&a.api.storage);
        let router = TestApi::answering(storage, permissions, api.database.clone(), options).await;
        let seen =
            version(&question(&router).by(company.admin).within(company.id).send().await.expect(200)).to_string();
        let fresh = |user| question(&router).by(user).within(company.id).header("cache-control", "no-cache").send();
        let mut limited = None;
        // On a slow machine the quota is partly refilled during this loop, so more requests are necessary to exhaust
        // it.
        for _ in 0..1000 {
            let answer = fresh(company.admin).await;
            if answer.status == 429 {
                limited = Some(answer);
                break;
            }
        }
        let limited = limited.expect("the quota must be exhausted");
        assert_eq!(limited.error().1, "ERR_RATE_LIMIT_001");
        assert!(limited.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
        fresh(company.member).await.expect(200);
        for _ in 0..5 {
            let kept = question(&router).by(company.admin).within(company.id);
            kept.header(LEAST, &seen).send().await.expect(200);
            question(&router).by(company.admin).within(company.id).send().await.expect(200);
        }
    }
}
