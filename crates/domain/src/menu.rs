//! The menu: items that are common to all companies or owned by one company, and their sub-items.

use serde::{Deserialize, Serialize};

use crate::{CompanyId, FeatureId, FeatureKey, Icon, Label, MenuItemId, Priority, SubMenuItemId, Timestamp, ViewId};

/// The menu entries of one owner (one company, or all companies in common), sorted by sort order, then label, then id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Menu {
    /// The items.
    pub items: Vec<MenuItem>,
    /// The sub-items of all items.
    pub sub_items: Vec<SubMenuItem>,
}

/// An entry of the menu.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct MenuItem {
    /// The id of the item.
    pub id: MenuItemId,
    /// The company that owns the item. `null` if the item is common to all companies.
    pub company_id: Option<CompanyId>,
    /// The label.
    pub label: Label,
    /// The icon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon: Option<Icon>,
    /// The commercial tier.
    pub priority: Priority,
    /// The keys of the features that the item requires. The item is shown only if `Read` is allowed on all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required_permissions: Option<Vec<FeatureKey>>,
    /// The sort order. Ties are broken by label, then by id.
    pub sort_order: i32,
    /// The view that the item links to. The item is shown only if the view is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub view_id: Option<ViewId>,
    /// The feature that the item links to. The item is shown only if `Read` is allowed on the feature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feature_id: Option<FeatureId>,
    /// `true` if the item may be the landing page after sign-in.
    pub is_entrypoint: bool,
    /// The time of creation.
    pub created_at: Timestamp,
    /// The time of the last change.
    pub updated_at: Timestamp,
}

/// A sub-item of a menu item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct SubMenuItem {
    /// The id of the sub-item.
    pub id: SubMenuItemId,
    /// The parent item.
    pub menu_item_id: MenuItemId,
    /// The label.
    pub label: Label,
    /// The view that the sub-item links to. The sub-item is shown only if the view is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub view_id: Option<ViewId>,
    /// The feature that the sub-item links to. The sub-item is shown only if `Read` is allowed on the feature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feature_id: Option<FeatureId>,
    /// The icon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon: Option<Icon>,
    /// The sort order. Ties are broken by label, then by id.
    pub sort_order: i32,
    /// If `false`, the sub-item is hidden from all users.
    pub enabled: bool,
    /// The time of creation.
    pub created_at: Timestamp,
    /// The time of the last change.
    pub updated_at: Timestamp,
}
