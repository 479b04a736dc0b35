//! Parses the values of settings. Error messages describe the expected form and never repeat the value.

use std::fmt;
use std::time::Duration;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Parses a duration such as `500ms`, `5s`, `2m` or `1h`. `0` needs no unit.
fn parse_duration(text: &str) -> Option<Duration> {
    let unit = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit);
    let number = number.parse::<u64>().ok()?;
    let millis = match unit {
        "" if number == 0 => 0,
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}

/// Deserializes a duration.
pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).ok_or_else(|| D::Error::custom("must be a duration such as 500ms, 5s, 2m or 1h"))
}

/// Maximum duration that PostgreSQL accepts: 2^31 - 1 milliseconds.
const LONGEST_IN_DATABASE: Duration = Duration::from_millis(i32::MAX.unsigned_abs() as u64);

/// Deserializes a duration within PostgreSQL's range.
pub(super) fn database_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let limit = duration(deserializer)?;
    if limit > LONGEST_IN_DATABASE { Err(D::Error::custom("must be at most 596h")) } else { Ok(limit) }
}

/// Deserializes a positive duration within PostgreSQL's range. `0` is rejected, because PostgreSQL interprets it as no
/// limit.
pub(super) fn database_limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let limit = database_duration(deserializer)?;
    if limit.is_zero() { Err(D::Error::custom("must be more than 0")) } else { Ok(limit) }
}

/// Deserializes an optional duration.
pub(super) fn optional_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    duration(deserializer).map(Some)
}

/// Deserializes a port.
pub(super) fn port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| D::Error::custom("must be a number from 0 to 65535"))
}

/// Deserializes one of the keywords `words`. `problem` is the error message for any other value.
pub(super) fn word<'de, D: Deserializer<'de>, T: Copy>(
    deserializer: D,
    words: &[(&str, T)],
    problem: &'static str,
) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    let known = words.iter().find(|(word, _)| *word == text);
    known.map(|(_, value)| *value).ok_or_else(|| D::Error::custom(problem))
}

/// Deserializes a list: an array in the file, a comma-separated string in the environment.
pub(super) fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct ListVisitor;

    impl<'de> Visitor<'de> for ListVisitor {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_str<E>(self, text: &str) -> Result<Vec<String>, E> {
            Ok(text.split(',').map(|item| item.trim().to_owned()).collect())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<String>, A::Error> {
            let mut items = Vec::new();
            while let Some(item) = seq.next_element()? {
                items.push(item);
            }
            Ok(items)
        }
    }

    deserializer.deserialize_any(ListVisitor)
}
