//! What belongs to one company: user levels, their permission matrices, and who holds which level.

use serde::{Deserialize, Serialize};

use crate::{
    Action, CompanyId, Description, FeatureId, FeaturePermissionId, Name, Scope, Timestamp, UserId, UserLevelId,
    ViewId, ViewPermissionId, ViewState,
};

/// A role that belongs to one company.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct UserLevel {
    /// Its id.
    pub id: UserLevelId,
    /// Whose it is.
    pub company_id: CompanyId,
    /// What people call it; unique in its company, case-sensitive.
    pub name: Name,
    /// What it is for; may be empty.
    pub description: Description,
    /// Whether provisioning made it.
    pub is_default: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// One cell of a level's view matrix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ViewPermission {
    /// Its id.
    pub id: ViewPermissionId,
    /// Whose it is.
    pub company_id: CompanyId,
    /// The level that it belongs to.
    pub user_level_id: UserLevelId,
    /// The view that it is about.
    pub view_id: ViewId,
    /// What the level says about the view.
    pub state: ViewState,
    /// `false` pins it: only super admins change it.
    pub modifiable: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// One cell of a level's feature matrix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct FeaturePermission {
    /// Its id.
    pub id: FeaturePermissionId,
    /// Whose it is.
    pub company_id: CompanyId,
    /// The level that it belongs to.
    pub user_level_id: UserLevelId,
    /// The feature that it is about.
    pub feature_id: FeatureId,
    /// The action that it is about.
    pub action: Action,
    /// `true` allows, `false` denies.
    pub value: bool,
    /// How far an allowed action reaches.
    pub scope: Scope,
    /// `false` pins it: only super admins change it.
    pub modifiable: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// That a user holds a level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Assignment {
    /// Who.
    pub user_id: UserId,
    /// Which level.
    pub user_level_id: UserLevelId,
    /// In which company: the level's.
    pub company_id: CompanyId,
    /// Who gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assigned_by: Option<UserId>,
    /// When it was given.
    pub created_at: Timestamp,
}
