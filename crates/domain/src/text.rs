//! Validated strings with length limits. The limits count characters, not bytes.

use icu_properties::CodePointSetData;
use icu_properties::props::{
    BidiControl, DefaultIgnorableCodePoint, Emoji, EnumeratedProperty, GeneralCategory, Ideographic,
    PrependedConcatenationMark, VariationSelector,
};
use serde::{Deserialize, Serialize};

use crate::UserId;

/// The reason why a string was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// The string is empty or consists only of white space, but a value is required.
    #[error("is required")]
    Blank,
    /// The string has more characters than the limit.
    #[error("must be at most {max} characters")]
    TooLong {
        /// Maximum length in characters.
        max: usize,
    },
    /// The string contains a NUL character, which PostgreSQL cannot store.
    #[error("must not contain NUL characters")]
    Nul,
    /// The string contains a disallowed character or has an invalid format.
    #[error("contains a disallowed character or has an invalid format")]
    Character,
    /// The string has an invisible character at its start or end, or between two ASCII characters. Such a string can
    /// look identical to another string.
    #[error("must not begin or end with an invisible character, or contain one between two ASCII characters")]
    Invisible,
    /// The string contains a bidirectional control character that embeds, overrides or isolates the direction of text.
    #[error("must not contain characters that override or isolate the direction of text")]
    Direction,
    /// The string is a UUID. Keys and URLs must not be UUIDs, because the same request field can contain an id, a key
    /// or a URL.
    #[error("must not be a UUID")]
    LooksLikeId,
}

pub(crate) fn check(text: &str, max: usize, may_be_blank: bool, may_be_id: bool) -> Result<(), TextError> {
    if !may_be_blank && text.trim().is_empty() {
        return Err(TextError::Blank);
    }
    // A string of at most `max` bytes has at most `max` characters, so its characters need not be counted.
    if text.len() > max && text.chars().count() > max {
        return Err(TextError::TooLong { max });
    }
    if text.contains('\0') {
        return Err(TextError::Nul);
    }
    // Reject every textual form of a UUID that a parser may accept.
    if !may_be_id && (UserId::parse(text).is_ok() || uuid::Uuid::try_parse(text).is_ok()) {
        return Err(TextError::LooksLikeId);
    }
    Ok(())
}

/// Rejects a string that can look identical to another string (spoofing). Such a string contains invisible characters,
/// or characters that change the direction of text.
pub(crate) fn check_visibility(text: &str) -> Result<(), TextError> {
    // Only control characters and characters outside ASCII can be invisible.
    if text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        return Ok(());
    }
    if text.chars().any(overrides_direction) {
        return Err(TextError::Direction);
    }
    let words = text.trim_matches(|character| GeneralCategory::for_char(character) == GeneralCategory::SpaceSeparator);
    let begins = words.chars().next().is_some_and(is_invisible);
    let end = words.trim_end_matches(is_invisible);
    let ends = end.len() < words.len() && !is_sequence_end(end, words.strip_prefix(end).unwrap_or_default());
    if begins || ends || hides_in_ascii(words) { Err(TextError::Invisible) } else { Ok(()) }
}

/// Returns `true` if the character is a bidirectional control that embeds, overrides or isolates: every bidirectional
/// control except the three marks (ALM, LRM, RLM).
fn overrides_direction(character: char) -> bool {
    const MARKS: [char; 3] = ['\u{61c}', '\u{200e}', '\u{200f}'];
    CodePointSetData::new::<BidiControl>().contains(character) && !MARKS.contains(&character)
}

/// Returns `true` if the character is invisible and not a space.
fn is_invisible(character: char) -> bool {
    /// The blank Braille pattern. Its category is symbol, but it has no raised dots.
    const BLANK_BRAILLE: char = '\u{2800}';
    match GeneralCategory::for_char(character) {
        GeneralCategory::Control | GeneralCategory::LineSeparator | GeneralCategory::ParagraphSeparator => true,
        // Prepended concatenation marks are visible, because they enclose the digits after them.
        GeneralCategory::Format => !CodePointSetData::new::<PrependedConcatenationMark>().contains(character),
        _ => is_ignorable(character) || character == BLANK_BRAILLE,
    }
}

fn is_ignorable(character: char) -> bool {
    CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(character)
}

/// Returns `true` if the invisible characters at the end of a string belong to the character before them. This is the
/// case for the variation selector of an emoji or an ideograph, and for the tag characters of a regional flag.
fn is_sequence_end(visible: &str, invisible: &str) -> bool {
    const BLACK_FLAG: char = '\u{1f3f4}';
    const TAGS: std::ops::RangeInclusive<char> = '\u{e0030}'..='\u{e007a}';
    const END_OF_TAGS: char = '\u{e007f}';
    let Some(base) = visible.chars().next_back() else { return false };
    let mut characters = invisible.chars();
    match (characters.next(), characters.next()) {
        (Some(selector), None) if CodePointSetData::new::<VariationSelector>().contains(selector) => {
            let is_emoji = !base.is_ascii() && CodePointSetData::new::<Emoji>().contains(base);
            is_emoji || CodePointSetData::new::<Ideographic>().contains(base)
        }
        _ => {
            let tags = invisible.strip_suffix(END_OF_TAGS).unwrap_or_default();
            base == BLACK_FLAG && !tags.is_empty() && tags.chars().all(|tag| TAGS.contains(&tag))
        }
    }
}

/// Returns `true` if there are invisible characters between two ASCII characters. No script needs invisible characters
/// there.
fn hides_in_ascii(text: &str) -> bool {
    let mut before = None;
    let mut is_hiding = false;
    for character in text.chars() {
        if is_ignorable(character) {
            is_hiding = true;
            continue;
        }
        if is_hiding && character.is_ascii() && before.is_some_and(|before: char| before.is_ascii()) {
            return true;
        }
        (before, is_hiding) = (Some(character), false);
    }
    false
}

/// Returns the last of the limits of a string: the limit of stored values, if it differs from that of new values.
const fn last(limits: &[usize]) -> usize {
    match limits {
        [.., last] => *last,
        [] => 0,
    }
}

macro_rules! texts {
    ($($(#[doc = $doc:tt])+ $name:ident: max $max:literal $(stored $stored:literal)?, blank $blank:literal, id $id:literal;)+) => {$(
        $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Maximum length of a new value in characters.
            pub const MAX: usize = $max;

            /// Maximum length of a stored value in characters.
            pub const STORED_MAX: usize = last(&[$max $(, $stored)?]);

            /// Parses a new value without trimming or case folding.
            ///
            /// # Errors
            ///
            /// Returns the [`TextError`] for the rule that the string violates.
            pub fn parse(text: impl Into<String>) -> Result<Self, TextError> {
                let text = text.into();
                check(&text, Self::MAX, $blank, $id)?;
                if !$blank {
                    check_visibility(&text)?;
                }
                Ok(Self(text))
            }

            /// Parses a string that is already stored, or that refers to stored data. Unlike [`parse`](Self::parse),
            /// this function accepts strings with invisible or bidirectional control characters
            /// ([`TextError::Invisible`], [`TextError::Direction`]), and strings of up to
            /// [`STORED_MAX`](Self::STORED_MAX) characters. Earlier versions of the service stored such strings.
            ///
            /// # Errors
            ///
            /// Returns the [`TextError`] for any other rule that the string violates.
            pub fn stored(text: impl Into<String>) -> Result<Self, TextError> {
                let text = text.into();
                check(&text, Self::STORED_MAX, $blank, $id)?;
                Ok(Self(text))
            }

            /// Returns the string.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Consumes the value and returns the string.
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

        /// Deserializes with [`stored`](Self::stored), because a serialized value was validated before.
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::stored(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                use utoipa::openapi::schema::{ObjectBuilder, Type};
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .description(Some(concat!($($doc, "\n"),+).trim()))
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
    /// The name of a view, module, feature, user level, company or user.
    Name: max 255, blank false, id true;
    /// The label of a menu entry, or of a step of a navigation trail.
    Label: max 255, blank false, id true;
    /// The URL of a view. It is the view's natural key and must not be a UUID. Placeholders are compared literally:
    /// `/companies/:id` matches only itself.
    ViewUrl: max 500, blank false, id false;
    /// The URL of an entry in a navigation trail.
    Url: max 500, blank false, id true;
    /// The code of a module. It is the module's natural key.
    ModuleCode: max 100, blank false, id true;
    /// The key of a feature (`risks.create`). It is the feature's natural key and must not be a UUID.
    FeatureKey: max 255, blank false, id false;
    /// A category of views or features.
    Category: max 100, blank false, id true;
    /// The name of an icon.
    Icon: max 100, blank false, id true;
    /// The type of resource that a feature applies to.
    ResourceType: max 100, blank false, id true;
    /// A description, which may be empty. Earlier versions of the service stored longer descriptions.
    Description: max 2_000 stored 1_048_576, blank true, id true;
    /// The id of a client session. Each session has its own navigation trail.
    SessionId: max 255, blank false, id true;
    /// An action of a feature: a standard action, such as `Read` or `Approve`, or a custom action of the feature.
    Action: max 50, blank false, id true;
}

impl Action {
    /// The actions that are listed for every feature in a user's effective permissions.
    pub const LISTED: [&'static str; 6] = ["Create", "Read", "Update", "Delete", "Export", "Approve"];
    /// The standard actions, which every feature has.
    pub const STANDARD: [&'static str; 7] = ["Create", "Read", "Update", "Delete", "Export", "Approve", "Publish"];

    /// Returns `true` if this is a standard action. Every feature has the standard actions.
    #[must_use]
    pub fn is_standard(&self) -> bool {
        Self::STANDARD.contains(&self.as_str())
    }

    /// Returns the actions of [`Self::STANDARD`].
    pub fn standard() -> impl Iterator<Item = Self> {
        Self::STANDARD.into_iter().map(|name| Self(name.to_owned()))
    }

    /// Returns the actions in [`Self::LISTED`].
    pub fn listed() -> impl Iterator<Item = Self> {
        Self::LISTED.into_iter().map(|name| Self(name.to_owned()))
    }

    /// Returns the action `Read`, which menu items and sub-items require.
    #[must_use]
    pub fn read() -> Self {
        Self("Read".to_owned())
    }

    /// Returns the action `Approve`, which is required to grant permissions that the caller does not hold.
    #[must_use]
    pub fn approve() -> Self {
        Self("Approve".to_owned())
    }

    /// Returns the action `Update`, which is required to change IAM data.
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
    fn a_description_that_is_already_stored_may_be_longer_than_a_new_one() {
        assert!(Description::parse("ä".repeat(2_000)).is_ok());
        let long = "ä".repeat(2_001);
        assert_eq!(Description::parse(long.clone()), Err(TextError::TooLong { max: 2_000 }));
        assert_eq!(Description::stored(long.clone()).unwrap().as_str(), long);
        assert_eq!(Name::STORED_MAX, Name::MAX);
    }

    #[test]
    fn blank_strings_and_nul_are_rejected() {
        assert_eq!(Name::parse(""), Err(TextError::Blank));
        assert_eq!(Name::parse(" \t\u{a0}"), Err(TextError::Blank));
        assert_eq!(Name::parse("a\0b"), Err(TextError::Nul));
        assert!(Description::parse("").is_ok());
    }

    #[test]
    fn invisible_characters_alone_or_at_either_end_are_rejected() {
        for invisible in [
            '\u{1}',
            '\u{7f}',
            '\u{9f}',
            '\u{ad}',
            '\u{34f}',
            '\u{61c}',
            '\u{115f}',
            '\u{17b4}',
            '\u{180e}',
            '\u{200b}',
            '\u{200c}',
            '\u{200d}',
            '\u{200e}',
            '\u{200f}',
            '\u{2060}',
            '\u{2064}',
            '\u{206a}',
            '\u{2800}',
            '\u{3164}',
            '\u{fe0f}',
            '\u{feff}',
            '\u{ffa0}',
            '\u{fffb}',
            '\u{1d173}',
            '\u{e0001}',
            '\u{e0100}',
        ] {
            for text in [
                format!("{invisible}"),
                format!("{invisible}{invisible}"),
                format!("Admin{invisible}"),
                format!("{invisible}Admin"),
                format!("Админ{invisible}"),
                format!("Admin {invisible}"),
                format!("{invisible} Admin"),
                format!("Admin{invisible} "),
                format!("\u{a0}{invisible}\u{3000}"),
            ] {
                assert_eq!(Name::parse(text.clone()), Err(TextError::Invisible), "{text:?}");
                assert_eq!(FeatureKey::parse(text.clone()), Err(TextError::Invisible), "{text:?}");
                assert_eq!(Label::parse(text.clone()), Err(TextError::Invisible), "{text:?}");
                assert_eq!(Name::stored(text.clone()).unwrap().as_str(), text);
                assert!(Description::parse(text.clone()).is_ok(), "{text:?}");
            }
        }
        for text in ["Admin\n", "\r\nAdmin", "\tAdmin", "Admin\u{85}", "Admin\u{2028}", "Admin\u{2029} "] {
            assert_eq!(Name::parse(text), Err(TextError::Invisible), "{text:?}");
        }
    }

    #[test]
    fn invisible_characters_are_rejected_between_ascii_and_accepted_where_scripts_need_them() {
        for hidden in
            ["Ad\u{200d}min", "iam\u{200b}.manage_levels", "a\u{2060}\u{200b}b", "Kran\u{ad}ken", "1\u{fe0f}2"]
        {
            assert_eq!(FeatureKey::parse(hidden), Err(TextError::Invisible), "{hidden:?}");
            assert!(FeatureKey::stored(hidden).is_ok());
        }
        for needed in [
            "می\u{200c}خواهم",
            "ශ්\u{200d}රී",
            "क्\u{200d}ष",
            "👩\u{200d}👩\u{200d}👧",
            "🏳\u{fe0f}",
            "🏳\u{fe0f}\u{200d}🌈",
            "❤\u{fe0f} Team",
            "1\u{fe0f}\u{20e3}",
            "葛\u{e0100}",
            "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
            "ABC \u{200f}עברית",
            "\u{600}١٢٣",
            "line\nbreak",
            "e\u{301}",
            "İıſßẞ",
        ] {
            assert_eq!(Name::parse(needed).unwrap().as_str(), needed);
        }
    }

    #[test]
    fn direction_overrides_are_rejected_anywhere() {
        for control in ('\u{202a}'..='\u{202e}').chain('\u{2066}'..='\u{2069}') {
            for text in
                [format!("{control}"), format!("Ad{control}min"), format!("Admin{control}"), format!("עב{control}רית")]
            {
                assert_eq!(Name::parse(text.clone()), Err(TextError::Direction), "{text:?}");
                assert_eq!(ViewUrl::parse(text.clone()), Err(TextError::Direction), "{text:?}");
                assert!(Name::stored(text).is_ok());
            }
        }
    }

    #[test]
    fn stored_values_deserialize() {
        let text = "\"Admin\u{200b}\u{202e}\"";
        assert_eq!(serde_json::from_str::<Name>(text).unwrap().as_str(), "Admin\u{200b}\u{202e}");
        assert!(serde_json::from_str::<Name>("\"\"").is_err());
    }

    proptest::proptest! {
        #[test]
        fn printable_ascii_is_accepted(text in "[!-~][ -~]{0,40}") {
            assert_eq!(Name::parse(text.clone()), Name::stored(text));
        }

        #[test]
        fn letters_of_all_scripts_are_accepted(text in r"[\p{L}\p{N}&&[^\u{115f}\u{1160}\u{3164}\u{ffa0}]]{1,40}") {
            assert_eq!(Name::parse(text.clone()), Name::stored(text));
        }

        #[test]
        fn an_accepted_name_has_visible_ends(text in r"\PC{0,3}[\p{Cc}\p{Cf}\p{L} ]{0,4}\PC{0,3}") {
            if let Ok(name) = Name::parse(text) {
                let words = name.as_str().trim();
                assert!(!words.starts_with(is_invisible) && !words.contains(overrides_direction), "{words:?}");
                assert!(words.chars().any(|character| !is_invisible(character)), "{words:?}");
            }
        }

        #[test]
        fn accepted_strings_survive_a_round_trip_unchanged(text in r"(?s).{0,40}") {
            if let Ok(name) = Name::parse(text.clone()) {
                assert_eq!(name.as_str(), text);
                assert_eq!(Name::stored(text), Ok(name));
            }
        }
    }

    #[test]
    fn keys_and_urls_are_never_valid_ids() {
        for id in ["018f3c1e-0000-7000-8000-000000000001", "018f3c1e000070008000000000000001"] {
            assert_eq!(FeatureKey::parse(id), Err(TextError::LooksLikeId));
            assert_eq!(ViewUrl::parse(id), Err(TextError::LooksLikeId));
            assert!(Name::parse(id).is_ok());
        }
    }

    #[test]
    fn strings_are_stored_unchanged() {
        assert_eq!(Name::parse(" Admin ").unwrap().as_str(), " Admin ");
    }
}
