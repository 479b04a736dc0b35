//! The fifth migration: replaces an index that led the planner to a bad plan, and an index that did not support all
//! filters of the audit log.

use sea_orm_migration::prelude::*;

/// Replaces two indexes, and changes no table.
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

/// The levels of a user are looked up by the index on `(company_id, user_id, user_level_id)`. Another index also began
/// with `company_id`, but had `user_id` last. Without statistics, the planner considered both indexes equally good, and
/// could read all rows of the company. After this migration, no other index of the table begins with `company_id`.
pub(crate) const UP: &str = r#"
CREATE INDEX IF NOT EXISTS user_user_levels_user_level_id_company_id_user_id_idx
    ON user_user_levels (user_level_id, company_id, user_id);
DROP INDEX user_user_levels_company_id_user_level_id_user_id_idx;

CREATE INDEX IF NOT EXISTS iam_audit_logs_company_id_entity_type_timestamp_idx
    ON iam_audit_logs (company_id, entity_type, "timestamp" DESC, id DESC);
CREATE INDEX IF NOT EXISTS iam_audit_logs_company_id_entity_id_timestamp_idx
    ON iam_audit_logs (company_id, entity_id, "timestamp" DESC, id DESC);
DROP INDEX iam_audit_logs_company_id_entity_type_entity_id_timestamp_idx;
"#;

/// Reverts [`UP`].
pub(crate) const DOWN: &str = r#"
CREATE INDEX iam_audit_logs_company_id_entity_type_entity_id_timestamp_idx
    ON iam_audit_logs (company_id, entity_type, entity_id, "timestamp" DESC, id DESC);
DROP INDEX iam_audit_logs_company_id_entity_id_timestamp_idx, iam_audit_logs_company_id_entity_type_timestamp_idx;

CREATE INDEX user_user_levels_company_id_user_level_id_user_id_idx
    ON user_user_levels (company_id, user_level_id, user_id);
DROP INDEX user_user_levels_user_level_id_company_id_user_id_idx;
"#;
