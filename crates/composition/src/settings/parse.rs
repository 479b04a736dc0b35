//! Parses the values of settings. Error messages describe the expected format and never contain the value.

use std::fmt;
use std::num::{NonZeroU32, NonZeroUsize};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use config::Value;
use secrecy::SecretString;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::SettingsError;

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

/// The format of durations, for error messages.
const DURATION: &str = "a whole number with the unit ms, s, m or h, such as 500ms or 5s";

/// Parses a JSON array. The error states the position of the failure, but does not quote the value.
pub(super) fn json(key: &str, text: &str) -> Result<Value, SettingsError> {
    serde_json::from_str::<Vec<Value>>(text).map(Value::from).map_err(|error| SettingsError::Invalid {
        key: key.to_owned(),
        problem: format!("must be a JSON array of objects (line {}, column {})", error.line(), error.column()),
    })
}

/// Deserializes a duration.
pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).ok_or_else(|| D::Error::custom(format!("must be a duration: {DURATION}")))
}

/// Deserializes a duration of at least one millisecond.
pub(super) fn positive_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    within(deserializer, "of at least 1ms", Duration::from_millis(1)..=Duration::MAX)
}

/// Deserializes a duration of at least one second.
pub(super) fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    within(deserializer, "of at least 1s", Duration::from_secs(1)..=Duration::MAX)
}

/// Deserializes a clock skew of at most five minutes. Clocks that differ by more must be synchronized instead.
pub(super) fn clock_skew<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    within(deserializer, "from 0 to 5m", Duration::ZERO..=Duration::from_secs(5 * 60))
}

/// Maximum duration that PostgreSQL accepts: 2^31 - 1 milliseconds.
const LONGEST_IN_DATABASE: Duration = Duration::from_millis(i32::MAX.unsigned_abs() as u64);

/// Minimum of the timeout for locks, other than `0`.
const LEAST_LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// Deserializes a duration within PostgreSQL's range.
pub(super) fn database_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    within(deserializer, "from 0 to 596h", Duration::ZERO..=LONGEST_IN_DATABASE)
}

/// Deserializes the timeout for locks: `0`, or a duration of at least one second. With a shorter timeout, a revocation
/// could fail before it terminates the sessions that block it.
pub(super) fn lock_timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let is_valid =
        |timeout: &Duration| timeout.is_zero() || (LEAST_LOCK_TIMEOUT..=LONGEST_IN_DATABASE).contains(timeout);
    parse_duration(&text)
        .filter(is_valid)
        .ok_or_else(|| D::Error::custom(format!("must be a duration of 0, or from 1s to 596h: {DURATION}")))
}

/// Deserializes a positive duration within PostgreSQL's range. `0` is rejected, because PostgreSQL interprets it as no
/// limit.
pub(super) fn database_limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    within(deserializer, "from 1ms to 596h", Duration::from_millis(1)..=LONGEST_IN_DATABASE)
}

/// Deserializes an optional duration.
pub(super) fn optional_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    duration(deserializer).map(Some)
}

/// Deserializes a duration in this range. `shown` is the range in the error message.
fn within<'de, D: Deserializer<'de>>(
    deserializer: D,
    shown: &str,
    range: RangeInclusive<Duration>,
) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let duration = parse_duration(&text).filter(|duration| range.contains(duration));
    duration.ok_or_else(|| D::Error::custom(format!("must be a duration {shown}: {DURATION}")))
}

/// A type of number that a setting can have.
pub(super) trait Number: FromStr {
    /// The range of the number, for error messages.
    fn range() -> String;
}

macro_rules! numbers {
    ($($number:ty: $range:expr),*) => {
        $(impl Number for $number {
            fn range() -> String {
                $range
            }
        })*
    };
}

// The messages omit the maximum of 64-bit numbers, which is irrelevant in practice.
numbers! {
    u16: format!("from {} to {}", Self::MIN, Self::MAX),
    u32: format!("from {} to {}", Self::MIN, Self::MAX),
    NonZeroU32: format!("from {} to {}", Self::MIN, Self::MAX),
    u64: format!("of at least {}", Self::MIN),
    usize: format!("of at least {}", Self::MIN),
    NonZeroUsize: format!("of at least {}", Self::MIN)
}

/// Deserializes a number.
pub(super) fn number<'de, D: Deserializer<'de>, N: Number>(deserializer: D) -> Result<N, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| D::Error::custom(format!("must be a whole number {}", N::range())))
}

/// Deserializes an optional number.
pub(super) fn optional_number<'de, D: Deserializer<'de>, N: Number>(deserializer: D) -> Result<Option<N>, D::Error> {
    number(deserializer).map(Some)
}

/// Deserializes a number from 0 to 1.
pub(super) fn ratio<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let number = String::deserialize(deserializer)?.parse::<f64>().ok();
    let ratio = number.filter(|number| (0.0..=1.0).contains(number));
    ratio.ok_or_else(|| D::Error::custom("must be a number from 0 to 1, such as 0.01"))
}

/// Deserializes `true` or `false`.
pub(super) fn boolean<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    word(deserializer, &[("true", true), ("false", false)], "must be true or false")
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

/// Deserializes a list of secrets in the forms of [`list`]. An empty string is an empty list.
pub(super) fn secret_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SecretString>, D::Error> {
    Ok(list(deserializer)?.into_iter().filter(|item| !item.is_empty()).map(SecretString::from).collect())
}

/// Deserializes a list: an array in the file, a comma-separated string in the environment.
pub(super) fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct ListVisitor;

    impl<'de> Visitor<'de> for ListVisitor {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list: an array in the file, or items separated by commas in the environment")
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
