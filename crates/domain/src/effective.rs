//! Effective permissions: resolved permissions as they are stored, with the versions at which they were resolved.

use crate::{Action, CompanyId, FeatureId, Scope, Timestamp, UserId, ViewId};

/// A stored decision: whether the user may see the view. It is valid only while both versions are current.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveViewPermission {
    /// The user.
    pub user_id: UserId,
    /// The company.
    pub company_id: CompanyId,
    /// The view.
    pub view_id: ViewId,
    /// `true` if the user may see the view.
    pub has_access: bool,
    /// The time of the resolution.
    pub computed_at: Timestamp,
    /// The time of expiry.
    pub expires_at: Timestamp,
    /// The version of the company at which the decision was resolved.
    pub company_version: i64,
    /// The version of the catalog at which the decision was resolved.
    pub catalog_version: i64,
}

/// A stored decision: whether the user may do the action of the feature. It is valid only while both versions are
/// current.
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
    /// `true` if the action is allowed.
    pub allowed: bool,
    /// The scope of the action.
    pub scope: Scope,
    /// The time of the resolution.
    pub computed_at: Timestamp,
    /// The time of expiry.
    pub expires_at: Timestamp,
    /// The version of the company at which the decision was resolved.
    pub company_version: i64,
    /// The version of the catalog at which the decision was resolved.
    pub catalog_version: i64,
}
