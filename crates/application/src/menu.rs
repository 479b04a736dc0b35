//! Changes of the menu. For super admins; items belong to one company or to all.

use iam_domain::{
    CompanyId, FeatureId, FeatureKey, Icon, Label, MenuItem, MenuItemId, Priority, SubMenuItem, SubMenuItemId, ViewId,
};
use iam_storage::{Target, UnitOfWork};

use crate::execute::change;
use crate::{Failure, FieldError, IfMatch, Patch};

pub(crate) const MENU_ITEM: &str = "Menu item";
pub(crate) const SUB_MENU_ITEM: &str = "Sub menu item";

/// Adds an item.
#[derive(Debug, Clone)]
pub struct CreateMenuItem {
    /// The owner; `None` means all companies.
    pub owner: Option<CompanyId>,
    /// Its label.
    pub label: Label,
    /// Its icon.
    pub icon: Option<Icon>,
    /// Its priority.
    pub priority: Priority,
    /// Features whose `Read` must all be allowed.
    pub required_permissions: Option<Vec<FeatureKey>>,
    /// Its sort order.
    pub sort_order: i32,
    /// The view that it leads to.
    pub view_id: Option<ViewId>,
    /// The feature whose `Read` must be allowed.
    pub feature_id: Option<FeatureId>,
    /// Whether users may land here after signing in.
    pub is_entrypoint: bool,
}

change!(CreateMenuItem -> MenuItem, needs SuperAdmin, locks |this| Target::of_menu(this.owner), |this, tx, _| {
    check_keys(tx, this.required_permissions.as_deref()).await?;
    let now = tx.now();
    let item = MenuItem {
        id: MenuItemId::generate(now),
        company_id: this.owner,
        label: this.label.clone(),
        icon: this.icon.clone(),
        priority: this.priority,
        required_permissions: this.required_permissions.clone(),
        sort_order: this.sort_order,
        view_id: this.view_id,
        feature_id: this.feature_id,
        is_entrypoint: this.is_entrypoint,
        created_at: now,
        updated_at: now,
    };
    tx.menu_items_mut().create(&item).await?;
    Ok(item)
});

/// Updates an item. Omitted members stay unchanged.
#[derive(Debug, Clone)]
pub struct UpdateMenuItem {
    /// The owner; `None` means all companies.
    pub owner: Option<CompanyId>,
    /// The item.
    pub id: MenuItemId,
    /// Its label.
    pub label: Option<Label>,
    /// Its icon.
    pub icon: Patch<Icon>,
    /// Its priority.
    pub priority: Option<Priority>,
    /// Features whose `Read` must all be allowed.
    pub required_permissions: Patch<Vec<FeatureKey>>,
    /// Its sort order.
    pub sort_order: Option<i32>,
    /// The view that it leads to.
    pub view_id: Patch<ViewId>,
    /// The feature whose `Read` must be allowed.
    pub feature_id: Patch<FeatureId>,
    /// Whether users may land here after signing in.
    pub is_entrypoint: Option<bool>,
    /// The client's `If-Match` precondition.
    pub if_match: IfMatch,
}

change!(UpdateMenuItem -> MenuItem, needs SuperAdmin, locks |this| Target::of_menu(this.owner), |this, tx, _| {
    let before = tx.menu_items().find_by_id(this.owner, this.id).await?.ok_or(Failure::NotFound(MENU_ITEM))?;
    this.if_match.check(&before)?;
    if let Patch::Set(keys) = &this.required_permissions {
        check_keys(tx, Some(keys)).await?;
    }
    let mut item = before.clone();
    item.label = this.label.clone().unwrap_or(item.label);
    this.icon.apply(&mut item.icon);
    item.priority = this.priority.unwrap_or(item.priority);
    this.required_permissions.apply(&mut item.required_permissions);
    item.sort_order = this.sort_order.unwrap_or(item.sort_order);
    this.view_id.apply(&mut item.view_id);
    this.feature_id.apply(&mut item.feature_id);
    item.is_entrypoint = this.is_entrypoint.unwrap_or(item.is_entrypoint);
    if item != before {
        item.updated_at = tx.now();
        tx.menu_items_mut().update(&item).await?;
    }
    Ok(item)
});

/// Deletes an item with its sub-items.
#[derive(Debug, Clone)]
pub struct DeleteMenuItem {
    /// The owner; `None` means all companies.
    pub owner: Option<CompanyId>,
    /// The item.
    pub id: MenuItemId,
    /// The client's `If-Match` precondition.
    pub if_match: IfMatch,
}

change!(DeleteMenuItem -> (), needs SuperAdmin, locks |this| Target::of_menu(this.owner), |this, tx, _| {
    let item = tx.menu_items().find_by_id(this.owner, this.id).await?.ok_or(Failure::NotFound(MENU_ITEM))?;
    this.if_match.check(&item)?;
    tx.menu_items_mut().delete(this.owner, this.id).await?;
    Ok(())
});

/// Adds a sub-item.
#[derive(Debug, Clone)]
pub struct CreateSubMenuItem {
    /// The owner; `None` means all companies.
    pub owner: Option<CompanyId>,
    /// The parent item.
    pub menu_item_id: MenuItemId,
    /// Its label.
    pub label: Label,
    /// The view that it leads to.
    pub view_id: Option<ViewId>,
    /// The feature whose `Read` must be allowed.
    pub feature_id: Option<FeatureId>,
    /// Its icon.
    pub icon: Option<Icon>,
    /// Its sort order.
    pub sort_order: i32,
    /// `false` hides it.
    pub enabled: bool,
}

change!(CreateSubMenuItem -> SubMenuItem, needs SuperAdmin, locks |this| Target::of_menu(this.owner), |this, tx, _| {
    let now = tx.now();
    let item = SubMenuItem {
        id: SubMenuItemId::generate(now),
        menu_item_id: this.menu_item_id,
        label: this.label.clone(),
        view_id: this.view_id,
        feature_id: this.feature_id,
        icon: this.icon.clone(),
        sort_order: this.sort_order,
        enabled: this.enabled,
        created_at: now,
        updated_at: now,
    };
    tx.sub_menu_items_mut().create(this.owner, &item).await?;
    Ok(item)
});

/// Updates a sub-item. Omitted members stay unchanged.
#[derive(Debug, Clone)]
pub struct UpdateSubMenuItem {
    /// The owner; `None` means all companies.
    pub owner: Option<CompanyId>,
    /// The sub-item.
    pub id: SubMenuItemId,
    /// The parent item.
    pub menu_item_id: Option<MenuItemId>,
    /// Its label.
    pub label: Option<Label>,
    /// The view that it leads to.
    pub view_id: Patch<ViewId>,
    /// The feature whose `Read` must be allowed.
    pub feature_id: Patch<FeatureId>,
    /// Its icon.
    pub icon: Patch<Icon>,
    /// Its sort order.
    pub sort_order: Option<i32>,
    /// `false` hides it.
    pub enabled: Option<bool>,
    /// The client's `If-Match` precondition.
    pub if_match: IfMatch,
}

change!(UpdateSubMenuItem -> SubMenuItem, needs SuperAdmin, locks |this| Target::of_menu(this.owner), |this, tx, _| {
    let before = tx.sub_menu_items().find_by_id(this.owner, this.id).await?.ok_or(Failure::NotFound(SUB_MENU_ITEM))?;
    this.if_match.check(&before)?;
    let mut item = before.clone();
    item.menu_item_id = this.menu_item_id.unwrap_or(item.menu_item_id);
    item.label = this.label.clone().unwrap_or(item.label);
    this.view_id.apply(&mut item.view_id);
    this.feature_id.apply(&mut item.feature_id);
    this.icon.apply(&mut item.icon);
    item.sort_order = this.sort_order.unwrap_or(item.sort_order);
    item.enabled = this.enabled.unwrap_or(item.enabled);
    if item != before {
        item.updated_at = tx.now();
        tx.sub_menu_items_mut().update(this.owner, &item).await?;
    }
    Ok(item)
});

/// Deletes a sub-item.
#[derive(Debug, Clone)]
pub struct DeleteSubMenuItem {
    /// The owner; `None` means all companies.
    pub owner: Option<CompanyId>,
    /// The sub-item.
    pub id: SubMenuItemId,
    /// The client's `If-Match` precondition.
    pub if_match: IfMatch,
}

change!(DeleteSubMenuItem -> (), needs SuperAdmin, locks |this| Target::of_menu(this.owner), |this, tx, _| {
    let item = tx.sub_menu_items().find_by_id(this.owner, this.id).await?.ok_or(Failure::NotFound(SUB_MENU_ITEM))?;
    this.if_match.check(&item)?;
    tx.sub_menu_items_mut().delete(this.owner, this.id).await?;
    Ok(())
});

/// Checks that all keys exist: an unknown key, such as a typing error, would hide the item from all users.
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
            FieldError::new(field, "unknown", format_args!("names an unknown feature: {key}"))
        })
        .collect();
    if errors.is_empty() { Ok(()) } else { Err(Failure::Invalid(errors)) }
}
