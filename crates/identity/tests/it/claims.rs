//! What a token must say, and the header around it.

use iam_domain::Caller;
use iam_identity::{AuthenticationError, MAX_TOKEN_BYTES, TokenSigner, TokenVerifier};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::kit::{NOW, at, secret, signed_by, user, verify};

const OTHER: &str = "018f3c1e-0000-7000-8000-000000000002";
const LATER: u64 = NOW + 3600;

fn verifier() -> TokenVerifier {
    TokenVerifier::hs256(&secret()).with_clock(|| at(NOW))
}

fn token(header: &Header, claims: &Value) -> String {
    let key = EncodingKey::from_secret(secret().expose_secret().as_bytes());
    jsonwebtoken::encode(header, claims, &key).unwrap()
}

fn saying(claims: &Value) -> Result<Caller, AuthenticationError> {
    verify(&verifier(), &token(&Header::new(Algorithm::HS256), claims))
}

#[test]
fn user_id_wins_over_sub_and_sub_suffices() {
    let both = saying(&json!({ "userId": user(), "sub": OTHER, "exp": LATER })).unwrap();
    assert_eq!(both.user_id, user());
    let sub = saying(&json!({ "sub": OTHER, "exp": LATER })).unwrap();
    assert_eq!(sub.user_id.to_string(), OTHER);
}

#[test]
fn only_json_true_makes_a_super_admin() {
    let super_admin =
        |value| saying(&json!({ "userId": user(), "exp": LATER, "isSuperAdmin": value })).unwrap().is_super_admin;
    assert!(super_admin(json!(true)));
    for other in [json!("true"), json!(1), json!(false), json!(null), json!({})] {
        assert!(!super_admin(other));
    }
}

#[test]
fn a_token_is_good_from_nbf_on_and_before_exp() {
    let times = |nbf: Value, exp: Value| saying(&json!({ "userId": user(), "nbf": nbf, "exp": exp })).map(drop);
    assert_eq!(times(json!(null), json!(NOW + 1)), Ok(()));
    assert_eq!(times(json!(NOW), json!(NOW as f64 + 0.5)), Ok(()));
    assert_eq!(times(json!(null), json!(NOW)), Err(AuthenticationError::Expired));
    assert_eq!(times(json!(NOW + 1), json!(LATER)), Err(AuthenticationError::Invalid));
    assert_eq!(times(json!(NOW + 1), json!(NOW)), Err(AuthenticationError::Expired));
}

#[test]
fn a_token_that_does_not_say_who_and_until_when_is_invalid() {
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
        assert_eq!(saying(&claims), Err(AuthenticationError::Invalid), "{claims}");
    }
}

#[test]
fn an_extension_that_must_be_understood_is_not() {
    let claims = json!({ "userId": user(), "exp": LATER });
    let critical = Header { crit: Some(vec!["b64".to_owned()]), ..Header::new(Algorithm::HS256) };
    assert!(saying(&claims).is_ok());
    assert_eq!(verify(&verifier(), &token(&critical, &claims)), Err(AuthenticationError::Invalid));
}

#[test]
fn the_header_must_be_bearer_and_one_word() {
    let verifier = verifier();
    let token = signed_by(&TokenSigner::hs256(&secret()));
    assert_eq!(verifier.verify(None), Err(AuthenticationError::Missing));
    for header in ["", "Bearer", "Bearer ", "Basic abc", "Bearer a b", "abc", &format!("Bearer  {token}")] {
        assert_eq!(verifier.verify(Some(header)), Err(AuthenticationError::Malformed), "{header:?}");
    }
    assert_eq!(verifier.verify(Some("Bearer garbage")), Err(AuthenticationError::Invalid));
    for scheme in ["Bearer", "bearer", "BEARER"] {
        assert!(verifier.verify(Some(&format!("{scheme} {token}"))).is_ok());
    }
    // Also now that it is remembered.
    assert_eq!(verifier.verify(Some(&format!("Bearer {token} "))), Err(AuthenticationError::Malformed));
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
    assert_eq!(outcome, Err(AuthenticationError::Invalid), "{length} bytes");
}
