//! Generates API keys and verifies them against stored digests. A key consists of `iam_`, a lookup prefix of 12 letters
//! and digits, `_`, and 256 random bits in base64url.

use std::fmt;

use aws_lc_rs::{constant_time, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use iam_domain::{ApiKeyDigest, ApiKeyPrefix};
use secrecy::SecretString;
use sha2::{Digest, Sha256};

/// The constant prefix of every API key. People and secret scanners recognize API keys by this prefix.
const PREFIX: &str = "iam_";
/// Number of random bytes in the secret part of a key.
const RANDOM_BYTES: usize = 32;
/// Number of base64url characters that encode the secret part of a key.
const SECRET_LENGTH: usize = 43;

/// A newly generated key. The plain key is shown once; only its digest is stored.
#[derive(Debug)]
pub struct NewApiKey {
    /// The prefix by which the stored key is looked up.
    pub prefix: ApiKeyPrefix,
    /// The digest of the whole key.
    pub digest: ApiKeyDigest,
    /// The whole key in plain text.
    pub secret: SecretString,
}

/// The error for a failure of the operating system's random number generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system provided no random bytes")]
pub struct RandomnessError;

impl NewApiKey {
    /// Generates a key with 256 random bits from the operating system.
    ///
    /// # Errors
    ///
    /// Returns [`RandomnessError`] if the operating system's random number generator fails, which does not happen in
    /// practice.
    pub fn generate() -> Result<Self, RandomnessError> {
        let secret = random_text::<RANDOM_BYTES>()?;
        // The random text has far more characters than the prefix needs. The prefix skips the characters `-` and `_` of
        // base64url.
        let prefix = random_text::<RANDOM_BYTES>()?;
        let prefix: String = prefix.chars().filter(char::is_ascii_alphanumeric).take(ApiKeyPrefix::LENGTH).collect();
        let prefix = ApiKeyPrefix::parse(prefix).map_err(|_| RandomnessError)?;
        let text = format!("{PREFIX}{prefix}_{secret}");
        Ok(Self { prefix, digest: digest(&text), secret: text.into() })
    }
}

fn random_text<const BYTES: usize>() -> Result<String, RandomnessError> {
    let mut bytes = [0; BYTES];
    rand::fill(&mut bytes).map_err(|_| RandomnessError)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn digest(text: &str) -> ApiKeyDigest {
    ApiKeyDigest(Sha256::digest(text).into())
}

/// An API key in a request, not yet verified. The value contains the prefix and the digest of the key, and not the key
/// itself.
pub struct PresentedKey {
    prefix: ApiKeyPrefix,
    digest: ApiKeyDigest,
}

impl fmt::Debug for PresentedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresentedKey").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl PresentedKey {
    pub(crate) fn has_api_key_prefix(text: &str) -> bool {
        text.starts_with(PREFIX)
    }

    /// Parses a key. Returns `None` if the string does not have the format of an API key.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (prefix, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let is_base64url = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if secret.len() != SECRET_LENGTH || !secret.bytes().all(is_base64url) {
            return None;
        }
        Some(Self { prefix: ApiKeyPrefix::parse(prefix).ok()?, digest: digest(text) })
    }

    /// Returns the prefix by which the stored key is looked up.
    #[must_use]
    pub const fn prefix(&self) -> &ApiKeyPrefix {
        &self.prefix
    }

    /// Returns `true` if the key has the stored digest. The comparison takes constant time.
    #[must_use]
    pub fn matches(&self, stored: &ApiKeyDigest) -> bool {
        constant_time::verify_slices_are_equal(&self.digest.0, &stored.0).is_ok()
    }
}
