//! The part of the menu that a user sees, and the reason why each other part is hidden, as a pure function over one
//! snapshot.

use crate::{Action, CompanyStatus, Decision, FeatureId, Menu, MenuItem, Reason, Snapshot, SubMenuItem, ViewId};

/// The reason why an item or a sub-item of the menu is hidden.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hidden {
    /// The user sees no part of the menu, because the company is suspended or the user holds no level.
    Everything(Reason),
    /// The user may not see the view that the item links to.
    View(ViewId, Decision),
    /// The user may not `Read` the feature that the item links to.
    Feature(FeatureId, Decision),
    /// The user may not `Read` a feature that the item requires.
    Required(FeatureId, Decision),
    /// The item requires a feature that does not exist.
    UnknownFeature,
    /// The sub-item is disabled for all users.
    Disabled,
    /// The item links to no view, and each of its sub-items is hidden.
    Empty,
}

/// An item of the menu, for one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedItem<'a> {
    /// The item.
    pub item: &'a MenuItem,
    /// The reason why the item is hidden. `None` if the user sees it.
    pub hidden: Option<Hidden>,
    /// The sub-items. The user sees none of them if the item is hidden.
    pub sub_items: Vec<ResolvedSubItem<'a>>,
}

/// A sub-item of the menu, for one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedSubItem<'a> {
    /// The sub-item.
    pub item: &'a SubMenuItem,
    /// The reason why the sub-item itself is hidden. `None` if the user sees it whenever the user sees its item.
    pub hidden: Option<Hidden>,
}

impl Snapshot {
    /// Returns the items of two menus, merged in the order in which they are displayed: the menu that all companies share,
    /// and the company's own menu.
    #[must_use]
    pub fn menu<'a>(&self, menus: [&'a Menu; 2]) -> Vec<ResolvedItem<'a>> {
        let mut items: Vec<_> = menus.iter().flat_map(|menu| &menu.items).collect();
        items.sort_by(|a, b| (a.sort_order, a.label.as_str(), a.id).cmp(&(b.sort_order, b.label.as_str(), b.id)));
        items.into_iter().map(|item| self.item(item, menus)).collect()
    }

    fn item<'a>(&self, item: &'a MenuItem, menus: [&'a Menu; 2]) -> ResolvedItem<'a> {
        // The sub-items of an item are in the same menu as the item, and are already sorted.
        let sub_items = menus.into_iter().flat_map(|menu| &menu.sub_items).filter(|sub| sub.menu_item_id == item.id);
        let sub_items: Vec<_> =
            sub_items.map(|sub| ResolvedSubItem { item: sub, hidden: self.hides_sub(sub) }).collect();
        let required = item.required_permissions.iter().flatten().find_map(|key| {
            let Some(feature) = self.catalog.feature_by_key(key.as_str()) else { return Some(Hidden::UnknownFeature) };
            self.unreadable(feature.id).map(|decision| Hidden::Required(feature.id, decision))
        });
        let is_empty = item.view_id.is_none() && sub_items.iter().all(|sub| sub.hidden.is_some());
        let hidden = self
            .hides_everything()
            .or_else(|| self.hides_target(item.view_id, item.feature_id))
            .or(required)
            .or_else(|| is_empty.then_some(Hidden::Empty));
        ResolvedItem { item, hidden, sub_items }
    }

    fn hides_sub(&self, sub: &SubMenuItem) -> Option<Hidden> {
        let disabled = (!sub.enabled).then_some(Hidden::Disabled);
        self.hides_everything().or(disabled).or_else(|| self.hides_target(sub.view_id, sub.feature_id))
    }

    fn hides_everything(&self) -> Option<Hidden> {
        match self.status {
            _ if self.levels.is_empty() => Some(Hidden::Everything(Reason::NoUserLevels)),
            CompanyStatus::Suspended => Some(Hidden::Everything(Reason::CompanySuspended)),
            CompanyStatus::Active => None,
        }
    }

    fn hides_target(&self, view: Option<ViewId>, feature: Option<FeatureId>) -> Option<Hidden> {
        let view = view.map(|view| (view, self.view(view))).filter(|(_, decision)| !decision.allowed);
        let feature = || feature.and_then(|feature| Some(Hidden::Feature(feature, self.unreadable(feature)?)));
        view.map(|(view, decision)| Hidden::View(view, decision)).or_else(feature)
    }

    /// Returns the decision if the user may not `Read` the feature.
    fn unreadable(&self, feature: FeatureId) -> Option<Decision> {
        Some(self.feature(feature, &Action::read())).filter(|decision| !decision.allowed)
    }
}
