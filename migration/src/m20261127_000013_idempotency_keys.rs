//! The thirteenth migration: the table of requests with idempotency keys.

use sea_orm_migration::prelude::*;

/// Creates the table of requests with idempotency keys.
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

/// A row contains the digest of the company and of the body, and the id of the entity that the request created. It has a
/// company if the request changed this company, so that an erasure of the company deletes the row.
pub(crate) const UP: &str = r#"
CREATE TABLE idempotency_keys (
    actor_kind varchar(20)  COLLATE "C" NOT NULL,
    actor_id   uuid                     NOT NULL,
    key        varchar(255) COLLATE "C" NOT NULL,
    company_id uuid,
    method     varchar(10)  COLLATE "C" NOT NULL,
    path       varchar(255) COLLATE "C" NOT NULL,
    digest     bytea                    NOT NULL,
    entity_id  uuid                     NOT NULL,
    expires_at timestamptz              NOT NULL,
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (actor_kind, actor_id, key),
    CONSTRAINT idempotency_keys_actor_kind_check CHECK (actor_kind IN ('user', 'service')),
    CONSTRAINT idempotency_keys_digest_check CHECK (octet_length(digest) = 32)
);
CREATE INDEX idempotency_keys_expires_at_idx ON idempotency_keys (expires_at);
CREATE INDEX idempotency_keys_company_id_idx ON idempotency_keys (company_id);

ALTER TABLE idempotency_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE idempotency_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON idempotency_keys
    USING (company_id = (SELECT nullif(current_setting('iam.company'), 'all')::uuid AS company)
        OR (SELECT current_setting('iam.company') = 'all'));
"#;

/// Reverts [`UP`].
pub(crate) const DOWN: &str = "DROP TABLE idempotency_keys";
