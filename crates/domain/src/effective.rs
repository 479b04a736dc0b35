//! Effective permissions: the stored form of resolved permissions, with the versions at which they were resolved.

use crate::{Action, CompanyId, FeatureId, Scope, Timestamp, UserId, ViewId};

/// Whether a user may see a view, as resolved at `company_version` and `catalog_version`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveViewPermission {
    /// The user.
    pub user_id: UserId,
    /// The company.
    pub company_id: CompanyId,
    /// The view.
    pub view_id: ViewId,
    /// The decision.
    pub has_access: bool,
    /// When it was resolved.
    pub computed_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
    /// The version of the company at which it was resolved.
    pub company_version: i64,
    /// The version of the catalog at which it was resolved.
    pub catalog_version: i64,
}

/// Whether a user may do an action of a feature, as resolved at `company_version` and `catalog_version`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveFeaturePermission {
    /// The user.
    pub user_id: UserId,
    /// The company.
    pub company_id: CompanyId,
    /// The feature.
    pub feature_id: FeatureId,
    /// The action.
    pub action: Action,
    /// The decision.
    pub allowed: bool,
    /// The scope.
    pub scope: Scope,
    /// When it was resolved.
    pub computed_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
    /// The version of the company at which it was resolved.
    pub company_version: i64,
    /// The version of the catalog at which it was resolved.
    pub catalog_version: i64,
}
