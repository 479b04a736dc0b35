//! Quotas: limits on what a company can create. An operator sets the defaults, and super admins can override them for a
//! company.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

macro_rules! quotas {
    ($($(#[doc = $doc:literal])+ $name:ident, $field:ident = $key:literal, default $default:literal;)+) => {
        /// A quota: the name of a counted quantity that has a limit.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub enum Quota {
            $($(#[doc = $doc])+ $name),+
        }

        impl Quota {
            /// All quotas.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Returns the name of the quota in requests, responses and the database.
            #[must_use]
            pub const fn key(self) -> &'static str {
                match self { $(Self::$name => $key),+ }
            }
        }

        /// The limit of each quota. The limit 0 means that the quantity is unlimited.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct QuotaLimits {
            $($(#[doc = $doc])+ pub $field: u32),+
        }

        impl Default for QuotaLimits {
            fn default() -> Self {
                Self { $($field: $default),+ }
            }
        }

        impl QuotaLimits {
            /// Returns the limit of a quota as a setting: 0 means unlimited.
            #[must_use]
            pub const fn get(&self, quota: Quota) -> u32 {
                match quota { $(Quota::$name => self.$field),+ }
            }

            /// Returns these limits, replaced by the overrides of a company.
            #[must_use]
            pub fn overridden(&self, overrides: &QuotaOverrides) -> Self {
                let limit = |quota| overrides.0.get(&quota).copied().unwrap_or_else(|| self.get(quota));
                Self { $($field: limit(Quota::$name)),+ }
            }
        }
    };
}

quotas! {
    /// The levels of a company.
    Levels, levels = "levels", default 1_000;
    /// The distinct sets of two or more levels that users of a company hold. Sets of one level are not counted, because
    /// the quota of levels limits them.
    LevelSets, level_sets = "levelSets", default 5_000;
    /// The menu items and sub-items of a company.
    MenuItems, menu_items = "menuItems", default 500;
    /// The cells of the view and feature matrices of all levels of a company.
    PermissionCells, permission_cells = "permissionCells", default 200_000;
    /// The API keys that are restricted to a company and not revoked.
    ApiKeys, api_keys = "apiKeys", default 100;
    /// The bytes of a company's texts: the names and descriptions of its levels, and the labels of its menu items and
    /// sub-items.
    TextBytes, text_bytes = "textBytes", default 4_194_304;
    /// The levels that one user holds in a company.
    LevelsPerUser, levels_per_user = "levelsPerUser", default 100;
}

impl QuotaLimits {
    /// Returns the limit of a quota, or `None` if the quantity is unlimited.
    #[must_use]
    pub fn limit(&self, quota: Quota) -> Option<u64> {
        Some(u64::from(self.get(quota))).filter(|limit| *limit > 0)
    }
}

/// The limits that super admins set for one company. A quota without an override has its default limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct QuotaOverrides(pub BTreeMap<Quota, u32>);

/// Deserializes the overrides that are stored for a company. Ignores names that this version does not know, because a
/// later version may have stored them before a rollback.
impl<'de> Deserialize<'de> for QuotaOverrides {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut stored = BTreeMap::<String, u32>::deserialize(deserializer)?;
        let known = Quota::ALL.iter().filter_map(|quota| Some((*quota, stored.remove(quota.key())?)));
        Ok(Self(known.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_override_replaces_the_default_and_zero_means_unlimited() {
        let defaults = QuotaLimits::default();
        assert_eq!(defaults.limit(Quota::Levels), Some(1_000));
        let overrides = QuotaOverrides([(Quota::Levels, 7), (Quota::ApiKeys, 0)].into());
        let limits = defaults.overridden(&overrides);
        assert_eq!((limits.limit(Quota::Levels), limits.limit(Quota::ApiKeys)), (Some(7), None));
        assert_eq!(limits.limit(Quota::MenuItems), defaults.limit(Quota::MenuItems));
    }

    #[test]
    fn overrides_are_stored_by_key_and_unknown_keys_are_ignored() {
        let all = QuotaOverrides(Quota::ALL.iter().map(|quota| (*quota, 3)).collect());
        let json = serde_json::to_value(&all).unwrap();
        for quota in Quota::ALL {
            assert_eq!(json[quota.key()], 3, "{quota:?}");
        }
        assert_eq!(serde_json::from_value::<QuotaOverrides>(json).unwrap(), all);
        let later = serde_json::json!({ "levels": 5, "ofALaterVersion": 6 });
        assert_eq!(serde_json::from_value::<QuotaOverrides>(later).unwrap().0, [(Quota::Levels, 5)].into());
    }
}
