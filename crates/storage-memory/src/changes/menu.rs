//! Write operations on the menu.

use async_trait::async_trait;
use iam_domain::{CompanyId, EntityType, MenuItem, MenuItemId, SubMenuItem, SubMenuItemId};
use iam_storage::{MenuItemsMut, Result, StorageError, SubMenuItemsMut, Target};

use crate::constraints::refuse_unknown;
use crate::repository::Repository;
use crate::state::RowKind;
use crate::unit_of_work::Unit;

impl Unit {
    fn check_menu_item(&self, owner: Option<CompanyId>, id: MenuItemId) -> Result<()> {
        let known = self.work.menu(owner).items.contains_key(&id);
        refuse_unknown(EntityType::Menu, (!known).then(|| id.as_uuid()).into_iter())
    }
}

#[async_trait]
impl MenuItemsMut for Repository<Unit> {
    async fn create(&mut self, item: &MenuItem) -> Result<()> {
        self.0.change(Target::of_menu(item.company_id), |unit| {
            unit.take_id((RowKind::MenuItems, item.id.as_uuid()))?;
            unit.catalog().check_views(item.view_id)?;
            unit.catalog().check_features(item.feature_id)?;
            unit.work.menu_mut(item.company_id).items.insert(item.id, item.clone());
            unit.recorder.menu_item_created(item);
            Ok(())
        })
    }

    async fn update(&mut self, item: &MenuItem) -> Result<MenuItem> {
        self.0.change(Target::of_menu(item.company_id), |unit| {
            let before = unit.work.menu(item.company_id).items.get(&item.id).cloned().ok_or(StorageError::NotFound)?;
            unit.catalog().check_views(item.view_id)?;
            unit.catalog().check_features(item.feature_id)?;
            let after = MenuItem { created_at: before.created_at, ..item.clone() };
            unit.recorder.menu_item_updated(&before, &after);
            unit.work.menu_mut(item.company_id).items.insert(item.id, after);
            Ok(before)
        })
    }

    async fn delete(&mut self, owner: Option<CompanyId>, id: MenuItemId) -> Result<MenuItem> {
        self.0.change(Target::of_menu(owner), |unit| {
            let menu = unit.work.menu_mut(owner);
            let before = menu.items.remove(&id).ok_or(StorageError::NotFound)?;
            let below = menu.sub_items.values().filter(|sub_item| sub_item.menu_item_id == id);
            let below: Vec<SubMenuItemId> = below.map(|sub_item| sub_item.id).collect();
            for sub_item in &below {
                menu.sub_items.remove(sub_item);
            }
            unit.release_ids([(RowKind::MenuItems, id.as_uuid())]);
            unit.release_ids(below.into_iter().map(|sub_item| (RowKind::SubMenuItems, sub_item.as_uuid())));
            unit.recorder.menu_item_deleted(&before);
            Ok(before)
        })
    }
}

#[async_trait]
impl SubMenuItemsMut for Repository<Unit> {
    async fn create(&mut self, owner: Option<CompanyId>, item: &SubMenuItem) -> Result<()> {
        self.0.change(Target::of_menu(owner), |unit| {
            unit.take_id((RowKind::SubMenuItems, item.id.as_uuid()))?;
            unit.check_menu_item(owner, item.menu_item_id)?;
            unit.catalog().check_views(item.view_id)?;
            unit.catalog().check_features(item.feature_id)?;
            unit.work.menu_mut(owner).sub_items.insert(item.id, item.clone());
            unit.recorder.sub_menu_item_created(item);
            Ok(())
        })
    }

    async fn update(&mut self, owner: Option<CompanyId>, item: &SubMenuItem) -> Result<SubMenuItem> {
        self.0.change(Target::of_menu(owner), |unit| {
            let before = unit.work.menu(owner).sub_items.get(&item.id).cloned().ok_or(StorageError::NotFound)?;
            unit.check_menu_item(owner, item.menu_item_id)?;
            unit.catalog().check_views(item.view_id)?;
            unit.catalog().check_features(item.feature_id)?;
            let after = SubMenuItem { created_at: before.created_at, ..item.clone() };
            unit.recorder.sub_menu_item_updated(&before, &after);
            unit.work.menu_mut(owner).sub_items.insert(item.id, after);
            Ok(before)
        })
    }

    async fn delete(&mut self, owner: Option<CompanyId>, id: SubMenuItemId) -> Result<SubMenuItem> {
        self.0.change(Target::of_menu(owner), |unit| {
            let before = unit.work.menu_mut(owner).sub_items.remove(&id).ok_or(StorageError::NotFound)?;
            unit.release_ids([(RowKind::SubMenuItems, id.as_uuid())]);
            unit.recorder.sub_menu_item_deleted(&before);
            Ok(before)
        })
    }
}
