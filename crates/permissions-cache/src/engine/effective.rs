//! The effective permissions of a user, as one document.

use std::collections::BTreeMap;

use iam_domain::{Action, Feature, FeatureId, FeatureKey, Name, Scope, View, ViewId, ViewUrl};
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
    /// A map from the id of each view to `true` if the user may see the view. With `keys=true`, the keys of the map are
    /// the URLs of the views.
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, bool>))]
    pub views: BTreeMap<ViewId, bool>,
    /// The decisions about the actions of each feature, by feature id and action. With `keys=true`, by feature key and
    /// action; a feature without a key is listed by its id.
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, BTreeMap<String, ActionPermission>>))]
    pub features: BTreeMap<FeatureId, BTreeMap<Action, ActionPermission>>,
}

/// The effective permissions of a user, keyed by view URL and feature key instead of by id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EffectivePermissionsByKey {
    /// A map from the URL of each view to `true` if the user may see the view.
    pub views: BTreeMap<String, bool>,
    /// The decisions about the actions of each feature, by feature key and action. A feature without a key is listed by
    /// its id.
    pub features: BTreeMap<String, BTreeMap<Action, ActionPermission>>,
}

/// A view that is available in a company.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AvailableView {
    /// The id of the view.
    pub id: ViewId,
    /// The URL of the view.
    pub url: ViewUrl,
    /// The name of the view.
    pub name: Name,
}

/// A feature that is available in a company.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AvailableFeature {
    /// The id of the feature.
    pub id: FeatureId,
    /// The key of the feature. `null` if it has none.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub key: Option<FeatureKey>,
    /// The name of the feature.
    pub name: Name,
    /// The actions of the feature: the standard actions, and its custom actions.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub actions: Vec<Action>,
}

/// The part of the catalog that is available in a company: the views and the enabled features whose module gate is
/// open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AvailableCatalog {
    /// The views, ordered by URL.
    pub views: Vec<AvailableView>,
    /// The features, ordered by key. Features without a key are last.
    pub features: Vec<AvailableFeature>,
}

impl AvailableCatalog {
    /// Returns these views and features in order.
    pub fn of<'a>(views: impl Iterator<Item = &'a View>, features: impl Iterator<Item = &'a Feature>) -> Self {
        let view = |view: &View| AvailableView { id: view.id, url: view.url.clone(), name: view.name.clone() };
        let feature = |feature: &Feature| {
            let own = feature.actions.iter().flatten().filter(|action| !action.is_standard()).cloned();
            AvailableFeature {
                id: feature.id,
                key: feature.key.clone(),
                name: feature.name.clone(),
                actions: Action::standard().chain(own).collect(),
            }
        };
        let (mut views, mut features): (Vec<_>, Vec<_>) = (views.map(view).collect(), features.map(feature).collect());
        views.sort_by(|a, b| a.url.as_str().cmp(b.url.as_str()));
        features.sort_by_cached_key(|feature| {
            let key = feature.key.as_ref().map(|key| key.as_str().to_owned());
            (key.is_none(), key, feature.id)
        });
        Self { views, features }
    }
}
