//! The sixth migration: the table that records which seed rows an installation has already received.

use sea_orm_migration::prelude::*;

/// Creates the table that records seeded rows, so that the seed does not reinsert rows that operators have deleted.
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

/// The migration also records the ids of the rows that earlier releases seeded. It finds existing rows in their tables,
/// and deleted rows in the audit log. Seeded rows are recognized by their ids: only their ids are version 5 UUIDs.
pub(crate) const UP: &str = "
-- The seed ids of the views, modules and features that were inserted, or whose URL, code or key already existed.
CREATE TABLE iam_seeded_rows (
    id uuid NOT NULL,
    CONSTRAINT iam_seeded_rows_pkey PRIMARY KEY (id)
);

INSERT INTO iam_seeded_rows (id)
SELECT id FROM (
    SELECT id FROM views
    UNION SELECT id FROM modules
    UNION SELECT id FROM features
    UNION SELECT entity_id FROM iam_audit_logs
        WHERE company_id IS NULL AND entity_type IN ('view', 'module', 'feature')
            AND action IN ('view.created', 'module.created', 'feature.created')
) AS known
WHERE substr(id::text, 15, 1) = '5';
";

/// Reverts [`UP`].
pub(crate) const DOWN: &str = "DROP TABLE iam_seeded_rows";
