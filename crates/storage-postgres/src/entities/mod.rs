//! SeaORM's picture of the tables: bare UUIDs, texts and times. Only this crate sees it; `convert` turns it into the
//! domain's entities.

#![expect(unreachable_pub, reason = "SeaORM's macros make everything of an entity public")]

pub(crate) mod api_keys;
pub(crate) mod company2modules;
pub(crate) mod company_states;
pub(crate) mod effective_feature_permissions;
pub(crate) mod effective_view_permissions;
pub(crate) mod feature2views;
pub(crate) mod features;
pub(crate) mod iam_audit_logs;
pub(crate) mod menu_items;
pub(crate) mod module2features;
pub(crate) mod module2views;
pub(crate) mod modules;
pub(crate) mod nav_trail;
pub(crate) mod sub_menu_items;
pub(crate) mod user_cutoffs;
pub(crate) mod user_identities;
pub(crate) mod user_level_feature_permissions;
pub(crate) mod user_level_view_permissions;
pub(crate) mod user_levels;
pub(crate) mod user_user_levels;
pub(crate) mod views;

use iam_storage::Result;
use sea_orm::sea_query::ColumnType;
use sea_orm::{ColumnTrait, DbBackend, EntityTrait, IdenStatic, Iterable, QuerySelect, QueryTrait};

use crate::repository::{Connected, Repository};

/// The select list for an entity's columns, in a statement that calls its table `table`. Each is named and cast to the
/// entity's type, so the answer stays the same when the table gets more columns, or wider ones.
pub(crate) fn columns<E: EntityTrait>(table: &str) -> String {
    let column = |column: E::Column| {
        let (name, definition) = (column.as_str(), column.def());
        let cast = match definition.get_column_type() {
            ColumnType::String(_) | ColumnType::Text => "::text",
            ColumnType::Integer => "::integer",
            _ => return format!("{table}.\"{name}\""),
        };
        format!("{table}.\"{name}\"{cast} AS \"{name}\"")
    };
    E::Column::iter().map(column).collect::<Vec<_>>().join(", ")
}

/// Asks for every column of an entity, and for no row.
async fn ask<E: EntityTrait, T: Connected>(repository: &Repository<T>) -> Result<()> {
    repository.rows(E::find().limit(0).build(DbBackend::Postgres)).await.map(drop)
}

/// Whether the database has all tables and columns that are described here.
pub(crate) async fn check<T: Connected>(repository: &Repository<T>) -> Result<()> {
    ask::<api_keys::Entity, T>(repository).await?;
    ask::<company2modules::Entity, T>(repository).await?;
    ask::<company_states::Entity, T>(repository).await?;
    ask::<effective_feature_permissions::Entity, T>(repository).await?;
    ask::<effective_view_permissions::Entity, T>(repository).await?;
    ask::<feature2views::Entity, T>(repository).await?;
    ask::<features::Entity, T>(repository).await?;
    ask::<iam_audit_logs::Entity, T>(repository).await?;
    ask::<menu_items::Entity, T>(repository).await?;
    ask::<module2features::Entity, T>(repository).await?;
    ask::<module2views::Entity, T>(repository).await?;
    ask::<modules::Entity, T>(repository).await?;
    ask::<nav_trail::Entity, T>(repository).await?;
    ask::<sub_menu_items::Entity, T>(repository).await?;
    ask::<user_cutoffs::Entity, T>(repository).await?;
    ask::<user_identities::Entity, T>(repository).await?;
    ask::<user_level_feature_permissions::Entity, T>(repository).await?;
    ask::<user_level_view_permissions::Entity, T>(repository).await?;
    ask::<user_levels::Entity, T>(repository).await?;
    ask::<user_user_levels::Entity, T>(repository).await?;
    ask::<views::Entity, T>(repository).await?;
    Ok(())
}
