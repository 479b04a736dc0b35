//! The catalog (views, modules and features), which all companies share, and the modules that are granted to a company.

use serde::{Deserialize, Serialize};

use crate::permission::words;
use crate::{
    Action, Category, CompanyId, Description, FeatureId, FeatureKey, Icon, ModuleCode, ModuleId, Name, ResourceType,
    Timestamp, ViewId, ViewUrl,
};

words! {
    /// The commercial tier of a module or a menu item. It never affects a decision.
    Priority ("standard, optional, premium"):
        /// Included in every plan.
        Standard = "standard",
        /// Available as an add-on.
        Optional = "optional",
        /// Available at extra cost.
        Premium = "premium",
}

/// A view: a screen of an application, identified by its URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// The id of the view.
    pub id: ViewId,
    /// The display name.
    pub name: Name,
    /// The URL, which is unique among all views.
    pub url: ViewUrl,
    /// The category.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<Category>,
    /// The description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Description>,
    /// The icon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon: Option<Icon>,
    /// If `false`, the view is public: all users may see it.
    pub requires_auth: bool,
    /// The time of creation.
    pub created_at: Timestamp,
    /// The time of the last change.
    pub updated_at: Timestamp,
}

/// A group of views and features that a company buys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Module {
    /// The id of the module.
    pub id: ModuleId,
    /// The code, which is the unique natural key of the module.
    pub code: ModuleCode,
    /// The display name.
    pub name: Name,
    /// The description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Description>,
    /// The icon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon: Option<Icon>,
    /// If `false`, the module is disabled for all companies.
    pub enabled: bool,
    /// The commercial tier.
    pub priority: Priority,
    /// The time of creation.
    pub created_at: Timestamp,
    /// The time of the last change.
    pub updated_at: Timestamp,
}

/// A feature: a capability, with the actions that levels allow or deny.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Feature {
    /// The id of the feature.
    pub id: FeatureId,
    /// The unique natural key of the feature, such as `risks.create`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<FeatureKey>,
    /// The display name.
    pub name: Name,
    /// The description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Description>,
    /// The type of resource that the feature applies to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<ResourceType>,
    /// The custom actions, in addition to the standard actions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actions: Option<Vec<Action>>,
    /// The category.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<Category>,
    /// If `false`, the feature is denied to all users.
    pub enabled: bool,
    /// The time of creation.
    pub created_at: Timestamp,
    /// The time of the last change.
    pub updated_at: Timestamp,
}

impl Feature {
    /// Returns `true` if a permission may name this action for this feature: a standard action, or a custom action of
    /// the feature.
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
    /// The time of the last change of `enabled`.
    pub updated_at: Timestamp,
}

/// A module of a company: the grant, and the module itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct GrantedModule {
    /// The grant, which also specifies whether the module is enabled for the company.
    #[serde(flatten)]
    pub granted: CompanyModule,
    /// The module itself.
    pub module: Module,
}
