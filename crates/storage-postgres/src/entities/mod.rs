//! The SeaORM entities of the tables, with plain UUIDs, strings and timestamps. `convert` maps them to domain entities.

#![expect(unreachable_pub, reason = "SeaORM's macros make all items of an entity public")]

pub(crate) mod api_keys;
pub(crate) mod company2modules;
pub(crate) mod company_states;
pub(crate) mod console_sessions;
pub(crate) mod effective_feature_permissions;
pub(crate) mod effective_view_permissions;
pub(crate) mod feature2views;
pub(crate) mod features;
pub(crate) mod iam_audit_logs;
pub(crate) mod iam_cursor_keys;
pub(crate) mod idempotency_keys;
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
pub(crate) mod user_profiles;
pub(crate) mod user_user_levels;
pub(crate) mod views;

use sea_orm::sea_query::ColumnType;
use sea_orm::{ColumnTrait, DbBackend, EntityTrait, IdenStatic, Iterable, QuerySelect, QueryTrait, Statement};

/// Returns the select list of an entity's columns. `table` is the alias of the table in the statement. Each column is
/// listed by name and cast to the entity's type. When a migration adds or widens columns, the result types remain
/// unchanged, so prepared statements remain valid.
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

/// Returns a statement that selects every column of an entity with `LIMIT 0`.
fn probe<E: EntityTrait>() -> Statement {
    E::find().limit(0).build(DbBackend::Postgres)
}

/// Returns one statement per entity. The statement fails if the database lacks the entity's table or a column of this
/// table.
pub(crate) fn probes() -> [Statement; 25] {
    [
        probe::<api_keys::Entity>(),
        probe::<company2modules::Entity>(),
        probe::<company_states::Entity>(),
        probe::<console_sessions::Entity>(),
        probe::<effective_feature_permissions::Entity>(),
        probe::<effective_view_permissions::Entity>(),
        probe::<feature2views::Entity>(),
        probe::<features::Entity>(),
        probe::<iam_audit_logs::Entity>(),
        probe::<iam_cursor_keys::Entity>(),
        probe::<idempotency_keys::Entity>(),
        probe::<menu_items::Entity>(),
        probe::<module2features::Entity>(),
        probe::<module2views::Entity>(),
        probe::<modules::Entity>(),
        probe::<nav_trail::Entity>(),
        probe::<sub_menu_items::Entity>(),
        probe::<user_cutoffs::Entity>(),
        probe::<user_identities::Entity>(),
        probe::<user_level_feature_permissions::Entity>(),
        probe::<user_level_view_permissions::Entity>(),
        probe::<user_levels::Entity>(),
        probe::<user_profiles::Entity>(),
        probe::<user_user_levels::Entity>(),
        probe::<views::Entity>(),
    ]
}
