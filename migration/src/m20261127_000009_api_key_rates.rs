//! The ninth migration: the column with the rate of an API key.

use sea_orm_migration::prelude::*;

/// Adds a nullable column to the API keys, and changes no row.
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

/// The column contains the units of work per second that requests with the key may cause. It is null if the setting for
/// all API keys applies.
pub(crate) const UP: &str = "
ALTER TABLE api_keys ADD COLUMN requests_per_second integer
    CONSTRAINT api_keys_requests_per_second_check CHECK (requests_per_second BETWEEN 1 AND 1000000);
";

/// Reverts [`UP`].
pub(crate) const DOWN: &str = "ALTER TABLE api_keys DROP COLUMN requests_per_second";
