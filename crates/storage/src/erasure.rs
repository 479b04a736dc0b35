//! The erasure of a company: which data it deletes, and how many rows.

use std::collections::BTreeMap;

use serde::Serialize;

/// The tables with rows of companies, from which an erasure deletes. The row of the company in `company_states` remains
/// as a tombstone.
pub const ERASED_TABLES: [&str; 14] = [
    "api_keys",
    "company2modules",
    "effective_feature_permissions",
    "effective_view_permissions",
    "iam_audit_logs",
    "idempotency_keys",
    "menu_items",
    "nav_trail",
    "sub_menu_items",
    "user_level_feature_permissions",
    "user_level_view_permissions",
    "user_levels",
    "user_profiles",
    "user_user_levels",
];

/// The number of rows that an erasure has deleted from each of the [`ERASED_TABLES`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ErasedRows(pub BTreeMap<&'static str, u64>);
