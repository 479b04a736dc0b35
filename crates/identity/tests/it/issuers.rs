//! Tests with several issuers: the issuer whose keys verify a token, and the user whom the token identifies.

use iam_domain::{ExternalId, Issuer};
use iam_identity::{
    AuthenticationError, KeySource, SharedSecret, TokenSigner, TokenVerifier, TrustError, TrustedIssuer, UserNameError,
    Verified, VerifierOptions,
};
use serde_json::{Value, json};

use crate::support::{PAIRS, claims_with, issuer, secret, trusting, user, verify};

const FIRST: &str = "https://first.example/";
const SECOND: &str = "https://second.example/";

/// Creates a trusted issuer with the public key of the key pair.
fn of(name: &str, pair: usize) -> TrustedIssuer {
    issuer(name, KeySource::Keys(PAIRS[pair].keys()))
}

fn of_issuers(issuers: Vec<TrustedIssuer>) -> TokenVerifier {
    trusting(None, issuers, &VerifierOptions::default())
}

fn with_secret_and(issuers: Vec<TrustedIssuer>, name: Option<&str>) -> TokenVerifier {
    let issuer = name.map(|name| Issuer::parse(name).unwrap());
    let secret = SharedSecret { issuer, ..SharedSecret::new(secret()) };
    trusting(Some(secret), issuers, &VerifierOptions::default())
}

fn signed(signer: &TokenSigner, claims: &Value) -> String {
    signer.sign_claims(&claims_with(claims)).unwrap()
}

/// Signs a token with the key pair, verifies it, and returns its bearer.
fn bearer(verifier: &TokenVerifier, pair: usize, claims: &Value) -> Result<Verified, AuthenticationError> {
    verify(verifier, &signed(&PAIRS[pair].signer(), claims))
}

fn external(issuer: &str, subject: &str) -> ExternalId {
    ExternalId::parse(&format!("{issuer}|{subject}")).unwrap()
}

#[test]
fn an_issuer_cannot_sign_for_another_issuer() {
    let verifier = of_issuers(vec![of(FIRST, 2), of(SECOND, 3)]);
    for (pair, name, is_good) in [(2, FIRST, true), (3, SECOND, true), (2, SECOND, false), (3, FIRST, false)] {
        let outcome = bearer(&verifier, pair, &json!({ "iss": name }));
        assert_eq!(
            outcome.map(drop),
            if is_good { Ok(()) } else { Err(AuthenticationError::Untrusted) },
            "{pair} {name}"
        );
    }
}

#[test]
fn a_token_of_an_unknown_issuer_is_invalid() {
    let verifier = of_issuers(vec![of(FIRST, 2)]);
    for name in [json!(null), json!(SECOND), json!(""), json!(1), json!([FIRST]), json!("https://first.example")] {
        assert_eq!(bearer(&verifier, 2, &json!({ "iss": name })), Err(AuthenticationError::Untrusted), "{name}");
    }
}

#[test]
fn the_secret_cannot_sign_for_an_issuer_with_keys() {
    let signer = TokenSigner::hs256(&secret());
    let unnamed = with_secret_and(vec![of(FIRST, 2)], None);
    let named = with_secret_and(vec![of(FIRST, 2)], Some(SECOND));
    let outcome = |verifier: &TokenVerifier, name: Value| verify(verifier, &signed(&signer, &json!({ "iss": name })));

    assert_eq!(outcome(&unnamed, json!(FIRST)), Err(AuthenticationError::Untrusted));
    assert!(outcome(&unnamed, json!(null)).is_ok());
    assert!(outcome(&unnamed, json!(SECOND)).is_ok());
    assert_eq!(outcome(&unnamed, json!(1)), Err(AuthenticationError::Untrusted));

    assert_eq!(outcome(&named, json!(FIRST)), Err(AuthenticationError::Untrusted));
    assert_eq!(outcome(&named, json!(null)), Err(AuthenticationError::Untrusted));
    assert_eq!(outcome(&named, json!("https://third.example/")), Err(AuthenticationError::Untrusted));
    assert!(outcome(&named, json!(SECOND)).is_ok());

    // No other issuer may sign tokens with the secret's `iss`.
    for name in [json!(null), json!(SECOND)] {
        assert_eq!(bearer(&unnamed, 2, &json!({ "iss": name })), Err(AuthenticationError::Untrusted));
        assert_eq!(bearer(&named, 2, &json!({ "iss": name })), Err(AuthenticationError::Untrusted));
    }
}

#[test]
fn the_same_subject_of_two_issuers_is_two_users() {
    let verifier = of_issuers(vec![of(FIRST, 2), of(SECOND, 3)]);
    let uuid = user().to_string();
    for subject in ["auth0|5f7c8ec7", "somebody@example.com", "1", &uuid] {
        let mut ids = Vec::new();
        for (pair, name) in [(2, FIRST), (3, SECOND)] {
            let verified = bearer(&verifier, pair, &json!({ "iss": name, "sub": subject })).unwrap();
            assert_eq!(verified.external_id.as_deref(), Some(&external(name, subject)));
            assert_eq!(verified.user_id, external(name, subject).user_id());
            assert_eq!(verifier.user_named(&format!("{name}|{subject}")).unwrap().id, verified.user_id);
            ids.push(verified.user_id);
        }
        assert_ne!(ids[0], ids[1], "{subject}");
        assert!(!ids.contains(&user()));
    }
}

#[test]
fn only_uuids_of_the_native_issuer_are_user_ids() {
    let native = TrustedIssuer { is_native: true, ..of(FIRST, 2) };
    let verifier = of_issuers(vec![native, of(SECOND, 3)]);
    let verified = bearer(&verifier, 2, &json!({ "iss": FIRST })).unwrap();
    assert_eq!((verified.user_id, verified.external_id), (user(), None));
    // Other subjects are mapped to a computed id, as for every issuer.
    let other = bearer(&verifier, 2, &json!({ "iss": FIRST, "sub": "somebody" })).unwrap();
    assert_eq!(other.user_id, external(FIRST, "somebody").user_id());

    let other = bearer(&verifier, 3, &json!({ "iss": SECOND })).unwrap();
    assert_eq!(other.user_id, external(SECOND, &user().to_string()).user_id());
}

#[test]
fn a_native_subject_that_is_a_derived_user_id_is_rejected() {
    let theirs = external(SECOND, "somebody").user_id();
    let native = TrustedIssuer { is_native: true, ..of(FIRST, 2) };
    let verifier = of_issuers(vec![native, of(SECOND, 3)]);
    let claims = json!({ "iss": FIRST, "sub": theirs });
    assert_eq!(bearer(&verifier, 2, &claims), Err(AuthenticationError::InvalidClaims));
    let of_secret = with_secret_and(vec![of(SECOND, 3)], None);
    for claim in ["sub", "userId"] {
        let token = signed(&TokenSigner::hs256(&secret()), &json!({ "iss": null, claim: theirs }));
        assert_eq!(verify(&of_secret, &token), Err(AuthenticationError::InvalidClaims), "{claim}");
    }
}

#[test]
fn a_shared_secret_without_an_issuer_accepts_only_uuid_subjects() {
    let token = signed(&TokenSigner::hs256(&secret()), &json!({ "iss": FIRST, "sub": "somebody" }));
    assert_eq!(verify(&with_secret_and(Vec::new(), None), &token), Err(AuthenticationError::InvalidClaims));
    let verified = verify(&with_secret_and(Vec::new(), Some(FIRST)), &token).unwrap();
    assert_eq!(verified.external_id.as_deref(), Some(&external(FIRST, "somebody")));
    let token = signed(&TokenSigner::hs256(&secret()), &json!({ "iss": FIRST }));
    assert_eq!(verify(&with_secret_and(Vec::new(), Some(FIRST)), &token).unwrap().user_id, user());
}

#[test]
fn the_configured_user_claim_identifies_the_user() {
    let custom = TrustedIssuer { user_claim: "https://first.example/user".to_owned(), ..of(FIRST, 2) };
    let verifier = of_issuers(vec![custom]);
    let claims = |value: Value| json!({ "iss": FIRST, "https://first.example/user": value });
    let verified = bearer(&verifier, 2, &claims(json!("somebody"))).unwrap();
    assert_eq!(verified.external_id.as_deref(), Some(&external(FIRST, "somebody")));
    let long = "x".repeat(256);
    for value in [json!(null), json!(""), json!(1), json!(true), json!(["a"]), json!({}), json!("a\nb"), json!(long)] {
        assert_eq!(bearer(&verifier, 2, &claims(value.clone())), Err(AuthenticationError::InvalidClaims), "{value}");
    }
    assert!(bearer(&verifier, 2, &claims(json!(&long[1..]))).is_ok());
}

#[test]
fn only_issuers_with_a_super_admin_claim_make_super_admins() {
    let marked = TrustedIssuer { may_grant_super_admin: true, super_admin_claim: "root".to_owned(), ..of(SECOND, 3) };
    let verifier = of_issuers(vec![of(FIRST, 2), marked]);
    let is_super_admin = |pair: usize, claims: &Value| bearer(&verifier, pair, claims).unwrap().is_super_admin;
    assert!(!is_super_admin(2, &json!({ "iss": FIRST, "isSuperAdmin": true, "root": true })));
    assert!(!is_super_admin(3, &json!({ "iss": SECOND, "isSuperAdmin": true })));
    assert!(is_super_admin(3, &json!({ "iss": SECOND, "root": true })));
    for value in [json!("true"), json!(1), json!(null), json!([true]), json!({ "root": true })] {
        assert!(!is_super_admin(3, &json!({ "iss": SECOND, "root": value })), "{value}");
    }
}

#[test]
fn a_token_must_have_an_accepted_audience() {
    let ours = || vec!["ours".to_owned(), "also ours".to_owned()];
    let by_aud = of_issuers(vec![TrustedIssuer { audiences: ours(), ..of(FIRST, 2) }]);
    let by_client =
        of_issuers(vec![TrustedIssuer { audiences: ours(), audience_claim: "client_id".to_owned(), ..of(FIRST, 2) }]);
    let not_looked_at = of_issuers(vec![of(FIRST, 2)]);
    for (value, is_ours) in [
        (json!("ours"), true),
        (json!("also ours"), true),
        (json!(["theirs", "ours"]), true),
        (json!(["theirs"]), false),
        (json!([]), false),
        (json!("theirs"), false),
        (json!("OURS"), false),
        (json!(null), false),
        (json!(1), false),
        (json!({ "ours": true }), false),
        (json!([["ours"]]), false),
    ] {
        let outcome = |verifier, claim: &str| bearer(verifier, 2, &json!({ "iss": FIRST, claim: value })).is_ok();
        assert_eq!(outcome(&by_aud, "aud"), is_ours, "{value}");
        assert_eq!(outcome(&by_client, "client_id"), is_ours, "{value}");
        assert!(outcome(&not_looked_at, "aud"), "{value}");
    }
    assert!(bearer(&by_client, 2, &json!({ "iss": FIRST, "aud": "ours" })).is_err());

    let secret = SharedSecret { audiences: ours(), ..SharedSecret::new(secret()) };
    let of_secret = trusting(Some(secret.clone()), Vec::new(), &VerifierOptions::default());
    let signer = TokenSigner::hs256(&secret.secret);
    assert!(verify(&of_secret, &signed(&signer, &json!({ "aud": "ours" }))).is_ok());
    assert!(verify(&of_secret, &signed(&signer, &json!({}))).is_err());
}

#[tokio::test]
async fn conflicting_issuer_configurations_are_a_startup_error() {
    let native = |name, pair| TrustedIssuer { is_native: true, ..of(name, pair) };
    let started = async |secret: Option<SharedSecret>, issuers| {
        TokenVerifier::start(secret, issuers, &VerifierOptions::default()).await.map(drop).map_err(|e| e.to_string())
    };
    let secret = || Some(SharedSecret::new(secret()));
    let of_secret = Some(SharedSecret { issuer: Some(Issuer::parse(FIRST).unwrap()), ..secret().unwrap() });
    let twice = Err(TrustError::Twice(Issuer::parse(FIRST).unwrap()).to_string());
    assert_eq!(started(None, vec![of(FIRST, 2), of(FIRST, 3)]).await, twice);
    assert_eq!(started(of_secret, vec![of(FIRST, 2)]).await, twice);

    let error = started(None, vec![native(FIRST, 2), native(SECOND, 3)]).await.unwrap_err();
    assert!(error.contains(FIRST) && error.contains(SECOND) && error.contains("native"), "{error}");
    let error = started(secret(), vec![native(FIRST, 2)]).await.unwrap_err();
    assert!(error.contains("the shared secret") && error.contains(FIRST), "{error}");
    assert_eq!(started(secret(), vec![of(FIRST, 2), of(SECOND, 3)]).await, Ok(()));
    assert_eq!(started(None, vec![native(FIRST, 2), of(SECOND, 3)]).await, Ok(()));
}

#[test]
fn users_are_identified_by_uuid_or_by_issuer_and_subject() {
    let native = TrustedIssuer { is_native: true, ..of(FIRST, 2) };
    let verifier = of_issuers(vec![native, of(SECOND, 3)]);
    let id = |text: &str| verifier.user_named(text).map(|named| named.id);
    let theirs = external(SECOND, "auth0|1");
    assert_eq!(id(&user().to_string()), Ok(user()));
    assert_eq!(id(&theirs.user_id().to_string()), Ok(theirs.user_id()));
    let named = verifier.user_named(&theirs.to_string()).unwrap();
    assert_eq!((named.id, named.external_id), (theirs.user_id(), Some(theirs.clone())));

    // The result is the user id that a token of the native issuer with this subject would have.
    let named = verifier.user_named(&format!("{FIRST}|{}", user())).unwrap();
    assert_eq!((named.id, named.external_id), (user(), None));
    assert_eq!(id(&format!("{FIRST}|{}", theirs.user_id())), Err(UserNameError::Subject));

    assert_eq!(id("https://third.example/|1"), Err(UserNameError::UnknownIssuer));
    assert_eq!(id(&format!("{SECOND}|{}", "x".repeat(256))), Err(UserNameError::Subject));
    assert_eq!(id(&format!("{SECOND}|a\nb")), Err(UserNameError::Subject));
    for text in ["", "somebody", "somebody@example.com", SECOND, "|1", &format!("{SECOND}|"), "018f3c1e"] {
        assert_eq!(id(text), Err(UserNameError::Form), "{text:?}");
    }
}
