//! The version, the name, the status and the time of provisioning of each company. Two rows with reserved ids contain the versions of the
//! catalog and of the credentials.

use sea_orm::entity::prelude::*;

/// The id of the row that contains the version of the catalog. It is the nil UUID, which is never the id of a company.
pub(crate) const CATALOG: &str = "'00000000-0000-0000-0000-000000000000'::uuid";

/// The id of the row that contains the version of the credentials. It is the max UUID, which is never the id of a
/// company.
pub(crate) const CREDENTIALS: &str = "'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid";

/// Returns `true` if this UUID can be the id of a company. The nil UUID and the max UUID are reserved.
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
    pub name: Option<String>,
    pub status: String,
    pub erased_at: Option<DateTimeUtc>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
