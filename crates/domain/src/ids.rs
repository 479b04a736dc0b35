//! Newtyped ids, so that a view's id cannot be passed where a feature's is expected.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Timestamp;

/// The text is not an id: not a UUID, or the nil or the max UUID, which are no entity's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a valid UUID")]
pub struct InvalidId;

/// A version 7 UUID of `at` whose random part begins with `sequence`, so that ids made with the same time and
/// ascending sequence ascend too.
fn version_7(at: Timestamp, sequence: u16) -> Uuid {
    // Without the bytes that carry a version 4 UUID's version and variant.
    let [a, b, c, d, e, f, _, g, _, h, ..] = Uuid::new_v4().into_bytes();
    let [high, low] = sequence.to_be_bytes();
    let tail = [high, low, a, b, c, d, e, f, g, h];
    uuid::Builder::from_unix_timestamp_millis(at.millis().unsigned_abs(), &tail).into_uuid()
}

/// The same as a version 8 UUID: an id that is used where a user's is, but is no person's.
fn version_8(at: Timestamp, sequence: u16) -> Uuid {
    uuid::Builder::from_bytes(version_7(at, sequence).into_bytes()).with_version(uuid::Version::Custom).into_uuid()
}

/// Ids of this make.
macro_rules! ids {
    ($make:ident: $($(#[doc = $doc:literal])+ $name:ident),+ $(,)?) => {$(
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id of the given time.
            #[must_use]
            pub fn generate(at: Timestamp) -> Self {
                Self::generate_nth(at, rand_sequence())
            }

            /// The `sequence`-th new id of the given time (0 to 4095): ids of one time ascend with their sequence.
            #[must_use]
            pub fn generate_nth(at: Timestamp, sequence: u16) -> Self {
                Self($make(at, sequence))
            }

            /// Takes a UUID that a trusted source (the storage) gave.
            #[must_use]
            pub const fn from_uuid(id: Uuid) -> Self {
                Self(id)
            }

            /// Reads an id from text.
            ///
            /// # Errors
            ///
            /// [`InvalidId`] when the text is not a hyphenated UUID, or the nil or the max UUID.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                // Only the common form: 36 characters. Braces, URNs and bare digits would be other spellings of one id.
                if text.len() != 36 {
                    return Err(InvalidId);
                }
                match Uuid::try_parse(text) {
                    Ok(id) if !id.is_nil() && !id.is_max() => Ok(Self(id)),
                    _ => Err(InvalidId),
                }
            }

            /// The bare UUID.
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

/// Twelve random bits: what a version 7 UUID has between its time and its variant.
fn rand_sequence() -> u16 {
    let [high, low, ..] = Uuid::new_v4().into_bytes();
    u16::from_be_bytes([high, low]) & 0x0fff
}

ids! {
    version_7:
    /// A tenant. Companies are known by this id only; their names live elsewhere.
    CompanyId,
    /// A person, or a machine that acts as one. The same user may belong to several companies.
    UserId,
    /// A role that belongs to one company.
    UserLevelId,
    /// A screen.
    ViewId,
    /// A capability with actions.
    FeatureId,
    /// A group of views and features that a company buys.
    ModuleId,
    /// One cell of a level's view matrix.
    ViewPermissionId,
    /// One cell of a level's feature matrix.
    FeaturePermissionId,
    /// An entry of the menu.
    MenuItemId,
    /// An entry below a menu item.
    SubMenuItemId,
    /// One step of a navigation trail.
    TrailEntryId,
    /// One record of the audit trail.
    AuditRecordId,
}

ids! {
    version_8:
    /// The API key of a service. It never is a user's: see [`UserId::is_made_here`].
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
    fn an_api_key_is_nobody() {
        let id = ApiKeyId::generate(at());
        assert!(UserId::from_uuid(id.as_uuid()).is_made_here());
        assert!(!UserId::generate(at()).is_made_here());
        assert!(ApiKeyId::generate_nth(at(), 1) < ApiKeyId::generate_nth(at(), 2));
        assert_ne!(id, ApiKeyId::generate(at()));
    }

    #[test]
    fn ids_of_one_time_ascend_with_their_sequence() {
        let ids: Vec<_> = (0..4096).map(|n| AuditRecordId::generate_nth(at(), n)).collect();
        assert!(ids.is_sorted());
    }

    #[test]
    fn only_the_hyphenated_form_of_a_real_id_is_read() {
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
