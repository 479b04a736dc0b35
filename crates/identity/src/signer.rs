//! Signs tokens for demonstrations and tests.

use std::fmt;

use iam_domain::UserId;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use crate::KeyError;
use crate::backend::use_aws_lc;

/// Signs tokens for demonstrations and tests. Production tokens come from the product's own sign-in.
pub struct TokenSigner {
    header: Header,
    key: EncodingKey,
}

impl fmt::Debug for TokenSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSigner").field("algorithm", &self.header.alg).finish_non_exhaustive()
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
    fn new(algorithm: Algorithm, key: EncodingKey) -> Self {
        use_aws_lc();
        Self { header: Header::new(algorithm), key }
    }

    /// Returns the signer with a key id, which its tokens carry as `kid`.
    #[must_use]
    pub fn with_key_id(mut self, id: &str) -> Self {
        self.header.kid = Some(id.to_owned());
        self
    }

    /// Signs HS256 tokens with the secret.
    #[must_use]
    pub fn hs256(secret: &SecretString) -> Self {
        Self::new(Algorithm::HS256, EncodingKey::from_secret(secret.expose_secret().as_bytes()))
    }

    /// Signs with a private key, a PEM block `BEGIN PRIVATE KEY`: RS256 with RSA, ES256 with P-256, EdDSA with Ed25519.
    ///
    /// # Errors
    ///
    /// [`KeyError::NotPrivate`].
    pub fn from_pem(pem: &SecretString) -> Result<Self, KeyError> {
        let pem = pem.expose_secret().as_bytes();
        // `from_rsa_pem` would take a public key too.
        if !pem::parse(pem).is_ok_and(|block| block.tag() == "PRIVATE KEY") {
            return Err(KeyError::NotPrivate);
        }
        EncodingKey::from_rsa_pem(pem)
            .map(|key| Self::new(Algorithm::RS256, key))
            .or_else(|_| EncodingKey::from_ec_pem(pem).map(|key| Self::new(Algorithm::ES256, key)))
            .or_else(|_| EncodingKey::from_ed_pem(pem).map(|key| Self::new(Algorithm::EdDSA, key)))
            .map_err(|_| KeyError::NotPrivate)
    }

    /// Signs arbitrary claims.
    ///
    /// # Errors
    ///
    /// [`SigningError`] if the cryptography fails, or the key has a curve or size that it does not sign with.
    pub fn sign_claims(&self, claims: &impl Serialize) -> Result<String, SigningError> {
        Ok(jsonwebtoken::encode(&self.header, claims, &self.key)?)
    }

    /// Signs a token that is valid from `issued_at` (seconds since 1970) for `seconds`.
    ///
    /// # Errors
    ///
    /// [`SigningError`], as [`sign_claims`](Self::sign_claims).
    pub fn sign(
        &self,
        user_id: UserId,
        is_super_admin: bool,
        issued_at: u64,
        seconds: u64,
    ) -> Result<String, SigningError> {
        let claims = SignedClaims { user_id, is_super_admin, iat: issued_at, exp: issued_at.saturating_add(seconds) };
        self.sign_claims(&claims)
    }
}
