//! The versions of the catalog and of a company that a response is based on, and their comparison with the versions
//! that a client requires (read-your-writes).

use serde::{Deserialize, Serialize};

/// The versions of the catalog and of one company that a response is based on. Each committed change increments the
/// version of its target. Versions therefore ascend in commit order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Versions {
    /// The epoch, which identifies a database history and a run of the database server on this history. The epoch
    /// changes when a backup is restored, a standby is promoted, or the database server restarts. Versions of different
    /// epochs are not comparable.
    pub epoch: u64,
    /// The version of the catalog.
    pub catalog: i64,
    /// The version of the company. It is 0 before the company's first change.
    pub company: i64,
    /// The latest start or end of an assignment of the company that has passed, in microseconds since the Unix epoch. It
    /// is 0 if there is none. Decisions change at this time although no change is committed, so it orders the states of
    /// one version of the company.
    pub boundary: i64,
}

/// The new version that a committed change produced for its target: the catalog, a company, or the credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CommitStamp {
    /// The change produced this version of the catalog.
    Catalog {
        /// The epoch of the database.
        epoch: u64,
        /// The version of the catalog.
        version: i64,
    },
    /// The change produced this version of a company. The version of the catalog at the time of the commit is included.
    Company(Versions),
    /// The change produced this version of the credentials. Responses never contain the version of the credentials.
    Credentials {
        /// The epoch of the database.
        epoch: u64,
        /// The version of the credentials.
        version: i64,
    },
}

impl CommitStamp {
    /// Returns the epoch of the database in which the change was committed.
    #[must_use]
    pub const fn epoch(self) -> u64 {
        match self {
            Self::Catalog { epoch, .. } | Self::Credentials { epoch, .. } => epoch,
            Self::Company(versions) => versions.epoch,
        }
    }

    /// Returns the minimum versions that a response must have to reflect the change. Returns `None` for a change to the
    /// credentials, because responses contain no version of the credentials.
    #[must_use]
    pub const fn versions(self) -> Option<Versions> {
        match self {
            Self::Catalog { epoch, version } => Some(Versions { epoch, catalog: version, company: 0, boundary: 0 }),
            Self::Company(versions) => Some(versions),
            Self::Credentials { .. } => None,
        }
    }
}

/// The result of comparing the versions of a response with required versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// The response is at least as new as required.
    Satisfied,
    /// The response has an older version of the catalog, of the company, or of both.
    Older,
    /// The epochs differ, so the versions are not comparable.
    OtherEpoch,
}

impl Versions {
    /// Maximum length of the string form in bytes: four numbers of 16 hexadecimal digits and three dots.
    const MAX_LENGTH: usize = 67;

    /// Parses the string form, which clients receive and send back. The string must have the canonical spelling, as
    /// written by `Display`. The length is checked first.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > Self::MAX_LENGTH {
            return None;
        }
        let mut parts = text.splitn(4, '.');
        let versions = Self {
            epoch: u64::from_str_radix(parts.next()?, 16).ok()?,
            catalog: i64::from_str_radix(parts.next()?, 16).ok()?,
            company: i64::from_str_radix(parts.next()?, 16).ok()?,
            boundary: parts.next().map_or(Some(0), |text| i64::from_str_radix(text, 16).ok())?,
        };
        // Signs, upper case and leading zeros are rejected: these would be alternative spellings of the same numbers.
        (versions.to_string() == text).then_some(versions)
    }

    /// Compares these versions with the required minimum versions `least`. The result is [`Freshness::Satisfied`] only
    /// if the versions of both the catalog and the company are high enough.
    #[must_use]
    pub const fn against(&self, least: Self) -> Freshness {
        if self.epoch != least.epoch {
            Freshness::OtherEpoch
        } else if self.catalog >= least.catalog && self.company >= least.company && !self.is_before_boundary(least) {
            Freshness::Satisfied
        } else {
            Freshness::Older
        }
    }

    /// Returns `true` if both are of one version of the company, and a boundary of `least` had not passed for these
    /// versions. A change to the company may remove boundaries, so those of different versions are not compared.
    const fn is_before_boundary(&self, least: Self) -> bool {
        self.company == least.company && self.boundary < least.boundary
    }
}

impl std::fmt::Display for Versions {
    /// Formats the versions as the opaque string that clients receive and send back.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}.{:x}.{:x}", self.epoch, self.catalog, self.company)?;
        // Companies without assignments of limited duration keep the form with three numbers.
        if self.boundary == 0 { Ok(()) } else { write!(f, ".{:x}", self.boundary) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn versions() -> impl Strategy<Value = Versions> {
        let boundary = prop_oneof![Just(0), 0..=i64::MAX];
        (any::<u64>(), 0..=i64::MAX, 0..=i64::MAX, boundary).prop_map(|(epoch, catalog, company, boundary)| Versions {
            epoch,
            catalog,
            company,
            boundary,
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn formatted_versions_are_parsed(versions in versions()) {
            prop_assert_eq!(Versions::parse(&versions.to_string()), Some(versions));
        }

        #[test]
        fn parsed_versions_are_canonical(
            text in "[0-9a-fA-F+.-]{0,60}|[0-9a-f]{16}[.][0-9a-f]{1,17}[.][0-9a-f]{1,17}|.*",
        ) {
            if let Some(versions) = Versions::parse(&text) {
                prop_assert_eq!(versions.to_string(), text);
                prop_assert!(versions.catalog >= 0 && versions.company >= 0 && versions.boundary >= 0);
            }
        }

        #[test]
        fn adding_or_removing_a_character_never_yields_the_same_value(
            versions in versions(),
            at: prop::sample::Index,
            garbage in prop::sample::select(vec![' ', '+', '-', '0', 'F', '.', '\0', '\n', 'x', '\u{660}', 'ｆ']),
        ) {
            let text = versions.to_string();
            let (before, after) = text.split_at(at.index(text.len() + 1));
            prop_assert_ne!(Versions::parse(&format!("{before}{garbage}{after}")), Some(versions));
            let mut shorter = text.clone();
            shorter.remove(at.index(text.len()));
            prop_assert_ne!(Versions::parse(&shorter), Some(versions));
        }
    }

    #[test]
    fn the_extreme_values_are_parsed() {
        let zero = Versions { epoch: 0, catalog: 0, company: 0, boundary: 0 };
        assert_eq!(Versions::parse("0000000000000000.0.0"), Some(zero));
        let longest = Versions { epoch: u64::MAX, catalog: i64::MAX, company: i64::MAX, boundary: i64::MAX };
        let text = "ffffffffffffffff.7fffffffffffffff.7fffffffffffffff.7fffffffffffffff";
        assert_eq!(Versions::parse(text), Some(longest));
        assert_eq!(longest.to_string().len(), Versions::MAX_LENGTH);
    }

    #[test]
    fn non_canonical_versions_are_rejected() {
        let hostile = [
            "",
            ".",
            "..",
            "0.0.0",
            "0000000000000001",
            "0000000000000001.2",
            "0000000000000001.2.",
            "0000000000000001..3",
            ".2.3",
            "0000000000000001.2.3.",
            "0000000000000001.2.3.0",
            "0000000000000001.2.3.04",
            "0000000000000001.2.3.-4",
            "0000000000000001.2.3.4.",
            "0000000000000001.2.3.4.5",
            "0000000000000001.02.3",
            "0000000000000001.2.03",
            "0000000000000001.+2.3",
            "+000000000000001.2.3",
            "0000000000000001.-2.3",
            "0000000000000001.2.-3",
            "0000000000000001.2.-0",
            "000000000000000A.2.3",
            "0000000000000001.A.3",
            "0x00000000000001.2.3",
            " 0000000000000001.2.3",
            "0000000000000001.2.3 ",
            "0000000000000001.2.3\n",
            "0000000000000001.2.3\0",
            "\"0000000000000001.2.3\"",
            "00000000000000001.2.3",
            "10000000000000000.2.3",
            "0000000000000001.8000000000000000.3",
            "0000000000000001.2.ffffffffffffffff",
            "0000000000000001.2.10000000000000000",
            "０000000000000001.2.3",
            "0000000000000001,2,3",
        ];
        for text in hostile {
            assert_eq!(Versions::parse(text), None, "{text:?}");
        }
        for long in ["0".repeat(1 << 20), format!("0000000000000001.2.{}3", "0".repeat(1 << 20)), "é".repeat(34)] {
            assert_eq!(Versions::parse(&long), None);
        }
    }

    #[test]
    fn a_change_to_the_credentials_requires_no_versions() {
        let company = Versions { epoch: 7, catalog: 2, company: 3, boundary: 0 };
        let [catalog, credentials] =
            [CommitStamp::Catalog { epoch: 7, version: 2 }, CommitStamp::Credentials { epoch: 7, version: 9 }];
        assert_eq!(catalog.versions(), Some(Versions { company: 0, ..company }));
        assert_eq!(CommitStamp::Company(company).versions(), Some(company));
        assert_eq!(credentials.versions(), None);
        assert!([catalog, credentials, CommitStamp::Company(company)].iter().all(|stamp| stamp.epoch() == 7));
    }

    #[test]
    fn both_versions_must_suffice_and_epochs_are_not_comparable() {
        let least = Versions { epoch: 7, catalog: 5, company: 5, boundary: 0 };
        let against = |epoch, catalog, company| Versions { epoch, catalog, company, ..least }.against(least);
        for (catalog, company, expected) in [
            (5, 5, Freshness::Satisfied),
            (6, 5, Freshness::Satisfied),
            (5, 6, Freshness::Satisfied),
            (4, 5, Freshness::Older),
            (5, 4, Freshness::Older),
            (9, 4, Freshness::Older),
            (4, 9, Freshness::Older),
        ] {
            assert_eq!(against(7, catalog, company), expected, "{catalog} {company}");
            assert_eq!(against(6, catalog, company), Freshness::OtherEpoch);
            assert_eq!(against(8, catalog, company), Freshness::OtherEpoch);
        }
    }

    #[test]
    fn boundaries_order_the_states_of_one_version_of_a_company() {
        let of = |company, boundary| Versions { epoch: 7, catalog: 5, company, boundary };
        assert_eq!(of(5, 8).against(of(5, 9)), Freshness::Older);
        assert_eq!(of(5, 9).against(of(5, 9)), Freshness::Satisfied);
        // The change that produced version 6 removed the assignment whose end was 9.
        assert_eq!(of(6, 0).against(of(5, 9)), Freshness::Satisfied);
        assert_eq!(of(4, 9).against(of(5, 0)), Freshness::Older);
        assert_eq!(of(5, 0x1f).to_string(), "0000000000000007.5.5.1f");
    }
}
