//! Effective permissions of users for views.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "effective_view_permissions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub company_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub view_id: Uuid,
    pub has_access: bool,
    pub computed_at: DateTimeUtc,
    pub expires_at: DateTimeUtc,
    pub company_version: i64,
    pub catalog_version: i64,
}

impl ActiveModelBehavior for ActiveModel {}
