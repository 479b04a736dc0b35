//! Changes to the menu, which require super admin rights. A menu item is owned by one company, or is common to all
//! companies.

use std::collections::BTreeSet;

use async_trait::async_trait;
use iam_domain::{
    Caller, CompanyId, FeatureId, FeatureKey, Icon, Label, MenuItem, MenuItemId, Priority, SubMenuItem, SubMenuItemId,
    ViewId,
};
use iam_storage::{MenuUse, Target, UnitOfWork};
use uuid::Uuid;

use crate::{Change, Failure, FieldCode, FieldError, IfMatch, Patch, Requirement};

pub(crate) const MENU_ITEM: &str = "Menu item";
pub(crate) const SUB_MENU_ITEM: &str = "Sub menu item";

/// Creates a menu item.
#[derive(Debug, Clone)]
pub struct CreateMenuItem {
    /// The company that owns the item. `None` if the item is common to all companies.
    pub owner: Option<CompanyId>,
    /// The label of the item.
    pub label: Label,
    /// The icon of the item.
    pub icon: Option<Icon>,
    /// The commercial tier of the item.
    pub priority: Priority,
    /// The keys of the features that the item requires. The item is shown only if `Read` is allowed on all of them.
    pub required_permissions: Option<Vec<FeatureKey>>,
    /// The sort order of the item.
    pub sort_order: i32,
    /// The view that the item links to. The item is shown only if the view is allowed.
    pub view_id: Option<ViewId>,
    /// The feature that the item links to. The item is shown only if `Read` is allowed on the feature.
    pub feature_id: Option<FeatureId>,
    /// `true` if the item may be the landing page after sign-in.
    pub is_entrypoint: bool,
}

#[async_trait]
impl Change for CreateMenuItem {
    type Answer = MenuItem;

    const REQUIREMENT: Requirement = Requirement::SuperAdmin;

    const CREATES: bool = true;

    fn target(&self) -> Target {
        Target::of_menu(self.owner)
    }

    fn created(&self, answer: &Self::Answer) -> Option<Uuid> {
        Some(answer.id.as_uuid())
    }

    async fn find_created(&self, tx: &mut dyn UnitOfWork, id: Uuid) -> Result<Option<Self::Answer>, Failure> {
        Ok(tx.menu_items().find_by_id(self.owner, MenuItemId::from_uuid(id)).await?)
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, _: Caller) -> Result<Self::Answer, Failure> {
        check_keys(tx, self.required_permissions.as_deref()).await?;
        let now = tx.now();
        let item = MenuItem {
            id: MenuItemId::generate(now),
            company_id: self.owner,
            label: self.label.clone(),
            icon: self.icon.clone(),
            priority: self.priority,
            required_permissions: self.required_permissions.clone(),
            sort_order: self.sort_order,
            view_id: self.view_id,
            feature_id: self.feature_id,
            is_entrypoint: self.is_entrypoint,
            created_at: now,
            updated_at: now,
        };
        tx.menu_items_mut().create(&item).await?;
        Ok(item)
    }
}

/// Updates a menu item. Omitted fields remain unchanged.
#[derive(Debug, Clone)]
pub struct UpdateMenuItem {
    /// The company that owns the item. `None` if the item is common to all companies.
    pub owner: Option<CompanyId>,
    /// The item to update.
    pub id: MenuItemId,
    /// The label of the item.
    pub label: Option<Label>,
    /// The icon of the item.
    pub icon: Patch<Icon>,
    /// The commercial tier of the item.
    pub priority: Option<Priority>,
    /// The keys of the features that the item requires. The item is shown only if `Read` is allowed on all of them.
    pub required_permissions: Patch<Vec<FeatureKey>>,
    /// The sort order of the item.
    pub sort_order: Option<i32>,
    /// The view that the item links to. The item is shown only if the view is allowed.
    pub view_id: Patch<ViewId>,
    /// The feature that the item links to. The item is shown only if `Read` is allowed on the feature.
    pub feature_id: Patch<FeatureId>,
    /// `true` if the item may be the landing page after sign-in.
    pub is_entrypoint: Option<bool>,
    /// The client's `If-Match` precondition.
    pub if_match: IfMatch,
}

#[async_trait]
impl Change for UpdateMenuItem {
    type Answer = MenuItem;

    const REQUIREMENT: Requirement = Requirement::SuperAdmin;

    fn target(&self) -> Target {
        Target::of_menu(self.owner)
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, _: Caller) -> Result<Self::Answer, Failure> {
        let before = tx.menu_items().find_by_id(self.owner, self.id).await?.ok_or(Failure::NotFound(MENU_ITEM))?;
        self.if_match.check(&before)?;
        if let Patch::Set(keys) = &self.required_permissions {
            check_keys(tx, Some(keys)).await?;
        }
        let mut item = before.clone();
        item.label = self.label.clone().unwrap_or(item.label);
        self.icon.apply(&mut item.icon);
        item.priority = self.priority.unwrap_or(item.priority);
        self.required_permissions.apply(&mut item.required_permissions);
        item.sort_order = self.sort_order.unwrap_or(item.sort_order);
        self.view_id.apply(&mut item.view_id);
        self.feature_id.apply(&mut item.feature_id);
        item.is_entrypoint = self.is_entrypoint.unwrap_or(item.is_entrypoint);
        if item != before {
            item.updated_at = tx.now();
            tx.menu_items_mut().update(&item).await?;
        }
        Ok(item)
    }
}

/// Deletes a menu item with its sub-items.
#[derive(Debug, Clone)]
pub struct DeleteMenuItem {
    /// The company that owns the item. `None` if the item is common to all companies.
    pub owner: Option<CompanyId>,
    /// The item to delete.
    pub id: MenuItemId,
    /// The sub-items that the caller knows. If the item has others, nothing is deleted. `None` if it may have any.
    pub known_sub_items: Option<BTreeSet<SubMenuItemId>>,
    /// The client's `If-Match` precondition.
    pub if_match: IfMatch,
}

#[async_trait]
impl Change for DeleteMenuItem {
    type Answer = ();

    const REQUIREMENT: Requirement = Requirement::SuperAdmin;

    fn target(&self) -> Target {
        Target::of_menu(self.owner)
    }

    fn may_only_remove(&self) -> bool {
        true
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, _: Caller) -> Result<Self::Answer, Failure> {
        let item = tx.menu_items().find_by_id(self.owner, self.id).await?.ok_or(Failure::NotFound(MENU_ITEM))?;
        self.if_match.check(&item)?;
        if let Some(known) = &self.known_sub_items {
            let sub_items = tx.sub_menu_items().find_by_menu_id(self.owner, self.id).await?;
            if sub_items.iter().any(|sub_item| !known.contains(&sub_item.id)) {
                return Err(Failure::PreconditionFailed);
            }
        }
        tx.menu_items_mut().delete(self.owner, self.id).await?;
        Ok(())
    }
}

/// Creates a sub-item.
#[derive(Debug, Clone)]
pub struct CreateSubMenuItem {
    /// The company that owns the parent item. `None` if the item is common to all companies.
    pub owner: Option<CompanyId>,
    /// The parent item of the sub-item.
    pub menu_item_id: MenuItemId,
    /// The label of the sub-item.
    pub label: Label,
    /// The view that the sub-item links to. The sub-item is shown only if the view is allowed.
    pub view_id: Option<ViewId>,
    /// The feature that the sub-item links to. The sub-item is shown only if `Read` is allowed on the feature.
    pub feature_id: Option<FeatureId>,
    /// The icon of the sub-item.
    pub icon: Option<Icon>,
    /// The sort order of the sub-item.
    pub sort_order: i32,
    /// If `false`, the sub-item is hidden from all users.
    pub enabled: bool,
}

#[async_trait]
impl Change for CreateSubMenuItem {
    type Answer = SubMenuItem;

    const REQUIREMENT: Requirement = Requirement::SuperAdmin;

    const CREATES: bool = true;

    fn target(&self) -> Target {
        Target::of_menu(self.owner)
    }

    fn created(&self, answer: &Self::Answer) -> Option<Uuid> {
        Some(answer.id.as_uuid())
    }

    async fn find_created(&self, tx: &mut dyn UnitOfWork, id: Uuid) -> Result<Option<Self::Answer>, Failure> {
        Ok(tx.sub_menu_items().find_by_id(self.owner, SubMenuItemId::from_uuid(id)).await?)
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, _: Caller) -> Result<Self::Answer, Failure> {
        let now = tx.now();
        let item = SubMenuItem {
            id: SubMenuItemId::generate(now),
            menu_item_id: self.menu_item_id,
            label: self.label.clone(),
            view_id: self.view_id,
            feature_id: self.feature_id,
            icon: self.icon.clone(),
            sort_order: self.sort_order,
            enabled: self.enabled,
            created_at: now,
            updated_at: now,
        };
        tx.sub_menu_items_mut().create(self.owner, &item).await?;
        Ok(item)
    }
}

/// Updates a sub-item. Omitted fields remain unchanged.
#[derive(Debug, Clone)]
pub struct UpdateSubMenuItem {
    /// The company that owns the parent item. `None` if the item is common to all companies.
    pub owner: Option<CompanyId>,
    /// The sub-item to update.
    pub id: SubMenuItemId,
    /// The new parent item of the sub-item.
    pub menu_item_id: Option<MenuItemId>,
    /// The label of the sub-item.
    pub label: Option<Label>,
    /// The view that the sub-item links to. The sub-item is shown only if the view is allowed.
    pub view_id: Patch<ViewId>,
    /// The feature that the sub-item links to. The sub-item is shown only if `Read` is allowed on the feature.
    pub feature_id: Patch<FeatureId>,
    /// The icon of the sub-item.
    pub icon: Patch<Icon>,
    /// The sort order of the sub-item.
    pub sort_order: Option<i32>,
    /// If `false`, the sub-item is hidden from all users.
    pub enabled: Option<bool>,
    /// The client's `If-Match` precondition.
    pub if_match: IfMatch,
}

#[async_trait]
impl Change for UpdateSubMenuItem {
    type Answer = SubMenuItem;

    const REQUIREMENT: Requirement = Requirement::SuperAdmin;

    fn target(&self) -> Target {
        Target::of_menu(self.owner)
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, _: Caller) -> Result<Self::Answer, Failure> {
        let before =
            tx.sub_menu_items().find_by_id(self.owner, self.id).await?.ok_or(Failure::NotFound(SUB_MENU_ITEM))?;
        self.if_match.check(&before)?;
        let mut item = before.clone();
        item.menu_item_id = self.menu_item_id.unwrap_or(item.menu_item_id);
        item.label = self.label.clone().unwrap_or(item.label);
        self.view_id.apply(&mut item.view_id);
        self.feature_id.apply(&mut item.feature_id);
        self.icon.apply(&mut item.icon);
        item.sort_order = self.sort_order.unwrap_or(item.sort_order);
        item.enabled = self.enabled.unwrap_or(item.enabled);
        if item != before {
            item.updated_at = tx.now();
            tx.sub_menu_items_mut().update(self.owner, &item).await?;
        }
        Ok(item)
    }
}

/// Deletes a sub-item.
#[derive(Debug, Clone)]
pub struct DeleteSubMenuItem {
    /// The company that owns the parent item. `None` if the item is common to all companies.
    pub owner: Option<CompanyId>,
    /// The sub-item to delete.
    pub id: SubMenuItemId,
    /// The client's `If-Match` precondition.
    pub if_match: IfMatch,
}

#[async_trait]
impl Change for DeleteSubMenuItem {
    type Answer = ();

    const REQUIREMENT: Requirement = Requirement::SuperAdmin;

    fn target(&self) -> Target {
        Target::of_menu(self.owner)
    }

    fn may_only_remove(&self) -> bool {
        true
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, _: Caller) -> Result<Self::Answer, Failure> {
        let item =
            tx.sub_menu_items().find_by_id(self.owner, self.id).await?.ok_or(Failure::NotFound(SUB_MENU_ITEM))?;
        self.if_match.check(&item)?;
        tx.sub_menu_items_mut().delete(self.owner, self.id).await?;
        Ok(())
    }
}

/// Checks that all feature keys exist. If a key did not exist, for example because of a typo, the menu item would be
/// hidden from all users.
async fn check_keys(tx: &mut dyn UnitOfWork, keys: Option<&[FeatureKey]>) -> Result<(), Failure> {
    let Some(keys) = keys.filter(|keys| !keys.is_empty()) else {
        return Ok(());
    };
    let features = tx.features().find_all().await?;
    let known = |key: &FeatureKey| features.iter().any(|feature| feature.key.as_ref() == Some(key));
    let errors: Vec<_> = keys
        .iter()
        .enumerate()
        .filter(|(_, key)| !known(key))
        .map(|(index, key)| {
            let field = format!("requiredPermissions[{index}]");
            FieldError::new(field, FieldCode::Unknown, format_args!("refers to an unknown feature: {key}"))
        })
        .collect();
    if errors.is_empty() { Ok(()) } else { Err(Failure::Invalid(errors)) }
}

/// Returns a [`Failure::Conflict`] if menu items use the entity.
pub(super) fn check_unused(what: &str, uses: &[MenuUse]) -> Result<(), Failure> {
    if uses.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = uses.iter().map(|item| format!("{} ({})", item.label, item.id)).collect();
    Err(Failure::Conflict(format!("{what} is used by menu items: {}", names.join(", "))))
}
