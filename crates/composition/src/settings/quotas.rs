//! The quota settings.

use iam_domain::QuotaLimits;
use serde::Deserialize;

use super::parse::number;

/// The default quotas of a company. `0` means that a quantity is unlimited. Super admins can override the quotas of a
/// company.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QuotaSettings {
    /// Maximum number of levels of a company.
    #[serde(deserialize_with = "number")]
    pub levels_per_company: u32,
    /// Maximum number of distinct sets of two or more levels that users of a company hold.
    #[serde(deserialize_with = "number")]
    pub level_sets_per_company: u32,
    /// Maximum number of menu items and sub-items of a company.
    #[serde(deserialize_with = "number")]
    pub menu_items_per_company: u32,
    /// Maximum number of cells in the matrices of all levels of a company.
    #[serde(deserialize_with = "number")]
    pub permission_cells_per_company: u32,
    /// Maximum number of API keys that are restricted to a company and not revoked.
    #[serde(deserialize_with = "number")]
    pub api_keys_per_company: u32,
    /// Maximum number of bytes of a company's texts.
    #[serde(deserialize_with = "number")]
    pub text_bytes_per_company: u32,
    /// Maximum number of levels that one user holds in a company.
    #[serde(deserialize_with = "number")]
    pub levels_per_user: u32,
}

impl Default for QuotaSettings {
    fn default() -> Self {
        let QuotaLimits { levels, level_sets, menu_items, permission_cells, api_keys, text_bytes, levels_per_user } =
            QuotaLimits::default();
        Self {
            levels_per_company: levels,
            level_sets_per_company: level_sets,
            menu_items_per_company: menu_items,
            permission_cells_per_company: permission_cells,
            api_keys_per_company: api_keys,
            text_bytes_per_company: text_bytes,
            levels_per_user,
        }
    }
}

impl QuotaSettings {
    /// Returns the default limits.
    pub(crate) const fn limits(&self) -> QuotaLimits {
        QuotaLimits {
            levels: self.levels_per_company,
            level_sets: self.level_sets_per_company,
            menu_items: self.menu_items_per_company,
            permission_cells: self.permission_cells_per_company,
            api_keys: self.api_keys_per_company,
            text_bytes: self.text_bytes_per_company,
            levels_per_user: self.levels_per_user,
        }
    }
}
