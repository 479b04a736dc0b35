//! All permissions of a user at once.

use std::collections::BTreeMap;

use iam_domain::{Action, FeatureId, Scope, ViewId};
use serde::Serialize;

/// Whether an action is allowed, and how far it reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ActionPermission {
    /// Whether it is allowed.
    pub allowed: bool,
    /// Its scope; `own` when denied.
    pub scope: Scope,
}

/// Every view, and every feature with its listed actions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EffectivePermissions {
    /// Whether each view may be seen, by view id.
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, bool>))]
    pub views: BTreeMap<ViewId, bool>,
    /// What is allowed on each feature, by feature id and action.
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, BTreeMap<String, ActionPermission>>))]
    pub features: BTreeMap<FeatureId, BTreeMap<Action, ActionPermission>>,
}
