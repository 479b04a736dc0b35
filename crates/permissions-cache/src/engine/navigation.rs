//! The navigation: the part of the menu that a user may see.

use iam_domain::{FeatureId, FeatureKey, Icon, Label, Menu, MenuItem, MenuItemId, SubMenuItemId, ViewId, ViewUrl};
use serde::Serialize;

use crate::Access;

/// A visible sub-item of a menu item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NavigationSubItem {
    /// The id of the sub-item.
    pub id: SubMenuItemId,
    /// The displayed label.
    pub label: Label,
    /// The URL that the sub-item links to.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub url: Option<ViewUrl>,
}

/// A visible item of the menu.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct NavigationItem {
    /// The id of the item.
    pub id: MenuItemId,
    /// The displayed label.
    pub label: Label,
    /// The displayed icon.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub icon: Option<Icon>,
    /// The URL that the item links to.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub url: Option<ViewUrl>,
    /// `true` if the item is an entry point: a page to which a user may be redirected after login.
    pub is_entrypoint: bool,
    /// The visible sub-items.
    pub sub_items: Vec<NavigationSubItem>,
}

/// The part of the menu that a user may see. Empty for non-members, and if the company is suspended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Navigation {
    /// The visible items, in the order in which they are displayed.
    pub menu: Vec<NavigationItem>,
    /// The URL of the page to which the user is redirected after login: the URL of the first visible entry point that
    /// has a URL.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub entrypoint: Option<ViewUrl>,
}

/// The permissions that an item or sub-item requires to be visible.
struct Needs<'a> {
    view: Option<ViewId>,
    feature: Option<FeatureId>,
    keys: &'a [FeatureKey],
}

impl Navigation {
    /// Returns the visible items of two menus, merged: the menu that all companies share, and the company's own menu.
    pub(crate) fn of(access: &Access, menus: [&Menu; 2]) -> Self {
        if access.is_suspended() {
            return Self::default();
        }
        let mut items: Vec<_> = menus.iter().flat_map(|menu| &menu.items).collect();
        items.sort_by(|a, b| (a.sort_order, a.label.as_str(), a.id).cmp(&(b.sort_order, b.label.as_str(), b.id)));
        // The sub-items of an item are in the same menu as the item, and are already sorted.
        let sub_items = |item: &MenuItem| {
            let id = item.id;
            menus.into_iter().flat_map(|menu| &menu.sub_items).filter(move |sub| sub.menu_item_id == id && sub.enabled)
        };
        let menu: Vec<_> = items
            .into_iter()
            .filter(|item| {
                let keys = item.required_permissions.as_deref().unwrap_or_default();
                are_met(access, &Needs { view: item.view_id, feature: item.feature_id, keys })
            })
            .map(|item| NavigationItem {
                id: item.id,
                label: item.label.clone(),
                icon: item.icon.clone(),
                url: url(access, item.view_id),
                is_entrypoint: item.is_entrypoint,
                sub_items: sub_items(item)
                    .filter(|sub| are_met(access, &Needs { view: sub.view_id, feature: sub.feature_id, keys: &[] }))
                    .map(|sub| NavigationSubItem {
                        id: sub.id,
                        label: sub.label.clone(),
                        url: url(access, sub.view_id),
                    })
                    .collect(),
            })
            .filter(|item| item.url.is_some() || !item.sub_items.is_empty())
            .collect();
        let entrypoint = menu.iter().filter(|item| item.is_entrypoint).find_map(|item| item.url.clone());
        Self { menu, entrypoint }
    }
}

fn url(access: &Access, view: Option<ViewId>) -> Option<ViewUrl> {
    access.set().index.catalog.view(view?).map(|view| view.url.clone())
}

fn are_met(access: &Access, needs: &Needs<'_>) -> bool {
    needs.view.is_none_or(|view| access.sees(view))
        && needs.feature.is_none_or(|feature| access.reads(feature))
        && needs.keys.iter().all(|key| access.reads_key(key.as_str()))
}
