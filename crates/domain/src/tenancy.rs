//! The data of one company: user levels, their permission matrices, and their assignments.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Action, AssignmentState, CompanyId, Description, FeatureId, FeaturePermissionId, Name, Period, Scope, Timestamp,
    UserId, UserLevelId, ViewId, ViewPermissionId, ViewState,
};

/// A user level: a role that belongs to one company.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct UserLevel {
    /// The id of the level.
    pub id: UserLevelId,
    /// The company that the level belongs to.
    pub company_id: CompanyId,
    /// The display name of the level. It is case-sensitive and unique within the company.
    pub name: Name,
    /// The description of the level, which may be empty.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub description: Description,
    /// `true` if provisioning created the level.
    pub is_default: bool,
    /// The time when the level was created.
    pub created_at: Timestamp,
    /// The time when the level was last changed.
    pub updated_at: Timestamp,
}

/// One cell of a level's view matrix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ViewPermission {
    /// The id of the cell of the matrix.
    pub id: ViewPermissionId,
    /// The company of the level.
    pub company_id: CompanyId,
    /// The level that the cell belongs to.
    pub user_level_id: UserLevelId,
    /// The view that the rule applies to.
    pub view_id: ViewId,
    /// The level's rule for the view.
    pub state: ViewState,
    /// If `false`, the cell is pinned: only super admins can change or remove it.
    pub modifiable: bool,
    /// The time when the cell was created.
    pub created_at: Timestamp,
    /// The time when the cell was last changed.
    pub updated_at: Timestamp,
}

/// One cell of a level's feature matrix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct FeaturePermission {
    /// The id of the cell of the matrix.
    pub id: FeaturePermissionId,
    /// The company of the level.
    pub company_id: CompanyId,
    /// The level that the cell belongs to.
    pub user_level_id: UserLevelId,
    /// The feature that the rule applies to.
    pub feature_id: FeatureId,
    /// The action that the rule applies to.
    pub action: Action,
    /// `true` allows the action, `false` denies it.
    pub value: bool,
    /// The scope with which the action is allowed.
    pub scope: Scope,
    /// If `false`, the cell is pinned: only super admins can change or remove it.
    pub modifiable: bool,
    /// The time when the cell was created.
    pub created_at: Timestamp,
    /// The time when the cell was last changed.
    pub updated_at: Timestamp,
}

/// A level that is assigned to a user, with the period of the assignment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct AssignedUserLevel {
    /// The level.
    #[serde(flatten)]
    pub level: UserLevel,
    /// The period in which the assignment is in effect.
    #[serde(flatten)]
    pub period: Period,
    /// The state of the assignment. It is absent if the assignment has neither a start nor an end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub state: Option<AssignmentState>,
}

impl AssignedUserLevel {
    /// Returns the assigned level, with its state at the time of the read.
    #[must_use]
    pub fn new(level: UserLevel, period: Period, state: AssignmentState) -> Self {
        Self { level, period, state: (!period.is_unlimited()).then_some(state) }
    }
}

/// The assignment of a level to a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Assignment {
    /// The user who holds the level.
    pub user_id: UserId,
    /// The level that the user holds.
    pub user_level_id: UserLevelId,
    /// The company of the level.
    pub company_id: CompanyId,
    /// The id of the user or of the API key that assigned the level. It is absent if the level was assigned on the
    /// command line.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub assigned_by: Option<Uuid>,
    /// The time of the assignment.
    pub created_at: Timestamp,
    /// The period in which the assignment is in effect.
    #[serde(flatten)]
    pub period: Period,
}
