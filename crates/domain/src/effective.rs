//! Effective permissions, stored as decisions. Each decision is stored with the versions of the company and of the
//! catalog from which it was resolved.

use crate::{Action, CompanyId, FeatureId, Scope, Timestamp, UserId, ViewId};

/// The stored decision on whether a user may see a view. It becomes invalid when the version of the company or of the
/// catalog changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveViewPermission {
    /// The user to whom the decision applies.
    pub user_id: UserId,
    /// The company in which the decision applies.
    pub company_id: CompanyId,
    /// The view to which the decision applies.
    pub view_id: ViewId,
    /// `true` if the user may see the view.
    pub has_access: bool,
    /// The time when the decision was resolved.
    pub computed_at: Timestamp,
    /// The time when the stored decision expires.
    pub expires_at: Timestamp,
    /// The version of the company that the decision is based on.
    pub company_version: i64,
    /// The version of the catalog that the decision is based on.
    pub catalog_version: i64,
}

/// The stored decision on whether a user may perform an action of a feature. It becomes invalid when the version of the
/// company or of the catalog changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveFeaturePermission {
    /// The user to whom the decision applies.
    pub user_id: UserId,
    /// The company in which the decision applies.
    pub company_id: CompanyId,
    /// The feature that the action belongs to.
    pub feature_id: FeatureId,
    /// The action to which the decision applies.
    pub action: Action,
    /// `true` if the action is allowed.
    pub allowed: bool,
    /// The scope with which the action is allowed.
    pub scope: Scope,
    /// The time when the decision was resolved.
    pub computed_at: Timestamp,
    /// The time when the stored decision expires.
    pub expires_at: Timestamp,
    /// The version of the company that the decision is based on.
    pub company_version: i64,
    /// The version of the catalog that the decision is based on.
    pub catalog_version: i64,
}
