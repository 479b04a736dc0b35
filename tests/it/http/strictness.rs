//! Tests of strict validation: requests with small mistakes are rejected with a precise error. The responses to
//! rejected credentials state the reason, but do not reveal which issuers and keys exist.

use iam_identity::TokenSigner;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::credentials::stored_key;
use crate::support::api::{Answer, both_adapters, new_user, now, token_with_claims};

/// Returns the code, the field and the error code of the only validation error.
#[track_caller]
fn only_finding(answer: &Answer) -> (String, String, String) {
    let body = answer.json();
    assert_eq!(answer.status.as_u16(), 400, "{body}");
    let findings = body["errors"].as_array().unwrap_or_else(|| panic!("no errors in {body}"));
    assert_eq!(findings.len(), 1, "{body}");
    assert_eq!(findings[0]["message"], body["message"], "{body}");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&body["code"]), text(&findings[0]["field"]), text(&findings[0]["code"]))
}

#[track_caller]
fn expect_finding(answer: &Answer, field: &str, code: &str) {
    assert_eq!(only_finding(answer), ("ERR_VALIDATION_001".to_owned(), field.to_owned(), code.to_owned()));
}

both_adapters! {
    /// A check with an unknown field is rejected. If a misspelled field were ignored, the decision would apply to
    /// another subject.
    async fn unknown_fields_of_a_check_are_errors(api: TestApi) {
        let company = api.company().await;
        for (name, suggestion) in [("userID", "did you mean userId?"), ("user", "unknown"), ("Scope", "did you mean scope?")]
        {
            let question = json!({ "view": "/dashboard", name: company.visitor });
            for path in ["/api/iam/check", "/api/iam/explain"] {
                let answer = api.post(path).by(company.admin).within(company.id).json(&question).send().await;
                expect_finding(&answer, name, "unknown_field");
                assert!(answer.error().2.contains(suggestion), "{}", answer.error().2);
            }
            let body = json!({ "checks": [{ "view": "/dashboard" }, question] });
            let answer = api.post("/api/iam/checks").by(company.admin).within(company.id).json(&body).send().await;
            let results = answer.expect(200).data()["results"].take();
            assert_eq!(results[0]["allowed"], true);
            assert_eq!(results[1]["allowed"], false);
            assert_eq!(results[1]["reasonCode"], "not_decided");
            assert_eq!(results[1]["error"]["errors"][0]["field"], name);
            assert_eq!(results[1]["error"]["errors"][0]["code"], "unknown_field");
        }
        let body = json!({ "checks": [{ "view": "/dashboard" }], "userId": company.visitor });
        let answer = api.post("/api/iam/checks").by(company.admin).within(company.id).json(&body).send().await;
        expect_finding(&answer, "userId", "unknown_field");
    }

    /// A check by a service must specify a user, because a service holds no levels.
    async fn a_service_must_specify_the_user_of_a_check(api: TestApi) {
        let company = api.company().await;
        let key = api.api_key("check", Some(company.id)).await;
        let question = json!({ "view": "/dashboard" });
        for path in ["/api/iam/check", "/api/iam/explain"] {
            let answer = api.post(path).by_key(&key).within(company.id).json(&question).send().await;
            expect_finding(&answer, "userId", "required");
        }
        let body = json!({ "checks": [question, { "view": "/dashboard", "userId": company.member }] });
        let answer = api.post("/api/iam/checks").by_key(&key).within(company.id).json(&body).send().await;
        let results = answer.expect(200).data()["results"].take();
        assert_eq!(results[0]["error"]["errors"][0]["field"], "userId");
        assert_eq!(results[1]["reasonCode"], "explicit_allow");
    }

    /// An action that the feature does not have is denied with the reason code `unknown_action`, even to super admins.
    async fn an_unknown_action_is_denied(api: TestApi) {
        let company = api.company().await;
        let question = json!({ "feature": "general.read", "action": "Raed" });
        for user in [company.admin, company.member] {
            let decision = api.check(company, user, question.clone()).await;
            assert_eq!((&decision["allowed"], &decision["reasonCode"]), (&json!(false), &json!("unknown_action")));
        }
        let request = api.post("/api/iam/check").by_super_admin().within(company.id).json(&question);
        let decision = request.send().await.expect(200).data();
        assert_eq!((&decision["allowed"], &decision["reasonCode"]), (&json!(false), &json!("unknown_action")));
        let request = api.post("/api/iam/explain").by(company.member).within(company.id).json(&question);
        let explanation = request.send().await.expect(200).data();
        assert_eq!((&explanation["reasonCode"], &explanation["suggestion"]), (&json!("unknown_action"), &json!([])));
    }

    /// The operations of the original system ignore unknown query parameters. All other operations reject them.
    async fn unknown_query_parameters_are_errors_in_new_operations(api: TestApi) {
        let company = api.company().await;
        for path in ["/api/iam/user-levels?x=1", "/api/iam/navigation?x=1", "/api/iam/views?limit=5"] {
            api.get(path).by(company.admin).within(company.id).send().await.expect(200);
        }
        for (path, field) in [
            ("/api/iam/audit-logs?Limit=5", "Limit"),
            ("/api/iam/audit-logs?limit=5&user=1&user=2", "user"),
            ("/api/iam/modules?x=1", "x"),
            ("/api/iam/menu-items?limit=5", "limit"),
        ] {
            let answer = api.get(path).by(company.admin).within(company.id).send().await;
            expect_finding(&answer, field, "unknown_field");
        }
        let answer = api.get("/api/iam/audit-logs?Limit=5").by(company.admin).within(company.id).send().await;
        assert_eq!(answer.error().2, "Limit is unknown; did you mean limit?");
        let question = json!({ "view": "/dashboard" });
        let path = format!("/api/iam/check?userId={}", company.visitor);
        let answer = api.post(&path).by(company.admin).within(company.id).json(&question).send().await;
        expect_finding(&answer, "userId", "unknown_field");
    }

    /// A response with status 401 states the reason. For a well-formed token without a valid signature, and for an API
    /// key without the correct secret, the reason is always `untrusted`.
    async fn a_401_states_the_reason(api: TestApi) {
        let company = api.company().await;
        let claims = |change: Value| {
            let mut claims = json!({ "userId": company.member, "iat": now(), "exp": now() + 60 });
            claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            claims
        };
        let forged = TokenSigner::hs256(&SecretString::from("another secret that has more than thirty-two bytes"));
        let foreign = forged.sign_claims(&claims(json!({ "iss": "https://unknown.example/" }))).unwrap();
        let expired_forgery = forged.sign_claims(&claims(json!({ "exp": now() - 60 }))).unwrap();
        let (_, unknown_key) = stored_key(&api, |key| key.prefix = iam_identity::NewApiKey::generate().unwrap().prefix).await;
        let (_, expired_key) = stored_key(&api, |key| key.expires_at = Some(key.created_at)).await;
        let (_, revoked_key) = stored_key(&api, |key| key.revoked_at = Some(key.created_at)).await;
        for (credential, reason) in [
            (None, "missing"),
            (Some("Basic abc".to_owned()), "malformed"),
            (Some("Bearer nonsense".to_owned()), "malformed"),
            (Some("Bearer iam_nonsense".to_owned()), "malformed"),
            (Some(format!("Bearer {foreign}")), "untrusted"),
            (Some(format!("Bearer {expired_forgery}")), "untrusted"),
            (Some(format!("Bearer {unknown_key}")), "untrusted"),
            (Some(format!("Bearer {}", token_with_claims(&claims(json!({ "exp": now() - 60 }))))), "expired"),
            (Some(format!("Bearer {}", token_with_claims(&claims(json!({ "nbf": now() + 60 }))))), "not_yet_valid"),
            (Some(format!("Bearer {}", token_with_claims(&claims(json!({ "userId": "x" }))))), "invalid_claims"),
            (Some(format!("Bearer {expired_key}")), "expired"),
            (Some(format!("Bearer {revoked_key}")), "revoked"),
        ] {
            let mut request = api.get("/api/iam/navigation").within(company.id);
            if let Some(credential) = &credential {
                request = request.header("authorization", credential);
            }
            let answer = request.send().await.expect(401);
            let body = answer.json();
            assert_eq!((&body["code"], &body["reason"]), (&json!("ERR_AUTH_001"), &json!(reason)), "{credential:?}");
            let challenge = answer.header("www-authenticate").unwrap();
            let expected = if reason == "missing" { "Bearer" } else { "Bearer error=\"invalid_token\", error_description=\"" };
            assert!(challenge.starts_with(expected), "{challenge}");
        }
    }

    /// After a cut-off, the user's earlier tokens are revoked.
    async fn a_cut_off_token_is_revoked(api: TestApi) {
        let company = api.company().await;
        let path = format!("/api/iam/users/{}/not-before", company.member);
        api.put(&path).by_super_admin().json(&json!({})).send().await.expect(200);
        let earlier = json!({ "userId": company.member, "iat": now() - 60, "exp": now() + 60 });
        let request = api.get("/api/iam/navigation").bearer(&token_with_claims(&earlier)).within(company.id);
        assert_eq!(request.send().await.expect(401).json()["reason"], "revoked");
    }

    /// The header `Location` of a response with status 201 contains the URL of the created resource. A client can send
    /// a `GET` to this URL without modifying it.
    async fn a_created_resource_has_a_location(api: TestApi) {
        let company = api.company().await;
        for (path, body, by_super_admin) in [
            ("/api/iam/user-levels", json!({ "name": "Auditor" }), false),
            ("/api/iam/views", json!({ "name": "New", "url": "/new" }), true),
            ("/api/iam/features", json!({ "name": "New", "key": "new.feature" }), true),
            ("/api/iam/modules", json!({ "name": "New", "code": "new" }), true),
            ("/api/iam/menu-items", json!({ "label": "New" }), true),
            ("/api/iam/api-keys", json!({ "name": "New", "role": "check" }), true),
            ("/api/iam/nav-trail", json!({ "url": "/a b", "label": "A", "sessionId": "x y&z" }), false),
        ] {
            let request = api.post(path).within(company.id).json(&body);
            let request = if by_super_admin { request.by_super_admin() } else { request.by(company.admin) };
            let answer = request.send().await.expect(201);
            let location = answer.header("location").unwrap().to_owned();
            assert!(location.starts_with(path), "{location}");
            let request = api.get(&location);
            let request = if by_super_admin { request.by_super_admin() } else { request.by(company.admin) };
            let found = request.send().await.expect(200);
            assert_eq!(found.header("etag"), answer.header("etag"), "{location}");
        }
        let path = format!("/api/iam/companies/{}/provision", uuid::Uuid::new_v4());
        let answer = api.post(&path).by_super_admin().send().await.expect(201);
        let location = answer.header("location").unwrap().to_owned();
        let levels = api.get(&location).by_super_admin().send().await.expect(200).data();
        assert_eq!(answer.data()["userLevels"], levels["userLevels"]);
        let again = api.post(&path).by_super_admin().send().await.expect(200);
        assert_eq!((again.header("location"), &again.data()["userLevels"]), (None, &levels["userLevels"]));
    }

    /// The response to a change has the same content and entity tag as a subsequent read. A client can therefore make
    /// the next change without a read.
    async fn a_change_returns_its_content_and_entity_tag(api: TestApi) {
        let company = api.company().await;
        let level = api.new_level(company, "Auditor").await;
        let (view, feature) = (api.view_id("/dashboard").await, api.feature_id("general.read").await);
        let core = api.module_id("core").await;
        for (path, body, member) in [
            (
                format!("/api/iam/user-levels/{level}/permissions/views"),
                json!({ "views": [{ "viewId": view, "state": "allow" }] }),
                "permissions",
            ),
            (
                format!("/api/iam/user-levels/{level}/permissions/features"),
                json!({ "features": [{ "featureId": feature, "action": "Read", "scope": "own" }] }),
                "permissions",
            ),
            (format!("/api/iam/users/{}/user-levels", new_user()), json!({ "userLevelIds": [level] }), "userLevels"),
            (format!("/api/iam/companies/{}/modules", company.id), json!({ "moduleIds": [core] }), "modules"),
            (format!("/api/iam/features/{feature}/views"), json!({ "viewIds": [view] }), "views"),
            (format!("/api/iam/modules/{core}/views"), json!({ "viewIds": [view], "ungate": true }), "views"),
            (format!("/api/iam/modules/{core}/features"), json!({ "featureIds": [feature], "ungate": true }), "features"),
        ] {
            let changed = api.put(&path).by_super_admin().within(company.id).json(&body).send().await.expect(200);
            let read = api.get(&path).by_super_admin().within(company.id).send().await.expect(200);
            assert_eq!(changed.data()[member], read.data()[member], "{path}");
            assert_eq!(changed.etag(), read.etag(), "{path}");
            assert!(changed.data()["message"].as_str().unwrap().ends_with("updated successfully"), "{path}");
            let unconditional = api.put(&path).by_super_admin().within(company.id).json(&body);
            unconditional.header("if-match", changed.etag()).send().await.expect(200);
        }
        let path = format!("/api/iam/companies/{}/modules", company.id);
        let switch = format!("{path}/{core}");
        let switched = api.patch(&switch).by_super_admin().json(&json!({ "enabled": false })).send().await.expect(200);
        let read = api.get(&path).by_super_admin().send().await.expect(200);
        assert_eq!(switched.etag(), read.etag());
    }
}
