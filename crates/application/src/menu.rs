//! Changes of the menu. For super admins; items belong to one company, or to all.

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
    /// Whose; `None` is every company's.
    pub owner: Option<CompanyId>,
    /// What people read.
    pub label: Label,
    /// How it is drawn.
    pub icon: Option<Icon>,
    /// How it is ranked.
    pub priority: Priority,
    /// Features whose `Read` must all be allowed.
    pub required_permissions: Option<Vec<FeatureKey>>,
    /// Where it stands.
    pub sort_order: i32,
    /// The view that it leads to.
    pub view_id: Option<ViewId>,
    /// The feature whose `Read` must be allowed.
    pub feature_id: Option<FeatureId>,
    /// Whether one may land here.
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

/// Changes an item. What is left out stays.
#[derive(Debug, Clone)]
pub struct UpdateMenuItem {
    /// Whose; `None` is every company's.
    pub owner: Option<CompanyId>,
    /// Which.
    pub id: MenuItemId,
    /// What people read.
    pub label: Option<Label>,
    /// How it is drawn.
    pub icon: Patch<Icon>,
    /// How it is ranked.
    pub priority: Option<Priority>,
    /// Features whose `Read` must all be allowed.
    pub required_permissions: Patch<Vec<FeatureKey>>,
    /// Where it stands.
    pub sort_order: Option<i32>,
    /// The view that it leads to.
    pub view_id: Patch<ViewId>,
    /// The feature whose `Read` must be allowed.
    pub feature_id: Patch<FeatureId>,
    /// Whether one may land here.
    pub is_entrypoint: Option<bool>,
    /// What the client saw.
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

/// Removes an item with its sub-items.
#[derive(Debug, Clone)]
pub struct DeleteMenuItem {
    /// Whose; `None` is every company's.
    pub owner: Option<CompanyId>,
    /// Which.
    pub id: MenuItemId,
    /// What the client saw.
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
    /// Whose; `None` is every company's.
    pub owner: Option<CompanyId>,
    /// Below which item.
    pub menu_item_id: MenuItemId,
    /// What people read.
    pub label: Label,
    /// The view that it leads to.
    pub view_id: Option<ViewId>,
    /// The feature whose `Read` must be allowed.
    pub feature_id: Option<FeatureId>,
    /// How it is drawn.
    pub icon: Option<Icon>,
    /// Where it stands.
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

/// Changes a sub-item. What is left out stays.
#[derive(Debug, Clone)]
pub struct UpdateSubMenuItem {
    /// Whose; `None` is every company's.
    pub owner: Option<CompanyId>,
    /// Which.
    pub id: SubMenuItemId,
    /// Below which item.
    pub menu_item_id: Option<MenuItemId>,
    /// What people read.
    pub label: Option<Label>,
    /// The view that it leads to.
    pub view_id: Patch<ViewId>,
    /// The feature whose `Read` must be allowed.
    pub feature_id: Patch<FeatureId>,
    /// How it is drawn.
    pub icon: Patch<Icon>,
    /// Where it stands.
    pub sort_order: Option<i32>,
    /// `false` hides it.
    pub enabled: Option<bool>,
    /// What the client saw.
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

/// Removes a sub-item.
#[derive(Debug, Clone)]
pub struct DeleteSubMenuItem {
    /// Whose; `None` is every company's.
    pub owner: Option<CompanyId>,
    /// Which.
    pub id: SubMenuItemId,
    /// What the client saw.
    pub if_match: IfMatch,
}

change!(DeleteSubMenuItem -> (), needs SuperAdmin, locks |this| Target::of_menu(this.owner), |this, tx, _| {
    let item = tx.sub_menu_items().find_by_id(this.owner, this.id).await?.ok_or(Failure::NotFound(SUB_MENU_ITEM))?;
    this.if_match.check(&item)?;
    tx.sub_menu_items_mut().delete(this.owner, this.id).await?;
    Ok(())
});

/// A key that no feature has would hide the item from everybody: a typing error, said at once.
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
