//! The key that signs the cursors of lists, in one row.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "iam_cursor_keys")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub is_only: bool,
    pub key: Vec<u8>,
}

impl ActiveModelBehavior for ActiveModel {}
