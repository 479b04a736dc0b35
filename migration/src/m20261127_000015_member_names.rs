//! The fifteenth migration: the index of the members of a company by name.

use sea_orm_migration::prelude::*;

/// Adds the index from which the list of members that is sorted by name is read.
#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(UP).await.map(drop)
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(DOWN).await.map(drop)
    }
}

/// The list is ordered by folded name, then by user.
pub(crate) const UP: &str = "
CREATE INDEX user_profiles_company_id_name_folded_user_id_idx ON user_profiles (company_id, name_folded, user_id);
";

/// Reverts [`UP`].
pub(crate) const DOWN: &str = "
DROP INDEX user_profiles_company_id_name_folded_user_id_idx;
";
