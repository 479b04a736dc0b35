//! The profiles of users: the display name and the e-mail address of a user in one company. Profiles decide nothing.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::permission::words;
use crate::text::{check, check_visibility};
use crate::{CompanyId, Name, TextError, Timestamp, UserId};

/// An e-mail address. It has one `@` with text before and after it, and contains no white space. The service does not
/// send e-mails, and compares addresses only in searches.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Email(String);

impl Email {
    /// Maximum length in characters.
    pub const MAX: usize = 254;

    /// Parses a new address without trimming or case folding.
    ///
    /// # Errors
    ///
    /// Returns the [`TextError`] for the rule that the string violates.
    pub fn parse(text: impl Into<String>) -> Result<Self, TextError> {
        let email = Self::stored(text)?;
        check_visibility(&email.0)?;
        let is_whole = email
            .0
            .split_once('@')
            .is_some_and(|(user, domain)| !user.is_empty() && !domain.is_empty() && !domain.contains('@'));
        if !is_whole || email.0.contains(|character: char| character.is_whitespace() || character.is_control()) {
            return Err(TextError::Character);
        }
        Ok(email)
    }

    /// Parses an address that is already stored.
    ///
    /// # Errors
    ///
    /// Returns the [`TextError`] if the string is blank or too long, or contains NUL.
    pub fn stored(text: impl Into<String>) -> Result<Self, TextError> {
        let text = text.into();
        check(&text, Self::MAX, false, true)?;
        Ok(Self(text))
    }

    /// Returns the address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Deserializes with [`Email::stored`], because a serialized value was validated before.
impl<'de> Deserialize<'de> for Email {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::stored(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

words! {
    /// The source of a profile.
    ProfileSource ("api, token"):
        /// A request to the API set the profile. A token never replaces such a profile.
        Api = "api",
        /// The claims of a token of the user contained the profile. Users choose such names themselves.
        Token = "token",
}

/// The profile of a user in one company.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UserProfile {
    /// The company.
    pub company_id: CompanyId,
    /// The user.
    pub user_id: UserId,
    /// The display name of the user.
    pub display_name: Option<Name>,
    /// The e-mail address of the user.
    pub email: Option<Email>,
    /// The source of the profile.
    pub source: ProfileSource,
    /// The time when the profile was created.
    pub created_at: Timestamp,
    /// The time when the profile was last changed.
    pub updated_at: Timestamp,
}

/// The parts of a profile that the claims of a verified token contain. Users may choose them themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedProfile {
    /// The display name of the user.
    pub display_name: Option<Name>,
    /// The verified e-mail address of the user.
    pub email: Option<Email>,
}

impl ClaimedProfile {
    /// Returns the name and the e-mail address of a user after these claims are recorded. A part that the claims do not
    /// contain is preserved. Returns `None` if the profile does not change: because the API has set it, or because it
    /// already has this content.
    #[must_use]
    pub fn replaces(&self, before: Option<&UserProfile>) -> Option<Self> {
        if before.is_some_and(|before| before.source == ProfileSource::Api) {
            return None;
        }
        let (old_name, old_email) =
            before.map_or((None, None), |before| (before.display_name.as_ref(), before.email.as_ref()));
        let display_name = self.display_name.as_ref().or(old_name);
        let email = self.email.as_ref().or(old_email);
        (display_name != old_name || email != old_email)
            .then(|| Self { display_name: display_name.cloned(), email: email.cloned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimed(name: &str, email: &str) -> ClaimedProfile {
        ClaimedProfile { display_name: Name::parse(name).ok(), email: Email::parse(email).ok() }
    }

    #[test]
    fn claims_replace_only_the_parts_that_they_contain_of_profiles_that_the_api_has_not_set() {
        let stored = |claims: &ClaimedProfile, source| UserProfile {
            company_id: CompanyId::from_uuid(uuid::Uuid::max()),
            user_id: UserId::NIL,
            display_name: claims.display_name.clone(),
            email: claims.email.clone(),
            source,
            created_at: Timestamp::from_micros(1).unwrap(),
            updated_at: Timestamp::from_micros(1).unwrap(),
        };
        let (ada, both) = (claimed("Ada", ""), claimed("Ada", "ada@example.com"));
        assert_eq!(ada.replaces(None), Some(ada.clone()));
        assert_eq!(claimed("", "").replaces(None), None);
        let of_token = |claims| stored(claims, ProfileSource::Token);
        assert_eq!(ada.replaces(Some(&of_token(&ada))), None);
        assert_eq!(ada.replaces(Some(&of_token(&both))), None);
        assert_eq!(claimed("", "ada@example.com").replaces(Some(&of_token(&ada))), Some(both.clone()));
        let renamed = claimed("Ada L.", "ada@example.com");
        assert_eq!(claimed("Ada L.", "").replaces(Some(&of_token(&both))), Some(renamed));
        for set in [both, claimed("", "")] {
            assert_eq!(claimed("Eve", "eve@example.com").replaces(Some(&stored(&set, ProfileSource::Api))), None);
        }
    }

    #[test]
    fn an_address_has_one_at_sign_between_two_texts() {
        for text in ["a@b", "ada.lovelace+iam@example.com", "δοκιμή@παράδειγμα.δοκιμή"] {
            assert_eq!(Email::parse(text).unwrap().as_str(), text);
        }
        for text in ["a", "@b", "a@", "a@b@c", "a b@c", "a@b c", "a@b\n"] {
            assert!(Email::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(Email::parse(""), Err(TextError::Blank));
        assert_eq!(Email::parse("a@b\0"), Err(TextError::Nul));
        let long = format!("{}@b", "a".repeat(253));
        assert_eq!(Email::parse(long), Err(TextError::TooLong { max: 254 }));
    }
}
