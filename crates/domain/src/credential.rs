//! What lets other services in: API keys.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::permission::words;
use crate::{ApiKeyId, CompanyId, Name, TextError, Timestamp, UserId};

words! {
    /// How much a service may do. Each role may do what those before it may.
    ServiceRole ("check, read, administer"):
        /// Ask what anybody may see and do.
        Check = "check",
        /// Read all of a company's IAM data.
        Read = "read",
        /// Change it; without a restriction to one company, the platform too.
        Administer = "administer",
}

/// The part of a key that may be seen, and that it is looked up by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ApiKeyPrefix(String);

impl ApiKeyPrefix {
    /// How many characters it has.
    pub const LENGTH: usize = 12;

    /// Reads a prefix: letters and digits.
    ///
    /// # Errors
    ///
    /// [`TextError::Character`].
    pub fn parse(text: impl Into<String>) -> Result<Self, TextError> {
        let text = text.into();
        if text.len() == Self::LENGTH && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            Ok(Self(text))
        } else {
            Err(TextError::Character)
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ApiKeyPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ApiKeyPrefix {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// The SHA-256 of a whole key. Keys are random, so nobody guesses one from it. It has no `==`: compare in constant time.
#[derive(Clone, Copy)]
pub struct ApiKeyDigest(pub [u8; 32]);

impl fmt::Debug for ApiKeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKeyDigest")
    }
}

/// An API key, without what it is proven by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ApiKey {
    /// Its id, under which the service is found in the audit trail.
    pub id: ApiKeyId,
    /// How it begins, after `iam_`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub prefix: ApiKeyPrefix,
    /// What people call it.
    pub name: Name,
    /// How much it may do.
    pub role: ServiceRole,
    /// The one company that it is good for; `null` is every company, and the platform.
    pub company_id: Option<CompanyId>,
    /// Who made it; `null` is the command line.
    pub created_by: Option<UserId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is refused.
    pub expires_at: Option<Timestamp>,
    /// Since when it is refused for good.
    pub revoked_at: Option<Timestamp>,
    /// When it was last seen, about.
    pub last_used_at: Option<Timestamp>,
}

impl ApiKey {
    /// Whether it is good at this time.
    #[must_use]
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|expires| now < expires)
    }
}
