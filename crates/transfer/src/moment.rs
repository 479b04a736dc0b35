//! Times in the file: RFC 3339 with microseconds, so that no time is rounded.

use iam_domain::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A time that is serialized with microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(pub(crate) Timestamp);

/// The earliest and the latest time that every storage can represent, in milliseconds since the Unix epoch: the first
/// and the last millisecond of the years 1 and 9999.
const RANGE: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_300_799_999;

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let time = self.0.as_datetime();
        serializer.collect_str(&time.format("%Y-%m-%dT%H:%M:%S%.6fZ"))
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let time = Timestamp::parse(&text).filter(|time| RANGE.contains(&time.millis()));
        time.map(Self).ok_or_else(|| de::Error::custom("must be an RFC 3339 time"))
    }
}
