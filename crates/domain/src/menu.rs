//! The menu: items and their sub-items. An item belongs to one company, or is common to all companies.

use serde::{Deserialize, Serialize};

use crate::{CompanyId, FeatureId, FeatureKey, Icon, Label, MenuItemId, Priority, SubMenuItemId, Timestamp, ViewId};

/// The menu entries of one company, or the entries that are common to all companies. The entries are sorted by sort
/// order, then by label, then by id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Menu {
    /// The top-level items.
    pub items: Vec<MenuItem>,
    /// The sub-items of all items.
    pub sub_items: Vec<SubMenuItem>,
}

/// A top-level item of the menu.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct MenuItem {
    /// The id of the item.
    pub id: MenuItemId,
    /// The company that owns the item. `null` if the item is common to all companies.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub company_id: Option<CompanyId>,
    /// The label of the item.
    pub label: Label,
    /// The name of the icon of the item.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub icon: Option<Icon>,
    /// The commercial tier of the item.
    pub priority: Priority,
    /// The keys of the features that the item requires. The item is shown only if `Read` is allowed on all these
    /// features.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub required_permissions: Option<Vec<FeatureKey>>,
    /// The sort order of the item. Ties are broken by label, then by id.
    pub sort_order: i32,
    /// The view that the item links to. The item is shown only if the view is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub view_id: Option<ViewId>,
    /// The feature that the item links to. The item is shown only if `Read` is allowed on the feature.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub feature_id: Option<FeatureId>,
    /// `true` if the item may be the landing page after sign-in.
    pub is_entrypoint: bool,
    /// The time when the item was created.
    pub created_at: Timestamp,
    /// The time when the item was last changed.
    pub updated_at: Timestamp,
}

/// A sub-item of a menu item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct SubMenuItem {
    /// The id of the sub-item.
    pub id: SubMenuItemId,
    /// The id of the parent item.
    pub menu_item_id: MenuItemId,
    /// The label of the sub-item.
    pub label: Label,
    /// The view that the sub-item links to. The sub-item is shown only if the view is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub view_id: Option<ViewId>,
    /// The feature that the sub-item links to. The sub-item is shown only if `Read` is allowed on the feature.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub feature_id: Option<FeatureId>,
    /// The name of the icon of the sub-item.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub icon: Option<Icon>,
    /// The sort order of the sub-item. Ties are broken by label, then by id.
    pub sort_order: i32,
    /// If `false`, the sub-item is hidden from all users.
    pub enabled: bool,
    /// The time when the sub-item was created.
    pub created_at: Timestamp,
    /// The time when the sub-item was last changed.
    pub updated_at: Timestamp,
}
