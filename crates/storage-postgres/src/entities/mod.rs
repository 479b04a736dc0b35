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
use sea_orm::{ConnectionTrait, EntityTrait, QuerySelect};

use crate::error::from_db;

/// Asks for every column of an entity, and for no row.
async fn ask<E: EntityTrait>(connection: &impl ConnectionTrait) -> Result<()> {
    E::find().limit(0).all(connection).await.map_err(from_db).map(drop)
}

/// Whether the database has all tables and columns that are described here.
pub(crate) async fn check(connection: &impl ConnectionTrait) -> Result<()> {
    ask::<api_keys::Entity>(connection).await?;
    ask::<company2modules::Entity>(connection).await?;
    ask::<company_states::Entity>(connection).await?;
    ask::<effective_feature_permissions::Entity>(connection).await?;
    ask::<effective_view_permissions::Entity>(connection).await?;
    ask::<feature2views::Entity>(connection).await?;
    ask::<features::Entity>(connection).await?;
    ask::<iam_audit_logs::Entity>(connection).await?;
    ask::<menu_items::Entity>(connection).await?;
    ask::<module2features::Entity>(connection).await?;
    ask::<module2views::Entity>(connection).await?;
    ask::<modules::Entity>(connection).await?;
    ask::<nav_trail::Entity>(connection).await?;
    ask::<sub_menu_items::Entity>(connection).await?;
    ask::<user_cutoffs::Entity>(connection).await?;
    ask::<user_identities::Entity>(connection).await?;
    ask::<user_level_feature_permissions::Entity>(connection).await?;
    ask::<user_level_view_permissions::Entity>(connection).await?;
    ask::<user_levels::Entity>(connection).await?;
    ask::<user_user_levels::Entity>(connection).await?;
    ask::<views::Entity>(connection).await?;
    Ok(())
}
