//! Read operations on the menu.

use async_trait::async_trait;
use iam_domain::{CompanyId, FeatureId, FeatureKey, MenuItem, MenuItemId, SubMenuItem, SubMenuItemId, ViewId};
use iam_storage::{MenuItems, MenuUse, Result, SubMenuItems};

use crate::reads::sorted;
use crate::repository::{Repository, StateSource};

pub(crate) fn items_in_order<'a>(items: impl Iterator<Item = &'a MenuItem>) -> Vec<MenuItem> {
    sorted(items.cloned(), |a, b| (a.sort_order, &a.label, a.id).cmp(&(b.sort_order, &b.label, b.id)))
}

pub(crate) fn sub_items_in_order<'a>(items: impl Iterator<Item = &'a SubMenuItem>) -> Vec<SubMenuItem> {
    sorted(items.cloned(), |a, b| (a.sort_order, &a.label, a.id).cmp(&(b.sort_order, &b.label, b.id)))
}

#[async_trait]
impl<S: StateSource> MenuItems for Repository<S> {
    async fn find_all(&self, company: Option<CompanyId>) -> Result<Vec<MenuItem>> {
        let state = self.0.state();
        Ok(items_in_order(state.catalog.menu.items.values().chain(state.own_menu(company).items.values())))
    }

    async fn find_by_id(&self, owner: Option<CompanyId>, id: MenuItemId) -> Result<Option<MenuItem>> {
        Ok(self.0.state().menu(owner).items.get(&id).cloned())
    }

    async fn find_using_view(&self, view: ViewId) -> Result<Vec<MenuUse>> {
        Ok(self.0.state().menu_uses(|used, _| used == Some(view)))
    }

    async fn find_using_feature(&self, feature: FeatureId) -> Result<Vec<MenuUse>> {
        Ok(self.0.state().menu_uses(|_, used| used == Some(feature)))
    }

    async fn find_requiring(&self, key: &FeatureKey) -> Result<Vec<MenuUse>> {
        Ok(self.0.state().menu_items_requiring(key))
    }
}

#[async_trait]
impl<S: StateSource> SubMenuItems for Repository<S> {
    async fn find_all(&self, company: Option<CompanyId>) -> Result<Vec<SubMenuItem>> {
        let state = self.0.state();
        Ok(sub_items_in_order(state.catalog.menu.sub_items.values().chain(state.own_menu(company).sub_items.values())))
    }

    async fn find_by_menu_id(&self, owner: Option<CompanyId>, item: MenuItemId) -> Result<Vec<SubMenuItem>> {
        let state = self.0.state();
        Ok(sub_items_in_order(state.menu(owner).sub_items.values().filter(|sub_item| sub_item.menu_item_id == item)))
    }

    async fn find_by_id(&self, owner: Option<CompanyId>, id: SubMenuItemId) -> Result<Option<SubMenuItem>> {
        Ok(self.0.state().menu(owner).sub_items.get(&id).cloned())
    }
}
