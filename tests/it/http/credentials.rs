//! Tests of credentials. Tokens and API keys are accepted only in the `Authorization` header, and only until they
//! expire or are revoked.

use std::cell::Cell;
use std::time::Duration;

use iam_application::{CreateUserLevel, Failure, RequestContext};
use iam_domain::{ApiKey, ApiKeyId, Caller, Description, Name, Service, ServiceRole, Timestamp, UserId};
use iam_identity::{NewApiKey, TokenSigner};
use iam_storage::{ChangeContext, Target};
use sea_orm::sqlx;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::api::{Answer, Company, TestApi, both_adapters, new_company, new_user, now, secret};
use crate::support::clock::SetTime;
use crate::support::replica::{Line, Replica, sooner_or_later};

pub fn invalid_token(answer: &Answer) {
    assert_eq!(answer.error(), (401, "ERR_AUTH_001".into(), "Invalid token".into()));
}

pub fn expired_token(answer: &Answer) {
    assert_eq!(answer.error(), (401, "ERR_AUTH_001".into(), "Token expired".into()));
}

/// Converts seconds since the Unix epoch to a timestamp.
pub fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(i64::try_from(seconds).unwrap() * 1000).unwrap()
}

/// Returns a token that the native issuer issued `seconds_ago` seconds ago. If `seconds_ago` is `None`, the token has
/// no claim `iat`.
pub fn token(user: UserId, is_super_admin: bool, seconds_ago: Option<u64>) -> String {
    let mut claims = json!({ "userId": user, "isSuperAdmin": is_super_admin, "exp": now() + 3600 });
    if let Some(seconds) = seconds_ago {
        claims["iat"] = json!(now() - seconds);
    }
    TokenSigner::hs256(&secret()).sign_claims(&claims).unwrap()
}

/// Creates an API key, modifies it with `change` and stores it. The stored key can be one that the API would not
/// create, for example a key that is already expired. Returns the stored key and its secret.
pub async fn stored_key(api: &TestApi, change: impl FnOnce(&mut ApiKey)) -> (ApiKey, String) {
    let new = NewApiKey::generate().unwrap();
    let mut tx = api.storage.begin(Target::Credentials, ChangeContext::command_line()).await.unwrap();
    let mut key = ApiKey {
        id: ApiKeyId::generate(tx.now()),
        prefix: new.prefix,
        name: Name::parse("Stored").unwrap(),
        role: ServiceRole::Administer,
        company_id: None,
        requests_per_second: None,
        created_by: None,
        created_at: tx.now(),
        expires_at: None,
        revoked_at: None,
        last_used_at: None,
    };
    change(&mut key);
    tx.api_keys_mut().create(&key, &new.digest).await.unwrap();
    tx.commit().await.unwrap();
    (key, new.secret.expose_secret().to_owned())
}

/// Reads the levels of a company with this credential and returns the response.
pub async fn reads(api: &TestApi, company: Company, credential: &str) -> Answer {
    api.get("/api/iam/user-levels").bearer(credential).within(company.id).send().await
}

/// Creates a level with this credential and returns the response.
pub async fn changes(api: &TestApi, company: Company, credential: &str, name: &str) -> Answer {
    let body = json!({ "name": name });
    api.post("/api/iam/user-levels").bearer(credential).within(company.id).json(&body).send().await
}

both_adapters! {
    /// The response to the creation of an API key contains the whole key, and no later response does. The key
    /// authenticates its bearer.
    async fn a_key_is_returned_once(api: TestApi) {
        let company = api.company().await;
        let body = json!({ "name": "Billing", "role": "read", "companyId": company.id });
        let made = api.post("/api/iam/api-keys").by_super_admin().json(&body).send().await.expect(201).data();
        let (key, id) = (made["key"].as_str().unwrap(), made["apiKey"]["id"].as_str().unwrap());
        let prefix = made["apiKey"]["prefix"].as_str().unwrap();
        assert!(key.starts_with(&format!("iam_{prefix}_")) && key.len() == 60, "{}", key.len());
        assert_eq!(made["apiKey"]["createdBy"], json!(api.super_admin));
        let secret = key.rsplit_once(prefix).unwrap().1;
        for path in
            ["/api/iam/api-keys".to_owned(), format!("/api/iam/api-keys/{id}"), "/api/iam/audit-logs".to_owned()]
        {
            let answer = api.get(&path).by_super_admin().send().await.expect(200);
            let text = String::from_utf8(answer.body).unwrap();
            assert!(text.contains(prefix) && !text.contains(secret), "{path}");
        }
        reads(&api, company, key).await.expect(200);
        changes(&api, company, key, "Never").await.expect(403);
    }

    /// An API key is accepted only if the whole key matches exactly. The comparison is case-sensitive.
    async fn a_nearly_correct_key_is_rejected(api: TestApi) {
        let company = api.company().await;
        let key = api.api_key("administer", None).await;
        reads(&api, company, &key).await.expect(200);
        let last = if key.ends_with('A') { "B" } else { "A" };
        let other = api.api_key("administer", None).await;
        let (prefix, secret) = (&key[..16], &other[16..]);
        let wrong = [
            format!("{}{last}", &key[..key.len() - 1]),
            format!("{prefix}{secret}"),
            key[..key.len() - 1].to_owned(),
            format!("{key}A"),
            key.to_lowercase(),
            "iam_".to_owned(),
            format!("iam_000000000000_{}", "A".repeat(43)),
            key.replacen("iam_", "IAM_", 1),
        ];
        for wrong in wrong {
            invalid_token(&reads(&api, company, &wrong).await);
        }
        reads(&api, company, &format!("{key} {key}")).await.expect(401);
    }

    /// A credential is accepted only in the `Authorization` header.
    async fn credentials_outside_the_authorization_header_are_ignored(api: TestApi) {
        let company = api.company().await;
        let (person, service) = (token(company.admin, false, Some(1)), api.api_key("administer", None).await);
        let ask = |query: &str| api.post(&format!("/api/iam/check{query}")).within(company.id);
        let question = json!({ "view": "/dashboard", "userId": company.member });
        for credential in [&person, &service] {
            ask("").bearer(credential).json(&question).send().await.expect(200);
            for name in ["access_token", "token", "jwt", "api_key", "apiKey", "key", "authorization"] {
                let mut body = question.clone();
                body[name] = json!(credential);
                let elsewhere = [
                    ask(&format!("?{name}={credential}")).json(&question),
                    ask("").header("cookie", &format!("{name}={credential}")).json(&question),
                    ask("").json(&body),
                ];
                for request in elsewhere {
                    let expected = (401, "ERR_AUTH_001".into(), "No token provided".into());
                    assert_eq!(request.send().await.error(), expected, "{name}");
                }
            }
            for name in ["x-api-key", "x-auth-token", "x-access-token", "proxy-authorization"] {
                for value in [credential, &format!("Bearer {credential}")] {
                    let answer = ask("").header(name, value).json(&question).send().await;
                    assert_eq!(answer.error().2, "No token provided", "{name}");
                }
            }
        }
        // A request with two credentials is rejected, in either order.
        for (first, second) in [(&person, &service), (&service, &person), (&service, &service)] {
            let answer = ask("").bearer(first).bearer(second).json(&question).send().await;
            assert_eq!(answer.error().2, "Invalid token format. Use: Bearer <token>");
        }
    }

    /// A key for one company has no rights in other companies. The denial does not reveal whether the other company
    /// exists.
    async fn a_key_of_one_company_has_no_access_to_others(api: TestApi) {
        let (ours, theirs) = (api.company().await, api.company().await);
        let nobodys = Company { id: new_company(), ..ours };
        for role in ["check", "read", "administer"] {
            let key = api.api_key(role, Some(ours.id)).await;
            let question = json!({ "view": "/dashboard", "userId": ours.member });
            let ask =
                |company: Company| api.post("/api/iam/check").bearer(&key).within(company.id).json(&question).send();
            assert_eq!(ask(ours).await.expect(200).data()["allowed"], true);
            for company in [theirs, nobodys] {
                assert_eq!(
                    ask(company).await.error(),
                    (403, "ERR_AUTH_003".into(), "You do not have permission to check other users".into())
                );
                assert_eq!(reads(&api, company, &key).await.error().2, "You do not have permission to view IAM data");
                changes(&api, company, &key, "Never").await.expect(403);
            }
            // Requests for the platform's resources with this key are denied, or rejected because they specify no
            // company.
            for path in ["/api/iam/audit-logs", "/api/iam/views", "/api/iam/api-keys"] {
                let answer = api.get(path).bearer(&key).send().await;
                assert!([400, 403].contains(&answer.status.as_u16()), "{path} {}", answer.status);
            }
        }
    }

    /// A service holds no levels, so checks of its own permissions return a denial and not an error. A service may send
    /// such checks in every company, with its own id as the subject.
    async fn a_check_of_a_service_about_itself_is_denied(api: TestApi) {
        let (ours, theirs) = (api.company().await, api.company().await);
        let (key, text) = stored_key(&api, |key| key.company_id = Some(ours.id)).await;
        for company in [ours, theirs] {
            let ask = |path: &str, body| api.post(path).bearer(&text).within(company.id).json(&body).send();
            let question = json!({ "view": "/dashboard", "userId": key.id });
            let answer = ask("/api/iam/check", question.clone()).await.expect(200).data();
            assert_eq!((&answer["allowed"], &answer["reasonCode"]), (&json!(false), &json!("no_user_levels")));
            let answer = ask("/api/iam/checks", json!({ "checks": [question] })).await.expect(200).data();
            assert_eq!(answer["results"][0]["reasonCode"], "no_user_levels");
        }
        let checks = json!({ "checks": [
            { "view": "/dashboard" }, { "view": "/dashboard", "userId": ours.member },
            { "view": "/dashboard", "userId": new_user() },
        ] });
        let answer = api.post("/api/iam/checks").bearer(&text).within(ours.id).json(&checks).send().await;
        let answer = answer.expect(200).data();
        let allowed: Vec<_> = answer["results"].as_array().unwrap().iter().map(|result| &result["allowed"]).collect();
        assert_eq!(allowed, [&json!(false), &json!(true), &json!(false)]);
    }

    /// A key for all companies can read and change the platform's data as its role allows, but cannot read API keys.
    async fn a_global_key_permits_the_operations_of_its_role(api: TestApi) {
        // If the operation requires a company for this key, a request without a company returns 400.
        let roles = [("check", [400, 400], 403), ("read", [200, 400], 403), ("administer", [200, 200], 201)];
        for (role, [views, records], change) in roles {
            let key = api.api_key(role, None).await;
            for (path, status) in [("views", views), ("audit-logs", records), ("api-keys", 403)] {
                api.get(&format!("/api/iam/{path}")).by_key(&key).send().await.expect(status);
            }
            let path = format!("/api/iam/companies/{}/provision", new_company());
            api.post(&path).by_key(&key).send().await.expect(change);
        }
    }

    /// Expired and revoked keys are rejected. The message states whether the key is expired or revoked.
    async fn a_key_ends(api: TestApi) {
        let company = api.company().await;
        let past = Timestamp::from_millis(1_700_000_000_000).unwrap();
        let (_, expired) = stored_key(&api, |key| key.expires_at = Some(past)).await;
        expired_token(&reads(&api, company, &expired).await);
        let future = at(now() + 3600);
        let (key, good) = stored_key(&api, |key| key.expires_at = Some(future)).await;
        reads(&api, company, &good).await.expect(200);
        let path = format!("/api/iam/api-keys/{}", key.id);
        for _ in 0..2 {
            api.delete(&path).by_super_admin().send().await.expect(200);
            invalid_token(&reads(&api, company, &good).await);
        }
        assert!(api.get(&path).by_super_admin().send().await.expect(200).data()["apiKey"]["revokedAt"].is_string());
        // Revoked and expired keys remain in the list of keys.
        let list = api.get("/api/iam/api-keys").by_super_admin().send().await.expect(200).data();
        let listed = list["apiKeys"].as_array().unwrap().iter();
        let mut revoked: Vec<_> = listed.map(|key| key["revokedAt"].is_string()).collect();
        revoked.sort_unstable();
        assert_eq!(revoked, [false, true]);
        let unknown = format!("/api/iam/api-keys/{}", new_user());
        assert_eq!(api.delete(&unknown).by_super_admin().send().await.error().2, "API key not found");
        let body = json!({ "name": "Late", "role": "check", "expiresAt": past });
        let refused = api.post("/api/iam/api-keys").by_super_admin().json(&body).send().await;
        let body = json!({ "name": "In time", "role": "check", "expiresAt": future });
        let made = api.post("/api/iam/api-keys").by_super_admin().json(&body).send().await.expect(201).data();
        assert_eq!(made["apiKey"]["expiresAt"], json!(future));
        let path = format!("/api/iam/api-keys/{}", made["apiKey"]["id"].as_str().unwrap());
        let kept = api.get(&path).by_super_admin().send().await.expect(200).data();
        assert_eq!(kept["apiKey"]["expiresAt"], json!(future));
        assert_eq!(refused.error(), (400, "ERR_VALIDATION_001".into(), "expiresAt must be in the future".into()));
    }

    /// Keys and tokens expire exactly at their expiry time, according to the clock of the service.
    async fn credentials_expire_as_time_passes(api: TestApi) {
        const HOUR: Duration = Duration::from_secs(3600);
        let company = api.company().await;
        let issued = now();
        let time = SetTime::at(at(issued));
        let router = api.with_clock(time.clock()).await;
        let (_, key) = stored_key(&api, |key| key.expires_at = Some(at(issued).plus(HOUR))).await;
        let token = TokenSigner::hs256(&secret()).sign(company.admin, false, issued, HOUR.as_secs()).unwrap();
        let almost = HOUR.checked_sub(Duration::from_micros(1)).unwrap();
        for pause in [Duration::ZERO, almost] {
            time.advance(pause);
            for credential in [&key, &token] {
                reads(&router, company, credential).await.expect(200);
            }
        }
        time.advance(Duration::from_micros(1));
        for credential in [&key, &token] {
            expired_token(&reads(&router, company, credential).await);
            expired_token(&changes(&router, company, credential, "Never").await);
            reads(&api, company, credential).await.expect(200);
        }
        assert_eq!(router.get("/health").send().await.json()["timestamp"], json!(time.now()));
    }

    /// Other replicas detect the revocation of a key through the change feed. Even a replica that has not yet detected
    /// the revocation rejects changes with the revoked key.
    async fn a_revoked_key_is_rejected_by_all_replicas(api: TestApi) {
        let company = api.company().await;
        let (a, b, deaf) = (Replica::of(&api).await, Replica::of(&api).await, Replica::of(&api).await);
        let (key, text) = stored_key(&api, |_| {}).await;
        for replica in [&a, &b, &deaf] {
            reads(&replica.api, company, &text).await.expect(200);
        }
        deaf.channel.set(Line::Stalled);
        let path = format!("/api/iam/api-keys/{}", key.id);
        a.api.delete(&path).by_super_admin().send().await.expect(200);
        invalid_token(&reads(&a.api, company, &text).await);
        b.catch_up().await;
        invalid_token(&reads(&b.api, company, &text).await);
        reads(&deaf.api, company, &text).await.expect(200);
        changes(&deaf.api, company, &text, "Never").await.expect(403);
        let levels = api.get("/api/iam/user-levels").by_super_admin().within(company.id).send().await.data();
        assert!(levels["userLevels"].as_array().unwrap().iter().all(|level| level["name"] != "Never"));
    }

    /// A change to credentials takes effect at once on the replica that makes it (read-your-writes). This also holds
    /// while this replica does not detect changes through polls.
    async fn a_change_applies_immediately_on_its_own_replica(api: TestApi) {
        let company = api.company().await;
        let replica = Replica::of(&api).await;
        let router = &replica.api;
        let bearer = token(company.admin, false, Some(100));
        reads(router, company, &bearer).await.expect(200);
        replica.channel.set(Line::Stalled);
        let body = json!({ "name": "New", "role": "read" });
        let made = router.post("/api/iam/api-keys").by_super_admin().json(&body).send().await.expect(201).data();
        let key = made["key"].as_str().unwrap();
        reads(router, company, key).await.expect(200);
        let path = format!("/api/iam/api-keys/{}", made["apiKey"]["id"].as_str().unwrap());
        router.delete(&path).by_super_admin().send().await.expect(200);
        invalid_token(&reads(router, company, key).await);
        reads(router, company, &bearer).await.expect(200);
        let path = format!("/api/iam/users/{}/not-before", company.admin);
        router.put(&path).by_super_admin().send().await.expect(200);
        expired_token(&reads(router, company, &bearer).await);
    }

    /// If a key expires after its request was authenticated, while the change waits for the lock, the change is
    /// rejected and stores nothing.
    async fn a_change_whose_key_expires_while_waiting_is_rejected(api: TestApi) {
        let company = api.company().await;
        for (expires_at, may) in [(now() + 3600, true), (now() - 3600, false)] {
            let (key, _) = stored_key(&api, |key| key.expires_at = Some(at(expires_at))).await;
            let service = Service { key: key.id, role: key.role, company: key.company_id, rate: None };
            let name = Name::parse(format!("May: {may}")).unwrap();
            let change = CreateUserLevel { company: company.id, name, description: Description::parse("").unwrap(), copy_from: None };
            let outcome = api.application.execute(RequestContext::from(Caller::Service(service)), change).await;
            assert!(if may { outcome.is_ok() } else { matches!(outcome, Err(Failure::Forbidden(_))) }, "{outcome:?}");
        }
    }

    /// If a key is revoked while requests with this key arrive continuously, the key is never accepted again after the
    /// first rejected request.
    async fn a_key_revoked_during_use_is_never_accepted_again(api: TestApi) {
        let company = api.company().await;
        let (key, text) = stored_key(&api, |_| {}).await;
        let question = json!({ "checks": vec![json!({ "view": "/dashboard", "userId": company.member }); 50] });
        let ask = || api.post("/api/iam/checks").bearer(&text).within(company.id).json(&question).send();
        let answered = Cell::new(0);
        let asking = async {
            let mut refused = 0;
            while refused < 20 {
                let answer = ask().await;
                match answer.status.as_u16() {
                    200 if refused == 0 => {
                        answered.set(answered.get() + 1);
                        let results = answer.data();
                        assert!(results["results"].as_array().unwrap().iter().all(|result| result["allowed"] == true));
                    }
                    401 => refused += 1,
                    other => panic!("{other} after {refused} rejections"),
                }
                tokio::task::yield_now().await;
            }
        };
        let path = format!("/api/iam/api-keys/{}", key.id);
        let revoking = async {
            while answered.get() < 5 {
                tokio::task::yield_now().await;
            }
            api.delete(&path).by_super_admin().send().await.expect(200);
        };
        sooner_or_later(async { futures_util::join!(asking, revoking) }).await;
    }

    /// A credential must still be valid when the whole request has arrived. This also applies if the body is sent
    /// slowly.
    async fn a_caller_revoked_while_sending_the_body_is_rejected(api: TestApi) {
        let company = api.company().await;
        let (key, text) = stored_key(&api, |_| {}).await;
        let revoked = {
            let api = api.clone();
            async move {
                api.delete(&format!("/api/iam/api-keys/{}", key.id)).by_super_admin().send().await.expect(200);
            }
        };
        let question = json!({ "view": "/dashboard", "userId": company.member });
        let check = api.post("/api/iam/check").bearer(&text).within(company.id);
        invalid_token(&check.json_after(&question, revoked).send().await);

        let old = token(company.admin, false, Some(100));
        let cut_off = |user: UserId| {
            let api = api.clone();
            async move {
                api.put(&format!("/api/iam/users/{user}/not-before")).by_super_admin().send().await.expect(200);
            }
        };
        let step = json!({ "url": "/dashboard", "label": "Dashboard", "sessionId": "one" });
        let trail = || api.post("/api/iam/nav-trail").bearer(&old).within(company.id);
        trail().json(&step).send().await.expect(201);
        expired_token(&trail().json_after(&step, cut_off(company.admin)).send().await);

        // Here the token expires while the body is being sent. The service's clock starts at the current time, and only
        // the test advances it.
        let expiring = token(api.super_admin, true, Some(0));
        let time = SetTime::at(at(now()));
        let router = api.with_clock(time.clock()).await;
        let runs_out = async move { time.advance(Duration::from_secs(3600)) };
        let level = json!({ "name": "Late" });
        let create = router.post("/api/iam/user-levels").bearer(&expiring).within(company.id);
        expired_token(&create.json_after(&level, runs_out).send().await);
    }

    /// The audit records of a service's changes identify the service by the id of its key.
    async fn changes_by_a_service_are_recorded(api: TestApi) {
        let company = api.company().await;
        let (key, text) = stored_key(&api, |key| key.company_id = Some(company.id)).await;
        changes(&api, company, &text, "By a service").await.expect(201);
        let path = format!("/api/iam/audit-logs?userId={}", key.id);
        let logs = api.get(&path).by_super_admin().within(company.id).send().await.expect(200).data();
        let [log] = logs["logs"].as_array().unwrap().as_slice() else { panic!("{logs}") };
        assert_eq!((&log["action"], &log["actorKind"]), (&json!("user_level.created"), &json!("service")));
        assert_eq!(log["userId"], json!(key.id));
        // The platform's audit log records who created and revoked keys.
        let path = format!("/api/iam/api-keys/{}", key.id);
        api.delete(&path).by_super_admin().send().await.expect(200);
        let path = format!("/api/iam/audit-logs?entityType=api-key&entityId={}", key.id);
        let logs = api.get(&path).by_super_admin().send().await.expect(200).data();
        let actions: Vec<_> = logs["logs"].as_array().unwrap().iter().map(|log| &log["action"]).collect();
        assert_eq!(actions, ["api_key.revoked", "api_key.created"]);
    }

    /// An assignment by a service is stored with the id of the service's API key as its author.
    async fn an_assignment_by_a_service_contains_the_key_as_its_assigner(api: TestApi) {
        let company = api.company().await;
        let (key, text) = stored_key(&api, |_| {}).await;
        let (level, user) = (api.new_level(company, "Auditors").await, new_user());
        let path = format!("/api/iam/users/{user}/user-levels");
        let body = json!({ "userLevelIds": [level] });
        api.put(&path).bearer(&text).within(company.id).json(&body).send().await.expect(200);
        let held = api.get(&path).bearer(&text).within(company.id).send().await.expect(200).data();
        assert_eq!(held["userLevels"][0]["id"], json!(level));
        if let Some(database) = &api.database {
            let sql = "SELECT assigned_by FROM user_user_levels WHERE user_id = $1";
            let stored = sqlx::query_scalar::<_, Option<Uuid>>(sql).bind(user.as_uuid());
            assert_eq!(stored.fetch_one(&mut database.connect().await).await.unwrap(), Some(key.id.as_uuid()));
        }
    }

    /// The last-used time of a key is stored at most about once per minute.
    async fn the_last_use_of_a_key_is_recorded(api: TestApi) {
        let company = api.company().await;
        let (key, text) = stored_key(&api, |_| {}).await;
        let path = format!("/api/iam/api-keys/{}", key.id);
        let last_use = || async { api.get(&path).by_super_admin().send().await.data()["apiKey"]["lastUsedAt"].clone() };
        assert_eq!(last_use().await, Value::Null);
        for _ in 0..3 {
            reads(&api, company, &text).await.expect(200);
        }
        api.permissions.note_uses().await;
        let noted = last_use().await;
        assert!(noted.is_string());
        reads(&api, company, &text).await.expect(200);
        api.permissions.note_uses().await;
        assert_eq!(last_use().await, noted);
    }

    /// Requests of a service may require a minimum version, whether or not the subject's permissions are cached.
    async fn a_service_can_send_a_minimum_version(api: TestApi) {
        let company = api.company().await;
        let key = api.api_key("check", Some(company.id)).await;
        let question = json!({ "view": "/dashboard", "userId": company.member });
        let ask = || api.post("/api/iam/check").by_key(&key).within(company.id).json(&question);
        let seen = ask().send().await.expect(200).header("x-iam-version").unwrap().to_owned();
        for _ in 0..150 {
            ask().header("x-iam-min-version", &seen).send().await.expect(200);
        }
    }
}
