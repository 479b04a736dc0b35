//! The nineteenth migration: the table of the console's sessions.

use sea_orm_migration::prelude::*;

/// Creates the table of the console's sessions.
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

/// A row contains the SHA-256 digest of the key of a session, because a copy of the table must not sign anybody in. The rows
/// belong to the platform: statements of a company see none of them.
pub(crate) const UP: &str = r#"
CREATE TABLE console_sessions (
    digest     bytea            NOT NULL,
    content    text COLLATE "C" NOT NULL,
    ends_at    timestamptz      NOT NULL,
    expires_at timestamptz      NOT NULL,
    CONSTRAINT console_sessions_pkey PRIMARY KEY (digest),
    CONSTRAINT console_sessions_digest_check CHECK (octet_length(digest) = 32),
    CONSTRAINT console_sessions_expires_at_check CHECK (expires_at <= ends_at)
);
CREATE INDEX console_sessions_expires_at_idx ON console_sessions (expires_at);

ALTER TABLE console_sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE console_sessions FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON console_sessions USING ((SELECT current_setting('iam.company') = 'all'));
"#;

/// Reverts [`UP`].
pub(crate) const DOWN: &str = "DROP TABLE console_sessions";
