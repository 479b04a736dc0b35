//! The menu that a user sees.

use iam_domain::{
    Action, FeatureId, FeatureKey, Icon, Label, MenuItem, MenuItemId, Snapshot, SubMenuItem, SubMenuItemId, ViewId,
    ViewUrl,
};
use serde::Serialize;

use crate::Subject;
use crate::decisions::{decide_feature, decide_view};

/// An entry below an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NavigationSubItem {
    /// Its id.
    pub id: SubMenuItemId,
    /// What people read.
    pub label: Label,
    /// Where it leads.
    pub url: Option<ViewUrl>,
}

/// An entry of the menu.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct NavigationItem {
    /// Its id.
    pub id: MenuItemId,
    /// What people read.
    pub label: Label,
    /// How it is drawn.
    pub icon: Option<Icon>,
    /// Where it leads.
    pub url: Option<ViewUrl>,
    /// Whether one may land here after signing in.
    pub is_entrypoint: bool,
    /// What stands below it.
    pub sub_items: Vec<NavigationSubItem>,
}

/// What a user sees of the menu; empty for whoever holds no level in the company.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Navigation {
    /// The visible items, in their order.
    pub menu: Vec<NavigationItem>,
    /// Where one lands: the url of the first visible entry point that has one.
    pub entrypoint: Option<ViewUrl>,
}

/// What must be allowed for an entry to show.
struct Needs<'a> {
    view: Option<ViewId>,
    feature: Option<FeatureId>,
    keys: &'a [FeatureKey],
}

impl Navigation {
    /// The visible part of a menu; items and sub-items come in their order.
    pub(crate) fn of(snapshot: &Snapshot, subject: Subject, items: &[MenuItem], sub_items: &[SubMenuItem]) -> Self {
        let menu: Vec<_> = items
            .iter()
            .filter(|item| {
                let keys = item.required_permissions.as_deref().unwrap_or_default();
                are_met(snapshot, subject, &Needs { view: item.view_id, feature: item.feature_id, keys })
            })
            .map(|item| NavigationItem {
                id: item.id,
                label: item.label.clone(),
                icon: item.icon.clone(),
                url: url(snapshot, item.view_id),
                is_entrypoint: item.is_entrypoint,
                sub_items: sub_items
                    .iter()
                    .filter(|sub| sub.menu_item_id == item.id && sub.enabled)
                    .filter(|sub| {
                        are_met(snapshot, subject, &Needs { view: sub.view_id, feature: sub.feature_id, keys: &[] })
                    })
                    .map(|sub| NavigationSubItem {
                        id: sub.id,
                        label: sub.label.clone(),
                        url: url(snapshot, sub.view_id),
                    })
                    .collect(),
            })
            .filter(|item| item.url.is_some() || !item.sub_items.is_empty())
            .collect();
        let entrypoint = menu.iter().filter(|item| item.is_entrypoint).find_map(|item| item.url.clone());
        Self { menu, entrypoint }
    }
}

fn url(snapshot: &Snapshot, view: Option<ViewId>) -> Option<ViewUrl> {
    snapshot.catalog.view(view?).map(|view| view.url.clone())
}

fn are_met(snapshot: &Snapshot, subject: Subject, needs: &Needs<'_>) -> bool {
    let may_read = |feature| decide_feature(snapshot, subject, feature, &Action::read()).allowed;
    needs.view.is_none_or(|view| decide_view(snapshot, subject, view).allowed)
        && needs.feature.is_none_or(may_read)
        // A key that no feature has is not allowed to anybody, not even to whom everything is.
        && needs.keys.iter().all(|key| {
            snapshot.catalog.feature_by_key(key.as_str()).is_some_and(|feature| may_read(feature.id))
        })
}
