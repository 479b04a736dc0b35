//! The catalog of views, modules and features, which all companies share, and the grants of modules to companies.

use serde::{Deserialize, Serialize};

use crate::permission::words;
use crate::{
    Action, Category, CompanyId, Description, FeatureId, FeatureKey, Icon, ModuleCode, ModuleId, Name, ResourceType,
    Timestamp, ViewId, ViewUrl,
};

words! {
    /// The commercial tier of a module or a menu item. The tier has no effect on decisions.
    Priority ("standard, optional, premium"):
        /// The module or menu item is included in every plan.
        Standard = "standard",
        /// The module or menu item is available as an add-on.
        Optional = "optional",
        /// The module or menu item is available at extra cost.
        Premium = "premium",
}

/// A view: a screen of an application, identified by its URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// The id of the view.
    pub id: ViewId,
    /// The display name of the view.
    pub name: Name,
    /// The URL of the view, which is unique among all views.
    pub url: ViewUrl,
    /// The category of the view.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub category: Option<Category>,
    /// The description of the view.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, nullable = false))]
    pub description: Option<Description>,
    /// The name of the icon of the view.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub icon: Option<Icon>,
    /// If `false`, the view is public: all users may see it.
    pub requires_auth: bool,
    /// The time when the view was created.
    pub created_at: Timestamp,
    /// The time when the view was last changed.
    pub updated_at: Timestamp,
}

/// A group of views and features that a company buys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Module {
    /// The id of the module.
    pub id: ModuleId,
    /// The code of the module, which is its unique natural key.
    pub code: ModuleCode,
    /// The display name of the module.
    pub name: Name,
    /// The description of the module.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, nullable = false))]
    pub description: Option<Description>,
    /// The name of the icon of the module.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub icon: Option<Icon>,
    /// If `false`, the module is disabled for all companies.
    pub enabled: bool,
    /// The commercial tier of the module.
    pub priority: Priority,
    /// The time when the module was created.
    pub created_at: Timestamp,
    /// The time when the module was last changed.
    pub updated_at: Timestamp,
}

/// A feature: a capability of the product. Levels allow or deny the actions of the feature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Feature {
    /// The id of the feature.
    pub id: FeatureId,
    /// The unique natural key of the feature, such as `risks.create`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub key: Option<FeatureKey>,
    /// The display name of the feature.
    pub name: Name,
    /// The description of the feature.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, nullable = false))]
    pub description: Option<Description>,
    /// The type of resource that the feature applies to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub resource_type: Option<ResourceType>,
    /// The custom actions of the feature. The feature has all standard actions too.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub actions: Option<Vec<Action>>,
    /// The category of the feature.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub category: Option<Category>,
    /// If `false`, the feature is denied to all users.
    pub enabled: bool,
    /// The time when the feature was created.
    pub created_at: Timestamp,
    /// The time when the feature was last changed.
    pub updated_at: Timestamp,
}

impl Feature {
    /// Returns `true` if the feature has this action. Every feature has the standard actions and its own custom
    /// actions.
    #[must_use]
    pub fn knows(&self, action: &Action) -> bool {
        action.is_standard() || self.actions.as_ref().is_some_and(|own| own.contains(action))
    }
}

/// The grant of a module to a company.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct CompanyModule {
    /// The company that has the module.
    pub company_id: CompanyId,
    /// The module that is granted.
    pub module_id: ModuleId,
    /// If `false`, the module is disabled for this company.
    pub enabled: bool,
    /// The time of the grant.
    pub created_at: Timestamp,
    /// The time of the last change to `enabled`.
    pub updated_at: Timestamp,
}

/// A module that is granted to a company: the grant and the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct GrantedModule {
    /// The grant of the module. It also specifies whether the module is enabled for the company.
    #[serde(flatten)]
    pub granted: CompanyModule,
    /// The granted module.
    pub module: Module,
}
