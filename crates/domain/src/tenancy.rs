//! The data of one company: user levels, their permission matrices, and their assignments.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

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
    /// The company it belongs to.
    pub company_id: CompanyId,
    /// Its display name; unique in its company, case-sensitive.
    pub name: Name,
    /// Its description; may be empty.
    pub description: Description,
    /// Whether provisioning created it.
    pub is_default: bool,
    /// When it was created.
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
    /// The company it belongs to.
    pub company_id: CompanyId,
    /// The level that it belongs to.
    pub user_level_id: UserLevelId,
    /// The view that it is about.
    pub view_id: ViewId,
    /// The level's rule for the view.
    pub state: ViewState,
    /// `false` pins it: only super admins change it.
    pub modifiable: bool,
    /// When it was created.
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
    /// The company it belongs to.
    pub company_id: CompanyId,
    /// The level that it belongs to.
    pub user_level_id: UserLevelId,
    /// The feature that it is about.
    pub feature_id: FeatureId,
    /// The action that it is about.
    pub action: Action,
    /// `true` allows, `false` denies.
    pub value: bool,
    /// The scope of an allowed action.
    pub scope: Scope,
    /// `false` pins it: only super admins change it.
    pub modifiable: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// The assignment of a level to a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Assignment {
    /// The user.
    pub user_id: UserId,
    /// The level.
    pub user_level_id: UserLevelId,
    /// The company of the level.
    pub company_id: CompanyId,
    /// The id of the actor that assigned it: of a user, or of an API key. `None` means the command line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assigned_by: Option<Uuid>,
    /// When it was assigned.
    pub created_at: Timestamp,
}
