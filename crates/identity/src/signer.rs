//! Signs tokens for demonstrations and tests.

use std::fmt;

use iam_domain::UserId;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use crate::KeyError;
use crate::backend::use_aws_lc;

/// A signer of tokens for demonstrations and tests. In production, the identity provider issues the tokens.
pub struct TokenSigner {
    header: Header,
    key: EncodingKey,
}

impl fmt::Debug for TokenSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSigner").field("algorithm", &self.header.alg).finish_non_exhaustive()
    }
}

/// The error for a token that could not be signed.
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

    /// Sets the key id of the signer. The tokens contain the id as `kid`.
    #[must_use]
    pub fn with_key_id(mut self, id: &str) -> Self {
        self.header.kid = Some(id.to_owned());
        self
    }

    /// Creates a signer that signs HS256 tokens with the secret.
    #[must_use]
    pub fn hs256(secret: &SecretString) -> Self {
        Self::new(Algorithm::HS256, EncodingKey::from_secret(secret.expose_secret().as_bytes()))
    }

    /// Creates a signer from a private key in a PEM block with the label `PRIVATE KEY` (PKCS #8). The type of the key
    /// determines the algorithm: RS256 for RSA, ES256 for P-256, EdDSA for Ed25519.
    ///
    /// # Errors
    ///
    /// Returns [`KeyError::NotPrivate`] if the PEM text is not such a key.
    pub fn from_pem(pem: &SecretString) -> Result<Self, KeyError> {
        let pem = pem.expose_secret().as_bytes();
        // `from_rsa_pem` would also accept a public key.
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
    /// Returns [`SigningError`] if signing fails, or if the curve or size of the key is not supported.
    pub fn sign_claims(&self, claims: &impl Serialize) -> Result<String, SigningError> {
        Ok(jsonwebtoken::encode(&self.header, claims, &self.key)?)
    }

    /// Signs a token for the user. The token is valid for `seconds` from `issued_at`, which is in seconds since the
    /// Unix epoch.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`sign_claims`](Self::sign_claims).
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
