//! Effective permissions: the durable form of what was resolved, with the versions that it was resolved at.

use crate::{Action, CompanyId, FeatureId, Scope, Timestamp, UserId, ViewId};

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
