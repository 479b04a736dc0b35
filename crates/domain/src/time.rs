//! Timestamps in UTC: stored with microseconds, serialized with milliseconds and `Z`.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// An instant in UTC, truncated to microseconds, the precision of the database.
///
/// A timestamp is serialized as ISO 8601 with milliseconds and `Z`. Comparisons use the microseconds too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(DateTime<Utc>);

impl Timestamp {
    /// Converts a time and truncates it to microseconds.
    #[must_use]
    pub fn new(time: DateTime<Utc>) -> Self {
        let micros = time.timestamp_micros();
        Self(DateTime::from_timestamp_micros(micros).unwrap_or(time))
    }

    /// Returns the instant at this number of milliseconds since the Unix epoch, or `None` if `chrono` cannot represent
    /// it.
    #[must_use]
    pub fn from_millis(millis: i64) -> Option<Self> {
        DateTime::from_timestamp_millis(millis).map(Self)
    }

    /// Returns the instant at this number of microseconds since the Unix epoch, or `None` if `chrono` cannot represent
    /// it.
    #[must_use]
    pub fn from_micros(micros: i64) -> Option<Self> {
        DateTime::from_timestamp_micros(micros).map(Self)
    }

    /// Parses an RFC 3339 time, such as `2026-11-22T12:00:00Z`. Offsets are allowed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        DateTime::parse_from_rfc3339(text).ok().map(|time| Self::new(time.with_timezone(&Utc)))
    }

    /// Returns the milliseconds since the Unix epoch.
    #[must_use]
    pub fn millis(&self) -> i64 {
        self.0.timestamp_millis()
    }

    /// Returns the microseconds since the Unix epoch.
    #[must_use]
    pub fn micros(&self) -> i64 {
        self.0.timestamp_micros()
    }

    /// Adds a duration. If `chrono` cannot represent the sum, the instant is returned unchanged.
    #[must_use]
    pub fn plus(&self, duration: std::time::Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self::from_micros(self.micros().saturating_add(micros)).unwrap_or(*self)
    }

    /// Subtracts a duration. If `chrono` cannot represent the difference, the instant is returned unchanged.
    #[must_use]
    pub fn minus(&self, duration: std::time::Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self::from_micros(self.micros().saturating_sub(micros)).unwrap_or(*self)
    }

    /// Returns the instant as a `chrono` date and time.
    #[must_use]
    pub const fn as_datetime(&self) -> DateTime<Utc> {
        self.0
    }
}

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("must be an RFC 3339 time"))
    }
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Timestamp {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("A time in UTC (RFC 3339) with milliseconds."))
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Timestamp {
    fn name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_formatted_with_milliseconds_and_z() {
        let time = Timestamp::parse("2026-11-22T13:00:00.123456789+01:00").unwrap();
        assert_eq!(time.to_string(), "2026-11-22T12:00:00.123Z");
        assert_eq!(time.micros() % 1_000_000, 123_456);
    }
}
