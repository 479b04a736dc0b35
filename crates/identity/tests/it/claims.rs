//! Tests of the claims that a token must have, and of the `Authorization` header that contains the token.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use iam_domain::Timestamp;
use iam_identity::{
    AuthenticationError, Credential, MAX_TOKEN_BYTES, TokenSigner, TokenVerifier, Verified, VerifierOptions,
};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::support::{NOW, claims_with, clock, secret, signed_by, user, verify, with_secret};

const OTHER: &str = "018f3c1e-0000-7000-8000-000000000002";
const LATER: u64 = NOW + 3600;

fn verifier() -> TokenVerifier {
    TokenVerifier::hs256(&secret()).with_clock(clock())
}

fn token(header: &Header, claims: &Value) -> String {
    let key = EncodingKey::from_secret(secret().expose_secret().as_bytes());
    jsonwebtoken::encode(header, claims, &key).unwrap()
}

fn with_claims(claims: &Value) -> Result<Verified, AuthenticationError> {
    verify(&verifier(), &token(&Header::new(Algorithm::HS256), claims))
}

#[test]
fn the_claim_user_id_takes_precedence_over_sub_and_sub_suffices() {
    let both = with_claims(&json!({ "userId": user(), "sub": OTHER, "exp": LATER })).unwrap();
    assert_eq!(both.user_id, user());
    let sub = with_claims(&json!({ "sub": OTHER, "exp": LATER })).unwrap();
    assert_eq!(sub.user_id.to_string(), OTHER);
}

#[test]
fn only_the_json_value_true_makes_a_super_admin() {
    let super_admin =
        |value| with_claims(&json!({ "userId": user(), "exp": LATER, "isSuperAdmin": value })).unwrap().is_super_admin;
    assert!(super_admin(json!(true)));
    for other in [json!("true"), json!(1), json!(false), json!(null), json!({})] {
        assert!(!super_admin(other));
    }
}

#[test]
fn a_token_is_valid_from_nbf_on_and_before_exp() {
    let times = |nbf: Value, exp: Value| with_claims(&json!({ "userId": user(), "nbf": nbf, "exp": exp })).map(drop);
    assert_eq!(times(json!(null), json!(NOW + 1)), Ok(()));
    assert_eq!(times(json!(NOW), json!(NOW as f64 + 0.5)), Ok(()));
    assert_eq!(times(json!(null), json!(NOW)), Err(AuthenticationError::Expired));
    assert_eq!(times(json!(NOW + 1), json!(LATER)), Err(AuthenticationError::NotYetValid));
    assert_eq!(times(json!(NOW + 1), json!(NOW)), Err(AuthenticationError::Expired));
}

#[test]
fn a_token_without_a_user_or_an_expiry_is_invalid() {
    for claims in [
        json!({ "userId": user() }),
        json!({ "userId": user(), "exp": null }),
        json!({ "userId": user(), "exp": LATER.to_string() }),
        json!({ "userId": user(), "exp": -1 }),
        json!({ "userId": user(), "exp": 1e300 }),
        json!({ "userId": user(), "exp": LATER, "nbf": "yesterday" }),
        json!({ "exp": LATER }),
        json!({ "userId": "somebody", "exp": LATER }),
        json!({ "userId": 1, "exp": LATER }),
    ] {
        assert_eq!(with_claims(&claims), Err(AuthenticationError::InvalidClaims), "{claims}");
    }
}

#[test]
fn critical_extensions_are_refused() {
    let claims = json!({ "userId": user(), "exp": LATER });
    let critical = Header { crit: Some(vec!["b64".to_owned()]), ..Header::new(Algorithm::HS256) };
    assert!(with_claims(&claims).is_ok());
    assert_eq!(verify(&verifier(), &token(&critical, &claims)), Err(AuthenticationError::Untrusted));
}

#[test]
fn the_header_must_be_bearer_and_one_token() {
    let verifier = verifier();
    let token = signed_by(&TokenSigner::hs256(&secret()));
    let outcome = |header: Option<&str>| match Credential::of(header)? {
        Credential::Token(token) => verify(&verifier, token),
        Credential::ApiKey(_) => panic!("{header:?} is not an API key"),
    };
    assert_eq!(outcome(None), Err(AuthenticationError::Missing));
    for header in ["", "Bearer", "Bearer ", "Bearer  ", "Basic abc", "Bearer a b", "abc", &format!("Bearer\t{token}")] {
        assert_eq!(outcome(Some(header)), Err(AuthenticationError::Malformed), "{header:?}");
    }
    assert_eq!(outcome(Some("Bearer garbage")), Err(AuthenticationError::MalformedToken));
    for scheme in ["Bearer", "bearer", "BEARER"] {
        assert!(outcome(Some(&format!("{scheme} {token}"))).is_ok());
    }
    // A trailing space is rejected even while the token is cached.
    assert_eq!(outcome(Some(&format!("Bearer {token} "))), Err(AuthenticationError::Malformed));
}

/// Creates a token with this header and these claims, signed with the secret.
fn token_of(header: &str, claims: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret().expose_secret().as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(hmac::sign(&key, message.as_bytes())))
}

#[test]
fn duplicate_names_in_a_token_are_refused() {
    const HEADER: &str = r#"{"alg":"HS256"}"#;
    let claims = claims_with(&json!({ "aud": "us", "custom": 1 })).to_string();
    let outcome = |header: &str, claims: &str| verify(&verifier(), &token_of(header, claims)).map(drop);
    assert_eq!(outcome(HEADER, &claims), Ok(()));
    for twice in ["sub", "iss", "aud", "exp", "iat", "isSuperAdmin", "userId", "custom", "other"] {
        // The same claims under different names are valid, so the duplicate name is the only error.
        let value = serde_json::from_str::<Value>(&claims).unwrap()[twice].clone();
        let once = claims.replacen('{', &format!("{{\"x{twice}\":{value},\"y{twice}\":{value},"), 1);
        assert_eq!(outcome(HEADER, &once), Ok(()), "{once}");
        let claims = claims.replacen('{', &format!("{{\"{twice}\":{value},\"{twice}\":{value},"), 1);
        assert_eq!(outcome(HEADER, &claims), Err(AuthenticationError::MalformedToken), "{claims}");
    }
    for header in [
        r#"{"alg":"HS256","alg":"HS256"}"#,
        r#"{"alg":"none","alg":"HS256"}"#,
        r#"{"alg":"HS256","kid":"a","kid":"a"}"#,
        r#"{"alg":"HS256","x":1,"x":1}"#,
    ] {
        assert_eq!(outcome(header, &claims), Err(AuthenticationError::MalformedToken), "{header}");
    }
}

#[test]
fn a_malformed_token_is_invalid() {
    let claims = claims_with(&json!({})).to_string();
    let outcome = |header: &str, claims: &str| verify(&verifier(), &token_of(header, claims)).map(drop);
    for header in ["", "[]", r#"{"alg":"HS256"} {}"#] {
        assert_eq!(outcome(header, &claims), Err(AuthenticationError::MalformedToken), "{header}");
    }
    for header in [
        "{}",
        r#"{"alg":1}"#,
        r#"{"alg":"none"}"#,
        r#"{"alg":"hs256"}"#,
        r#"{"alg":"HS256","kid":1}"#,
        r#"{"alg":"HS256","crit":[]}"#,
        r#"{"alg":"HS256","crit":null}"#,
        r#"{"alg":"HS256","crit":["exp"]}"#,
    ] {
        assert_eq!(outcome(header, &claims), Err(AuthenticationError::Untrusted), "{header}");
    }
    let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    for claims in ["", "null", "[]", "1", "{", &deep, &format!("{{\"x\":{deep}}}"), r#"{"exp":1e999}"#] {
        assert_eq!(outcome(r#"{"alg":"HS256"}"#, claims), Err(AuthenticationError::MalformedToken), "{claims}");
    }
    let token = token_of(r#"{"alg":"HS256"}"#, &claims);
    for garbage in ["", ".", "..", "...", &token.replace('.', ""), &format!("{token}="), &format!("{token}.")] {
        assert_eq!(verify(&verifier(), garbage), Err(AuthenticationError::MalformedToken), "{garbage:?}");
    }
}

#[test]
fn times_of_the_wrong_type_or_out_of_range_are_invalid() {
    let outcome = |name: &str, value: &Value| with_claims(&claims_with(&json!({ name: value }))).map(drop);
    for name in ["exp", "nbf", "iat"] {
        for value in [json!("1"), json!(true), json!([]), json!({}), json!(-1), json!(-0.5), json!(1e300), json!(1e19)]
        {
            assert_eq!(outcome(name, &value), Err(AuthenticationError::InvalidClaims), "{name}: {value}");
        }
    }
    // This time is about 30 million years in the future, which is valid.
    assert_eq!(outcome("exp", &json!(1e15)), Ok(()));
    assert_eq!(outcome("nbf", &json!(1e15)), Err(AuthenticationError::NotYetValid));
}

#[test]
fn a_token_issued_in_the_future_is_invalid() {
    let issued = |iat: Value| with_claims(&claims_with(&json!({ "iat": iat }))).map(|verified| verified.issued_at);
    let at_millis = |millis: u64| Timestamp::from_millis(millis.try_into().unwrap());
    assert_eq!(issued(json!(NOW)), Ok(at_millis(NOW * 1000)));
    assert_eq!(issued(json!(NOW as f64 - 0.5)), Ok(at_millis(NOW * 1000 - 500)));
    assert_eq!(issued(json!(null)), Ok(None));
    assert_eq!(issued(json!(NOW + 1)), Err(AuthenticationError::NotYetValid));
}

fn with(options: VerifierOptions, claims: &Value) -> Result<(), AuthenticationError> {
    let verifier = with_secret(&secret(), &options);
    let token = token(&Header::new(Algorithm::HS256), claims);
    let first = verify(&verifier, &token).map(drop);
    assert_eq!(verify(&verifier, &token).map(drop), first, "a cached token must have the same outcome");
    first
}

#[test]
fn times_may_differ_by_at_most_the_clock_skew() {
    let outcome = |claims: Value| {
        let options = VerifierOptions { clock_skew: Duration::from_secs(30), ..VerifierOptions::default() };
        with(options, &claims_with(&claims))
    };
    assert_eq!(outcome(json!({ "iat": null, "exp": NOW - 29 })), Ok(()));
    assert_eq!(outcome(json!({ "iat": null, "exp": NOW - 30 })), Err(AuthenticationError::Expired));
    for name in ["nbf", "iat"] {
        assert_eq!(outcome(json!({ name: NOW + 30 })), Ok(()));
        assert_eq!(outcome(json!({ name: NOW + 31 })), Err(AuthenticationError::NotYetValid));
    }
    let forever = VerifierOptions { clock_skew: Duration::MAX, ..VerifierOptions::default() };
    assert_eq!(with(forever, &claims_with(&json!({ "nbf": NOW + 31 }))), Ok(()));
}

#[test]
fn tokens_have_a_maximum_age_and_super_admin_tokens_a_lower_one() {
    let outcome = |is_super_admin: bool, claims: Value| {
        let mut claims = claims_with(&claims);
        claims["isSuperAdmin"] = json!(is_super_admin);
        let hour = Duration::from_secs(3600);
        let (max_token_age, max_super_admin_token_age) = (Some(hour * 24), Some(hour));
        with(VerifierOptions { max_token_age, max_super_admin_token_age, ..VerifierOptions::default() }, &claims)
    };
    const HOUR: u64 = 3600;
    let too_old = Err(AuthenticationError::TooOld);
    assert_eq!(outcome(false, json!({ "iat": NOW - 24 * HOUR + 1 })), Ok(()));
    assert_eq!(outcome(false, json!({ "iat": NOW - 24 * HOUR })), too_old);
    assert_eq!(outcome(true, json!({ "iat": NOW - HOUR + 1 })), Ok(()));
    assert_eq!(outcome(true, json!({ "iat": NOW - HOUR })), too_old);
    // The maximum age applies even if the `exp` is later.
    assert_eq!(outcome(false, json!({ "iat": NOW - 24 * HOUR, "exp": 1e15 })), too_old);
    // A maximum age requires an `iat`.
    assert_eq!(outcome(false, json!({ "iat": null })), Err(AuthenticationError::InvalidClaims));
    let only_super_admins =
        VerifierOptions { max_super_admin_token_age: Some(Duration::MAX), ..VerifierOptions::default() };
    assert_eq!(with(only_super_admins.clone(), &claims_with(&json!({ "iat": null }))), Ok(()));
    assert_eq!(with(only_super_admins, &claims_with(&json!({}))), Ok(()));
}

#[test]
fn a_token_has_at_most_eight_kibibytes() {
    let length_with = |padding: usize| {
        let claims = json!({ "userId": user(), "exp": LATER, "padding": "x".repeat(padding) });
        let token = token(&Header::new(Algorithm::HS256), &claims);
        (token.len(), verify(&verifier(), &token).map(drop))
    };
    let (mut length, mut outcome) = length_with(5_900);
    for padding in 5_901.. {
        if length > MAX_TOKEN_BYTES {
            break;
        }
        assert_eq!(outcome, Ok(()), "{length} bytes");
        (length, outcome) = length_with(padding);
    }
    assert_eq!(outcome, Err(AuthenticationError::MalformedToken), "{length} bytes");
}

/// The claims are parsed before the signature is verified. If the signature is invalid, the reason must not depend on
/// the claims.
#[test]
fn the_bearer_of_a_forged_token_learns_nothing_about_its_claims() {
    let forged = |claims: &Value| {
        let mut token = token(&Header::new(Algorithm::HS256), &claims_with(claims));
        let last = token.pop().unwrap();
        token.push(if last == 'A' { 'E' } else { 'A' });
        verify(&verifier(), &token).map(drop)
    };
    for claims in [
        json!({}),
        json!({ "exp": NOW - 1 }),
        json!({ "nbf": NOW + 1 }),
        json!({ "iss": "https://unknown.example/" }),
        json!({ "userId": "no-uuid", "sub": "no-uuid" }),
        json!({ "exp": null }),
    ] {
        assert_eq!(forged(&claims), Err(AuthenticationError::Untrusted), "{claims}");
    }
}
