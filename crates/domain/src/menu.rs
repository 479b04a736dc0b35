//! The menu: items common to all companies or of one company, and their sub-items.

use serde::{Deserialize, Serialize};

use crate::{CompanyId, FeatureId, FeatureKey, Icon, Label, MenuItemId, Priority, SubMenuItemId, Timestamp, ViewId};

/// The entries of one owner, ordered by sort order, label, id.
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
    /// Its id.
    pub id: MenuItemId,
    /// The owning company; `null` means all companies.
    pub company_id: Option<CompanyId>,
    /// Its label.
    pub label: Label,
    /// Its icon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon: Option<Icon>,
    /// Its priority.
    pub priority: Priority,
    /// Features whose `Read` must all be allowed for it to show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required_permissions: Option<Vec<FeatureKey>>,
    /// Its sort order; ties are broken by label, then id.
    pub sort_order: i32,
    /// The view that it leads to and that must be allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub view_id: Option<ViewId>,
    /// The feature whose `Read` must be allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feature_id: Option<FeatureId>,
    /// Whether a user may land here after signing in.
    pub is_entrypoint: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// An entry below a menu item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct SubMenuItem {
    /// Its id.
    pub id: SubMenuItemId,
    /// The parent item.
    pub menu_item_id: MenuItemId,
    /// Its label.
    pub label: Label,
    /// The view that it leads to and that must be allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub view_id: Option<ViewId>,
    /// The feature whose `Read` must be allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feature_id: Option<FeatureId>,
    /// Its icon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon: Option<Icon>,
    /// Its sort order; ties are broken by label, then id.
    pub sort_order: i32,
    /// `false` hides it from all users.
    pub enabled: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}
