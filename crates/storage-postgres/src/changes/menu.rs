//! Changes to the menu.

use async_trait::async_trait;
use iam_domain::{CompanyId, EntityType, MenuItem, MenuItemId, SubMenuItem, SubMenuItemId};
use iam_storage::{MenuItemsMut, Result, StorageError, SubMenuItems, SubMenuItemsMut, Target};
use uuid::Uuid;

use super::Unit;
use crate::convert::text_array;
use crate::entities::{columns, menu_items, sub_menu_items};
use crate::error::Operation;
use crate::operation::operation;
use crate::repository::Repository;
use crate::statement::{convert, statement};

/// The view and the feature that a menu entry refers to.
type References = [(EntityType, Option<Uuid>); 2];

#[async_trait]
impl MenuItemsMut for Repository<Unit> {
    async fn create(&mut self, item: &MenuItem) -> Result<()> {
        operation("menu_items.create", async {
            self.change(Target::of_menu(item.company_id), async |unit| {
                let row = menu_items::Model::from(item);
                let references: References = [(EntityType::View, row.view_id), (EntityType::Feature, row.feature_id)];
                unit.insert(row, &references).await?;
                unit.0.recorder.menu_item_created(item);
                Ok(())
            })
            .await
        })
        .await
    }

    async fn update(&mut self, item: &MenuItem) -> Result<MenuItem> {
        operation("menu_items.update", async {
            self.change(Target::of_menu(item.company_id), async |unit| {
                let row = menu_items::Model::from(item);
                let references: References = [(EntityType::View, row.view_id), (EntityType::Feature, row.feature_id)];
                let sql = format!(
                    "UPDATE menu_items AS m SET label = $3, icon = $4, priority = $5, required_permissions = $6,
                    sort_order = $7, view_id = $8, feature_id = $9, is_entrypoint = $10, updated_at = $11
                FROM menu_items AS old WHERE m.id = $1 AND m.company_id IS NOT DISTINCT FROM $2 AND old.id = m.id
                RETURNING {}",
                    columns::<menu_items::Entity>("old")
                );
                let values = [
                    row.id.into(),
                    row.company_id.into(),
                    row.label.into(),
                    row.icon.into(),
                    row.priority.into(),
                    text_array(item.required_permissions.as_ref()).into(),
                    row.sort_order.into(),
                    row.view_id.into(),
                    row.feature_id.into(),
                    row.is_entrypoint.into(),
                    row.updated_at.into(),
                ];
                let update = statement(sql, values);
                let before: MenuItem =
                    unit.changed::<menu_items::Model, _>(update, Operation::Write(&references)).await?;
                unit.0.recorder.menu_item_updated(&before, &MenuItem { created_at: before.created_at, ..item.clone() });
                Ok(before)
            })
            .await
        })
        .await
    }

    async fn delete(&mut self, owner: Option<CompanyId>, id: MenuItemId) -> Result<MenuItem> {
        operation("menu_items.delete", async {
            self.change(Target::of_menu(owner), async |unit| {
                let columns = columns::<menu_items::Entity>("gone");
                let sql = format!(
                    "DELETE FROM menu_items AS gone WHERE id = $1 AND company_id IS NOT DISTINCT FROM $2
                RETURNING {columns}"
                );
                let delete = statement(sql, [id.as_uuid().into(), owner.map(|id| id.as_uuid()).into()]);
                let before = unit.changed::<menu_items::Model, _>(delete, Operation::Delete).await?;
                unit.0.recorder.menu_item_deleted(&before);
                Ok(before)
            })
            .await
        })
        .await
    }
}

fn unknown_item(id: MenuItemId) -> StorageError {
    StorageError::Unknown { entity: EntityType::Menu, ids: vec![id.as_uuid()] }
}

fn references(item: &SubMenuItem) -> References {
    [
        (EntityType::View, item.view_id.map(|id| id.as_uuid())),
        (EntityType::Feature, item.feature_id.map(|id| id.as_uuid())),
    ]
}

#[async_trait]
impl SubMenuItemsMut for Repository<Unit> {
    async fn create(&mut self, owner: Option<CompanyId>, item: &SubMenuItem) -> Result<()> {
        operation("sub_menu_items.create", async {
            self.change(Target::of_menu(owner), async |unit| {
                let sql =
                "INSERT INTO sub_menu_items (id, menu_item_id, label, view_id, feature_id, icon, sort_order, enabled,
                    created_at, updated_at)
                SELECT $1, id, $4, $5, $6, $7, $8, $9, $10, $11 FROM menu_items
                WHERE id = $2 AND company_id IS NOT DISTINCT FROM $3 RETURNING id";
                let values = [
                    item.id.as_uuid().into(),
                    item.menu_item_id.as_uuid().into(),
                    owner.map(|id| id.as_uuid()).into(),
                    item.label.as_str().into(),
                    item.view_id.map(|id| id.as_uuid()).into(),
                    item.feature_id.map(|id| id.as_uuid()).into(),
                    item.icon.as_ref().map(ToString::to_string).into(),
                    item.sort_order.into(),
                    item.enabled.into(),
                    item.created_at.as_datetime().into(),
                    item.updated_at.as_datetime().into(),
                ];
                let created = unit.operation_row(statement(sql, values), Operation::Write(&references(item))).await?;
                if created.is_none() {
                    return Err(unknown_item(item.menu_item_id));
                }
                unit.0.recorder.sub_menu_item_created(item);
                Ok(())
            })
            .await
        })
        .await
    }

    async fn update(&mut self, owner: Option<CompanyId>, item: &SubMenuItem) -> Result<SubMenuItem> {
        operation("sub_menu_items.update", async {
            self.change(Target::of_menu(owner), async |unit| {
                let sql = format!(
                "UPDATE sub_menu_items AS s SET menu_item_id = new_item.id, label = $4, view_id = $5, feature_id = $6,
                    icon = $7, sort_order = $8, enabled = $9, updated_at = $10
                FROM sub_menu_items AS old JOIN menu_items AS old_item ON old_item.id = old.menu_item_id,
                    menu_items AS new_item
                WHERE s.id = $1 AND old.id = s.id AND old_item.company_id IS NOT DISTINCT FROM $3
                    AND new_item.id = $2 AND new_item.company_id IS NOT DISTINCT FROM $3
                RETURNING {}",
                columns::<sub_menu_items::Entity>("old")
            );
                let values = [
                    item.id.as_uuid().into(),
                    item.menu_item_id.as_uuid().into(),
                    owner.map(|id| id.as_uuid()).into(),
                    item.label.as_str().into(),
                    item.view_id.map(|id| id.as_uuid()).into(),
                    item.feature_id.map(|id| id.as_uuid()).into(),
                    item.icon.as_ref().map(ToString::to_string).into(),
                    item.sort_order.into(),
                    item.enabled.into(),
                    item.updated_at.as_datetime().into(),
                ];
                let Some(row) = unit.operation_row(statement(sql, values), Operation::Write(&references(item))).await?
                else {
                    let there = SubMenuItems::find_by_id(unit, owner, item.id).await?;
                    return Err(there.map_or(StorageError::NotFound, |_| unknown_item(item.menu_item_id)));
                };
                let before: SubMenuItem = convert::<sub_menu_items::Model, _>(&row)?;
                unit.0
                    .recorder
                    .sub_menu_item_updated(&before, &SubMenuItem { created_at: before.created_at, ..item.clone() });
                Ok(before)
            })
            .await
        })
        .await
    }

    async fn delete(&mut self, owner: Option<CompanyId>, id: SubMenuItemId) -> Result<SubMenuItem> {
        operation("sub_menu_items.delete", async {
            self.change(Target::of_menu(owner), async |unit| {
                let sql = format!(
                    "DELETE FROM sub_menu_items AS s USING menu_items AS m
                WHERE s.id = $1 AND m.id = s.menu_item_id AND m.company_id IS NOT DISTINCT FROM $2 RETURNING {}",
                    columns::<sub_menu_items::Entity>("s")
                );
                let delete = statement(sql, [id.as_uuid().into(), owner.map(|id| id.as_uuid()).into()]);
                let before = unit.changed::<sub_menu_items::Model, _>(delete, Operation::Delete).await?;
                unit.0.recorder.sub_menu_item_deleted(&before);
                Ok(before)
            })
            .await
        })
        .await
    }
}
