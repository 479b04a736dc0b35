//! Cut-offs of users: tokens of a user that were issued before the cut-off are rejected.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "user_cutoffs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Uuid,
    pub not_before: DateTimeUtc,
    pub version: i64,
}

impl ActiveModelBehavior for ActiveModel {}
