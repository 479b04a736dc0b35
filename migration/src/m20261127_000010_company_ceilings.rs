//! The tenth migration: the column with the ceilings of a company.

use sea_orm_migration::prelude::*;

/// Adds a nullable column to the states of companies, and changes no row.
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

/// The column contains the hidden views and the maximum scopes of actions. It is in the row that every snapshot of a
/// company reads, so decisions need no other statement.
pub(crate) const UP: &str = "ALTER TABLE company_states ADD COLUMN ceilings jsonb";

/// Reverts [`UP`].
pub(crate) const DOWN: &str = "ALTER TABLE company_states DROP COLUMN ceilings";
