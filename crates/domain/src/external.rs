//! External ids of users: pairs of issuer and subject.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::text::check;
use crate::{TextError, Timestamp, UserId};

/// The separator between issuer and subject in the string form of an external id.
const SEPARATOR: char = '|';
/// The prefix of a path id. A path id is never a UUID and never contains `|`, so it is never ambiguous.
const PATH_ID_PREFIX: &str = "x.";

macro_rules! parts {
    ($($(#[doc = $doc:literal])+ $name:ident: $allowed:expr;)+) => {$(
        $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Maximum length in characters.
            pub const MAX: usize = 255;

            /// Parses a string without trimming or case folding.
            ///
            /// # Errors
            ///
            /// Returns the [`TextError`] for the rule that the string violates.
            pub fn parse(text: impl Into<String>) -> Result<Self, TextError> {
                let text = text.into();
                check(&text, Self::MAX, false, true)?;
                let is_allowed: fn(char) -> bool = $allowed;
                if text.chars().all(is_allowed) { Ok(Self(text)) } else { Err(TextError::Character) }
            }

            /// Returns the string.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::parse(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }
    )+};
}

parts! {
    /// The issuer of a user's tokens, exactly as in their `iss` claim. It contains no `|`, so the first `|` of an
    /// [`ExternalId`] is always the separator.
    Issuer: |character| character != SEPARATOR && !character.is_control();
    /// The subject by which an issuer identifies a user. It is compared exactly and can have any form: `auth0|5f7c…`,
    /// an e-mail address, a number, or any other string.
    ExternalSubject: |character| !character.is_control();
}

/// The identity of a user at an issuer (identity provider): the issuer and the subject. Equal subjects of two issuers
/// identify different users.
///
/// ```
/// use iam_domain::ExternalId;
///
/// let external = ExternalId::parse("https://example.eu.auth0.com/|auth0|5f7c8ec7")?;
/// assert_eq!(external.issuer.as_str(), "https://example.eu.auth0.com/");
/// assert_eq!(external.subject.as_str(), "auth0|5f7c8ec7");
/// assert_eq!(external.to_string(), "https://example.eu.auth0.com/|auth0|5f7c8ec7");
/// assert_eq!(external.user_id(), external.clone().user_id());
/// # Ok::<(), iam_domain::TextError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExternalId {
    /// The issuer of the user's tokens.
    pub issuer: Issuer,
    /// The subject by which the issuer identifies the user.
    pub subject: ExternalSubject,
}

impl ExternalId {
    /// Parses an external id in either of its two forms: `issuer|subject`, where everything after the first `|` is the
    /// subject, or a [path id](Self::path_id).
    ///
    /// # Errors
    ///
    /// Returns [`TextError`] if the string has neither form, or if the issuer or the subject violates a rule.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        match text.strip_prefix(PATH_ID_PREFIX) {
            Some(encoded) if !text.contains(SEPARATOR) => {
                // The decoder rejects padding and nonzero trailing bits, so that each id has exactly one path id.
                let decoded = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| TextError::Character)?;
                Self::parse_pair(std::str::from_utf8(&decoded).map_err(|_| TextError::Character)?)
            }
            _ => Self::parse_pair(text),
        }
    }

    /// Returns `true` if the string contains `|` or has the prefix of a path id. Such a string cannot be a UUID, so it
    /// can only be an external id.
    #[must_use]
    pub fn may_be(text: &str) -> bool {
        text.contains(SEPARATOR) || text.starts_with(PATH_ID_PREFIX)
    }

    /// Returns the path id: `x.`, followed by `issuer|subject` in base64url without padding. A path id needs no
    /// percent-encoding in URLs.
    ///
    /// ```
    /// # use iam_domain::ExternalId;
    /// let external = ExternalId::parse("https://a.example/|42")?;
    /// assert_eq!(external.path_id(), "x.aHR0cHM6Ly9hLmV4YW1wbGUvfDQy");
    /// assert_eq!(ExternalId::parse("x.aHR0cHM6Ly9hLmV4YW1wbGUvfDQy")?, external);
    /// # Ok::<(), iam_domain::TextError>(())
    /// ```
    #[must_use]
    pub fn path_id(&self) -> String {
        format!("{PATH_ID_PREFIX}{}", URL_SAFE_NO_PAD.encode(self.to_string()))
    }

    fn parse_pair(text: &str) -> Result<Self, TextError> {
        let (issuer, subject) = text.split_once(SEPARATOR).ok_or(TextError::Character)?;
        Ok(Self { issuer: Issuer::parse(issuer)?, subject: ExternalSubject::parse(subject)? })
    }

    /// Returns the internal id of the user: a version 8 UUID that is derived only from issuer and subject. All
    /// processes derive the same id, even before any data of the user is stored. The derivation uses SHA-256, so that
    /// ids of different users do not collide in practice.
    #[must_use]
    pub fn user_id(&self) -> UserId {
        let issuer = self.issuer.as_str().as_bytes();
        let digest = Sha256::new()
            .chain_update(b"iam user id 1")
            .chain_update((issuer.len() as u64).to_be_bytes())
            .chain_update(issuer)
            .chain_update(self.subject.as_str())
            .finalize();
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(digest).for_each(|(byte, of_digest)| *byte = of_digest);
        UserId::from_uuid(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }
}

impl fmt::Display for ExternalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{SEPARATOR}{}", self.issuer, self.subject)
    }
}

impl Serialize for ExternalId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A user that is identified in the path or the body of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedUser {
    /// The id of the user.
    pub id: UserId,
    /// The external id. `None` if the request contains only the user id, or if the user id itself is the subject at the
    /// issuer.
    pub external_id: Option<ExternalId>,
    /// `true` if the request identifies the user by an id that a token of a trusted issuer can contain. It is `false`,
    /// for example, if the request contains only a user id that this service derived from issuer and subject. A
    /// response to such a request must not disclose the external id.
    pub can_sign_in: bool,
}

impl NamedUser {
    /// Returns the user with this id, without an external id. The user can sign in only if the id can be the subject of
    /// a token of the native issuer. Ids that this service computed cannot be such subjects, so `can_sign_in` is
    /// `false` for them.
    #[must_use]
    pub fn native(id: UserId) -> Self {
        Self { id, external_id: None, can_sign_in: !id.is_service_generated() }
    }
}

/// The stored data of a user that is the same in all companies: the external id and the token cut-off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The id of the user.
    pub id: UserId,
    /// The external id. `None` if no external id is stored.
    pub external_id: Option<ExternalId>,
    /// The token cut-off: tokens that were issued (`iat`) before this time are rejected.
    pub not_before: Option<Timestamp>,
}

impl UserId {
    /// Returns `true` if the id is a version 8 UUID. Only this service creates such ids, in [`ExternalId::user_id`] and
    /// [`ApiKeyId::generate`](crate::ApiKeyId::generate). A token of the native issuer is rejected if its subject is
    /// such an id.
    #[must_use]
    pub fn is_service_generated(&self) -> bool {
        self.as_uuid().get_version_num() == 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> UserId {
        ExternalId::parse(text).unwrap().user_id()
    }

    #[test]
    fn the_boundary_between_issuer_and_subject_is_unambiguous() {
        assert_ne!(id("https://a|b|c"), id("https://a|b|C"));
        assert_ne!(id("https://a|x"), id("https://b|x"));
        // The same characters, split at another position, result in a different id.
        let cut = |issuer: &str, subject: &str| ExternalId {
            issuer: Issuer::parse(issuer).unwrap(),
            subject: ExternalSubject::parse(subject).unwrap(),
        };
        assert_ne!(cut("ab", "c").user_id(), cut("a", "bc").user_id());
    }

    #[test]
    fn derived_ids_never_change() {
        // Stored assignments refer to this id. If the derivation changed, all external users would lose their levels.
        assert_eq!(id("https://issuer.example|user@example.com").to_string(), "2fb44db9-9472-893a-8270-a1d013638b6e");
        assert!(id("https://issuer.example|1").is_service_generated());
    }

    #[test]
    fn a_string_that_identifies_no_user_is_rejected() {
        assert_eq!(ExternalId::parse("https://issuer.example"), Err(TextError::Character));
        assert_eq!(ExternalId::parse("|subject"), Err(TextError::Blank));
        assert_eq!(ExternalId::parse("issuer|"), Err(TextError::Blank));
        assert_eq!(ExternalId::parse("issuer|a\nb"), Err(TextError::Character));
        assert_eq!(ExternalId::parse(&format!("issuer|{}", "x".repeat(256))), Err(TextError::TooLong { max: 255 }));
        assert_eq!(Issuer::parse("a|b"), Err(TextError::Character));
    }

    #[test]
    fn both_notations_identify_the_same_user() {
        for text in ["https://a.example/|auth0|1", "i|\u{e4}\u{1f600}", "x.example|x.YXxi", "a|b", "ab|c", "abc|d"] {
            let external = ExternalId::parse(text).unwrap();
            let path_id = external.path_id();
            assert!(path_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)), "{path_id}");
            assert_eq!(ExternalId::parse(&path_id), Ok(external), "{text}");
        }
    }

    #[test]
    fn a_path_id_has_exactly_one_encoding() {
        // `ab|c` is `YWJ8Yw` in base64url.
        assert!(ExternalId::parse("x.YWJ8Yw").is_ok());
        let others = [
            "X.YWJ8Yw",
            "x.YWJ8Yw==",
            "x.YWJ8Yx",
            "x.YWJ8Yz",
            "x.YWJ8Y",
            " x.YWJ8Yw",
            "x.YWJ8Yw ",
            "x. YWJ8Yw",
            "x.YWJ8\nYw",
            "xYWJ8Yw",
            "x.",
            "x.x.YWJ8Yw",
            "x.YWJj",
            "x._w",
            "x.fGM",
            "x.YWJ8",
            "x.eC5ZV0o4WXc",
            "YWJ8Yw",
        ];
        for text in others {
            assert!(ExternalId::parse(text).is_err(), "{text}");
        }
        // Path ids use the URL-safe base64 alphabet, not the standard alphabet.
        let external = ExternalId::parse("i|\u{3f}\u{3e}\u{3f}\u{fb}").unwrap();
        let path_id = external.path_id();
        assert_ne!(path_id, path_id.replace('_', "/").replace('-', "+"));
        assert!(ExternalId::parse(&path_id.replace('_', "/").replace('-', "+")).is_err());
    }
}
