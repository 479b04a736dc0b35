//! Tests of users of external issuers. They cover how requests and responses identify these users, and that no other
//! user is mistaken for them.

use iam_domain::{ExternalId, Issuer, UserId};
use iam_identity::{
    JwksUrl, KeySet, KeySource, SharedSecret, TokenSigner, TokenVerifier, TrustedIssuer, VerifierOptions,
};
use serde_json::{Value, json};

use super::credentials::{changes, expired_token, invalid_token, reads, stored_key, token};
use super::tokens::Pair;
use crate::support::api::{Company, Request, TestApi, both_adapters, each, new_company, new_user, now, secret};

const ISSUER: &str = "https://tenant.auth0.example/";
const OTHER_ISSUER: &str = "https://login.example/realm";

/// An API instance that trusts two external issuers in addition to the native issuer, and the signers of the two
/// external issuers.
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

    /// Returns a token of the first issuer for this subject, with the super admin claim.
    fn token(&self, subject: &str) -> String {
        let claims = json!({ "iss": ISSUER, "sub": subject, "isSuperAdmin": true, "iat": now(), "exp": now() + 3600 });
        self.signer.sign_claims(&claims).unwrap()
    }

    /// Returns a token of the second issuer for this subject, without the super admin claim.
    fn other_token(&self, subject: &str) -> String {
        let claims = json!({ "iss": OTHER_ISSUER, "sub": subject, "iat": now(), "exp": now() + 3600 });
        self.other.sign_claims(&claims).unwrap()
    }
}

/// Creates an API instance that trusts one external issuer and no native issuer. Returns the instance and a token of
/// the issuer's super admin `root`.
async fn without_natives(api: &TestApi) -> (TestApi, String) {
    let pair = Pair::ed25519();
    let keys = KeySource::Keys(KeySet::from_pem(&pair.public).unwrap());
    let issuer = TrustedIssuer::new(Issuer::parse(ISSUER).unwrap(), keys);
    let issuer = TrustedIssuer { may_grant_super_admin: true, ..issuer };
    let verifier = TokenVerifier::start(None, vec![issuer], &VerifierOptions::default()).await.unwrap();
    let claims = json!({ "iss": ISSUER, "sub": "root", "isSuperAdmin": true, "iat": now(), "exp": now() + 3600 });
    (api.with_verifier(verifier).await, pair.signer.sign_claims(&claims).unwrap())
}

/// Returns the string in percent-encoded form, for use in a path.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn named(subject: &str) -> String {
    format!("{ISSUER}|{subject}")
}

both_adapters! {
    /// A user of an external issuer can be identified by `issuer|subject` wherever a user id is accepted.
    async fn external_users_work_like_other_users(api: TestApi) {
        let company = api.company().await;
        let issuing = Issuing::over(&api).await;
        let router = &issuing.api;
        let admin = router.level_id(company, "Admin").await;
        for bytes in ["%FF", "%C3"] {
            let path = format!("/api/iam/users/{}{bytes}/user-levels", encoded(&named("a")));
            let put = router.put(&path).by(company.admin).within(company.id).json(&json!({ "userLevelIds": [admin] }));
            assert_eq!(put.send().await.expect(400).error().2, "userId must be a valid UUID, or issuer|subject");
        }
        for subject in
            ["auth0|5f7c8ec7", "ada@example.com", "Ünï cödé %2F/?#&", "42", "018f3c1e-0000-7000-8000-000000000001"]
        {
            let (bearer, name) = (issuing.token(subject), named(subject));
            let id = ExternalId::parse(&name).unwrap().user_id();
            // The user is not stored yet and has no rights. The super admin claim of the token is ignored, because this
            // issuer is not trusted to authenticate super admins. Reads do not store the user.
            reads(router, company, &bearer).await.expect(403);
            let permissions =
                router.get("/api/iam/permissions/current").bearer(&bearer).within(company.id).send().await;
            assert!(!String::from_utf8(permissions.expect(200).body).unwrap().contains("true"));
            let about = format!("/api/iam/users/{}", encoded(&name));
            let stored = router.get(&about).by_super_admin().send().await.expect(200).data();
            assert_eq!((&stored["user"]["id"], &stored["user"]["externalId"]), (&json!(id), &json!(name)));
            let audit = format!("/api/iam/audit-logs?userId={}", encoded(&name));
            for path in [&format!("{about}/user-levels"), &format!("{about}/permissions"), &audit] {
                router.get(path).by(company.admin).within(company.id).send().await.expect(200);
            }
            assert_eq!(api.storage.reader().users().find(&[id]).await.unwrap(), []);
            router.get(&about).by(company.admin).within(company.id).send().await.expect(404);

            let admin = router.level_id(company, "Admin").await;
            let body = json!({ "userLevelIds": [admin] });
            let path = format!("/api/iam/users/{}/user-levels", encoded(&name));
            router.put(&path).by(company.admin).within(company.id).json(&body).send().await.expect(200);
            reads(router, company, &bearer).await.expect(200);
            let held = router.get(&path).bearer(&bearer).within(company.id).send().await.expect(200).data();
            assert_eq!(held["userLevels"][0]["id"], json!(admin));
            let permissions = format!("{about}/permissions");
            router.get(&permissions).by(company.admin).within(company.id).send().await.expect(200);
            let ask = json!({ "view": "/dashboard", "userId": name });
            let check = router.post("/api/iam/check").by(company.admin).within(company.id).json(&ask).send().await;
            assert_eq!(check.expect(200).data()["allowed"], true);
            // An explanation contains the external id only if the token or the request contains it. The service does
            // not look it up.
            let explain = || router.post("/api/iam/explain").within(company.id);
            for (request, ask, expected) in [
                (explain().bearer(&bearer), json!({ "view": "/dashboard" }), json!(name)),
                (explain().bearer(&bearer), json!({ "view": "/dashboard", "userId": id }), json!(name)),
                (explain().by(company.admin), ask.clone(), json!(name)),
                (explain().by(company.admin), json!({ "view": "/dashboard", "userId": id }), json!(null)),
            ] {
                let explanation = request.json(&ask).send().await.expect(200).data();
                assert_eq!((&explanation["userId"], &explanation["externalUserId"]), (&json!(id), &expected), "{ask}");
            }
            let asks = json!({ "checks": [ask, { "view": "/dashboard", "userId": "https://nobody.example|1" }] });
            let checks = router.post("/api/iam/checks").by(company.admin).within(company.id).json(&asks).send().await;
            let results = checks.expect(200).data();
            assert_eq!(results["results"][0]["allowed"], true);
            assert_eq!((&results["results"][1]["allowed"], results["results"][1].get("error")), (&json!(false), None));
            // A response to a caller who may not check other users reveals neither which issuers are trusted nor which
            // users exist.
            for unknown in [name.as_str(), "https://nobody.example|1", &format!("{ISSUER}|{}", "x".repeat(300))] {
                let ask = json!({ "view": "/dashboard", "userId": unknown });
                let one = router.post("/api/iam/check").by(company.visitor).within(company.id).json(&ask).send().await;
                let asks = json!({ "checks": [ask] });
                let many =
                    router.post("/api/iam/checks").by(company.visitor).within(company.id).json(&asks).send().await;
                let refusal = "You do not have permission to check other users";
                assert_eq!(one.expect(403).error().2, refusal);
                assert_eq!(many.expect(200).data()["results"][0]["error"]["message"], refusal);
            }

            // The response contains the user's issuer and subject, whichever form of the id the request used.
            let path_id = ExternalId::parse(&name).unwrap().path_id();
            for about in [about, format!("/api/iam/users/{id}"), format!("/api/iam/users/{path_id}")] {
                let user = router.get(&about).by(company.admin).within(company.id).send().await.expect(200).data();
                let expected = json!({
                    "id": id, "externalId": name, "pathId": path_id, "issuer": ISSUER, "subject": subject,
                    "notBefore": null,
                });
                assert_eq!(user["user"], expected);
            }
            changes(router, company, &bearer, &format!("By {id}")).await.expect(201);
            let path = format!("/api/iam/audit-logs?userId={}", encoded(&name));
            let logs = router.get(&path).bearer(&bearer).within(company.id).send().await.expect(200).data();
            assert_eq!((&logs["logs"][0]["userId"], &logs["logs"][0]["externalUserId"]), (&json!(id), &json!(name)));
            let path = format!("/api/iam/audit-logs?entityType=assignment&entityId={id}");
            let logs = router.get(&path).bearer(&bearer).within(company.id).send().await.expect(200).data();
            assert_eq!(logs["logs"][0]["externalEntityId"], json!(name));
            assert_eq!(logs["logs"][0]["entityPathId"], json!(path_id));

            // The same subject at another issuer is a different user.
            reads(router, company, &issuing.other_token(subject)).await.expect(403);
            // A native user whose id equals the subject is a different user too.
            if let Ok(user) = UserId::parse(subject) {
                assert_ne!(user, id);
                router.get("/api/iam/user-levels").by(user).within(company.id).send().await.expect(403);
            }
        }
    }

    /// A path id identifies the same user as `issuer|subject`, wherever a user id is accepted. A path id needs no
    /// percent-encoding.
    async fn a_path_id_is_accepted_for_a_user_everywhere(api: TestApi) {
        let company = api.company().await;
        let issuing = Issuing::over(&api).await;
        let router = &issuing.api;
        let member = router.level_id(company, "Member").await;
        for subject in ["auth0|5f7c8ec7", "a/b//c%2F?#", "\u{dc}n\u{ef}", "x.YXxi"] {
            let name = named(subject);
            let external = ExternalId::parse(&name).unwrap();
            let (id, path_id) = (external.user_id(), external.path_id());
            let by_admin = |request: Request| request.by(company.admin).within(company.id);
            // The path id is accepted before the user is stored.
            let about = format!("/api/iam/users/{path_id}");
            let user = router.get(&about).by_super_admin().send().await.expect(200).data();
            assert_eq!((&user["user"]["id"], &user["user"]["pathId"]), (&json!(id), &json!(path_id)));
            by_admin(router.get(&about)).send().await.expect(404);

            let levels = format!("{about}/user-levels");
            by_admin(router.put(&levels)).json(&json!({ "userLevelIds": [member] })).send().await.expect(200);
            let own = router
                .get("/api/iam/permissions/current")
                .bearer(&issuing.token(subject))
                .within(company.id)
                .send()
                .await;
            assert!(own.expect(200).data().to_string().contains("true"));
            let held = by_admin(router.get(&levels)).send().await.expect(200).data();
            assert_eq!(held["userLevels"][0]["id"], json!(member));
            by_admin(router.get(&format!("{about}/permissions"))).send().await.expect(200);
            let ask = json!({ "view": "/dashboard", "userId": path_id });
            for (path, body) in
                [("check", ask.clone()), ("explain", ask.clone()), ("checks", json!({ "checks": [ask] }))]
            {
                let answer =
                    by_admin(router.post(&format!("/api/iam/{path}"))).json(&body).send().await.expect(200).data();
                assert!(answer.to_string().contains("\"allowed\":true"), "{path} {answer}");
                if path == "explain" {
                    assert_eq!((&answer["userId"], &answer["externalUserId"]), (&json!(id), &json!(name)));
                }
            }
            let query = format!("/api/iam/audit-logs?entityType=assignment&entityId={path_id}");
            let logs = by_admin(router.get(&query)).send().await.expect(200).data();
            assert_eq!(
                (&logs["logs"][0]["externalEntityId"], &logs["logs"][0]["entityPathId"]),
                (&json!(name), &json!(path_id))
            );
            let query = format!("/api/iam/audit-logs?userId={path_id}");
            assert_eq!(by_admin(router.get(&query)).send().await.expect(200).data()["logs"], json!([]));
            // Within a company, a user who holds a level of that company can also be identified by the user id.
            let by_id = format!("/api/iam/users/{id}/user-levels");
            by_admin(router.put(&by_id)).json(&json!({ "userLevelIds": [member] })).send().await.expect(200);
            by_admin(router.put(&by_id)).json(&json!({ "userLevelIds": [] })).send().await.expect(200);
            by_admin(router.put(&by_id)).json(&json!({ "userLevelIds": [member] })).send().await.expect(400);
            let cut = router.put(&format!("{about}/not-before")).by_super_admin().send().await.expect(200).data();
            assert_eq!(cut["user"]["externalId"], json!(name));
        }
        let admin = ExternalId::parse(&named("auth0|admin")).unwrap();
        let path = format!("/api/iam/companies/{}/provision", new_company());
        let body = json!({ "adminUserId": admin.path_id() });
        router.post(&path).by_super_admin().json(&body).send().await.expect(201);
    }

    /// A request with an invalid path id is rejected. The errors are the same as for an invalid `issuer|subject`. A
    /// path id of an unknown issuer is rejected if the caller may know which issuers are trusted.
    async fn an_invalid_path_id_is_rejected(api: TestApi) {
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
            (foreign, "userId specifies an unknown issuer"),
        ] {
            let path = format!("/api/iam/users/{text}/user-levels");
            let answer = issuing.api.get(&path).by_super_admin().within(company.id).send().await;
            assert_eq!(answer.error(), (400, "ERR_VALIDATION_001".into(), message.into()), "{text}");
        }
    }

    /// For a caller of one company, a user of an unknown issuer is a user who holds nothing: every operation answers as
    /// for a user of a trusted issuer. So the caller cannot find out which issuers the platform trusts.
    async fn trusted_issuers_cannot_be_learned_by_probing(api: TestApi) {
        let company = api.company().await;
        let issuing = Issuing::over(&api).await;
        let router = &issuing.api;
        let keys = [router.api_key("read", Some(company.id)).await, router.api_key("administer", Some(company.id)).await];
        let member = router.level_id(company, "Member").await;
        let callers = |request: Request, caller: usize| match caller {
            0 => request.by(company.admin),
            1 => request.by(company.visitor),
            key => request.by_key(&keys[key - 2]),
        };
        for caller in 0..4 {
            let answers = async |issuer: &str| {
                let subject = format!("subject of {caller}");
                let external = ExternalId::parse(&format!("{issuer}|{subject}")).unwrap();
                let (name, id) = (external.to_string(), external.user_id().to_string());
                let path = |rest: &str| format!("/api/iam/users/{}{rest}", encoded(&name));
                let ask = json!({ "view": "/dashboard", "userId": name });
                let levels = json!({ "userLevelIds": [member] });
                let requests = [
                    router.get(&path("")),
                    router.get(&path("/user-levels")),
                    router.get(&path("/permissions")),
                    router.get(&format!("/api/iam/audit-logs?userId={}", encoded(&name))),
                    router.get(&format!("/api/iam/audit-logs?entityId={}", external.path_id())),
                    router.post("/api/iam/check").json(&ask),
                    router.post("/api/iam/checks").json(&json!({ "checks": [ask] })),
                    router.post("/api/iam/explain").json(&ask),
                    router.put(&path("/user-levels")).json(&json!({ "userLevelIds": [] })),
                    router.put(&path("/user-levels")).json(&levels),
                    router.get(&path("")),
                    router.get(&path("/user-levels")),
                    router.post("/api/iam/check").json(&ask),
                    router.put(&path("/user-levels")).json(&json!({ "userLevelIds": [] })),
                ];
                let mut answers = Vec::new();
                for request in requests {
                    let answer = callers(request, caller).within(company.id).send().await;
                    let text = String::from_utf8(answer.body.clone()).unwrap();
                    let text = text.replace(&id, "ID").replace(&external.path_id(), "PATH").replace(issuer, "ISSUER");
                    answers.push((answer.status, text));
                }
                answers
            };
            let (known, unknown) = (answers(ISSUER).await, answers("https://globex.example/").await);
            for (known, unknown) in known.iter().zip(&unknown) {
                assert_eq!(known.0, unknown.0, "{caller}: {} / {}", known.1, unknown.1);
                let times = |text: &str| text.split("\"timestamp\"").next().unwrap_or_default().to_owned();
                assert_eq!(times(&known.1), times(&unknown.1), "{caller}");
            }
        }
    }

    /// A list of a level's holders contains the issuer and subject of each external user. If a level cannot be deleted
    /// because it has holders, the error also contains their issuers and subjects.
    async fn holders_are_listed_with_their_external_identity(api: TestApi) {
        let company = api.company().await;
        let issuing = Issuing::over(&api).await;
        let router = &issuing.api;
        let level = router.new_level(company, "Auditors").await;
        let external = ExternalId::parse(&named("auth0|1")).unwrap();
        let native = company.visitor;
        for user in [external.path_id(), native.to_string()] {
            let path = format!("/api/iam/users/{user}/user-levels");
            let body = json!({ "userLevelIds": [level] });
            router.put(&path).by(company.admin).within(company.id).json(&body).send().await.expect(200);
        }
        let path = format!("/api/iam/user-levels/{level}");
        let held = json!([{ "id": level, "name": "Auditors" }]);
        let shown = |id: UserId, external: Option<&ExternalId>| {
            json!({
                "id": id, "externalId": external, "pathId": external.map(ExternalId::path_id), "displayName": null,
                "email": null, "profileSource": null, "userLevels": held,
            })
        };
        let user = shown(external.user_id(), Some(&external));
        let mut expected = [user.clone(), shown(native, None)];
        expected.sort_by_key(|user| user["id"].as_str().unwrap().to_owned());
        let listed = router.get(&format!("{path}/users")).by(company.admin).within(company.id).send().await;
        assert_eq!(listed.expect(200).data(), json!({ "users": expected, "nextCursor": null }));
        let search = format!("/api/iam/users?q={}", external.path_id());
        let found = router.get(&search).by(company.admin).within(company.id);
        assert_eq!(found.send().await.expect(200).data(), json!({ "users": [user], "nextCursor": null }));
        let refused = router.delete(&path).by(company.admin).within(company.id).send().await.expect(400).json();
        let mut messages = each(&refused["errors"], "message");
        messages.sort_unstable();
        let mut expected =
            [format!("The level is assigned to {external}"), format!("The level is assigned to {native}")];
        expected.sort_unstable();
        assert_eq!(messages, expected);
    }

    /// A native token whose subject is the id of an external user does not authenticate as that user.
    async fn a_user_id_as_subject_identifies_no_external_user(api: TestApi) {
        let company = api.company().await;
        let id = ExternalId::parse(&named("auth0|1")).unwrap().user_id();
        let issuing = Issuing::over(&api).await;
        let body = json!({ "userLevelIds": [api.level_id(company, "Admin").await] });
        // An assignment cannot identify an external user by the user id alone. Otherwise a caller who has only the user
        // id could read the issuer and the subject.
        let path = format!("/api/iam/users/{id}/user-levels");
        let refused = issuing.api.put(&path).by(company.admin).within(company.id).json(&body).send().await;
        let message = "userId does not identify a user who can sign in. Identify users of external issuers by \
                       issuer|subject";
        assert_eq!(refused.error(), (400, "ERR_VALIDATION_001".into(), message.into()));
        let path = format!("/api/iam/users/{}/user-levels", encoded(&named("auth0|1")));
        issuing.api.put(&path).by(company.admin).within(company.id).json(&body).send().await.expect(200);
        invalid_token(&reads(&api, company, &token(id, false, Some(1))).await);
        reads(&issuing.api, company, &issuing.token("auth0|1")).await.expect(200);
        invalid_token(&reads(&issuing.api, company, &token(id, false, Some(1))).await);
    }

    /// Levels can be assigned only to users who can sign in. Levels cannot be assigned to services, because the rights
    /// of a service follow from the role of its key. They also cannot be assigned to an id for which no trusted issuer
    /// can issue a token, but the existing levels of such an id can be revoked.
    async fn levels_are_assigned_only_to_users_who_can_sign_in(api: TestApi) {
        let company = api.company().await;
        let (key, _) = stored_key(&api, |_| {}).await;
        let (without_natives, external) = without_natives(&api).await;
        let native = token(api.super_admin, true, Some(1));
        let id = key.id.to_string();
        for (router, bearer, user) in [(&api, &native, id), (&without_natives, &external, company.member.to_string())] {
            let path = format!("/api/iam/users/{user}/user-levels");
            let put = |levels: Value| router.put(&path).bearer(bearer).within(company.id).json(&levels).send();
            let member = api.level_id(company, "Member").await;
            let refused = put(json!({ "userLevelIds": [member] })).await.expect(400);
            let message = "userId does not identify a user who can sign in. Identify users of external issuers by \
                           issuer|subject";
            assert_eq!(refused.error().2, message);
            put(json!({ "userLevelIds": [] })).await.expect(200);
            let provision = router.post(&format!("/api/iam/companies/{}/provision", new_company())).bearer(bearer);
            provision.json(&json!({ "adminUserId": user })).send().await.expect(400);
        }
    }

    /// An external user can be the first administrator of a new company. A cut-off can be set for an external user.
    async fn an_external_user_administers_and_is_cut_off(api: TestApi) {
        let issuing = Issuing::over(&api).await;
        let (router, subject) = (&issuing.api, "auth0|admin");
        let company = Company { id: new_company(), admin: new_user(), member: new_user(), visitor: new_user() };
        let path = format!("/api/iam/companies/{}/provision", company.id);
        let unnamed = json!({ "adminUserId": ExternalId::parse(&named(subject)).unwrap().user_id() });
        let refused = router.post(&path).by_super_admin().json(&unnamed).send().await.expect(400);
        let message = "adminUserId does not identify a user who can sign in. Identify users of external issuers by \
                       issuer|subject";
        assert_eq!(refused.error().2, message);
        let body = json!({ "adminUserId": named(subject) });
        router.post(&path).by_super_admin().json(&body).send().await.expect(201);
        let bearer = issuing.token(subject);
        changes(router, company, &bearer, "By the admin").await.expect(201);
        let path = format!("/api/iam/users/{}/not-before", encoded(&named(subject)));
        let future = json!({ "notBefore": "2999-01-01T00:00:00.000Z" });
        let cut = router.put(&path).by_super_admin().json(&future).send().await.expect(200).data();
        assert_eq!(
            (&cut["user"]["externalId"], &cut["user"]["notBefore"]),
            (&json!(named(subject)), &future["notBefore"])
        );
        expired_token(&reads(router, company, &bearer).await);
        // A request to set a cut-off can also identify the user by the user id alone, because a cut-off grants nothing.
        // Only super admins can set cut-offs, and they may read the issuer and subject of users.
        let path = format!("/api/iam/users/{}/not-before", ExternalId::parse(&named(subject)).unwrap().user_id());
        let past = json!({ "notBefore": "2000-01-01T00:00:00.000Z" });
        let let_in = router.put(&path).by_super_admin().json(&past).send().await.expect(200).data();
        let user = &let_in["user"];
        assert_eq!((&user["externalId"], &user["notBefore"]), (&json!(named(subject)), &past["notBefore"]));
        reads(router, company, &bearer).await.expect(200);
    }

    /// The issuer and subject of a user are stored with the first change that the user makes, even if no earlier
    /// request has identified the user.
    async fn the_caller_of_a_change_is_registered(api: TestApi) {
        let (router, bearer) = without_natives(&api).await;
        let id = ExternalId::parse(&named("root")).unwrap().user_id();
        let company = new_company();
        let levels = || router.get("/api/iam/user-levels").bearer(&bearer).within(company).send();
        levels().await.expect(200);
        assert_eq!(api.storage.reader().users().find(&[id]).await.unwrap(), []);
        let path = format!("/api/iam/companies/{company}/provision");
        router.post(&path).bearer(&bearer).send().await.expect(201);
        let logs = router.get("/api/iam/audit-logs").bearer(&bearer).within(company).send().await.expect(200).data();
        for log in logs["logs"].as_array().unwrap() {
            assert_eq!((&log["userId"], &log["externalUserId"]), (&json!(id), &json!(named("root"))));
        }
        assert_ne!(logs["logs"], json!([]));
    }

    /// The issuer and subject of a user are also stored when a change identifies the user: as a company's first
    /// administrator, in an assignment, or in a cut-off.
    async fn a_user_specified_in_a_change_is_registered(api: TestApi) {
        let company = api.company().await;
        let router = Issuing::over(&api).await.api;
        let admin = json!({ "adminUserId": named("admin") });
        let levels = json!({ "userLevelIds": [router.level_id(company, "Member").await] });
        let about = |subject: &str, what: &str| format!("/api/iam/users/{}/{what}", encoded(&named(subject)));
        let changes = [
            ("admin", router.post(&format!("/api/iam/companies/{}/provision", new_company())).json(&admin), 201),
            ("member", router.put(&about("member", "user-levels")).within(company.id).json(&levels), 200),
            ("non-member", router.put(&about("non-member", "not-before")), 200),
        ];
        for (subject, change, status) in changes {
            change.by_super_admin().send().await.expect(status);
            let id = ExternalId::parse(&named(subject)).unwrap().user_id();
            let stored = router.get(&format!("/api/iam/users/{id}")).by_super_admin().send().await.expect(200).data();
            assert_eq!(stored["user"]["externalId"], json!(named(subject)));
        }
    }

    /// While the signing keys (JWKS) of an issuer are unavailable, requests with tokens of that issuer return 503 with
    /// `Retry-After`. Requests of all other callers are processed.
    async fn an_issuer_outage_is_503_for_its_users_only(api: TestApi) {
        let company = api.company().await;
        // No process listens on this port.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let url = JwksUrl::parse(&format!("http://127.0.0.1:{port}/keys")).unwrap();
        let issuer = TrustedIssuer::new(Issuer::parse(ISSUER).unwrap(), KeySource::JwksUrl(url));
        let native = Some(SharedSecret::new(secret()));
        let verifier = TokenVerifier::start(native, vec![issuer], &VerifierOptions::default()).await.unwrap();
        let router = api.with_verifier(verifier).await;
        let signer = Pair::ed25519().signer;
        let claims = json!({ "iss": ISSUER, "sub": "1", "iat": now(), "exp": now() + 3600 });
        let bearer = signer.sign_claims(&claims).unwrap();
        for _ in 0..3 {
            let answer = reads(&router, company, &bearer).await;
            assert_eq!((answer.error().0, answer.error().1.as_str()), (503, "ERR_UNAVAILABLE_001"));
            assert!(answer.header("retry-after").is_some());
        }
        router.get("/api/iam/user-levels").by(company.admin).within(company.id).send().await.expect(200);
        let key = router.api_key("read", None).await;
        reads(&router, company, &key).await.expect(200);
        // An expired token is rejected with 401 even while the signing keys are unavailable, because the rejection does
        // not depend on the token's signature.
        let old = json!({ "iss": ISSUER, "sub": "1", "iat": now() - 7200, "exp": now() - 3600 });
        reads(&router, company, &signer.sign_claims(&old).unwrap()).await.expect(401);
    }
}
