//! Tests of batch checks (several checks in one request), through the API.

use std::future::poll_fn;
use std::pin::pin;

use iam_domain::UserId;
use serde_json::{Value, json};

use crate::support::api::{Answer, Company, TestApi, both_adapters, new_company, new_user};

const REFUSAL: &str = "You do not have permission to check other users";

async fn ask(api: &TestApi, company: Company, user: UserId, checks: &Value) -> Answer {
    api.post("/api/iam/checks").by(user).within(company.id).json(&json!({ "checks": checks })).send().await
}

async fn results(api: &TestApi, company: Company, user: UserId, checks: &Value) -> Vec<Value> {
    let data = ask(api, company, user, checks).await.expect(200).data();
    data["results"].as_array().unwrap().clone()
}

/// Returns the expected result of a check that is rejected with this error.
fn refused(code: &str, message: &str) -> Value {
    json!({ "allowed": false, "reasonCode": "not_decided", "error": { "code": code, "message": message } })
}

/// Returns checks of every kind. For a member, some of them are allowed and some are denied.
fn questions() -> Vec<Value> {
    vec![
        json!({ "view": "/dashboard" }),
        json!({ "view": "/modules/risks" }),
        json!({ "view": "/nowhere" }),
        json!({ "feature": "general.read", "action": "Read" }),
        json!({ "feature": "general.read", "action": "Read", "scope": "any" }),
        json!({ "feature": "general.delete", "action": "Delete", "scope": "own" }),
        json!({ "feature": "nothing", "action": "Read" }),
    ]
}

both_adapters! {
    /// Each result of a batch equals the response to the single check, and the results are in the order of the checks.
    async fn the_results_equal_those_of_single_checks_in_order(api: TestApi) {
        let company = api.company().await;
        let mut single = Vec::new();
        for question in questions() {
            single.push(api.check(company, company.member, question).await);
        }
        let codes: Vec<_> = single.iter().map(|answer| answer["reasonCode"].as_str().unwrap()).collect();
        assert_eq!(
            codes,
            [
                "explicit_allow",
                "view_module_missing",
                "unknown_view",
                "explicit_allow",
                "scope_too_narrow",
                "no_explicit_allow",
                "unknown_feature",
            ]
        );
        assert_eq!(results(&api, company, company.member, &json!(questions())).await, single);
        let (turned, mut expected) = (questions().into_iter().rev().collect::<Vec<_>>(), single);
        expected.reverse();
        assert_eq!(results(&api, company, company.member, &json!(turned)).await, expected);
    }

    /// A decision contains the first ten of the levels that determined it, and counts all of them. This applies to
    /// single checks and to batches.
    async fn a_decision_lists_ten_levels_and_counts_the_others(api: TestApi) {
        let company = api.company().await;
        let (user, view) = (new_user(), api.view_id("/dashboard").await);
        let mut levels = Vec::new();
        for number in 0..12 {
            let level = api.new_level(company, &format!("Level {number}")).await;
            api.set_matrix(company, &level, "views", json!([{ "viewId": view, "state": "allow" }])).await;
            levels.push(level);
        }
        levels.sort_unstable();
        api.assign(company, user, &levels.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let question = json!({ "view": "/dashboard" });
        let single = api.check(company, user, question.clone()).await;
        assert_eq!((&single["decidedBy"], &single["decidedByCount"]), (&json!(levels[..10]), &json!(12)));
        assert_eq!(results(&api, company, user, &json!([question])).await, [single]);
    }

    /// A long batch yields to the other tasks of its worker after every 64 checks.
    async fn a_long_batch_yields_to_other_tasks(api: TestApi) {
        let company = api.company().await;
        // The batch needs no load.
        api.check(company, company.member, json!({ "view": "/dashboard" })).await;
        let mut turns = Vec::new();
        for count in [1, 640] {
            let checks = json!(vec![json!({ "view": "/dashboard" }); count]);
            let (mut answer, mut polls) = (pin!(ask(&api, company, company.member, &checks)), 0);
            let answered = poll_fn(|context| {
                polls += 1;
                answer.as_mut().poll(context)
            });
            assert_eq!(answered.await.expect(200).data()["results"].as_array().unwrap().len(), count);
            turns.push(polls);
        }
        assert!(turns[1] >= turns[0] + 9, "{turns:?}");
    }

    /// The result of an invalid check is the error that a single check would return. The other checks of the batch are
    /// evaluated.
    async fn an_invalid_check_does_not_affect_the_others(api: TestApi) {
        let company = api.company().await;
        let fine = json!({ "view": "/dashboard" });
        for bad in [
            json!({}),
            json!({ "view": null }),
            json!({ "view": "" }),
            json!({ "view": "/home", "feature": "general.read", "action": "Read" }),
            json!({ "view": "/home", "action": "Read" }),
            json!({ "feature": "general.read" }),
            json!({ "feature": "general.read", "action": "Read", "scope": "world" }),
            json!({ "feature": 1, "action": null, "scope": "world", "userId": "somebody" }),
            json!({ "view": "/home", "userId": null }),
        ] {
            let single = api
                .post("/api/iam/check")
                .by(company.member)
                .within(company.id)
                .json(&bad)
                .send()
                .await
                .expect(400)
                .json();
            let mut error = single.clone();
            error.as_object_mut().unwrap().remove("status");
            let answers = results(&api, company, company.member, &json!([fine, bad, fine])).await;
            assert_eq!(answers[1], json!({ "allowed": false, "reasonCode": "not_decided", "error": error }), "{bad}");
            for place in [0, 2] {
                assert_eq!(answers[place]["allowed"], true, "{bad}");
            }
        }
        for bad in [json!(null), json!(1), json!("x"), json!(["/home"])] {
            let answers = results(&api, company, company.member, &json!([bad, fine])).await;
            assert_eq!(answers[0]["error"]["message"], "check must be an object", "{bad}");
            assert_eq!(answers[1]["allowed"], true, "{bad}");
        }
    }

    /// The list of checks must contain 1 to 1000 elements. A body with invalid JSON is rejected as a whole.
    async fn the_list_is_validated(api: TestApi) {
        let company = api.company().await;
        let send = |body: &str| {
            api.post("/api/iam/checks").by(company.member).within(company.id).bytes("application/json", body).send()
        };
        let many = |count: usize| format!(r#"{{"checks":[{}]}}"#, vec![r#"{"view":"/dashboard"}"#; count].join(","));
        let length = "checks must contain 1 to 1000 elements";
        for (body, message) in [
            ("{}".to_owned(), "checks must be an array"),
            (r#"{"checks":null}"#.to_owned(), "checks must be an array"),
            (r#"{"checks":{"view":"/dashboard"}}"#.to_owned(), "checks must be an array"),
            (r#"{"checks":[]}"#.to_owned(), length),
            (many(1001), length),
        ] {
            let expected = (400, "ERR_VALIDATION_001".to_owned(), message.to_owned());
            assert_eq!(send(&body).await.error(), expected);
        }
        for (body, place) in [
            (r#"{"checks":[{"view":"/","view":"/"}]}"#, "checks[0] is not valid JSON"),
            (r#"{"checks":[{"view":"/"},{"view":nope}]}"#, "checks[1].view is not valid JSON"),
            (r#"{"checks":[{"view":"/"}],"checks":[]}"#, "body is not valid JSON"),
        ] {
            let (status, _, message) = send(body).await.error();
            assert!(status == 400 && message.starts_with(place), "{message}");
        }
        let answers = send(&many(1000)).await.expect(200).data();
        let answers = answers["results"].as_array().unwrap();
        assert!(answers.len() == 1000 && answers.iter().all(|answer| answer["allowed"] == true));
    }

    /// The same check can be written as different JSON texts, for example with another order of the fields. All of
    /// these texts lead to the same decision.
    async fn a_check_may_use_any_json_formatting(api: TestApi) {
        let company = api.company().await;
        let plain = r#"{"feature":"general.read","action":"Read","scope":"own"}"#;
        let mut answers = Vec::new();
        for question in [
            plain,
            r#" { "scope" : "own" , "action" : "Read" , "feature" : "general.read" } "#,
            r#"{"feature":"general.re\u0061d","action":"Read","scope":"own"}"#,
            r#"{"feature":"general.read","\u0061ction":"Read","scope":"own"}"#,
        ] {
            for (path, body) in [
                ("/api/iam/check", question.to_owned()),
                ("/api/iam/checks", format!(r#"{{"checks":[{question}]}}"#)),
                ("/api/iam/checks", format!(r#"{{"checks":[{plain},{question}]}}"#)),
            ] {
                let request = api.post(path).by(company.member).within(company.id).bytes("application/json", body);
                let mut data = request.send().await.expect(200).data();
                let many = data.get_mut("results").and_then(|results| results.as_array_mut()?.pop());
                answers.push(many.unwrap_or(data));
            }
        }
        assert_eq!(answers[0]["reasonCode"], "explicit_allow");
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    }

    /// If the caller lacks the right to check other users, the result of each check for another user is an error.
    /// Checks for the caller are evaluated.
    async fn only_permitted_callers_may_check_other_users(api: TestApi) {
        let company = api.company().await;
        let of = |user: UserId| json!({ "view": "/dashboard", "userId": user });
        let checks = json!([of(company.visitor), of(company.member), { "view": "/dashboard" }, of(new_user())]);
        let answers = results(&api, company, company.visitor, &checks).await;
        for place in [1, 3] {
            assert_eq!(answers[place], refused("ERR_AUTH_003", REFUSAL));
        }
        for place in [0, 2] {
            assert_eq!(answers[place]["allowed"], true);
        }
        let answers = results(&api, company, company.admin, &checks).await;
        let mut single = Vec::new();
        for check in checks.as_array().unwrap() {
            single.push(api.check(company, company.admin, check.clone()).await);
        }
        assert_eq!(answers, single);
        assert_eq!(answers[3]["reasonCode"], "no_user_levels");
    }

    /// The super admin claim applies to checks for the caller. It does not apply to checks for other users.
    async fn the_super_admin_claim_applies_only_to_the_caller(api: TestApi) {
        let company = api.company().await;
        let (view, caller) = (json!({ "view": "/modules/risks" }), api.super_admin);
        let checks = json!([
            view,
            { "view": "/modules/risks", "userId": caller },
            { "view": "/modules/risks", "userId": company.admin },
        ]);
        let request =
            api.post("/api/iam/checks").by_super_admin().within(company.id).json(&json!({ "checks": checks }));
        let data = request.send().await.expect(200).data();
        let codes: Vec<_> = (0..3).map(|place| data["results"][place]["reasonCode"].as_str().unwrap()).collect();
        assert_eq!(codes, ["super_admin", "super_admin", "view_module_missing"]);
    }

    /// All checks of a batch apply to the company of the request. The result of a check that specifies another company
    /// is an error.
    async fn a_check_cannot_specify_another_company(api: TestApi) {
        let company = api.company().await;
        let of = |id| json!({ "view": "/dashboard", "companyId": id });
        let answers = results(&api, company, company.member, &json!([of(company.id), of(new_company())])).await;
        assert_eq!(answers[0]["allowed"], true);
        let message = "companyId is not the company of the request";
        let finding = json!({ "field": "companyId", "code": "disagree", "message": message });
        let mut expected = refused("ERR_VALIDATION_001", message);
        expected["error"]["errors"] = json!([finding]);
        assert_eq!(answers[1], expected);
    }

    /// The response header `X-IAM-Version` states the version at which all checks were evaluated. The header is absent
    /// if no check was evaluated.
    async fn the_response_contains_the_version_of_its_checks(api: TestApi) {
        let company = api.company().await;
        let view = json!({ "view": "/dashboard" });
        let single = api.post("/api/iam/check").by(company.admin).within(company.id).json(&view).send().await;
        let of = |user: UserId| json!({ "view": "/dashboard", "userId": user });
        let both = ask(&api, company, company.admin, &json!([view, of(company.member)])).await.expect(200);
        assert_eq!(both.header("x-iam-version"), single.header("x-iam-version"));
        assert!(both.header("x-iam-version").is_some());
        let nothing = ask(&api, company, company.admin, &json!([{}])).await.expect(200);
        assert_eq!(nothing.header("x-iam-version"), None);

        let asked =
            || api.post("/api/iam/checks").by(company.admin).within(company.id).json(&json!({ "checks": [view] }));
        let version = both.header("x-iam-version").unwrap();
        asked().header("x-iam-min-version", version).send().await.expect(200);
        let later = version.rsplit_once('.').unwrap().0.to_owned() + ".ffff";
        assert_eq!(asked().header("x-iam-min-version", &later).send().await.error().0, 503);
    }

    /// Checks that are sent after a change reflect this change. This applies to checks for the caller and for another
    /// user.
    async fn the_next_checks_see_a_change(api: TestApi) {
        let company = api.company().await;
        let checks = json!([
            { "view": "/dashboard", "userId": company.member }, { "view": "/dashboard", "userId": company.visitor },
            { "view": "/dashboard" },
        ]);
        let allowed = async || -> Vec<_> {
            results(&api, company, company.admin, &checks)
                .await
                .iter()
                .map(|answer| answer["allowed"] == true)
                .collect()
        };
        assert_eq!(allowed().await, [true, true, true]);
        api.assign(company, company.member, &[]).await;
        assert_eq!(allowed().await, [false, true, true]);
        let (level, view) = (api.level_id(company, "Visitor").await, api.view_id("/dashboard").await);
        api.set_matrix(company, &level, "views", json!([{ "viewId": view, "state": "deny" }])).await;
        assert_eq!(allowed().await, [false, false, true]);
    }
}
