//! Ids as newtypes, so that the id of a view cannot be passed where the id of a feature is expected.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Timestamp;

/// The error for a string that is not a valid id. Valid ids are hyphenated UUIDs, except the nil UUID and the max UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a valid UUID")]
pub struct InvalidId;

/// Number of bits of the counter in an id. The counter occupies the field `rand_a` of a version 7 UUID: all bits
/// between the version and the variant.
const COUNTER_BITS: u32 = 12;

/// The latest time that an id can contain, in milliseconds: the last millisecond of the year 9999. Later times are
/// clamped to this time. A counter overflow can still increment the timestamp without exceeding its 48 bits.
const LATEST_MILLIS: u64 = 253_402_300_799_999;

/// The timestamp in milliseconds and the counter of the greatest id that this process has generated, in one integer.
static LAST_TICK: AtomicU64 = AtomicU64::new(0);

/// Returns the timestamp and the counter of the next id, in one integer. This is the greater of two values: the time
/// `at` with the counter 0, and the last value plus 1. So ids are strictly monotonic, even if many threads generate
/// many ids in one millisecond, and even if the clock is set back. A counter overflow increments the timestamp (RFC
/// 9562, section 6.2).
fn next_tick(at: Timestamp) -> u64 {
    let first = u64::try_from(at.millis()).unwrap_or_default().min(LATEST_MILLIS) << COUNTER_BITS;
    let next = |last: u64| first.max(last.saturating_add(1));
    match LAST_TICK.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last))) {
        Ok(last) | Err(last) => next(last),
    }
}

/// Generates a version 7 UUID that is greater than every UUID that this process generated before.
fn version_7(at: Timestamp) -> Uuid {
    let tick = next_tick(at);
    // The two bytes that contain the version and the variant of the version 4 UUID are not random, so they are skipped.
    let [a, b, c, d, e, f, _, g, _, h, ..] = Uuid::new_v4().into_bytes();
    let [.., high, low] = (tick & ((1 << COUNTER_BITS) - 1)).to_be_bytes();
    let tail = [high, low, a, b, c, d, e, f, g, h];
    uuid::Builder::from_unix_timestamp_millis(tick >> COUNTER_BITS, &tail).into_uuid()
}

/// Generates a UUID with the structure of [`version_7`], but marked as version 8. Such an id can be stored in place of
/// a user id, but it never equals the id of a user.
fn version_8(at: Timestamp) -> Uuid {
    uuid::Builder::from_bytes(version_7(at).into_bytes()).with_version(uuid::Version::Custom).into_uuid()
}

/// Defines id types and the functions that generate their ids.
macro_rules! ids {
    ($make:ident: $($(#[doc = $doc:literal])+ $name:ident),+ $(,)?) => {$(
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Generates an id at the given time. The id is greater than every id that this process generated before.
            #[must_use]
            pub fn generate(at: Timestamp) -> Self {
                Self($make(at))
            }

            /// Wraps a UUID from a trusted source, such as the storage, without validation.
            #[must_use]
            pub const fn from_uuid(id: Uuid) -> Self {
                Self(id)
            }

            /// Parses an id.
            ///
            /// # Errors
            ///
            /// Returns [`InvalidId`] if the string is not a hyphenated UUID, or is the nil or max UUID.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                // Only the hyphenated form of 36 characters is accepted. The other forms (braced, URN, without hyphens)
                // would be alternative spellings of the same id.
                if text.len() != 36 {
                    return Err(InvalidId);
                }
                match Uuid::try_parse(text) {
                    Ok(id) if !id.is_nil() && !id.is_max() => Ok(Self(id)),
                    _ => Err(InvalidId),
                }
            }

            /// Returns the UUID.
            #[must_use]
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    )+};
}

ids! {
    version_7:
    /// The id of a company (tenant).
    CompanyId,
    /// The id of a user: a person, or a machine that acts as a user. A user may be a member of several companies.
    UserId,
    /// The id of a user level (a role of one company).
    UserLevelId,
    /// The id of a view (a screen of the application).
    ViewId,
    /// The id of a feature (a capability with actions).
    FeatureId,
    /// The id of a module (a group of views and features that a company buys).
    ModuleId,
    /// The id of one cell of a level's view matrix.
    ViewPermissionId,
    /// The id of one cell of a level's feature matrix.
    FeaturePermissionId,
    /// The id of a menu item.
    MenuItemId,
    /// The id of a sub-item of the menu.
    SubMenuItemId,
    /// The id of one step of a navigation trail.
    TrailEntryId,
    /// The id of one record of the audit log.
    AuditRecordId,
}

impl UserId {
    /// The nil id, which identifies no user.
    pub const NIL: Self = Self(Uuid::nil());
}

ids! {
    version_8:
    /// The id of a service's API key. It is never the id of a user.
    ApiKeyId,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000).unwrap()
    }

    #[test]
    fn generated_ids_are_version_7_and_differ() {
        let (a, b) = (ViewId::generate(at()), ViewId::generate(at()));
        assert_eq!(a.as_uuid().get_version_num(), 7);
        assert_ne!(a, b);
    }

    #[test]
    fn an_api_key_id_is_no_user_id() {
        let id = ApiKeyId::generate(at());
        assert!(UserId::from_uuid(id.as_uuid()).is_service_generated());
        assert!(!UserId::generate(at()).is_service_generated());
    }

    #[test]
    fn ids_increase_within_one_millisecond_even_if_the_counter_overflows() {
        let ids: Vec<_> = (0..10_000).map(|_| AuditRecordId::generate(at())).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
        let keys: Vec<_> = (0..10_000).map(|_| ApiKeyId::generate(at())).collect();
        assert!(keys.is_sorted_by(|a, b| a < b));
        assert!(keys.iter().all(|id| id.as_uuid().get_version_num() == 8));
        assert!(ids.iter().all(|id| id.as_uuid().get_variant() == uuid::Variant::RFC4122));
    }

    #[test]
    fn ids_contain_their_time_unless_a_later_time_was_used() {
        // This time is later than the times of all other ids of this process.
        let later = Timestamp::from_millis(4_000_000_000_000).unwrap();
        let id = ViewId::generate(later);
        let [a, b, c, d, e, f, ..] = id.as_uuid().into_bytes();
        assert_eq!(u64::from_be_bytes([0, 0, a, b, c, d, e, f]), 4_000_000_000_000);
        assert!(ViewId::generate(at()) > id);
    }

    #[test]
    fn ids_are_unique_across_threads_and_increase_within_each() {
        let made: Vec<Vec<_>> = std::thread::scope(|scope| {
            let make = || (0..5_000).map(|_| TrailEntryId::generate(at())).collect::<Vec<_>>();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(made.iter().all(|ids| ids.is_sorted_by(|a, b| a < b)));
        // The upper 64 bits contain the time and the counter. These bits alone must be distinct in all ids.
        let ticks =
            made.iter().flatten().map(|id| id.as_uuid().as_u64_pair().0).collect::<std::collections::BTreeSet<_>>();
        assert_eq!(ticks.len(), 8 * 5_000);
    }

    proptest::proptest! {
        #[test]
        fn ids_increase_even_if_the_clock_goes_back(times in proptest::collection::vec(0..1_000_i64, 2..200)) {
            let at = |time| Timestamp::from_millis(1_700_000_000_000 + time).unwrap();
            let ids: Vec<_> = times.into_iter().map(|time| UserLevelId::generate(at(time))).collect();
            assert!(ids.is_sorted_by(|a, b| a < b));
        }
    }

    #[test]
    fn only_hyphenated_ids_are_parsed() {
        let id = ViewId::generate(at());
        assert_eq!(ViewId::parse(&id.to_string()), Ok(id));
        assert_eq!(ViewId::parse(&id.to_string().to_uppercase()), Ok(id));
        let (nil, max) = ("00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff");
        for wrong in ["", "x", nil, max, &id.as_uuid().simple().to_string()] {
            assert_eq!(ViewId::parse(wrong), Err(InvalidId), "{wrong:?}");
        }
        assert_eq!(ViewId::parse(&format!("{{{id}}}")), Err(InvalidId));
    }
}
