//! Credentials of services: API keys.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::permission::words;
use crate::{ApiKeyId, CompanyId, Name, TextError, Timestamp, UserId};

words! {
    /// The role of a service. Each role includes the ones before it.
    ServiceRole ("check, read, administer"):
        /// Request decisions about any user.
        Check = "check",
        /// Read all of a company's IAM data.
        Read = "read",
        /// Change IAM data; also the platform, if the key is not restricted to one company.
        Administer = "administer",
}

/// The public part of a key, by which it is looked up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ApiKeyPrefix(String);

impl ApiKeyPrefix {
    /// Its length in characters.
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

/// The SHA-256 of a whole key. Keys are random, so the digest does not reveal them. It has no `==`: compare in constant
/// time.
#[derive(Clone, Copy)]
pub struct ApiKeyDigest(pub [u8; 32]);

impl fmt::Debug for ApiKeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKeyDigest")
    }
}

/// An API key, without its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ApiKey {
    /// Its id, which identifies the service in the audit trail.
    pub id: ApiKeyId,
    /// Its first characters after `iam_`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub prefix: ApiKeyPrefix,
    /// Its display name.
    pub name: Name,
    /// Its role.
    pub role: ServiceRole,
    /// The one company that it is valid for; `null` means all companies and the platform.
    pub company_id: Option<CompanyId>,
    /// The user who created it; `null` means the command line.
    pub created_by: Option<UserId>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// Approximately when it was last used.
    pub last_used_at: Option<Timestamp>,
}

impl ApiKey {
    /// Whether it is valid at this time.
    #[must_use]
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|expires| now < expires)
    }
}
