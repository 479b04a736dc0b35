//! The catalog, common to all companies: views, modules and features; and the modules that a company has.

use serde::{Deserialize, Serialize};

use crate::permission::words;
use crate::{
    Action, Category, CompanyId, Description, FeatureId, FeatureKey, Icon, ModuleCode, ModuleId, Name, ResourceType,
    Timestamp, ViewId, ViewUrl,
};

words! {
    /// The commercial rank of a module or a menu item. It never affects a decision.
    Priority ("standard, optional, premium"):
        /// Part of every offer.
        Standard = "standard",
        /// Available as an addition.
        Optional = "optional",
        /// Available at extra cost.
        Premium = "premium",
}

/// A screen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// Its id.
    pub id: ViewId,
    /// Its display name.
    pub name: Name,
    /// Its URL; unique.
    pub url: ViewUrl,
    /// Its category.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<Category>,
    /// Its description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Description>,
    /// Its icon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon: Option<Icon>,
    /// `false` makes it public: all users may see it.
    pub requires_auth: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A group of views and features that a company buys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Module {
    /// Its id.
    pub id: ModuleId,
    /// Its natural key; unique.
    pub code: ModuleCode,
    /// Its display name.
    pub name: Name,
    /// Its description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Description>,
    /// Its icon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon: Option<Icon>,
    /// `false` switches it off for every company.
    pub enabled: bool,
    /// Its priority.
    pub priority: Priority,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A capability with actions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Feature {
    /// Its id.
    pub id: FeatureId,
    /// Its natural key; unique.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<FeatureKey>,
    /// Its display name.
    pub name: Name,
    /// Its description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Description>,
    /// The type of resource that it concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<ResourceType>,
    /// Its custom actions, besides the standard ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actions: Option<Vec<Action>>,
    /// Its category.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<Category>,
    /// `false` denies it to all users.
    pub enabled: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Feature {
    /// Whether a permission may name this action for this feature: a standard action, or a custom one of the feature.
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
    /// The company.
    pub company_id: CompanyId,
    /// The module.
    pub module_id: ModuleId,
    /// `false` switches it off for this company.
    pub enabled: bool,
    /// When the company got it.
    pub created_at: Timestamp,
    /// When it was last switched.
    pub updated_at: Timestamp,
}

/// A module of a company: the grant and the module itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct GrantedModule {
    /// The grant, and whether the module is switched on for the company.
    #[serde(flatten)]
    pub granted: CompanyModule,
    /// The module.
    pub module: Module,
}
