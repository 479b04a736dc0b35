//! Which credentials are admitted: API keys of services, tokens of other issuers, and tokens after a cut-off.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use iam_application::{CreateUserLevel, Failure, RequestContext};
use iam_domain::{
    ApiKey, ApiKeyId, Caller, Description, ExternalId, Issuer, Name, Service, ServiceRole, Timestamp, UserId,
};
use iam_identity::{
    JwksUrl, KeySet, KeySource, NewApiKey, SharedSecret, TokenSigner, TokenVerifier, TrustedIssuer, VerifierOptions,
};
use iam_storage::{ChangeContext, Target};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::tokens::Pair;
use crate::support::api::{Answer, Company, Request, TestApi, both_adapters, each, new_company, new_user, secret};
use crate::support::replica::{Line, Replica, sooner_or_later};

const ISSUER: &str = "https://tenant.auth0.example/";
const OTHER_ISSUER: &str = "https://login.example/realm";

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn invalid_token(answer: &Answer) {
    assert_eq!(answer.error(), (401, "ERR_AUTH_001".into(), "Invalid token".into()));
}

fn expired_token(answer: &Answer) {
    assert_eq!(answer.error(), (401, "ERR_AUTH_001".into(), "Token expired".into()));
}

/// The time this many seconds after 1970.
fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(i64::try_from(seconds).unwrap() * 1000).unwrap()
}

/// A token of the native issuer, issued at this many seconds; `None` leaves the issue time out.
fn token(user: UserId, is_super_admin: bool, seconds_ago: Option<u64>) -> String {
    let mut claims = json!({ "userId": user, "isSuperAdmin": is_super_admin, "exp": now() + 3600 });
    if let Some(seconds) = seconds_ago {
        claims["iat"] = json!(now() - seconds);
    }
    TokenSigner::hs256(&secret()).sign_claims(&claims).unwrap()
}

/// Stores a key that the API would not make.
async fn stored_key(api: &TestApi, change: impl FnOnce(&mut ApiKey)) -> (ApiKey, String) {
    let new = NewApiKey::generate().unwrap();
    let mut tx = api.storage.begin(Target::Credentials, ChangeContext::command_line()).await.unwrap();
    let mut key = ApiKey {
        id: ApiKeyId::generate(tx.now()),
        prefix: new.prefix,
        name: Name::parse("Stored").unwrap(),
        role: ServiceRole::Administer,
        company_id: None,
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

/// Whether this credential may read the levels of a company.
async fn reads(api: &TestApi, company: Company, credential: &str) -> Answer {
    api.get("/api/iam/user-levels").bearing(credential).within(company.id).send().await
}

/// The answer to a change with this credential.
async fn changes(api: &TestApi, company: Company, credential: &str, name: &str) -> Answer {
    let body = json!({ "name": name });
    api.post("/api/iam/user-levels").bearing(credential).within(company.id).json(&body).send().await
}

/// An issuer with a key of its own, and a router over a storage for its users and those of the native issuer.
struct Issuing {
    signer: TokenSigner,
    other: TokenSigner,
    api: TestApi,
}

impl Issuing {
    async fn over(api: &TestApi) -> Self {
        let (pair, other) = (Pair::ed25519(), Pair::ed25519());
        let trusted = |issuer: &str, pair: &Pair| {
            let keys = KeySource::Keys(KeySet::from_pem(&pair.public).unwrap());
            TrustedIssuer::new(Issuer::parse(issuer).unwrap(), keys)
        };
        let issuers = vec![trusted(ISSUER, &pair), trusted(OTHER_ISSUER, &other)];
        let native = Some(SharedSecret::new(secret()));
        let verifier = TokenVerifier::start(native, issuers, &VerifierOptions::default()).await.unwrap();
        Self { signer: pair.signer, other: other.signer, api: api.with_verifier(verifier).await }
    }

    /// A token of the first issuer's.
    fn token(&self, subject: &str) -> String {
        let claims = json!({ "iss": ISSUER, "sub": subject, "isSuperAdmin": true, "iat": now(), "exp": now() + 3600 });
        self.signer.sign_claims(&claims).unwrap()
    }

    /// A token of the second issuer, for the same subject.
    fn other_token(&self, subject: &str) -> String {
        let claims = json!({ "iss": OTHER_ISSUER, "sub": subject, "iat": now(), "exp": now() + 3600 });
        self.other.sign_claims(&claims).unwrap()
    }
}

/// A router over a storage for the users of one issuer that is not native, and a token of its super admin `root`.
async fn without_natives(api: &TestApi) -> (TestApi, String) {
    let pair = Pair::ed25519();
    let keys = KeySource::Keys(KeySet::from_pem(&pair.public).unwrap());
    let issuer = TrustedIssuer::new(Issuer::parse(ISSUER).unwrap(), keys);
    let issuer = TrustedIssuer { makes_super_admins: true, ..issuer };
    let verifier = TokenVerifier::start(None, vec![issuer], &VerifierOptions::default()).await.unwrap();
    let claims = json!({ "iss": ISSUER, "sub": "root", "isSuperAdmin": true, "iat": now(), "exp": now() + 3600 });
    (api.with_verifier(verifier).await, pair.signer.sign_claims(&claims).unwrap())
}

/// As it stands in a path.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn named(subject: &str) -> String {
    format!("{ISSUER}|{subject}")
}

both_adapters! {
    /// The whole key is only in the answer that made it; the key admits its bearer.
    async fn a_key_is_shown_once(api: TestApi) {
        let company = api.company().await;
        let body = json!({ "name": "Billing", "role": "read", "companyId": company.id });
        let made = api.post("/api/iam/api-keys").by_super_admin().json(&body).send().await.expect(201).data();
        let (key, id) = (made["key"].as_str().unwrap(), made["apiKey"]["id"].as_str().unwrap());
        let prefix = made["apiKey"]["prefix"].as_str().unwrap();
        assert!(key.starts_with(&format!("iam_{prefix}_")) && key.len() == 60, "{}", key.len());
        assert_eq!(made["apiKey"]["createdBy"], json!(api.super_admin));
        let secret = key.rsplit_once(prefix).unwrap().1;
        for path in ["/api/iam/api-keys".to_owned(), format!("/api/iam/api-keys/{id}"), "/api/iam/audit-logs".to_owned()] {
            let answer = api.get(&path).by_super_admin().send().await.expect(200);
            let text = String::from_utf8(answer.body).unwrap();
            assert!(text.contains(prefix) && !text.contains(secret), "{path}");
        }
        reads(&api, company, key).await.expect(200);
        changes(&api, company, key, "Never").await.expect(403);
    }

    /// Only the exact key is accepted.
    async fn a_key_that_is_nearly_right_is_refused(api: TestApi) {
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

    /// A credential counts in its own header only.
    async fn a_credential_elsewhere_is_not_looked_for(api: TestApi) {
        let company = api.company().await;
        let (person, service) = (token(company.admin, false, Some(1)), api.api_key("administer", None).await);
        let ask = |query: &str| api.post(&format!("/api/iam/check{query}")).within(company.id);
        let question = json!({ "view": "/dashboard", "userId": company.member });
        for credential in [&person, &service] {
            ask("").bearing(credential).json(&question).send().await.expect(200);
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
        // Of two credentials neither is accepted, in either order.
        for (first, second) in [(&person, &service), (&service, &person), (&service, &service)] {
            let answer = ask("").bearing(first).bearing(second).json(&question).send().await;
            assert_eq!(answer.error().2, "Invalid token format. Use: Bearer <token>");
        }
    }

    /// A key is good for its company; about other companies it gets the same answers as about unknown ones.
    async fn a_key_of_one_company_opens_no_other(api: TestApi) {
        let (ours, theirs) = (api.company().await, api.company().await);
        let nobodys = Company { id: new_company(), ..ours };
        for role in ["check", "read", "administer"] {
            let key = api.api_key(role, Some(ours.id)).await;
            let question = json!({ "view": "/dashboard", "userId": ours.member });
            let ask = |company: Company| api.post("/api/iam/check").bearing(&key).within(company.id).json(&question).send();
            assert_eq!(ask(ours).await.expect(200).data()["allowed"], true);
            for company in [theirs, nobodys] {
                assert_eq!(ask(company).await.error(), (403, "ERR_AUTH_003".into(), "You do not have permission to check other users".into()));
                assert_eq!(reads(&api, company, &key).await.error().2, "You do not have permission to view IAM data");
                changes(&api, company, &key, "Never").await.expect(403);
            }
            // Of the platform it sees only what members of one company see.
            for path in ["/api/iam/audit-logs", "/api/iam/views", "/api/iam/api-keys"] {
                let answer = api.get(path).bearing(&key).send().await;
                assert!([400, 403].contains(&answer.status.as_u16()), "{path} {}", answer.status);
            }
        }
    }

    /// A key for every company sees and changes of the platform what its role allows, but no keys.
    async fn a_key_of_every_company_is_as_good_as_its_role(api: TestApi) {
        // Where a company must be named, keys of one company are refused without it.
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

    /// Expired and revoked keys are refused; the error says which it is.
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
        // It stays in the list, and so does the expired one.
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

    /// Other replicas learn of a revocation as of any change. A revoked key makes no change, even on a replica that
    /// has not learned of it.
    async fn a_revoked_key_is_refused_by_all(api: TestApi) {
        let company = api.company().await;
        let (a, b, deaf) = (Replica::of(&api).await, Replica::of(&api).await, Replica::of(&api).await);
        let (key, text) = stored_key(&api, |_| {}).await;
        for replica in [&a, &b, &deaf] {
            reads(&replica.api, company, &text).await.expect(200);
        }
        deaf.channel.set(Line::Deaf);
        let path = format!("/api/iam/api-keys/{}", key.id);
        a.api.delete(&path).by_super_admin().send().await.expect(200);
        invalid_token(&reads(&a.api, company, &text).await);
        b.hears_everything().await;
        invalid_token(&reads(&b.api, company, &text).await);
        reads(&deaf.api, company, &text).await.expect(200);
        changes(&deaf.api, company, &text, "Never").await.expect(403);
        let levels = api.get("/api/iam/user-levels").by_super_admin().within(company.id).send().await.data();
        assert!(levels["userLevels"].as_array().unwrap().iter().all(|level| level["name"] != "Never"));
    }

    /// Local changes count locally at once, though no change is received.
    async fn a_local_change_counts_locally_at_once(api: TestApi) {
        let company = api.company().await;
        let replica = Replica::of(&api).await;
        let door = &replica.api;
        let bearer = token(company.admin, false, Some(100));
        reads(door, company, &bearer).await.expect(200);
        replica.channel.set(Line::Deaf);
        let body = json!({ "name": "New", "role": "read" });
        let made = door.post("/api/iam/api-keys").by_super_admin().json(&body).send().await.expect(201).data();
        let key = made["key"].as_str().unwrap();
        reads(door, company, key).await.expect(200);
        let path = format!("/api/iam/api-keys/{}", made["apiKey"]["id"].as_str().unwrap());
        door.delete(&path).by_super_admin().send().await.expect(200);
        invalid_token(&reads(door, company, key).await);
        reads(door, company, &bearer).await.expect(200);
        let path = format!("/api/iam/users/{}/not-before", company.admin);
        door.put(&path).by_super_admin().send().await.expect(200);
        expired_token(&reads(door, company, &bearer).await);
    }

    /// A key that was good on arrival, and is not any more when the change gets its turn, makes no change.
    async fn a_key_that_expires_while_it_waits_changes_nothing(api: TestApi) {
        let company = api.company().await;
        for (expires_at, may) in [(now() + 3600, true), (now() - 3600, false)] {
            let (key, _) = stored_key(&api, |key| key.expires_at = Some(at(expires_at))).await;
            let service = Service { key: key.id, role: key.role, company: key.company_id };
            let name = Name::parse(format!("May: {may}")).unwrap();
            let change = CreateUserLevel { company: company.id, name, description: Description::parse("").unwrap() };
            let outcome = api.application.execute(RequestContext::from(Caller::Service(service)), change).await;
            assert!(if may { outcome.is_ok() } else { matches!(outcome, Err(Failure::Forbidden(_))) }, "{outcome:?}");
        }
    }

    /// A key is revoked while a client uses it: from one request to the next it is refused, and never admitted again.
    async fn a_key_is_revoked_in_the_middle_of_its_use(api: TestApi) {
        let company = api.company().await;
        let (key, text) = stored_key(&api, |_| {}).await;
        let question = json!({ "checks": vec![json!({ "view": "/dashboard", "userId": company.member }); 50] });
        let ask = || api.post("/api/iam/checks").bearing(&text).within(company.id).json(&question).send();
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
                    other => panic!("{other} after {refused} refusals"),
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

    /// However long a request takes to arrive, the credential must be good when it is complete.
    async fn a_caller_revoked_while_sending_is_refused(api: TestApi) {
        let company = api.company().await;
        let (key, text) = stored_key(&api, |_| {}).await;
        let revoked = {
            let api = api.clone();
            async move {
                api.delete(&format!("/api/iam/api-keys/{}", key.id)).by_super_admin().send().await.expect(200);
            }
        };
        let question = json!({ "view": "/dashboard", "userId": company.member });
        let check = api.post("/api/iam/check").bearing(&text).within(company.id);
        invalid_token(&check.json_after(&question, revoked).send().await);

        let old = token(company.admin, false, Some(100));
        let cut_off = |user: UserId| {
            let api = api.clone();
            async move {
                api.put(&format!("/api/iam/users/{user}/not-before")).by_super_admin().send().await.expect(200);
            }
        };
        let step = json!({ "url": "/dashboard", "label": "Dashboard", "sessionId": "one" });
        let trail = || api.post("/api/iam/nav-trail").bearing(&old).within(company.id);
        trail().json(&step).send().await.expect(201);
        expired_token(&trail().json_after(&step, cut_off(company.admin)).send().await);

        // Or the token expires. The clock stands still, at a time that is not before the token's.
        let expiring = token(api.super_admin, true, Some(0));
        let time = Arc::new(AtomicU64::new(now()));
        let (clock, later) = (Arc::clone(&time), Arc::clone(&time));
        let clock = move || UNIX_EPOCH + Duration::from_secs(clock.load(Ordering::Relaxed));
        let door = api.with_verifier(TokenVerifier::hs256(&secret()).with_clock(clock)).await;
        let runs_out = async move {
            later.fetch_add(3600, Ordering::Relaxed);
        };
        let level = json!({ "name": "Late" });
        let create = door.post("/api/iam/user-levels").bearing(&expiring).within(company.id);
        expired_token(&create.json_after(&level, runs_out).send().await);
    }

    /// Services are recorded in the audit trail as users are, by the id of the key.
    async fn what_a_service_does_is_recorded(api: TestApi) {
        let company = api.company().await;
        let (key, text) = stored_key(&api, |key| key.company_id = Some(company.id)).await;
        changes(&api, company, &text, "By a service").await.expect(201);
        let path = format!("/api/iam/audit-logs?userId={}", key.id);
        let logs = api.get(&path).by_super_admin().within(company.id).send().await.expect(200).data();
        let [log] = logs["logs"].as_array().unwrap().as_slice() else { panic!("{logs}") };
        assert_eq!((&log["action"], &log["actorKind"]), (&json!("user_level.created"), &json!("service")));
        // The platform's trail records who made and revoked keys.
        let path = format!("/api/iam/api-keys/{}", key.id);
        api.delete(&path).by_super_admin().send().await.expect(200);
        let path = format!("/api/iam/audit-logs?entityType=api-key&entityId={}", key.id);
        let logs = api.get(&path).by_super_admin().send().await.expect(200).data();
        let actions: Vec<_> = logs["logs"].as_array().unwrap().iter().map(|log| &log["action"]).collect();
        assert_eq!(actions, ["api_key.revoked", "api_key.created"]);
    }

    /// The last use of a key is recorded about once a minute.
    async fn the_last_use_of_a_key_is_noted(api: TestApi) {
        let company = api.company().await;
        let (key, text) = stored_key(&api, |_| {}).await;
        let path = format!("/api/iam/api-keys/{}", key.id);
        let last_use = || async { api.get(&path).by_super_admin().send().await.data()["apiKey"]["lastUsedAt"].clone() };
        assert_eq!(last_use().await, Value::Null);
        for _ in 0..3 {
            reads(&api, company, &text).await.expect(200);
        }
        api.application.permissions().note_uses().await;
        let noted = last_use().await;
        assert!(noted.is_string());
        reads(&api, company, &text).await.expect(200);
        api.application.permissions().note_uses().await;
        assert_eq!(last_use().await, noted);
    }

    /// A user who was cut off is refused with every earlier token, here at once and elsewhere once the change arrives,
    /// super admins too. A token that was issued later is admitted.
    async fn a_user_is_cut_off(api: TestApi) {
        let company = api.company().await;
        let (a, b, deaf) = (Replica::of(&api).await, Replica::of(&api).await, Replica::of(&api).await);
        for (user, is_super_admin) in [(company.admin, false), (new_user(), true)] {
            let (old, undated) = (token(user, is_super_admin, Some(100)), token(user, is_super_admin, None));
            for replica in [&a, &b, &deaf] {
                reads(&replica.api, company, &old).await.expect(200);
                reads(&replica.api, company, &undated).await.expect(200);
            }
            deaf.channel.set(Line::Deaf);
            let path = format!("/api/iam/users/{user}/not-before");
            let cut = a.api.put(&path).by_super_admin().send().await.expect(200).data();
            assert_eq!(cut["user"]["id"], json!(user));
            b.hears_everything().await;
            for replica in [&a, &b] {
                for token in [&old, &undated] {
                    expired_token(&reads(&replica.api, company, token).await);
                }
            }
            // A replica that has not learned of it yet makes no change for the user all the same.
            reads(&deaf.api, company, &old).await.expect(200);
            changes(&deaf.api, company, &old, "Never").await.expect(403);
            changes(&deaf.api, company, &undated, "Never").await.expect(403);
            // From now on a minute ago counts: the other token is from later.
            let minute_ago = json!({ "notBefore": at(now() - 60) });
            a.api.put(&path).by_super_admin().json(&minute_ago).send().await.expect(200);
            let new = token(user, is_super_admin, Some(1));
            b.hears_everything().await;
            for replica in [&a, &b] {
                reads(&replica.api, company, &new).await.expect(200);
                expired_token(&reads(&replica.api, company, &old).await);
            }
            changes(&a.api, company, &new, &format!("By {user}")).await.expect(201);
            deaf.channel.set(Line::Whole);
            // A change that it learns of later would make it read the next cut-off too.
            deaf.hears_everything().await;
        }
        // Other users are not affected.
        let member = json!({ "view": "/dashboard" });
        assert_eq!(b.api.check(company, company.member, member).await["allowed"], true);
    }

    /// Only tokens from before the cut-off are refused: one issued at exactly that time is admitted, and makes changes.
    async fn a_token_of_the_very_time_counts(api: TestApi) {
        let company = api.company().await;
        let made = now() - 100;
        let claims = json!({ "userId": company.admin, "iat": made, "exp": now() + 3600 });
        let bearer = TokenSigner::hs256(&secret()).sign_claims(&claims).unwrap();
        let path = format!("/api/iam/users/{}/not-before", company.admin);
        for (later_by, read, changed) in [(0, 200, 201), (1, 401, 401)] {
            let not_before = Timestamp::from_millis(at(made).millis() + later_by);
            let body = json!({ "notBefore": not_before });
            api.put(&path).by_super_admin().json(&body).send().await.expect(200);
            reads(&api, company, &bearer).await.expect(read);
            changes(&api, company, &bearer, "Just in time").await.expect(changed);
        }
    }

    /// A clock that is ahead by as much as is allowed makes no token survive: "now" is later than all of them.
    async fn a_token_from_a_clock_that_is_ahead_is_cut_off_too(api: TestApi) {
        let company = api.company().await;
        let clock_skew = Duration::from_secs(30);
        let options = VerifierOptions { clock_skew, ..VerifierOptions::default() };
        let native = Some(SharedSecret::new(secret()));
        let door = api.with_verifier(TokenVerifier::start(native, Vec::new(), &options).await.unwrap()).await;
        let claims = json!({ "userId": company.admin, "iat": now() + 25, "exp": now() + 3600 });
        let ahead = TokenSigner::hs256(&secret()).sign_claims(&claims).unwrap();
        reads(&door, company, &ahead).await.expect(200);
        let path = format!("/api/iam/users/{}/not-before", company.admin);
        door.put(&path).by_super_admin().send().await.expect(200);
        expired_token(&reads(&door, company, &ahead).await);
    }

    /// A service may always send the version that it has seen, whether or not the subject is cached.
    async fn a_service_may_say_what_it_has_seen(api: TestApi) {
        let company = api.company().await;
        let key = api.api_key("check", Some(company.id)).await;
        let question = json!({ "view": "/dashboard", "userId": company.member });
        let ask = || api.post("/api/iam/check").by_key(&key).within(company.id).json(&question);
        let seen = ask().send().await.expect(200).header("x-iam-version").unwrap().to_owned();
        for _ in 0..150 {
            ask().header("x-iam-min-version", &seen).send().await.expect(200);
        }
    }

    /// Only super admins cut users off, in person: no service may, whatever its role.
    async fn only_super_admins_with_a_token_cut_users_off(api: TestApi) {
        let company = api.company().await;
        let path = format!("/api/iam/users/{}/not-before", company.member);
        api.put(&path).by(company.admin).within(company.id).send().await.expect(403);
        let of_company = api.api_key("administer", Some(company.id)).await;
        api.put(&path).by_key(&of_company).within(company.id).send().await.expect(403);
        // A leaked key must neither lock out those who would revoke it, nor admit again the users that they cut off.
        let platform = api.api_key("administer", None).await;
        for user in [company.member, api.super_admin] {
            for time in ["9999-12-31T00:00:00Z", "1970-01-01T00:00:00Z"] {
                let path = format!("/api/iam/users/{user}/not-before");
                api.put(&path).by_key(&platform).json(&json!({ "notBefore": time })).send().await.expect(403);
            }
        }
        api.put(&path).by_super_admin().send().await.expect(200);
        let user = |request: crate::support::api::Request| request.send();
        let seen = user(api.get(&format!("/api/iam/users/{}", company.member)).by_super_admin()).await.expect(200).data();
        assert!(seen["user"]["notBefore"].is_string());
        // Companies do not see what the platform decided.
        let seen = api.get(&format!("/api/iam/users/{}", company.member)).by(company.admin).within(company.id);
        assert_eq!(seen.send().await.expect(200).data()["user"]["notBefore"], Value::Null);
    }

    /// A user of another issuer is identified by issuer and subject wherever a user id is accepted.
    async fn external_users_work_as_others_do(api: TestApi) {
        let company = api.company().await;
        let issuing = Issuing::over(&api).await;
        let door = &issuing.api;
        let admin = door.level_id(company, "Admin").await;
        for bytes in ["%FF", "%C3"] {
            let path = format!("/api/iam/users/{}{bytes}/user-levels", encoded(&named("a")));
            let put = door.put(&path).by(company.admin).within(company.id).json(&json!({ "userLevelIds": [admin] }));
            assert_eq!(put.send().await.expect(400).error().2, "userId must be a valid UUID, or issuer|subject");
        }
        for subject in ["auth0|5f7c8ec7", "ada@example.com", "Ünï cödé %2F/?#&", "42", "018f3c1e-0000-7000-8000-000000000001"] {
            let (bearer, name) = (issuing.token(subject), named(subject));
            let id = ExternalId::parse(&name).unwrap().user_id();
            // Not stored yet, though the token claims super admin; and reading stores nothing.
            reads(door, company, &bearer).await.expect(403);
            let permissions = door.get("/api/iam/permissions/current").bearing(&bearer).within(company.id).send().await;
            assert!(!String::from_utf8(permissions.expect(200).body).unwrap().contains("true"));
            let about = format!("/api/iam/users/{}", encoded(&name));
            let told = door.get(&about).by_super_admin().send().await.expect(200).data();
            assert_eq!((&told["user"]["id"], &told["user"]["externalId"]), (&json!(id), &json!(name)));
            let audit = format!("/api/iam/audit-logs?userId={}", encoded(&name));
            for path in [&format!("{about}/user-levels"), &format!("{about}/permissions"), &audit] {
                door.get(path).by(company.admin).within(company.id).send().await.expect(200);
            }
            assert_eq!(api.storage.reader().users().find(&[id]).await.unwrap(), []);
            door.get(&about).by(company.admin).within(company.id).send().await.expect(404);

            let admin = door.level_id(company, "Admin").await;
            let body = json!({ "userLevelIds": [admin] });
            let path = format!("/api/iam/users/{}/user-levels", encoded(&name));
            door.put(&path).by(company.admin).within(company.id).json(&body).send().await.expect(200);
            reads(door, company, &bearer).await.expect(200);
            let held = door.get(&path).bearing(&bearer).within(company.id).send().await.expect(200).data();
            assert_eq!(held["userLevels"][0]["id"], json!(admin));
            let permissions = format!("{about}/permissions");
            door.get(&permissions).by(company.admin).within(company.id).send().await.expect(200);
            let ask = json!({ "view": "/dashboard", "userId": name });
            let check = door.post("/api/iam/check").by(company.admin).within(company.id).json(&ask).send().await;
            assert_eq!(check.expect(200).data()["allowed"], true);
            let asks = json!({ "checks": [ask, { "view": "/dashboard", "userId": "https://nobody.example|1" }] });
            let checks = door.post("/api/iam/checks").by(company.admin).within(company.id).json(&asks).send().await;
            let results = checks.expect(200).data();
            assert_eq!(results["results"][0]["allowed"], true);
            assert_eq!(results["results"][1]["error"]["message"], "userId names an issuer that is not known");
            // A caller that may not ask about others learns neither which issuers there are nor which users they can
            // name.
            for nobody in [name.as_str(), "https://nobody.example|1", &format!("{ISSUER}|{}", "x".repeat(300))] {
                let ask = json!({ "view": "/dashboard", "userId": nobody });
                let one = door.post("/api/iam/check").by(company.visitor).within(company.id).json(&ask).send().await;
                let asks = json!({ "checks": [ask] });
                let many = door.post("/api/iam/checks").by(company.visitor).within(company.id).json(&asks).send().await;
                let refusal = "You do not have permission to check other users";
                assert_eq!(one.expect(403).error().2, refusal);
                assert_eq!(many.expect(200).data()["results"][0]["error"]["message"], refusal);
            }

            // The answer returns the name, whichever spelling the request used.
            let path_id = ExternalId::parse(&name).unwrap().path_id();
            for about in [about, format!("/api/iam/users/{id}"), format!("/api/iam/users/{path_id}")] {
                let user = door.get(&about).by(company.admin).within(company.id).send().await.expect(200).data();
                let expected = json!({
                    "id": id, "externalId": name, "pathId": path_id, "issuer": ISSUER, "subject": subject, "notBefore": null,
                });
                assert_eq!(user["user"], expected);
            }
            changes(door, company, &bearer, &format!("By {id}")).await.expect(201);
            let path = format!("/api/iam/audit-logs?userId={}", encoded(&name));
            let logs = door.get(&path).bearing(&bearer).within(company.id).send().await.expect(200).data();
            assert_eq!((&logs["logs"][0]["userId"], &logs["logs"][0]["externalUserId"]), (&json!(id), &json!(name)));
            let path = format!("/api/iam/audit-logs?entityType=assignment&entityId={id}");
            let logs = door.get(&path).bearing(&bearer).within(company.id).send().await.expect(200).data();
            assert_eq!(logs["logs"][0]["externalEntityId"], json!(name));
            assert_eq!(logs["logs"][0]["entityPathId"], json!(path_id));

            // The same subject of another issuer is another user.
            reads(door, company, &issuing.other_token(subject)).await.expect(403);
            // So is a user whose id is the subject.
            if let Ok(user) = UserId::parse(subject) {
                assert_ne!(user, id);
                door.get("/api/iam/user-levels").by(user).within(company.id).send().await.expect(403);
            }
        }
    }

    /// Wherever a user is named, the unescaped spelling is the same user as `issuer|subject`.
    async fn a_path_id_names_a_user_everywhere(api: TestApi) {
        let company = api.company().await;
        let issuing = Issuing::over(&api).await;
        let door = &issuing.api;
        let member = door.level_id(company, "Member").await;
        for subject in ["auth0|5f7c8ec7", "a/b//c%2F?#", "\u{dc}n\u{ef}", "x.YXxi"] {
            let name = named(subject);
            let external = ExternalId::parse(&name).unwrap();
            let (id, path_id) = (external.user_id(), external.path_id());
            let by_admin = |request: Request| request.by(company.admin).within(company.id);
            // Before anything is stored.
            let about = format!("/api/iam/users/{path_id}");
            let user = door.get(&about).by_super_admin().send().await.expect(200).data();
            assert_eq!((&user["user"]["id"], &user["user"]["pathId"]), (&json!(id), &json!(path_id)));
            by_admin(door.get(&about)).send().await.expect(404);

            let levels = format!("{about}/user-levels");
            by_admin(door.put(&levels)).json(&json!({ "userLevelIds": [member] })).send().await.expect(200);
            let own = door.get("/api/iam/permissions/current").bearing(&issuing.token(subject)).within(company.id).send().await;
            assert!(own.expect(200).data().to_string().contains("true"));
            let held = by_admin(door.get(&levels)).send().await.expect(200).data();
            assert_eq!(held["userLevels"][0]["id"], json!(member));
            by_admin(door.get(&format!("{about}/permissions"))).send().await.expect(200);
            let ask = json!({ "view": "/dashboard", "userId": path_id });
            for (path, body) in [("check", ask.clone()), ("explain", ask.clone()), ("checks", json!({ "checks": [ask] }))] {
                let answer = by_admin(door.post(&format!("/api/iam/{path}"))).json(&body).send().await.expect(200).data();
                assert!(answer.to_string().contains("\"allowed\":true"), "{path} {answer}");
            }
            let query = format!("/api/iam/audit-logs?entityType=assignment&entityId={path_id}");
            let logs = by_admin(door.get(&query)).send().await.expect(200).data();
            assert_eq!((&logs["logs"][0]["externalEntityId"], &logs["logs"][0]["entityPathId"]), (&json!(name), &json!(path_id)));
            let query = format!("/api/iam/audit-logs?userId={path_id}");
            assert_eq!(by_admin(door.get(&query)).send().await.expect(200).data()["logs"], json!([]));
            // A user who holds a level in the company is known there by id, too.
            let by_id = format!("/api/iam/users/{id}/user-levels");
            by_admin(door.put(&by_id)).json(&json!({ "userLevelIds": [member] })).send().await.expect(200);
            by_admin(door.put(&by_id)).json(&json!({ "userLevelIds": [] })).send().await.expect(200);
            by_admin(door.put(&by_id)).json(&json!({ "userLevelIds": [member] })).send().await.expect(400);
            let cut = door.put(&format!("{about}/not-before")).by_super_admin().send().await.expect(200).data();
            assert_eq!(cut["user"]["externalId"], json!(name));
        }
        let admin = ExternalId::parse(&named("auth0|admin")).unwrap();
        let path = format!("/api/iam/companies/{}/provision", new_company());
        let body = json!({ "adminUserId": admin.path_id() });
        door.post(&path).by_super_admin().json(&body).send().await.expect(201);
    }

    /// An invalid path id, and one of an unknown issuer, is refused as the other spelling is.
    async fn a_text_that_is_no_path_id_is_refused(api: TestApi) {
        let company = api.company().await;
        let issuing = Issuing::over(&api).await;
        let good = ExternalId::parse(&named("ab")).unwrap().path_id();
        let foreign = ExternalId::parse("https://nobody.example|1").unwrap().path_id();
        let form = "userId must be a valid UUID, or issuer|subject";
        for (text, message) in [
            (format!("{good}%3D"), form),
            (format!("{good}A"), form),
            (good.replacen("x.", "X.", 1), form),
            (good.replacen("x.", "x", 1), form),
            ("x.".to_owned(), form),
            ("x.____".to_owned(), form),
            (foreign, "userId names an issuer that is not known"),
        ] {
            let path = format!("/api/iam/users/{text}/user-levels");
            let answer = issuing.api.get(&path).by(company.admin).within(company.id).send().await;
            assert_eq!(answer.error(), (400, "ERR_VALIDATION_001".into(), message.into()), "{text}");
        }
    }

    /// The holders of a level are listed as their issuers name them, and so are those who keep a level from being
    /// deleted.
    async fn holders_are_named_by_their_issuers(api: TestApi) {
        let company = api.company().await;
        let issuing = Issuing::over(&api).await;
        let door = &issuing.api;
        let level = door.new_level(company, "Auditors").await;
        let external = ExternalId::parse(&named("auth0|1")).unwrap();
        let native = company.visitor;
        for user in [external.path_id(), native.to_string()] {
            let path = format!("/api/iam/users/{user}/user-levels");
            let body = json!({ "userLevelIds": [level] });
            door.put(&path).by(company.admin).within(company.id).json(&body).send().await.expect(200);
        }
        let path = format!("/api/iam/user-levels/{level}");
        let data = door.get(&format!("{path}/users")).by(company.admin).within(company.id).send().await.expect(200).data();
        let mut expected = [
            json!({ "id": external.user_id(), "externalId": external, "pathId": external.path_id() }),
            json!({ "id": native, "externalId": null, "pathId": null }),
        ];
        expected.sort_by_key(|user| user["id"].as_str().unwrap().to_owned());
        assert_eq!(data, json!({ "users": expected, "nextCursor": null }));
        let refused = door.delete(&path).by(company.admin).within(company.id).send().await.expect(400).json();
        let mut told = each(&refused["errors"], "message");
        told.sort_unstable();
        let mut expected = [format!("is held by {external}"), format!("is held by {native}")];
        expected.sort_unstable();
        assert_eq!(told, expected);
    }

    /// A token whose subject is a user id cannot name a user of another issuer.
    async fn a_user_id_as_subject_names_no_external_user(api: TestApi) {
        let company = api.company().await;
        let id = ExternalId::parse(&named("auth0|1")).unwrap().user_id();
        let issuing = Issuing::over(&api).await;
        let body = json!({ "userLevelIds": [api.level_id(company, "Admin").await] });
        // Nor can levels be assigned by the id alone: a caller that knows only the id would learn the name.
        let path = format!("/api/iam/users/{id}/user-levels");
        let refused = issuing.api.put(&path).by(company.admin).within(company.id).json(&body).send().await;
        let message = "userId names no user who can sign in; users of external issuers are named issuer|subject";
        assert_eq!(refused.error(), (400, "ERR_VALIDATION_001".into(), message.into()));
        let path = format!("/api/iam/users/{}/user-levels", encoded(&named("auth0|1")));
        issuing.api.put(&path).by(company.admin).within(company.id).json(&body).send().await.expect(200);
        invalid_token(&reads(&api, company, &token(id, false, Some(1))).await);
        reads(&issuing.api, company, &issuing.token("auth0|1")).await.expect(200);
        invalid_token(&reads(&issuing.api, company, &token(id, false, Some(1))).await);
    }

    /// Levels are assigned only to users that can sign in: not to a service, whose permissions follow from its key's
    /// role, and not to an id that no issuer's token can name. What such an id holds can be taken away.
    async fn levels_are_assigned_only_to_users_who_can_sign_in(api: TestApi) {
        let company = api.company().await;
        let (key, _) = stored_key(&api, |_| {}).await;
        let (without_natives, external) = without_natives(&api).await;
        let native = token(api.super_admin, true, Some(1));
        let id = key.id.to_string();
        for (door, bearer, user) in [(&api, &native, id), (&without_natives, &external, company.member.to_string())] {
            let path = format!("/api/iam/users/{user}/user-levels");
            let put = |levels: Value| door.put(&path).bearing(bearer).within(company.id).json(&levels).send();
            let member = api.level_id(company, "Member").await;
            let refused = put(json!({ "userLevelIds": [member] })).await.expect(400);
            let message = "userId names no user who can sign in; users of external issuers are named issuer|subject";
            assert_eq!(refused.error().2, message);
            put(json!({ "userLevelIds": [] })).await.expect(200);
            let provision = door.post(&format!("/api/iam/companies/{}/provision", new_company())).bearing(bearer);
            provision.json(&json!({ "adminUserId": user })).send().await.expect(400);
        }
    }

    /// An external user can become admin of a new company, and can be cut off.
    async fn an_external_user_administers_and_is_cut_off(api: TestApi) {
        let issuing = Issuing::over(&api).await;
        let (door, subject) = (&issuing.api, "auth0|admin");
        let company = Company { id: new_company(), admin: new_user(), member: new_user(), visitor: new_user() };
        let path = format!("/api/iam/companies/{}/provision", company.id);
        let unnamed = json!({ "adminUserId": ExternalId::parse(&named(subject)).unwrap().user_id() });
        let refused = door.post(&path).by_super_admin().json(&unnamed).send().await.expect(400);
        let message = "adminUserId names no user who can sign in; users of external issuers are named issuer|subject";
        assert_eq!(refused.error().2, message);
        let body = json!({ "adminUserId": named(subject) });
        door.post(&path).by_super_admin().json(&body).send().await.expect(201);
        let bearer = issuing.token(subject);
        changes(door, company, &bearer, "By the admin").await.expect(201);
        let path = format!("/api/iam/users/{}/not-before", encoded(&named(subject)));
        let future = json!({ "notBefore": "2999-01-01T00:00:00.000Z" });
        let cut = door.put(&path).by_super_admin().json(&future).send().await.expect(200).data();
        assert_eq!((&cut["user"]["externalId"], &cut["user"]["notBefore"]), (&json!(named(subject)), &future["notBefore"]));
        expired_token(&reads(door, company, &bearer).await);
        // By id alone too: it grants nothing, and callers that may cut users off may learn their names.
        let path = format!("/api/iam/users/{}/not-before", ExternalId::parse(&named(subject)).unwrap().user_id());
        let past = json!({ "notBefore": "2000-01-01T00:00:00.000Z" });
        let let_in = door.put(&path).by_super_admin().json(&past).send().await.expect(200).data();
        let user = &let_in["user"];
        assert_eq!((&user["externalId"], &user["notBefore"]), (&json!(named(subject)), &past["notBefore"]));
        reads(door, company, &bearer).await.expect(200);
    }

    /// The name of a user is stored with the first change that the user makes, even if no request ever named the user.
    async fn the_caller_of_a_change_is_remembered(api: TestApi) {
        let (door, bearer) = without_natives(&api).await;
        let id = ExternalId::parse(&named("root")).unwrap().user_id();
        let company = new_company();
        let levels = || door.get("/api/iam/user-levels").bearing(&bearer).within(company).send();
        levels().await.expect(200);
        assert_eq!(api.storage.reader().users().find(&[id]).await.unwrap(), []);
        let path = format!("/api/iam/companies/{company}/provision");
        door.post(&path).bearing(&bearer).send().await.expect(201);
        let logs = door.get("/api/iam/audit-logs").bearing(&bearer).within(company).send().await.expect(200).data();
        for log in logs["logs"].as_array().unwrap() {
            assert_eq!((&log["userId"], &log["externalUserId"]), (&json!(id), &json!(named("root"))));
        }
        assert_ne!(logs["logs"], json!([]));
    }

    /// The name is also stored when a request names the user: as a company's first admin, for levels, for a cut-off.
    async fn a_user_named_by_a_change_is_remembered(api: TestApi) {
        let company = api.company().await;
        let door = Issuing::over(&api).await.api;
        let admin = json!({ "adminUserId": named("admin") });
        let levels = json!({ "userLevelIds": [door.level_id(company, "Member").await] });
        let about = |subject: &str, what: &str| format!("/api/iam/users/{}/{what}", encoded(&named(subject)));
        let changes = [
            ("admin", door.post(&format!("/api/iam/companies/{}/provision", new_company())).json(&admin), 201),
            ("member", door.put(&about("member", "user-levels")).within(company.id).json(&levels), 200),
            ("non-member", door.put(&about("non-member", "not-before")), 200),
        ];
        for (subject, change, status) in changes {
            change.by_super_admin().send().await.expect(status);
            let id = ExternalId::parse(&named(subject)).unwrap().user_id();
            let told = door.get(&format!("/api/iam/users/{id}")).by_super_admin().send().await.expect(200).data();
            assert_eq!(told["user"]["externalId"], json!(named(subject)));
        }
    }

    /// While an issuer's keys are unavailable its users are asked to retry, and all others are admitted.
    async fn an_issuer_that_is_down_is_503_for_its_users_only(api: TestApi) {
        let company = api.company().await;
        // A port that no process listens on any more.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let url = JwksUrl::parse(&format!("http://127.0.0.1:{port}/keys")).unwrap();
        let issuer = TrustedIssuer::new(Issuer::parse(ISSUER).unwrap(), KeySource::JwksUrl(url));
        let native = Some(SharedSecret::new(secret()));
        let verifier = TokenVerifier::start(native, vec![issuer], &VerifierOptions::default()).await.unwrap();
        let door = api.with_verifier(verifier).await;
        let signer = Pair::ed25519().signer;
        let claims = json!({ "iss": ISSUER, "sub": "1", "iat": now(), "exp": now() + 3600 });
        let bearer = signer.sign_claims(&claims).unwrap();
        for _ in 0..3 {
            let answer = reads(&door, company, &bearer).await;
            assert_eq!((answer.error().0, answer.error().1.as_str()), (503, "ERR_UNAVAILABLE_001"));
            assert!(answer.header("retry-after").is_some());
        }
        door.get("/api/iam/user-levels").by(company.admin).within(company.id).send().await.expect(200);
        let key = door.api_key("read", None).await;
        reads(&door, company, &key).await.expect(200);
        // The claims of the token rule it out, whatever its signature.
        let old = json!({ "iss": ISSUER, "sub": "1", "iat": now() - 7200, "exp": now() - 3600 });
        reads(&door, company, &signer.sign_claims(&old).unwrap()).await.expect(401);
    }
}
