//! Menu items.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, serde::Deserialize)]
#[sea_orm(table_name = "menu_items")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub company_id: Option<Uuid>,
    pub label: String,
    pub icon: Option<String>,
    pub priority: String,
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub required_permissions: Option<Json>,
    pub sort_order: i32,
    pub view_id: Option<Uuid>,
    pub feature_id: Option<Uuid>,
    pub is_entrypoint: bool,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
