//! The second migration: external users, cut-offs, and the API keys of services.

use sea_orm_migration::prelude::*;

/// Creates the tables for users and credentials, and the row with the version of the credentials.
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

/// The SQL of the migration.
pub(crate) const UP: &str = r#"
-- The issuer and the subject of each external user. The user id is computed from them; this table maps the id back to
-- them.

CREATE TABLE user_identities (
    user_id    uuid                     NOT NULL,
    issuer     varchar(255) COLLATE "C" NOT NULL,
    subject    varchar(255) COLLATE "C" NOT NULL,
    created_at timestamptz              NOT NULL DEFAULT now(),
    CONSTRAINT user_identities_pkey PRIMARY KEY (user_id),
    CONSTRAINT user_identities_issuer_subject_key UNIQUE (issuer, subject)
);

-- All credentials share one version, in the row with this reserved id, which no company has. Each cut-off and API key
-- contains the version of its last change, so that a process reads only the rows that are new to it. No cut-off and no
-- API key is ever deleted.

INSERT INTO company_states (company_id) VALUES ('ffffffff-ffff-ffff-ffff-ffffffffffff');

CREATE TABLE user_cutoffs (
    user_id    uuid        NOT NULL,
    not_before timestamptz NOT NULL,
    version    bigint      NOT NULL,
    CONSTRAINT user_cutoffs_pkey PRIMARY KEY (user_id),
    CONSTRAINT user_cutoffs_not_before_check CHECK (isfinite(not_before))
);
CREATE INDEX user_cutoffs_version_idx ON user_cutoffs (version);

CREATE TABLE api_keys (
    id           uuid                     NOT NULL,
    prefix       varchar(12)  COLLATE "C" NOT NULL,
    digest       bytea                    NOT NULL,
    name         varchar(255) COLLATE "C" NOT NULL,
    role         varchar(20)  COLLATE "C" NOT NULL,
    company_id   uuid,
    created_by   uuid,
    created_at   timestamptz              NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    revoked_at   timestamptz,
    last_used_at timestamptz,
    version      bigint                   NOT NULL,
    CONSTRAINT api_keys_pkey PRIMARY KEY (id),
    CONSTRAINT api_keys_prefix_key UNIQUE (prefix),
    CONSTRAINT api_keys_prefix_check CHECK (prefix ~ '^[A-Za-z0-9]{12}$'),
    CONSTRAINT api_keys_expires_at_check CHECK (isfinite(expires_at)),
    CONSTRAINT api_keys_digest_check CHECK (octet_length(digest) = 32),
    CONSTRAINT api_keys_role_check CHECK (role IN ('check', 'read', 'administer'))
);
CREATE INDEX api_keys_version_idx ON api_keys (version);
"#;

/// Reverts [`UP`].
pub(crate) const DOWN: &str = "
DROP TABLE api_keys, user_cutoffs, user_identities;
DELETE FROM company_states WHERE company_id = 'ffffffff-ffff-ffff-ffff-ffffffffffff';
";
