//! The versions of companies, and, under ids that no company has, those of the catalog and of the credentials.

use sea_orm::entity::prelude::*;

/// The id under which the version of the catalog is stored; no company has it.
pub(crate) const CATALOG: &str = "'00000000-0000-0000-0000-000000000000'::uuid";

/// The id under which the version of the credentials is stored; no company has it.
pub(crate) const CREDENTIALS: &str = "'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid";

/// Whether an id can be a company's, and does not hold another version.
pub(crate) fn is_company(id: Uuid) -> bool {
    !id.is_nil() && !id.is_max()
}

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "company_states")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub company_id: Uuid,
    pub version: i64,
    pub provisioned_at: Option<DateTimeUtc>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
