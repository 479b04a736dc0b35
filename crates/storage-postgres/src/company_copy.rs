//! The SQL that reads the copy of a company, and the conversion of its result.

use std::sync::Arc;

use iam_domain::{Catalog, CompanyId, CompanyModule, Menu, UserLevel};
use iam_storage::{Assigned, CompanyCopy, CompanyState, CopiedLevel, Result};
use sea_orm::QueryResult;
use sea_orm::prelude::DateTimeUtc;
use serde::Deserialize;
use uuid::Uuid;

use crate::convert::companies::details;
use crate::convert::time;
use crate::copied_cells::{Cells, cell_columns, cells_in};
use crate::entities::{columns, company2modules, menu_items, sub_menu_items, user_levels};
use crate::holders::{holders, holders_in};
use crate::reads::ceilings::ceilings_in;
use crate::statement::{column, from_json, json_column};
use crate::unreadable::readable;

/// Returns the SQL of the columns of a snapshot of a company ($3) that only its copy has. The cells of its levels are
/// read from further [tables](crate::copied_cells::cell_tables).
pub(crate) fn company_copy() -> String {
    format!(
        ", company.provisioned_at, company.name::text AS name, company.erased_at, company.quotas::text AS quotas,
        (SELECT coalesce(json_agg(json_build_array(module_id, enabled, created_at, updated_at) ORDER BY module_id), '[]')
         FROM company2modules WHERE company_id = $3)::text AS granted,
        (SELECT coalesce(json_agg(level ORDER BY level.id), '[]')
         FROM (SELECT {levels} FROM user_levels AS own WHERE own.company_id = $3) AS level)::text AS own_levels,
        statement_timestamp() AS read_at,
        {own_menu}, {common_menu}{holders}{cells}",
        levels = columns::<user_levels::Entity>("own"),
        cells = cell_columns(),
        holders = holders("user_user_levels WHERE company_id = $3"),
        own_menu = menu_columns("m.company_id = $3", OWN_MENU),
        common_menu = menu_columns("m.company_id IS NULL", COMMON_MENU),
    )
}

/// The names of the columns with the items and the sub-items of a menu.
type MenuColumns = (&'static str, &'static str);

const OWN_MENU: MenuColumns = ("items", "sub_items");
const COMMON_MENU: MenuColumns = ("common_items", "common_sub_items");

/// Returns the SQL of the columns of a menu, whose items meet the condition `owned`.
fn menu_columns(owned: &str, (items, sub_items): MenuColumns) -> String {
    format!(
        "(SELECT coalesce(json_agg(row ORDER BY row.sort_order, row.label, row.id), '[]')
         FROM (SELECT {item} FROM menu_items m WHERE {owned}) AS row)::text AS {items},
        (SELECT coalesce(json_agg(row ORDER BY row.sort_order, row.label, row.id), '[]')
         FROM (SELECT {sub_item} FROM menu_items m JOIN sub_menu_items s ON s.menu_item_id = m.id
            WHERE {owned}) AS row)::text AS {sub_items}",
        item = columns::<menu_items::Entity>("m"),
        sub_item = columns::<sub_menu_items::Entity>("s"),
    )
}

/// Returns the menu in these columns.
fn menu_in(row: &QueryResult, (items, sub_items): MenuColumns) -> Result<Menu> {
    Ok(Menu {
        items: readable::<menu_items::Model, _>("menu_items", json_column(row, items)?),
        sub_items: readable::<sub_menu_items::Model, _>("sub_menu_items", json_column(row, sub_items)?),
    })
}

#[derive(Deserialize)]
struct ModuleRow(Uuid, bool, DateTimeUtc, DateTimeUtc);

/// Returns the copy of the company in a row with the columns of [`company_copy`].
pub(crate) fn copy_in(row: &QueryResult, company: CompanyId, catalog: Arc<Catalog>) -> Result<CompanyCopy> {
    let module = |ModuleRow(module_id, enabled, created_at, updated_at)| {
        let company_id = company.as_uuid();
        CompanyModule::from(company2modules::Model { company_id, module_id, enabled, created_at, updated_at })
    };
    let mut cells = cells_in(row, company)?;
    let level = |row: user_levels::Model| {
        let level = UserLevel::try_from(row)?;
        let Cells { views, features } = cells.remove(&level.id).unwrap_or_default();
        Ok(CopiedLevel { level, views, features })
    };
    let levels = json_column::<Vec<user_levels::Model>>(row, "own_levels")?;
    let quotas = column::<Option<String>>(row, "quotas")?.map(|text| from_json(&text)).transpose()?;
    Ok(CompanyCopy {
        company,
        read_at: time(column(row, "read_at")?),
        catalog,
        state: CompanyState {
            version: column(row, "company_version")?,
            provisioned_at: column::<Option<DateTimeUtc>>(row, "provisioned_at")?.map(time),
            details: details(column(row, "name")?, &column::<String>(row, "status")?)?,
            erased_at: column::<Option<DateTimeUtc>>(row, "erased_at")?.map(time),
        },
        modules: json_column::<Vec<ModuleRow>>(row, "granted")?.into_iter().map(module).collect(),
        ceilings: ceilings_in(row)?,
        quotas: quotas.unwrap_or_default(),
        levels: levels.into_iter().map(level).collect::<Result<_>>()?,
        holders: holders_in(row, |held| held.collect::<Assigned>())?,
        menu: menu_in(row, OWN_MENU)?,
        common_menu: menu_in(row, COMMON_MENU)?,
    })
}
