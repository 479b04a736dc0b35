//! The twelfth migration: the key that signs the cursors of lists.

use sea_orm_migration::prelude::*;

/// Creates the table with the key, and generates the key.
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

/// The key is in the database because all replicas must have the same key. It is in a table of its own, so that roles
/// which read other tables cannot read it. `gen_random_uuid` uses a cryptographically secure random number generator;
/// the two UUIDs have 244 random bits.
pub(crate) const UP: &str = "
-- One row.
CREATE TABLE iam_cursor_keys (
    is_only boolean NOT NULL DEFAULT true,
    key     bytea   NOT NULL DEFAULT uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()),
    CONSTRAINT iam_cursor_keys_pkey PRIMARY KEY (is_only),
    CONSTRAINT iam_cursor_keys_is_only_check CHECK (is_only),
    CONSTRAINT iam_cursor_keys_key_check CHECK (octet_length(key) = 32)
);

REVOKE ALL ON iam_cursor_keys FROM PUBLIC;

INSERT INTO iam_cursor_keys DEFAULT VALUES;
";

/// Reverts [`UP`].
pub(crate) const DOWN: &str = "DROP TABLE iam_cursor_keys";
