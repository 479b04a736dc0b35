//! The SQL that reads the copy of a company, and the conversion of its result.

use std::collections::BTreeMap;
use std::sync::Arc;

use iam_domain::{
    Catalog, CompanyId, CompanyModule, FeaturePermission, Menu, Period, UserId, UserLevel, UserLevelId, ViewPermission,
};
use iam_storage::{CompanyCopy, CompanyState, CopiedLevel, Result};
use sea_orm::QueryResult;
use sea_orm::prelude::DateTimeUtc;
use serde::Deserialize;
use uuid::Uuid;

use crate::convert::companies::details;
use crate::convert::time;
use crate::entities::{
    columns, company2modules, menu_items, sub_menu_items, user_level_feature_permissions, user_level_view_permissions,
    user_levels,
};
use crate::reads::ceilings::ceilings_in;
use crate::statement::{column, from_json, json_column};
use crate::unreadable::readable;

/// Returns the SQL of the columns of a snapshot of a company ($3) that only its copy has.
pub(crate) fn company_copy() -> String {
    format!(
        ", company.provisioned_at, company.name::text AS name, company.erased_at, company.quotas::text AS quotas,
        (SELECT coalesce(json_agg(json_build_array(module_id, enabled, created_at, updated_at) ORDER BY module_id), '[]')
         FROM company2modules WHERE company_id = $3)::text AS granted,
        (SELECT coalesce(json_agg(json_build_array(
            level,
            (SELECT coalesce(json_agg(json_build_array(id, view_id, state, modifiable, created_at, updated_at)
                ORDER BY view_id), '[]')
             FROM user_level_view_permissions WHERE company_id = $3 AND user_level_id = level.id),
            (SELECT coalesce(json_agg(json_build_array(id, feature_id, action, value, scope, modifiable, created_at,
                updated_at) ORDER BY feature_id, action), '[]')
             FROM user_level_feature_permissions WHERE company_id = $3 AND user_level_id = level.id)
        ) ORDER BY level.id), '[]')
        FROM (SELECT {levels} FROM user_levels AS own WHERE own.company_id = $3) AS level)::text AS matrices,
        statement_timestamp() AS read_at,
        (SELECT coalesce(json_agg(json_build_array(user_id, held)), '[]')
         FROM (SELECT user_id, json_agg(json_build_array(user_level_id, starts_at, expires_at)) AS held
            FROM user_user_levels WHERE company_id = $3 GROUP BY user_id) AS holder)::text AS held,
        {own_menu}, {common_menu}",
        levels = columns::<user_levels::Entity>("own"),
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

#[derive(Deserialize)]
struct HeldRow(Uuid, Option<DateTimeUtc>, Option<DateTimeUtc>);

#[derive(Deserialize)]
struct ViewRow(Uuid, Uuid, String, bool, DateTimeUtc, DateTimeUtc);

#[derive(Deserialize)]
struct FeatureRow(Uuid, Uuid, String, bool, String, bool, DateTimeUtc, DateTimeUtc);

#[derive(Deserialize)]
struct LevelRow(user_levels::Model, Vec<ViewRow>, Vec<FeatureRow>);

impl TryFrom<LevelRow> for CopiedLevel {
    type Error = iam_storage::StorageError;

    fn try_from(LevelRow(level, views, features): LevelRow) -> Result<Self> {
        let (company_id, user_level_id) = (level.company_id, level.id);
        let view = |ViewRow(id, view_id, state, modifiable, created_at, updated_at)| {
            let row = user_level_view_permissions::Model {
                id,
                company_id,
                user_level_id,
                view_id,
                state,
                modifiable,
                created_at,
                updated_at,
            };
            ViewPermission::try_from(row)
        };
        let feature = |FeatureRow(id, feature_id, action, value, scope, modifiable, created_at, updated_at)| {
            let row = user_level_feature_permissions::Model {
                id,
                company_id,
                user_level_id,
                feature_id,
                action,
                value,
                scope,
                modifiable,
                created_at,
                updated_at,
            };
            FeaturePermission::try_from(row)
        };
        Ok(Self {
            level: UserLevel::try_from(level)?,
            views: views.into_iter().map(view).collect::<Result<_>>()?,
            features: features.into_iter().map(feature).collect::<Result<_>>()?,
        })
    }
}

/// Returns the copy of the company in a row with the columns of [`company_copy`].
pub(crate) fn copy_in(row: &QueryResult, company: CompanyId, catalog: Arc<Catalog>) -> Result<CompanyCopy> {
    let module = |ModuleRow(module_id, enabled, created_at, updated_at)| {
        let company_id = company.as_uuid();
        CompanyModule::from(company2modules::Model { company_id, module_id, enabled, created_at, updated_at })
    };
    let levels = json_column::<Vec<LevelRow>>(row, "matrices")?;
    let held = |HeldRow(level, starts_at, expires_at)| {
        (UserLevelId::from_uuid(level), Period { starts_at: starts_at.map(time), expires_at: expires_at.map(time) })
    };
    let holders = json_column::<Vec<(Uuid, Vec<HeldRow>)>>(row, "held")?
        .into_iter()
        .map(|(user, levels)| (UserId::from_uuid(user), levels.into_iter().map(held).collect()));
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
        levels: levels.into_iter().map(CopiedLevel::try_from).collect::<Result<_>>()?,
        holders: holders.collect::<BTreeMap<_, _>>(),
        menu: menu_in(row, OWN_MENU)?,
        common_menu: menu_in(row, COMMON_MENU)?,
    })
}
