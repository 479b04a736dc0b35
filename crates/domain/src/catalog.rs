//! The catalog, common to all companies: views, modules and features; and which modules a company has.

use serde::{Deserialize, Serialize};

use crate::permission::words;
use crate::{
    Action, Category, CompanyId, Description, FeatureId, FeatureKey, Icon, ModuleCode, ModuleId, Name, ResourceType,
    Timestamp, ViewId, ViewUrl,
};

words! {
    /// How a module or a menu item is ranked for those who sell and show it. It never changes a decision.
    Priority ("standard, optional, premium"):
        /// Part of every offer.
        Standard = "standard",
        /// May be added.
        Optional = "optional",
        /// Costs more.
        Premium = "premium",
}

/// A screen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// Its id.
    pub id: ViewId,
    /// What people call it.
    pub name: Name,
    /// Where it is; unique.
    pub url: ViewUrl,
    /// What it belongs with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<Category>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Description>,
    /// How it is drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon: Option<Icon>,
    /// `false` makes it public: everybody may see it.
    pub requires_auth: bool,
    /// When it was made.
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
    /// What people call it.
    pub name: Name,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Description>,
    /// How it is drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon: Option<Icon>,
    /// `false` switches it off for every company.
    pub enabled: bool,
    /// How it is ranked.
    pub priority: Priority,
    /// When it was made.
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
    /// What people call it.
    pub name: Name,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Description>,
    /// The kind of resource it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<ResourceType>,
    /// Actions of its own, beside the standard ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actions: Option<Vec<Action>>,
    /// What it belongs with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<Category>,
    /// `false` denies it to everybody.
    pub enabled: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Feature {
    /// Whether a permission may name this action for this feature: a standard one, or one of its own.
    #[must_use]
    pub fn knows(&self, action: &Action) -> bool {
        action.is_standard() || self.actions.as_ref().is_some_and(|own| own.contains(action))
    }
}

/// That a company has a module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct CompanyModule {
    /// Whose.
    pub company_id: CompanyId,
    /// Which.
    pub module_id: ModuleId,
    /// `false` switches it off for this company.
    pub enabled: bool,
    /// When the company got it.
    pub created_at: Timestamp,
    /// When it was last switched.
    pub updated_at: Timestamp,
}

/// A company's module together with the module itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct GrantedModule {
    /// That the company has it, and whether it is switched on there.
    #[serde(flatten)]
    pub granted: CompanyModule,
    /// The module.
    pub module: Module,
}
