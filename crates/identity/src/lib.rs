//! Who is calling.
//!
//! A [`TokenVerifier`] turns an `Authorization` header into a [`Caller`], or says which of four things is wrong with it.
//! Only HS256 with the configured secret is accepted: no `none`, no other algorithm, whatever the token's header says.
//! Knows nothing of HTTP frameworks.
//!
//! ```
//! use iam_domain::{Timestamp, UserId};
//! use iam_identity::{AuthenticationError, TokenSigner, TokenVerifier};
//! use secrecy::SecretString;
//!
//! let secret = SecretString::from("a secret of at least thirty-two bytes");
//! let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis();
//! let user = UserId::generate(Timestamp::from_millis(now.try_into()?).ok_or("a time out of range")?);
//!
//! let token = TokenSigner::hs256(&secret).sign(user, false, (now / 1000).try_into()?, 60)?;
//! let caller = TokenVerifier::hs256(&secret).verify(Some(&format!("Bearer {token}")))?;
//! assert_eq!(caller.user_id, user);
//! assert_eq!(TokenVerifier::hs256(&secret).verify(None), Err(AuthenticationError::Missing));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;

use iam_domain::{Caller, UserId};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, errors::ErrorKind};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

/// The fewest bytes of a secret that is fit for production: as many as HS256's digest has.
pub const MIN_SECRET_BYTES: usize = 32;

/// Why a caller is not known. Says nothing that helps to guess a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthenticationError {
    /// There is no header.
    #[error("No token provided")]
    Missing,
    /// The header is not `Bearer <token>`.
    #[error("Invalid token format. Use: Bearer <token>")]
    Malformed,
    /// Not a token, wrong key, wrong algorithm, not yet valid, or no user id in it.
    #[error("Invalid token")]
    Invalid,
    /// The token was good until `exp`.
    #[error("Token expired")]
    Expired,
}

/// The claims that count. Every other claim is ignored; a claim that occurs twice spoils the token.
#[derive(Deserialize)]
struct Claims {
    #[serde(rename = "userId")]
    user_id: Option<String>,
    sub: Option<String>,
    /// Anything but JSON `true` is no super admin.
    #[serde(rename = "isSuperAdmin")]
    is_super_admin: Option<serde_json::Value>,
}

/// Verifies tokens.
pub struct TokenVerifier {
    key: DecodingKey,
    validation: Validation,
}

impl fmt::Debug for TokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenVerifier").field("algorithms", &self.validation.algorithms).finish_non_exhaustive()
    }
}

impl TokenVerifier {
    /// Accepts HS256 tokens signed with the secret. They must have an `exp`; there is no leeway.
    #[must_use]
    pub fn hs256(secret: &SecretString) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        validation.validate_nbf = true;
        // Tokens of the original carry no audience; those that have one are not refused for it.
        validation.validate_aud = false;
        Self { key: DecodingKey::from_secret(secret.expose_secret().as_bytes()), validation }
    }

    /// Reads the caller from the value of an `Authorization` header.
    ///
    /// # Errors
    ///
    /// [`AuthenticationError`] says which of four things is wrong.
    pub fn verify(&self, authorization: Option<&str>) -> Result<Caller, AuthenticationError> {
        let header = authorization.ok_or(AuthenticationError::Missing)?;
        let token = match header.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && is_one_word(token) => token,
            _ => return Err(AuthenticationError::Malformed),
        };
        let claims = jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation)
            .map_err(|error| match error.kind() {
                ErrorKind::ExpiredSignature => AuthenticationError::Expired,
                _ => AuthenticationError::Invalid,
            })?
            .claims;
        let user_id = claims.user_id.or(claims.sub).ok_or(AuthenticationError::Invalid)?;
        Ok(Caller {
            user_id: UserId::parse(&user_id).map_err(|_| AuthenticationError::Invalid)?,
            is_super_admin: claims.is_super_admin == Some(serde_json::Value::Bool(true)),
        })
    }
}

fn is_one_word(token: &str) -> bool {
    !token.is_empty() && !token.contains(char::is_whitespace)
}

/// Signs tokens: for demonstrations and tests. Production tokens come from the product's own sign-in.
pub struct TokenSigner {
    key: EncodingKey,
}

impl fmt::Debug for TokenSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSigner").finish_non_exhaustive()
    }
}

/// A token could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the token could not be signed")]
pub struct SigningError(#[from] jsonwebtoken::errors::Error);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SignedClaims {
    user_id: UserId,
    is_super_admin: bool,
    iat: u64,
    exp: u64,
}

impl TokenSigner {
    /// Signs HS256 tokens with the secret.
    #[must_use]
    pub fn hs256(secret: &SecretString) -> Self {
        Self { key: EncodingKey::from_secret(secret.expose_secret().as_bytes()) }
    }

    /// A token that is good from `issued_at` (seconds since 1970) for `seconds`.
    ///
    /// # Errors
    ///
    /// [`SigningError`] when the cryptography fails.
    pub fn sign(
        &self,
        user_id: UserId,
        is_super_admin: bool,
        issued_at: u64,
        seconds: u64,
    ) -> Result<String, SigningError> {
        let claims = SignedClaims { user_id, is_super_admin, iat: issued_at, exp: issued_at.saturating_add(seconds) };
        Ok(jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.key)?)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const USER: &str = "018f3c1e-0000-7000-8000-000000000001";

    fn secret() -> SecretString {
        SecretString::from("a secret of at least thirty-two bytes")
    }

    fn verify(algorithm: Algorithm, claims: serde_json::Value) -> Result<Caller, AuthenticationError> {
        let key = EncodingKey::from_secret(secret().expose_secret().as_bytes());
        let token = jsonwebtoken::encode(&Header::new(algorithm), &claims, &key).unwrap();
        TokenVerifier::hs256(&secret()).verify(Some(&format!("Bearer {token}")))
    }

    const FOREVER: u64 = 4_000_000_000;

    #[test]
    fn user_id_wins_over_sub_and_sub_suffices() {
        let other = "018f3c1e-0000-7000-8000-000000000002";
        let both = verify(Algorithm::HS256, json!({ "userId": USER, "sub": other, "exp": FOREVER })).unwrap();
        assert_eq!(both.user_id.to_string(), USER);
        let sub = verify(Algorithm::HS256, json!({ "sub": other, "exp": FOREVER })).unwrap();
        assert_eq!(sub.user_id.to_string(), other);
    }

    #[test]
    fn only_json_true_makes_a_super_admin() {
        let super_admin = |value| {
            verify(Algorithm::HS256, json!({ "userId": USER, "exp": FOREVER, "isSuperAdmin": value }))
                .unwrap()
                .is_super_admin
        };
        assert!(super_admin(json!(true)));
        for other in [json!("true"), json!(1), json!(false), json!(null), json!({})] {
            assert!(!super_admin(other));
        }
    }

    #[test]
    fn an_expired_token_is_told_apart_from_an_invalid_one() {
        let expired = json!({ "userId": USER, "exp": 1_000_000_000 });
        assert_eq!(verify(Algorithm::HS256, expired), Err(AuthenticationError::Expired));
        let invalid = [
            json!({ "userId": USER }),
            json!({ "exp": FOREVER }),
            json!({ "userId": "somebody", "exp": FOREVER }),
            json!({ "userId": 1, "exp": FOREVER }),
            json!({ "userId": USER, "exp": FOREVER, "nbf": FOREVER - 1 }),
        ];
        for claims in invalid {
            assert_eq!(verify(Algorithm::HS256, claims.clone()), Err(AuthenticationError::Invalid), "{claims}");
        }
    }

    #[test]
    fn other_algorithms_and_keys_are_refused() {
        let claims = json!({ "userId": USER, "exp": FOREVER });
        assert_eq!(verify(Algorithm::HS512, claims.clone()), Err(AuthenticationError::Invalid));
        let key = EncodingKey::from_secret(b"another secret of thirty-two bytes");
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap();
        let verifier = TokenVerifier::hs256(&secret());
        assert_eq!(verifier.verify(Some(&format!("Bearer {token}"))), Err(AuthenticationError::Invalid));
        let none = "eyJhbGciOiJub25lIn0.eyJ1c2VySWQiOiIwMThmM2MxZS0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDEifQ.";
        assert_eq!(verifier.verify(Some(&format!("Bearer {none}"))), Err(AuthenticationError::Invalid));
    }

    #[test]
    fn the_header_must_be_bearer_and_one_word() {
        let verifier = TokenVerifier::hs256(&secret());
        assert_eq!(verifier.verify(None), Err(AuthenticationError::Missing));
        for header in ["", "Bearer", "Bearer ", "Basic abc", "Bearer a b", "abc"] {
            assert_eq!(verifier.verify(Some(header)), Err(AuthenticationError::Malformed), "{header:?}");
        }
        assert_eq!(verifier.verify(Some("Bearer garbage")), Err(AuthenticationError::Invalid));
    }
}
