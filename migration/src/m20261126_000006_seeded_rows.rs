//! The sixth migration: which rows of the seed an installation was offered.

use sea_orm_migration::prelude::*;

/// Remembers seeded rows, so that those that operators delete stay deleted.
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

/// What earlier releases seeded is either still there or in the audit trail. Only seeded rows have ids of version 5.
pub(crate) const UP: &str = "
-- The seed's ids of the views, modules and features that were inserted, or found under their url, code or key.
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

/// Reverts all of that.
pub(crate) const DOWN: &str = "DROP TABLE iam_seeded_rows";
