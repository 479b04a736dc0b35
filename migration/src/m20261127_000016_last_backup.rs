//! The sixteenth migration: the time of the latest backup.

use sea_orm_migration::prelude::*;

/// Adds the column in which a backup job records the time of the latest complete dump.
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

/// The service only reads the column. The role that dumps the database may update it, and nothing else.
pub(crate) const UP: &str = "
ALTER TABLE iam_installation ADD COLUMN last_backup_at timestamptz
    CONSTRAINT iam_installation_last_backup_at_check CHECK (isfinite(last_backup_at));
";

/// Reverts [`UP`].
pub(crate) const DOWN: &str = "
ALTER TABLE iam_installation DROP COLUMN last_backup_at;
";
