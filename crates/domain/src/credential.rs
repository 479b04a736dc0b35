//! API keys, the credentials of services.

use std::fmt;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::permission::words;
use crate::{ApiKeyId, CompanyId, Name, TextError, Timestamp, UserId};

words! {
    /// The role of an API key. Each role in this list also has the permissions of the roles above it.
    ServiceRole ("check, read, administer"):
        /// The service may request decisions about any user.
        Check = "check",
        /// The service may read all IAM data of a company.
        Read = "read",
        /// The service may change IAM data. If the key is not restricted to one company, this includes platform-wide
        /// data.
        Administer = "administer",
}

/// The public part of an API key, used to look up the stored key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ApiKeyPrefix(String);

impl ApiKeyPrefix {
    /// The length of a prefix in characters.
    pub const LENGTH: usize = 12;

    /// Parses a prefix, which consists of ASCII letters and digits.
    ///
    /// # Errors
    ///
    /// Returns [`TextError::Character`] if the string has the wrong length or contains any other character.
    pub fn parse(text: impl Into<String>) -> Result<Self, TextError> {
        let text = text.into();
        if text.len() == Self::LENGTH && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            Ok(Self(text))
        } else {
            Err(TextError::Character)
        }
    }

    /// Returns the prefix as a string.
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

/// The SHA-256 digest of a whole API key. API keys are random, so the digest does not reveal the key. The type does not
/// implement `PartialEq`, because digests must be compared in constant time.
#[derive(Clone, Copy)]
pub struct ApiKeyDigest(pub [u8; 32]);

impl fmt::Debug for ApiKeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKeyDigest")
    }
}

/// The rate at which the requests with an API key may cause work, in cost units per second: from 1 to 1,000,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = u32, minimum = 1, maximum = 1_000_000))]
#[serde(try_from = "u32", into = "u32")]
pub struct RequestRate(NonZeroU32);

impl RequestRate {
    /// The highest rate.
    pub const MAX: u32 = 1_000_000;

    /// Parses a rate.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidRate`] if the rate is 0 or higher than [`Self::MAX`].
    pub fn new(per_second: u32) -> Result<Self, InvalidRate> {
        NonZeroU32::new(per_second).filter(|rate| rate.get() <= Self::MAX).map(Self).ok_or(InvalidRate)
    }

    /// Returns the number of cost units per second.
    #[must_use]
    pub const fn per_second(self) -> NonZeroU32 {
        self.0
    }
}

impl TryFrom<u32> for RequestRate {
    type Error = InvalidRate;

    fn try_from(per_second: u32) -> Result<Self, InvalidRate> {
        Self::new(per_second)
    }
}

impl From<RequestRate> for u32 {
    fn from(rate: RequestRate) -> Self {
        rate.0.get()
    }
}

/// The error for a rate that is out of range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be between 1 and 1000000")]
pub struct InvalidRate;

/// The metadata of an API key, without its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ApiKey {
    /// The id of the key, which identifies the service in the audit log.
    pub id: ApiKeyId,
    /// The public part of the key: the 12 characters after `iam_`. It serves to look up the stored key.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub prefix: ApiKeyPrefix,
    /// The display name of the API key.
    pub name: Name,
    /// The role of the API key.
    pub role: ServiceRole,
    /// The only company for which the key is valid. `null` if the key is valid for all companies and for platform-wide
    /// requests.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub company_id: Option<CompanyId>,
    /// The key's own limit on its work, in cost units per second. `null` if the setting for all API keys applies.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub requests_per_second: Option<RequestRate>,
    /// The user who created the key. `null` if the key was created on the command line.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub created_by: Option<UserId>,
    /// The time when the API key was created.
    pub created_at: Timestamp,
    /// The time when the key expires. `null` if it never expires.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub expires_at: Option<Timestamp>,
    /// The time when the key was revoked. `null` if it is not revoked.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub revoked_at: Option<Timestamp>,
    /// The approximate time when the key was last used. `null` if it was never used.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub last_used_at: Option<Timestamp>,
}

impl ApiKey {
    /// Returns `true` if the key is neither revoked nor expired at this time.
    #[must_use]
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|expires| now < expires)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_between_1_and_a_million() {
        for valid in [1, RequestRate::MAX] {
            assert_eq!(RequestRate::new(valid).map(u32::from), Ok(valid));
        }
        for invalid in [0, RequestRate::MAX + 1, u32::MAX] {
            assert_eq!(RequestRate::new(invalid), Err(InvalidRate));
            assert!(serde_json::from_str::<RequestRate>(&invalid.to_string()).is_err());
        }
    }
}
