//! Effective permissions: the durable form of what was resolved, and the versions that it was resolved at.

use serde::{Deserialize, Serialize};

use crate::{Action, CompanyId, FeatureId, Scope, Timestamp, UserId, ViewId};

/// What an answer saw: the state of the catalog and of one company. Both grow with each committed change, in commit order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Versions {
    /// Another database than before (restored, promoted) is another epoch; versions of two epochs do not compare.
    pub epoch: u64,
    /// The catalog's version.
    pub catalog: i64,
    /// The company's version; 0 before its first change.
    pub company: i64,
}

impl std::fmt::Display for Versions {
    /// The opaque text that clients get and send back.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}.{:x}.{:x}", self.epoch, self.catalog, self.company)
    }
}

/// Whether a user may see a view, as resolved at `company_version` and `catalog_version`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveViewPermission {
    /// Who.
    pub user_id: UserId,
    /// Where.
    pub company_id: CompanyId,
    /// What.
    pub view_id: ViewId,
    /// The decision.
    pub has_access: bool,
    /// When it was resolved.
    pub computed_at: Timestamp,
    /// Until when it may be used.
    pub expires_at: Timestamp,
    /// The company's version that it was resolved at.
    pub company_version: i64,
    /// The catalog's version that it was resolved at.
    pub catalog_version: i64,
}

/// Whether a user may do an action of a feature, as resolved at `company_version` and `catalog_version`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveFeaturePermission {
    /// Who.
    pub user_id: UserId,
    /// Where.
    pub company_id: CompanyId,
    /// What.
    pub feature_id: FeatureId,
    /// Which action.
    pub action: Action,
    /// The decision.
    pub allowed: bool,
    /// How far it reaches.
    pub scope: Scope,
    /// When it was resolved.
    pub computed_at: Timestamp,
    /// Until when it may be used.
    pub expires_at: Timestamp,
    /// The company's version that it was resolved at.
    pub company_version: i64,
    /// The catalog's version that it was resolved at.
    pub catalog_version: i64,
}
