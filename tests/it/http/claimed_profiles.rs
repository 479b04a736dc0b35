//! Tests of the profiles that are recorded from the claims of tokens.

use std::sync::Arc;
use std::time::Duration;

use iam_application::{AssignUserLevels, IfMatch, ProvisionCompany, RequestContext, RequestedLevels};
use iam_domain::{Caller, ExternalId, Issuer, NamedUser, UserId};
use iam_identity::{KeySet, KeySource, SharedSecret, TokenSigner, TokenVerifier, TrustedIssuer, VerifierOptions};
use iam_permissions_cache::{CacheOptions, Consistency, Subject};
use serde_json::{Value, json};

use super::tokens::{Pair, TempFile, services, start};
use crate::support::api::{Company, TestApi, both_adapters, get_from, new_company, new_user, now, patient, secret};
use crate::support::replica::until;

/// An issuer that provides profiles.
const PROVIDING: &str = "https://directory.example/";
/// An issuer that provides no profiles.
const OTHER: &str = "https://login.example/realm";

/// An API instance that trusts both issuers, and the signer of their tokens.
struct Issuing {
    signer: TokenSigner,
    api: TestApi,
}

/// Returns the id of the user with this subject of the issuer that provides profiles.
fn user(subject: &str) -> UserId {
    ExternalId::parse(&format!("{PROVIDING}|{subject}")).unwrap().user_id()
}

impl Issuing {
    async fn over(api: &TestApi) -> Self {
        let pair = Pair::ed25519();
        let trusted = |issuer: &str, provides_profiles| {
            let keys = KeySource::Keys(KeySet::from_pem(&pair.public).unwrap());
            TrustedIssuer { provides_profiles, ..TrustedIssuer::new(Issuer::parse(issuer).unwrap(), keys) }
        };
        let issuers = vec![trusted(PROVIDING, true), trusted(OTHER, false)];
        let native = Some(SharedSecret::new(secret()));
        let verifier = TokenVerifier::start(native, issuers, &VerifierOptions::default()).await.unwrap();
        let options = CacheOptions { lease: Duration::from_secs(600), ..patient() };
        let api = api.with_cache(verifier, options).await;
        // Permissions are served from the cache only after a poll.
        let permissions = Arc::clone(&api.permissions);
        actix_web::rt::spawn(async move { permissions.follow().await });
        Self { signer: pair.signer, api }
    }

    /// Sends requests of a user whose token has these claims until the permissions of the user are cached, and then another
    /// one: only users whose permissions are cached are known to be members.
    async fn arrive(&self, company: Company, issuer: &str, subject: &str, claims: Value) {
        let mut all = json!({ "iss": issuer, "sub": subject, "iat": now(), "exp": now() + 3600 });
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        let token = self.signer.sign_claims(&all).unwrap();
        let user = ExternalId::parse(&format!("{issuer}|{subject}")).unwrap().user_id();
        let send = async || {
            let request = self.api.get("/api/iam/permissions/current").bearer(&token).within(company.id);
            request.send().await.expect(200);
        };
        until(async || {
            send().await;
            self.api.permissions.is_cached(company.id, Subject::User(user), Consistency::Cached)
        })
        .await;
        send().await;
    }

    /// Sends requests as [`Self::arrive`], and then writes the profiles as the background task does. Returns the number
    /// of changed profiles. Profiles that were examined before are examined again.
    async fn record(&self, company: Company, issuer: &str, subject: &str, claims: Value) -> u64 {
        self.api.application.forget_claimed_profiles();
        self.arrive(company, issuer, subject, claims).await;
        self.api.application.record_claimed_profiles().await.unwrap()
    }

    /// Gives the level Member to the user with this subject.
    async fn join(&self, company: Company, issuer: &str, subject: &str) {
        let level = self.api.level_id(company, "Member").await;
        let pair = json!({ "userId": format!("{issuer}|{subject}"), "userLevelId": level });
        let request = self.api.post("/api/iam/assignments").by(company.admin).within(company.id);
        request.json(&json!({ "add": [pair] })).send().await.expect(200);
    }

    /// Returns the display name, the e-mail address and the source of the profile of a user.
    async fn profile(&self, company: Company, user: UserId) -> Value {
        let path = format!("/api/iam/users/{user}/profile");
        let profile = self.api.get(&path).by(company.admin).within(company.id).send().await.expect(200).data();
        let profile = &profile["profile"];
        json!([profile["displayName"], profile["email"], profile["source"]])
    }

    /// Returns the version of the data of a company.
    async fn version(&self, company: Company) -> String {
        let request = self.api.get("/api/iam/permissions/current").by(company.admin).within(company.id);
        request.send().await.expect(200).header("x-iam-version").unwrap().to_owned()
    }
}

fn ada() -> Value {
    json!({ "name": "Ada Lovelace", "email": "ada@example.com", "email_verified": true })
}

both_adapters! {
    /// The claims of a member become the member's profile, which is marked and shown beside the external id. A repetition
    /// changes nothing, and no version. The audit log names the system as the actor and contains no values.
    async fn the_claims_of_a_member_become_the_profile_of_the_member(api: TestApi) {
        let company = api.company().await;
        let issuing = Issuing::over(&api).await;
        issuing.join(company, PROVIDING, "ada").await;
        assert_eq!(issuing.record(company, PROVIDING, "ada", ada()).await, 1);
        let expected = json!(["Ada Lovelace", "ada@example.com", "token"]);
        assert_eq!(issuing.profile(company, user("ada")).await, expected);

        let list = issuing.api.get("/api/iam/users?q=lovelace").by(company.admin).within(company.id);
        let listed = list.send().await.expect(200).data()["users"][0].take();
        let shown = json!([listed["displayName"], listed["email"], listed["profileSource"], listed["externalId"]]);
        let external = format!("{PROVIDING}|ada");
        assert_eq!(shown, json!(["Ada Lovelace", "ada@example.com", "token", external]));

        let version = issuing.version(company).await;
        assert_eq!(issuing.record(company, PROVIDING, "ada", ada()).await, 0);
        // A part that the claims do not contain remains.
        assert_eq!(issuing.record(company, PROVIDING, "ada", json!({ "name": "Ada Lovelace" })).await, 0);
        assert_eq!(issuing.version(company).await, version);

        let logs = issuing.api.get("/api/iam/audit-logs?action=user.profile_updated").by(company.admin);
        let logs = logs.within(company.id).send().await.expect(200).data();
        let records: Vec<_> = logs["logs"].as_array().unwrap().iter().collect();
        assert_eq!(records.len(), 1, "{logs}");
        let of_system = json!({ "fields": ["displayName", "email", "source"], "source": "token" });
        assert_eq!(
            (&records[0]["actorKind"], &records[0]["userId"], &records[0]["changes"]),
            (&json!("system"), &Value::Null, &of_system)
        );
    }

    /// An e-mail address is recorded only if the issuer has verified it: `email_verified` must be JSON `true`.
    async fn only_verified_addresses_are_recorded(api: TestApi) {
        let company = api.company().await;
        let issuing = Issuing::over(&api).await;
        issuing.join(company, PROVIDING, "ada").await;
        let email = "eve@example.com";
        for claims in [
            json!({ "name": "Eve", "email": email }),
            json!({ "name": "Eve", "email": email, "email_verified": false }),
            json!({ "name": "Eve", "email": email, "email_verified": "true" }),
            json!({ "name": "Eve", "email": [email], "email_verified": true }),
        ] {
            issuing.record(company, PROVIDING, "ada", claims).await;
            assert_eq!(issuing.profile(company, user("ada")).await, json!(["Eve", null, "token"]));
        }
        let verified = json!({ "email": email, "email_verified": true });
        assert_eq!(issuing.record(company, PROVIDING, "ada", verified).await, 1);
        assert_eq!(issuing.profile(company, user("ada")).await, json!(["Eve", email, "token"]));
    }

    /// Claims that the API would reject are dropped, and never shortened. The token remains valid.
    async fn claims_that_the_api_would_reject_are_dropped(api: TestApi) {
        let company = api.company().await;
        let issuing = Issuing::over(&api).await;
        issuing.join(company, PROVIDING, "ada").await;
        let long = "a".repeat(256);
        let long_email = format!("{}@example.com", "a".repeat(250));
        for (name, email) in [
            (json!(long), json!(long_email)),
            (json!("Ada\u{202e}"), json!("ada\u{202e}@example.com")),
            (json!("\u{7}Ada"), json!("ada\u{7}@example.com")),
            (json!("A\0da"), json!("ada")),
            (json!(" "), json!("")),
            (json!(7), json!(null)),
            (json!({ "en": "Ada" }), json!(["ada@example.com"])),
        ] {
            let claims = json!({ "name": name, "email": email, "email_verified": true });
            assert_eq!(issuing.record(company, PROVIDING, "ada", claims.clone()).await, 0, "{claims}");
        }
        assert_eq!(issuing.profile(company, user("ada")).await, json!([null, null, null]));
    }

    /// Only members of the company of the request, and only users of an issuer that provides profiles, have profiles from
    /// claims.
    async fn claims_of_non_members_and_of_other_issuers_are_ignored(api: TestApi) {
        let (company, elsewhere) = (api.company().await, api.company().await);
        let issuing = Issuing::over(&api).await;
        issuing.join(company, PROVIDING, "ada").await;
        issuing.join(company, OTHER, "ada").await;
        assert_eq!(issuing.record(company, PROVIDING, "eve", ada()).await, 0);
        assert_eq!(issuing.record(elsewhere, PROVIDING, "ada", ada()).await, 0);
        assert_eq!(issuing.record(company, OTHER, "ada", ada()).await, 0);
        let other = ExternalId::parse(&format!("{OTHER}|ada")).unwrap().user_id();
        assert_eq!(issuing.profile(company, other).await, json!([null, null, null]));
        let profiles = api.storage.reader().user_profiles();
        assert_eq!(profiles.find(company.id, &[user("eve")]).await.unwrap(), []);
        assert_eq!(profiles.find(elsewhere.id, &[user("ada")]).await.unwrap(), []);
    }

    /// A profile that the API has set is never replaced by claims, even if the API has set no name. After the user has
    /// left the company, claims set the profile of a user who joins again.
    async fn profiles_of_the_api_win_over_claims(api: TestApi) {
        let company = api.company().await;
        let issuing = Issuing::over(&api).await;
        issuing.join(company, PROVIDING, "ada").await;
        assert_eq!(issuing.record(company, PROVIDING, "ada", ada()).await, 1);
        let path = format!("/api/iam/users/{}", user("ada"));
        for (body, expected) in [
            (json!({ "displayName": "Countess" }), json!(["Countess", null, "api"])),
            (json!({}), json!([null, null, "api"])),
        ] {
            let request = issuing.api.put(&format!("{path}/profile")).by(company.admin).within(company.id);
            request.json(&body).send().await.expect(200);
            assert_eq!(issuing.record(company, PROVIDING, "ada", ada()).await, 0);
            assert_eq!(issuing.profile(company, user("ada")).await, expected);
        }
        issuing.api.delete(&path).by(company.admin).within(company.id).send().await.expect(200);
        issuing.join(company, PROVIDING, "ada").await;
        assert_eq!(issuing.record(company, PROVIDING, "ada", ada()).await, 1);
        assert_eq!(issuing.profile(company, user("ada")).await, json!(["Ada Lovelace", "ada@example.com", "token"]));
    }

    /// The profile of each user is examined once, until the process forgets it. A user who leaves the company before the
    /// write has no profile. The users of one company are written together, in one version.
    async fn profiles_wait_for_the_background_write(api: TestApi) {
        let company = api.company().await;
        let issuing = Issuing::over(&api).await;
        for subject in ["ada", "eve", "kim"] {
            issuing.join(company, PROVIDING, subject).await;
            issuing.arrive(company, PROVIDING, subject, json!({ "name": subject })).await;
        }
        assert_eq!(issuing.profile(company, user("ada")).await, json!([null, null, null]));
        let level = issuing.api.level_id(company, "Member").await;
        let path = format!("/api/iam/users/{}/user-levels/{level}", user("eve"));
        issuing.api.delete(&path).by(company.admin).within(company.id).send().await.expect(200);
        let version = |text: String| text.rsplit('.').next().map(|part| i64::from_str_radix(part, 16).unwrap()).unwrap();
        let before = version(issuing.version(company).await);
        assert_eq!(issuing.api.application.record_claimed_profiles().await.unwrap(), 2);
        assert_eq!(version(issuing.version(company).await), before + 1);
        assert_eq!(issuing.profile(company, user("kim")).await, json!(["kim", null, "token"]));
        let profiles = api.storage.reader().user_profiles().find(company.id, &[user("eve")]).await.unwrap();
        assert_eq!(profiles, []);

        issuing.arrive(company, PROVIDING, "ada", json!({ "name": "Ada" })).await;
        assert_eq!(issuing.api.application.record_claimed_profiles().await.unwrap(), 0);
        assert_eq!(issuing.record(company, PROVIDING, "ada", json!({ "name": "Ada" })).await, 1);
        assert_eq!(issuing.profile(company, user("ada")).await, json!(["Ada", null, "token"]));
    }
}

/// The server records the profiles of an issuer whose setting `profiles_from_claims` is `true` in the background.
#[actix_web::test]
async fn the_server_records_profiles_in_the_background() {
    let pair = Pair::ed25519();
    let file = TempFile::new("profiles", &pair.public);
    let issuer = json!({ "issuer": PROVIDING, "public_key_file": file.0, "profiles_from_claims": true });
    let system = start(&[("IAM__AUTH__ISSUERS", &json!([issuer]).to_string())]).await.unwrap();
    let (application, company, user) = (&system.application, new_company(), user("ada"));
    let by = RequestContext::from(Caller::super_admin(new_user()));
    application.execute(by.clone(), ProvisionCompany { company, admin: None }).await.unwrap();
    let levels = application.user_levels(company).await.unwrap().into_iter().map(|level| level.id).collect();
    let external_id = ExternalId::parse(&format!("{PROVIDING}|ada")).ok();
    let assign = AssignUserLevels {
        company,
        user: NamedUser { id: user, external_id, can_sign_in: true },
        levels: RequestedLevels::All(levels),
        force: true,
        if_match: IfMatch::default(),
    };
    application.execute(by, assign).await.unwrap();
    let claims = json!({ "iss": PROVIDING, "sub": "ada", "iat": now() - 60, "exp": now() + 3600, "name": "Ada" });
    let bearer = format!("Bearer {}", pair.signer.sign_claims(&claims).unwrap());
    let path = format!("/api/iam/permissions/current?companyId={company}");
    until(async || {
        assert_eq!(get_from(services(&system), &path, &bearer).await.status, 200);
        let profile = application.user_profile(company, user).await.unwrap();
        profile.is_some_and(|profile| profile.display_name.is_some_and(|name| name.as_str() == "Ada"))
    })
    .await;
}
