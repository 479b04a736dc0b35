//! The fourteenth migration: the periods in which assignments are in effect, and the actor that removes expired
//! assignments.

use sea_orm_migration::prelude::*;

/// Adds the start and the end of an assignment, and the actor `system` of audit records.
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

/// An assignment is in effect from `starts_at`, inclusive, until `expires_at`, exclusive. NULL means no limit.
///
/// The indexes find the boundaries of a company next to a point in time, and the expired assignments of all companies.
/// The views compare the expiry of rows with the time of the statement instead of the transaction: a row expires at the
/// latest at the next boundary of its company. The actor `system` removes expired assignments.
pub(crate) const UP: &str = "
ALTER TABLE user_user_levels
    ADD COLUMN starts_at timestamptz,
    ADD COLUMN expires_at timestamptz,
    ADD
    CONSTRAINT user_user_levels_expires_at_check CHECK (expires_at > starts_at) NOT VALID;
CREATE INDEX user_user_levels_company_id_starts_at_idx ON user_user_levels (company_id, starts_at)
    WHERE starts_at IS NOT NULL;
CREATE INDEX user_user_levels_company_id_expires_at_idx
    ON user_user_levels (company_id, expires_at, user_id, user_level_id) WHERE expires_at IS NOT NULL;
CREATE INDEX user_user_levels_expires_at_idx ON user_user_levels (expires_at) WHERE expires_at IS NOT NULL;

ALTER TABLE iam_audit_logs DROP CONSTRAINT iam_audit_logs_actor_kind_check;
ALTER TABLE iam_audit_logs ADD
    CONSTRAINT iam_audit_logs_actor_kind_check CHECK (actor_kind IN ('user', 'service', 'command_line', 'system'))
        NOT VALID;

CREATE OR REPLACE VIEW current_effective_view_permissions AS
SELECT row.company_id, row.user_id, row.view_id, row.has_access,
       row.computed_at, row.expires_at, row.company_version, row.catalog_version
FROM effective_view_permissions AS row
JOIN company_states AS company ON company.company_id = row.company_id AND company.version = row.company_version
JOIN company_states AS catalog ON catalog.company_id = '00000000-0000-0000-0000-000000000000'
                              AND catalog.version = row.catalog_version
WHERE row.expires_at > statement_timestamp();

CREATE OR REPLACE VIEW current_effective_feature_permissions AS
SELECT row.company_id, row.user_id, row.feature_id, row.action, row.allowed, row.scope,
       row.computed_at, row.expires_at, row.company_version, row.catalog_version
FROM effective_feature_permissions AS row
JOIN company_states AS company ON company.company_id = row.company_id AND company.version = row.company_version
JOIN company_states AS catalog ON catalog.company_id = '00000000-0000-0000-0000-000000000000'
                              AND catalog.version = row.catalog_version
WHERE row.expires_at > statement_timestamp();
";

/// Reverts [`UP`]. Deletes the assignments that have an end or have not started, which would otherwise become permanent.
/// The command line becomes the actor of the removals of expired assignments.
pub(crate) const DOWN: &str = "
CREATE OR REPLACE VIEW current_effective_feature_permissions AS
SELECT row.company_id, row.user_id, row.feature_id, row.action, row.allowed, row.scope,
       row.computed_at, row.expires_at, row.company_version, row.catalog_version
FROM effective_feature_permissions AS row
JOIN company_states AS company ON company.company_id = row.company_id AND company.version = row.company_version
JOIN company_states AS catalog ON catalog.company_id = '00000000-0000-0000-0000-000000000000'
                              AND catalog.version = row.catalog_version
WHERE row.expires_at > now();

CREATE OR REPLACE VIEW current_effective_view_permissions AS
SELECT row.company_id, row.user_id, row.view_id, row.has_access,
       row.computed_at, row.expires_at, row.company_version, row.catalog_version
FROM effective_view_permissions AS row
JOIN company_states AS company ON company.company_id = row.company_id AND company.version = row.company_version
JOIN company_states AS catalog ON catalog.company_id = '00000000-0000-0000-0000-000000000000'
                              AND catalog.version = row.catalog_version
WHERE row.expires_at > now();

SELECT set_config('iam.company', 'all', true);
WITH limited AS (
    DELETE FROM user_user_levels WHERE expires_at IS NOT NULL OR starts_at > statement_timestamp() RETURNING company_id
)
UPDATE company_states SET version = version + 1, updated_at = clock_timestamp()
WHERE company_id IN (SELECT company_id FROM limited);

ALTER TABLE iam_audit_logs DROP CONSTRAINT iam_audit_logs_actor_kind_check;
UPDATE iam_audit_logs SET actor_kind = 'command_line' WHERE actor_kind = 'system';
ALTER TABLE iam_audit_logs ADD
    CONSTRAINT iam_audit_logs_actor_kind_check CHECK (actor_kind IN ('user', 'service', 'command_line'));

DROP INDEX user_user_levels_expires_at_idx;
DROP INDEX user_user_levels_company_id_expires_at_idx;
DROP INDEX user_user_levels_company_id_starts_at_idx;
ALTER TABLE user_user_levels
    DROP CONSTRAINT user_user_levels_expires_at_check,
    DROP COLUMN expires_at,
    DROP COLUMN starts_at;
";
