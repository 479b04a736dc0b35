//! The eleventh migration: the names and the status of companies, the tombstones of erased companies, and the profiles
//! of users.

use sea_orm_migration::prelude::*;

/// Adds columns to the states of companies, and creates the table of profiles. Changes no stored value.
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

/// The name and the status are in the row that every change to a company locks, and that every load of permissions
/// reads. So decisions read the status without another statement, and a new status has a new version. The row of an
/// erased company remains as a tombstone (`erased_at`).
///
/// The columns `…_folded` contain the case-folded texts, for searches. The service writes them, because PostgreSQL
/// folds only ASCII letters in texts with the collation `C`.
pub(crate) const UP: &str = r#"
ALTER TABLE company_states
    ADD COLUMN name varchar(255) COLLATE "C",
    ADD COLUMN name_folded text COLLATE "C",
    ADD COLUMN status varchar(20) COLLATE "C" NOT NULL DEFAULT 'active',
    ADD COLUMN erased_at timestamptz,
    ADD
    CONSTRAINT company_states_status_check CHECK (status IN ('active', 'suspended'));

CREATE INDEX company_states_name_folded_company_id_idx ON company_states (name_folded, company_id);

CREATE INDEX api_keys_company_id_idx ON api_keys (company_id);

CREATE TABLE user_profiles (
    company_id   uuid                     NOT NULL,
    user_id      uuid                     NOT NULL,
    display_name varchar(255) COLLATE "C",
    email        varchar(254) COLLATE "C",
    name_folded  text         COLLATE "C",
    email_folded text         COLLATE "C",
    source       varchar(20)  COLLATE "C" NOT NULL,
    created_at   timestamptz              NOT NULL DEFAULT now(),
    updated_at   timestamptz              NOT NULL DEFAULT now(),
    CONSTRAINT user_profiles_pkey PRIMARY KEY (company_id, user_id),
    CONSTRAINT user_profiles_source_check CHECK (source IN ('api', 'token'))
);

ALTER TABLE user_profiles ENABLE ROW LEVEL SECURITY;
ALTER TABLE user_profiles FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON user_profiles
    USING (company_id = (SELECT nullif(current_setting('iam.company'), 'all')::uuid AS company)
        OR (SELECT current_setting('iam.company') = 'all'));
"#;

/// Reverts [`UP`].
pub(crate) const DOWN: &str = "
DROP TABLE user_profiles;
DROP INDEX api_keys_company_id_idx;
ALTER TABLE company_states DROP COLUMN name, DROP COLUMN name_folded, DROP COLUMN status, DROP COLUMN erased_at;
";
