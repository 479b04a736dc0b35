//! Reads of the menu.

use async_trait::async_trait;
use iam_domain::{CompanyId, FeatureId, FeatureKey, Label, MenuItem, MenuItemId, SubMenuItem, SubMenuItemId, ViewId};
use iam_storage::{MenuItems, MenuUse, Result, StorageError, SubMenuItems};
use sea_orm::Statement;

use crate::entities::{columns, menu_items, sub_menu_items};
use crate::operation::operation;
use crate::repository::{Executor, Repository};
use crate::statement::{column, statement};

impl<T: Executor> Repository<T> {
    /// Returns the menu entries that a statement selects, across all companies.
    async fn uses(&self, statement: Statement) -> Result<Vec<MenuUse>> {
        let rows = self.rows(self.for_company(None, statement)).await?;
        rows.iter()
            .map(|row| {
                let label = Label::stored(column::<String>(row, "label")?).map_err(StorageError::corrupt)?;
                Ok(MenuUse { label, id: column(row, "id")? })
            })
            .collect()
    }
}

#[async_trait]
impl<T: Executor> MenuItems for Repository<T> {
    async fn find_all(&self, company: Option<CompanyId>) -> Result<Vec<MenuItem>> {
        operation("menu_items.find_all", async {
            let sql = format!(
                "SELECT {} FROM menu_items AS m WHERE company_id IS NULL OR company_id = $1
            ORDER BY m.sort_order, m.label, m.id",
                columns::<menu_items::Entity>("m")
            );
            let values = [company.map(|id| id.as_uuid()).into()];
            self.query::<menu_items::Model, _>(self.for_company(company, statement(sql, values))).await
        })
        .await
    }

    async fn find_by_id(&self, owner: Option<CompanyId>, id: MenuItemId) -> Result<Option<MenuItem>> {
        operation("menu_items.find_by_id", async {
            let sql = format!(
                "SELECT {} FROM menu_items AS m WHERE id = $1 AND company_id IS NOT DISTINCT FROM $2",
                columns::<menu_items::Entity>("m")
            );
            let values = [id.as_uuid().into(), owner.map(|id| id.as_uuid()).into()];
            self.query_one::<menu_items::Model, _>(self.for_company(owner, statement(sql, values))).await
        })
        .await
    }

    async fn find_using_view(&self, view: ViewId) -> Result<Vec<MenuUse>> {
        operation("menu_items.find_using_view", async {
            let sql = "SELECT label, id FROM menu_items WHERE view_id = $1
            UNION ALL SELECT label, id FROM sub_menu_items WHERE view_id = $1 ORDER BY label, id";
            self.uses(statement(sql, [view.as_uuid().into()])).await
        })
        .await
    }

    async fn find_using_feature(&self, feature: FeatureId) -> Result<Vec<MenuUse>> {
        operation("menu_items.find_using_feature", async {
            let sql = "SELECT label, id FROM menu_items WHERE feature_id = $1
            UNION ALL SELECT label, id FROM sub_menu_items WHERE feature_id = $1 ORDER BY label, id";
            self.uses(statement(sql, [feature.as_uuid().into()])).await
        })
        .await
    }

    async fn find_requiring(&self, key: &FeatureKey) -> Result<Vec<MenuUse>> {
        operation("menu_items.find_requiring", async {
            let sql = "SELECT label, id FROM menu_items WHERE required_permissions @> $1 ORDER BY label, id";
            self.uses(statement(sql, [serde_json::json!([key.as_str()]).into()])).await
        })
        .await
    }
}

#[async_trait]
impl<T: Executor> SubMenuItems for Repository<T> {
    async fn find_all(&self, company: Option<CompanyId>) -> Result<Vec<SubMenuItem>> {
        operation("sub_menu_items.find_all", async {
            let sql = format!(
                "SELECT {} FROM menu_items m JOIN sub_menu_items s ON s.menu_item_id = m.id
            WHERE m.company_id IS NULL OR m.company_id = $1 ORDER BY s.sort_order, s.label, s.id",
                columns::<sub_menu_items::Entity>("s")
            );
            let values = [company.map(|id| id.as_uuid()).into()];
            self.query::<sub_menu_items::Model, _>(self.for_company(company, statement(sql, values))).await
        })
        .await
    }

    async fn find_by_menu_id(&self, owner: Option<CompanyId>, item: MenuItemId) -> Result<Vec<SubMenuItem>> {
        operation("sub_menu_items.find_by_menu_id", async {
            let sql = format!(
                "SELECT {} FROM menu_items m JOIN sub_menu_items s ON s.menu_item_id = m.id
            WHERE m.id = $1 AND m.company_id IS NOT DISTINCT FROM $2 ORDER BY s.sort_order, s.label, s.id",
                columns::<sub_menu_items::Entity>("s")
            );
            let values = [item.as_uuid().into(), owner.map(|id| id.as_uuid()).into()];
            self.query::<sub_menu_items::Model, _>(self.for_company(owner, statement(sql, values))).await
        })
        .await
    }

    async fn find_by_id(&self, owner: Option<CompanyId>, id: SubMenuItemId) -> Result<Option<SubMenuItem>> {
        operation("sub_menu_items.find_by_id", async {
            let sql = format!(
                "SELECT {} FROM sub_menu_items s JOIN menu_items m ON m.id = s.menu_item_id
            WHERE s.id = $1 AND m.company_id IS NOT DISTINCT FROM $2",
                columns::<sub_menu_items::Entity>("s")
            );
            let values = [id.as_uuid().into(), owner.map(|id| id.as_uuid()).into()];
            self.query_one::<sub_menu_items::Model, _>(self.for_company(owner, statement(sql, values))).await
        })
        .await
    }
}
