//! The menu: items common to all companies or of one, and their sub-items.

use serde::{Deserialize, Serialize};

use crate::{CompanyId, FeatureId, FeatureKey, Icon, Label, MenuItemId, Priority, SubMenuItemId, Timestamp, ViewId};

/// The entries of one owner, in their order: by sort order, label, id.
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
    /// Whose it is; `null` is every company's.
    pub company_id: Option<CompanyId>,
    /// What people read.
    pub label: Label,
    /// How it is drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon: Option<Icon>,
    /// How it is ranked.
    pub priority: Priority,
    /// Features whose `Read` must all be allowed for it to show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required_permissions: Option<Vec<FeatureKey>>,
    /// Where it stands; ties by label, then id.
    pub sort_order: i32,
    /// The view that it leads to and that must be allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub view_id: Option<ViewId>,
    /// The feature whose `Read` must be allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feature_id: Option<FeatureId>,
    /// Whether a user may land here after signing in.
    pub is_entrypoint: bool,
    /// When it was made.
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
    /// The item that it stands below.
    pub menu_item_id: MenuItemId,
    /// What people read.
    pub label: Label,
    /// The view that it leads to and that must be allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub view_id: Option<ViewId>,
    /// The feature whose `Read` must be allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feature_id: Option<FeatureId>,
    /// How it is drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon: Option<Icon>,
    /// Where it stands; ties by label, then id.
    pub sort_order: i32,
    /// `false` hides it from everybody.
    pub enabled: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}
