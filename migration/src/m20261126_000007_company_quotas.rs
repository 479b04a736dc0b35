//! The seventh migration: the column with the overrides of a company's quotas.

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

/// The column contains a JSON object with the name and the limit of each overridden quota. It is in the row that every
/// change to a company locks, so a change reads the overrides without another statement.
pub(crate) const UP: &str = "ALTER TABLE company_states ADD COLUMN quotas jsonb";

/// Reverts [`UP`].
pub(crate) const DOWN: &str = "ALTER TABLE company_states DROP COLUMN quotas";
