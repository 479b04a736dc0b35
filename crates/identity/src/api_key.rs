//! Makes and compares API keys: `iam_`, a prefix of twelve letters and digits to look them up by, `_`, and 256 random
//! bits.

use std::fmt;

use aws_lc_rs::{constant_time, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use iam_domain::{ApiKeyDigest, ApiKeyPrefix};
use secrecy::SecretString;
use sha2::{Digest, Sha256};

/// The prefix of every key, so that people and scanners recognise one.
const BEGIN: &str = "iam_";
/// How many random bytes a key has.
const RANDOM_BYTES: usize = 32;
/// How many characters encode them.
const SECRET_LENGTH: usize = 43;

/// A newly made key. Its text is shown once; only its digest is stored.
#[derive(Debug)]
pub struct NewApiKey {
    /// The prefix that it is looked up by.
    pub prefix: ApiKeyPrefix,
    /// The digest of its secret.
    pub digest: ApiKeyDigest,
    /// The whole key.
    pub secret: SecretString,
}

/// The operating system provided no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system provided no random bytes")]
pub struct RandomnessError;

impl NewApiKey {
    /// Makes a key with 256 random bits from the operating system.
    ///
    /// # Errors
    ///
    /// [`RandomnessError`]: none in practice.
    pub fn generate() -> Result<Self, RandomnessError> {
        let secret = random_text::<RANDOM_BYTES>()?;
        // Far more than needed: two of the 64 characters are neither letters nor digits, and are skipped.
        let prefix = random_text::<RANDOM_BYTES>()?;
        let prefix: String = prefix.chars().filter(char::is_ascii_alphanumeric).take(ApiKeyPrefix::LENGTH).collect();
        let prefix = ApiKeyPrefix::parse(prefix).map_err(|_| RandomnessError)?;
        let text = format!("{BEGIN}{prefix}_{secret}");
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

/// A key that a caller presents. It holds only the digest; the key may not exist.
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
    pub(crate) fn looks_like_one(text: &str) -> bool {
        text.starts_with(BEGIN)
    }

    /// Parses a key. `None` if the text does not have the form of a key.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (prefix, secret) = text.strip_prefix(BEGIN)?.split_once('_')?;
        let is_base64url = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if secret.len() != SECRET_LENGTH || !secret.bytes().all(is_base64url) {
            return None;
        }
        Some(Self { prefix: ApiKeyPrefix::parse(prefix).ok()?, digest: digest(text) })
    }

    /// The prefix to look it up by.
    #[must_use]
    pub const fn prefix(&self) -> &ApiKeyPrefix {
        &self.prefix
    }

    /// Whether this is the key with the stored digest. Compares in constant time.
    #[must_use]
    pub fn matches(&self, stored: &ApiKeyDigest) -> bool {
        constant_time::verify_slices_are_equal(&self.digest.0, &stored.0).is_ok()
    }
}
