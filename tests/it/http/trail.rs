//! Tests of the caller's navigation trail, through the API.

use iam_domain::UserId;
use serde_json::{Value, json};

use crate::support::api::{Company, TestApi, both_adapters, each, fields, is_time, new_company, new_user};

const PATH: &str = "/api/iam/nav-trail";

async fn step(api: &TestApi, company: Company, user: UserId, session: &str, url: &str) -> Value {
    let body = json!({ "sessionId": session, "url": url, "label": format!("At {url}") });
    api.post(PATH).by(user).within(company.id).json(&body).send().await.expect(201).data()
}

async fn trail(api: &TestApi, company: Company, user: UserId, session: &str) -> Value {
    let path = format!("{PATH}?sessionId={session}");
    api.get(&path).by(user).within(company.id).send().await.expect(200).data()
}

both_adapters! {
    /// The trail of a session lists its steps from oldest to newest, numbered from 0. The list of recent places is
    /// sorted from newest to oldest.
    async fn a_trail_has_the_documented_shape(api: TestApi) {
        let company = api.company().await;
        assert_eq!(trail(&api, company, company.member, "tab").await, json!({ "trail": [], "recents": [] }));
        let body = json!({
            "sessionId": "tab", "url": "/home?q=1", "label": "Home", "viewId": api.view_id("/home").await,
        });
        let answer = api.post(PATH).by(company.member).within(company.id).json(&body).send().await.expect(201);
        assert_eq!(answer.data(), json!({ "entry": { "depth": 0, "label": "Home", "url": "/home?q=1" } }));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let entry = step(&api, company, company.member, "tab", "/users").await;
        assert_eq!(entry, json!({ "entry": { "depth": 1, "label": "At /users", "url": "/users" } }));

        let data = trail(&api, company, company.member, "tab").await;
        assert_eq!(fields(&data), ["recents", "trail"]);
        assert_eq!(
            data["trail"],
            json!([
                { "depth": 0, "label": "Home", "url": "/home?q=1" },
                { "depth": 1, "label": "At /users", "url": "/users" },
            ])
        );
        assert_eq!(each(&data["recents"], "url"), ["/users", "/home?q=1"]);
        for place in data["recents"].as_array().unwrap() {
            assert_eq!(fields(place), ["label", "url", "visitedAt"]);
            assert!(is_time(&place["visitedAt"]));
        }
    }

    /// The trail of a session contains only its newest 100 steps, which are renumbered from 0.
    async fn a_session_keeps_its_newest_hundred_steps(api: TestApi) {
        let company = api.company().await;
        for n in 0..103 {
            let depth = step(&api, company, company.member, "tab", &format!("/{n}")).await["entry"]["depth"].clone();
            assert_eq!(depth, n.min(99));
        }
        let data = trail(&api, company, company.member, "tab").await;
        let steps = data["trail"].as_array().unwrap();
        assert_eq!(steps.len(), 100);
        assert_eq!(steps[0], json!({ "depth": 0, "label": "At /3", "url": "/3" }));
        assert_eq!(steps[99], json!({ "depth": 99, "label": "At /102", "url": "/102" }));
        assert!(steps.iter().zip(0..).all(|(step, position)| step["depth"] == position));
    }

    /// The list of recent places contains the ten most recently visited places across all sessions. Each place is
    /// listed once, with its latest visit.
    async fn ten_distinct_recent_views_are_returned(api: TestApi) {
        let company = api.company().await;
        for n in 0..12 {
            let session = if n % 2 == 0 { "even" } else { "odd" };
            step(&api, company, company.member, session, &format!("/{n}")).await;
        }
        step(&api, company, company.member, "third", "/5").await;
        let data = trail(&api, company, company.member, "even").await;
        assert_eq!(each(&data["trail"], "url"), ["/0", "/2", "/4", "/6", "/8", "/10"]);
        let expected = ["/5", "/11", "/10", "/9", "/8", "/7", "/6", "/4", "/3", "/2"];
        assert_eq!(each(&data["recents"], "url"), expected);
    }

    /// A caller can read and change only its own navigation trail, not the trail of another user.
    async fn a_trail_is_visible_to_its_user_only(api: TestApi) {
        let company = api.company().await;
        step(&api, company, company.member, "tab", "/home").await;
        let path = format!("{PATH}?sessionId=tab&userId={}", company.member);
        api.get(&path).by(company.admin).within(company.id).send().await.expect(400);
        let path = format!("{PATH}?sessionId=tab");
        let data = api.get(&path).by(company.admin).within(company.id).send().await.expect(200).data();
        assert_eq!(data, json!({ "trail": [], "recents": [] }));
        api.delete(&path).by(company.admin).within(company.id).send().await.expect(200);
        let mut body = json!({ "sessionId": "tab", "url": "/x", "label": "X" });
        api.post(PATH).by(company.admin).within(company.id).json(&body).send().await.expect(201);
        body["userId"] = json!(company.member);
        api.post(PATH).by(company.admin).within(company.id).json(&body).send().await.expect(400);
        let data = trail(&api, company, company.member, "tab").await;
        assert_eq!(each(&data["trail"], "url"), ["/home"]);
    }

    /// A user has separate trails in different companies, even for the same session id.
    async fn trails_are_separate_per_company(api: TestApi) {
        let (one, other) = (api.company().await, api.company().await);
        let user = new_user();
        for company in [one, other] {
            api.assign(company, user, &[&api.level_id(company, "Visitor").await]).await;
        }
        step(&api, one, user, "tab", "/home").await;
        step(&api, other, user, "tab", "/users").await;
        let path = format!("{PATH}?sessionId=tab");
        api.delete(&path).by(user).within(other.id).send().await.expect(200);
        let data = trail(&api, one, user, "tab").await;
        assert_eq!((each(&data["trail"], "url"), each(&data["recents"], "url")), (vec!["/home"], vec!["/home"]));
        assert_eq!(trail(&api, other, user, "tab").await, json!({ "trail": [], "recents": [] }));
    }

    /// Clearing a trail deletes the steps of one session. The trails of other sessions remain.
    async fn deleting_a_session_leaves_other_sessions(api: TestApi) {
        let company = api.company().await;
        for session in ["one", "other"] {
            step(&api, company, company.member, session, &format!("/{session}")).await;
        }
        for _ in 0..2 {
            let path = format!("{PATH}?sessionId=one");
            let answer = api.delete(&path).by(company.member).within(company.id).send().await.expect(200);
            assert_eq!(answer.data(), json!({ "message": "Navigation trail cleared successfully" }));
        }
        assert_eq!(trail(&api, company, company.member, "one").await["trail"], json!([]));
        let data = trail(&api, company, company.member, "other").await;
        assert_eq!((each(&data["trail"], "url"), each(&data["recents"], "url")), (vec!["/other"], vec!["/other"]));
        assert_eq!(step(&api, company, company.member, "one", "/again").await["entry"]["depth"], 0);
    }

    /// When a view is deleted, the steps of navigation trails that refer to the view remain.
    async fn a_step_survives_the_deletion_of_its_view(api: TestApi) {
        let company = api.company().await;
        let view = api.make("views", None, json!({ "name": "New", "url": "/new" })).await;
        let body = json!({ "sessionId": "tab", "url": "/new", "label": "New", "viewId": view["id"] });
        api.post(PATH).by(company.member).within(company.id).json(&body).send().await.expect(201);
        let path = format!("/api/iam/views/{}", view["id"].as_str().unwrap());
        api.delete(&path).by_super_admin().send().await.expect(200);
        assert_eq!(each(&trail(&api, company, company.member, "tab").await["trail"], "url"), ["/new"]);
    }

    /// Requests of non-members for navigation trails return 403.
    async fn trails_require_membership(api: TestApi) {
        let company = api.company().await;
        let path = format!("{PATH}?sessionId=tab");
        let body = json!({ "sessionId": "tab", "url": "/home", "label": "Home" });
        for id in [company.id, new_company()] {
            for request in [api.get(&path), api.delete(&path), api.post(PATH).json(&body)] {
                let error = request.by(new_user()).within(id).send().await.error();
                assert_eq!(error, (403, "ERR_AUTH_003".into(), "You do not belong to this company".into()));
            }
        }
    }

    /// A parameter is invalid if it is missing or too long, or if it refers to an unknown entity. The error identifies
    /// the invalid parameter.
    async fn the_error_for_invalid_parameters_contains_their_names(api: TestApi) {
        let company = api.company().await;
        let unknown = new_company();
        for (body, message) in [
            (json!({ "url": "/", "label": "A" }), "SessionId is required".to_owned()),
            (json!({ "sessionId": "s", "label": "A" }), "Url is required".to_owned()),
            (json!({ "sessionId": "s", "url": "/" }), "Label is required".to_owned()),
            (
                json!({ "sessionId": "s", "url": "/".repeat(501), "label": "A" }),
                "url must be at most 500 characters".to_owned(),
            ),
            (
                json!({ "sessionId": "s".repeat(256), "url": "/", "label": "A" }),
                "sessionId must be at most 255 characters".to_owned(),
            ),
            (
                json!({ "sessionId": "s", "url": "/", "label": "A", "viewId": unknown }),
                format!("viewId refers to an unknown view: {unknown}"),
            ),
        ] {
            let answer = api.post(PATH).by(company.member).within(company.id).json(&body).send().await;
            assert_eq!(answer.error(), (400, "ERR_VALIDATION_001".into(), message));
        }
        for request in [api.get(PATH), api.delete(PATH), api.get("/api/iam/nav-trail?sessionId=")] {
            let (status, code, message) = request.by(company.member).within(company.id).send().await.error();
            assert_eq!((status, code.as_str()), (400, "ERR_VALIDATION_001"));
            assert_eq!(message, "sessionId is required");
        }
        assert_eq!(trail(&api, company, company.member, "s").await, json!({ "trail": [], "recents": [] }));
    }
}
