//! Parsed texts with their limits. Limits count characters, not bytes.

use serde::{Deserialize, Serialize};

use crate::UserId;

/// Why a text was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Empty, or only white space, where something must be said.
    #[error("is required")]
    Blank,
    /// More characters than the limit.
    #[error("must be at most {max} characters")]
    TooLong {
        /// The most characters allowed.
        max: usize,
    },
    /// A NUL character, which PostgreSQL cannot store.
    #[error("must not contain NUL characters")]
    Nul,
    /// A character, or a form, that it cannot have.
    #[error("has a character or a form that it must not have")]
    Character,
    /// A UUID where keys and urls are looked up beside ids.
    #[error("must not be a UUID")]
    LooksLikeId,
}

pub(crate) fn check(text: &str, max: usize, may_be_blank: bool, may_be_id: bool) -> Result<(), TextError> {
    if !may_be_blank && text.trim().is_empty() {
        return Err(TextError::Blank);
    }
    // Bytes are never fewer than characters, so short texts are not counted.
    if text.len() > max && text.chars().count() > max {
        return Err(TextError::TooLong { max });
    }
    if text.contains('\0') {
        return Err(TextError::Nul);
    }
    // Everything that a UUID parser may read, in any spelling.
    if !may_be_id && (UserId::parse(text).is_ok() || uuid::Uuid::try_parse(text).is_ok()) {
        return Err(TextError::LooksLikeId);
    }
    Ok(())
}

macro_rules! texts {
    ($($(#[doc = $doc:literal])+ $name:ident: max $max:literal, blank $blank:literal, id $id:literal;)+) => {$(
        $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The most characters.
            pub const MAX: usize = $max;

            /// Reads a text, exactly as it is: nothing is trimmed or folded.
            ///
            /// # Errors
            ///
            /// [`TextError`] says which rule the text breaks.
            pub fn parse(text: impl Into<String>) -> Result<Self, TextError> {
                let text = text.into();
                check(&text, $max, $blank, $id)?;
                Ok(Self(text))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The text, owned.
            #[must_use]
            pub fn into_string(self) -> String {
                self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::parse(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                use utoipa::openapi::schema::{ObjectBuilder, Type};
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .min_length(if $blank { None } else { Some(1) })
                    .max_length(Some($max))
                    .into()
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
        }
    )+};
}

texts! {
    /// The name of a view, module, feature or user level.
    Name: max 255, blank false, id true;
    /// The label of a menu entry or of a step of a trail.
    Label: max 255, blank false, id true;
    /// The url of a view: its natural key, so it must not look like an id. `/companies/:id` is a text like any other.
    ViewUrl: max 500, blank false, id false;
    /// The url of a step of a navigation trail.
    Url: max 500, blank false, id true;
    /// The code of a module: its natural key.
    ModuleCode: max 100, blank false, id true;
    /// The key of a feature (`risks.create`): its natural key, so it must not look like an id.
    FeatureKey: max 255, blank false, id false;
    /// A category of views or features.
    Category: max 100, blank false, id true;
    /// The name of an icon.
    Icon: max 100, blank false, id true;
    /// The kind of resource that a feature is about.
    ResourceType: max 100, blank false, id true;
    /// A description; may be empty. Its limit is generous: the request body ends before it does.
    Description: max 1_048_576, blank true, id true;
    /// The session that a navigation trail belongs to.
    SessionId: max 255, blank false, id true;
    /// What may be done with a feature: `Read`, `Approve`, or a word of the feature's own.
    Action: max 50, blank false, id true;
}

impl Action {
    /// The actions that every feature has in an answer about all permissions.
    pub const LISTED: [&'static str; 6] = ["Create", "Read", "Update", "Delete", "Export", "Approve"];
    /// The actions that a permission may name for any feature.
    pub const STANDARD: [&'static str; 7] = ["Create", "Read", "Update", "Delete", "Export", "Approve", "Publish"];

    /// Whether a permission may name this action whatever the feature.
    #[must_use]
    pub fn is_standard(&self) -> bool {
        Self::STANDARD.contains(&self.as_str())
    }

    /// The six actions of [`Self::LISTED`].
    pub fn listed() -> impl Iterator<Item = Self> {
        Self::LISTED.into_iter().map(|name| Self(name.to_owned()))
    }

    /// `Read`, which navigation asks for.
    #[must_use]
    pub fn read() -> Self {
        Self("Read".to_owned())
    }

    /// `Approve`, which handing on permissions that one does not hold asks for.
    #[must_use]
    pub fn approve() -> Self {
        Self("Approve".to_owned())
    }

    /// `Update`, which administration asks for.
    #[must_use]
    pub fn update() -> Self {
        Self("Update".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_count_characters() {
        assert!(Name::parse("ä".repeat(255)).is_ok());
        assert_eq!(Name::parse("ä".repeat(256)), Err(TextError::TooLong { max: 255 }));
    }

    #[test]
    fn blank_and_nul_are_refused() {
        assert_eq!(Name::parse(""), Err(TextError::Blank));
        assert_eq!(Name::parse(" \t\u{a0}"), Err(TextError::Blank));
        assert_eq!(Name::parse("a\0b"), Err(TextError::Nul));
        assert!(Description::parse("").is_ok());
    }

    #[test]
    fn keys_and_urls_never_look_like_ids() {
        for id in ["018f3c1e-0000-7000-8000-000000000001", "018f3c1e000070008000000000000001"] {
            assert_eq!(FeatureKey::parse(id), Err(TextError::LooksLikeId));
            assert_eq!(ViewUrl::parse(id), Err(TextError::LooksLikeId));
            assert!(Name::parse(id).is_ok());
        }
    }

    #[test]
    fn texts_are_kept_exactly() {
        assert_eq!(Name::parse(" Admin ").unwrap().as_str(), " Admin ");
    }
}
