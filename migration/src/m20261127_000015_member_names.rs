//! The fifteenth migration: the index of the members of a company by name.

use sea_orm_migration::prelude::*;

use crate::indexes::ConcurrentIndex;

/// Declares the index from which the list of members that is sorted by name is read.
#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    /// Does nothing: [`INDEX`] is built after the transaction of the migrations.
    async fn up(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(DOWN).await.map(drop)
    }
}

/// The list is ordered by folded name, then by user.
pub(crate) const INDEX: ConcurrentIndex = ConcurrentIndex {
    name: "user_profiles_company_id_name_folded_user_id_idx",
    table: "user_profiles",
    definition: "(company_id, name_folded, user_id)",
};

/// Drops [`INDEX`], unless its build has not succeeded.
const DOWN: &str = "DROP INDEX IF EXISTS user_profiles_company_id_name_folded_user_id_idx";
