//! The effective permissions of a user, as one document.

use std::collections::BTreeMap;

use iam_domain::{Action, FeatureId, Scope, ViewId};
use serde::Serialize;

/// The decision about an action: whether it is allowed, and with which scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ActionPermission {
    /// `true` if the action is allowed.
    pub allowed: bool,
    /// The scope of the action. `own` if the action is denied.
    pub scope: Scope,
}

/// The effective permissions of a user: the decisions about every view and about the actions of every feature. The
/// actions of a feature are the listed standard actions, its custom actions, and the actions for which the user's
/// levels have rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EffectivePermissions {
    /// A map from the id of each view to `true` if the user may see the view.
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<uuid::Uuid, bool>))]
    pub views: BTreeMap<ViewId, bool>,
    /// The decisions about the actions of each feature, by feature id and action.
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<uuid::Uuid, BTreeMap<String, ActionPermission>>))]
    pub features: BTreeMap<FeatureId, BTreeMap<Action, ActionPermission>>,
}
