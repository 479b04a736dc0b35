//! Functions for commands that change data: they begin a transaction on the current schema, acquire the global lock,
//! and write audit records.

use iam_domain::{AuditRecord, Timestamp};
use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr};
use serde::Serialize;
use serde_json::Value;

use crate::bookkeeping::Bookkeeping;
use crate::error::MigrationError;
use crate::session::{Records, begin, statement};
use crate::{Migrator, compare, names};

/// Query that acquires the global lock in exclusive mode. Every change acquires the global lock. The lock is fair
/// (FIFO): changes to companies that request it later must wait.
const ACQUIRE_GLOBAL_LOCK: &str = "SELECT iam_lock_changes(true)";

/// Query for the sessions that hold the advisory lock that was the global lock in the previous release, or wait for it,
/// and whose role may change data. These sessions belong to replicas of the previous release. Sessions of other roles
/// do not count, because any role can hold an advisory lock. The next release removes this query.
const IS_PREVIOUS_LOCK_USED: &str = "
    SELECT CASE WHEN pg_try_advisory_xact_lock('company_states'::regclass::oid::int4, 1) THEN false ELSE EXISTS (
        SELECT FROM pg_locks AS lock JOIN pg_stat_activity AS session USING (pid)
        WHERE lock.locktype = 'advisory' AND lock.database = session.datid AND lock.objsubid = 2
            AND lock.classid = 'company_states'::regclass AND lock.objid = 1 AND lock.pid <> pg_backend_pid()
            AND session.datname = current_database()
            AND has_table_privilege(session.usesysid, 'company_states', 'UPDATE')
    ) END AS is_used";

/// Query that waits for the lock of the previous release.
const ACQUIRE_PREVIOUS_LOCK: &str = "SELECT pg_advisory_xact_lock('company_states'::regclass::oid::int4, 1) IS NULL";

const APPEND_AUDIT_RECORDS: &str = r#"
    INSERT INTO iam_audit_logs (id, company_id, actor_kind, action, entity_type, entity_id, changes, "timestamp")
    SELECT id, "companyId", "actorKind", action, "entityType", "entityId", changes, $2
    FROM jsonb_to_recordset($1) AS record (
        id uuid, "companyId" uuid, "actorKind" text, action text, "entityType" text, "entityId" uuid, changes jsonb
    )"#;

/// Begins a transaction as [`begin`] does, and fails if migrations are pending.
pub(crate) async fn begin_on_current_schema(db: &DatabaseConnection) -> Result<DatabaseTransaction, MigrationError> {
    let tx = begin::<Migrator>(db, Records::Optional).await?;
    let pending = names(compare::<Migrator>(&Bookkeeping::read::<Migrator>(&tx).await?)?, false);
    if pending.is_empty() { Ok(tx) } else { Err(MigrationError::Behind { pending }) }
}

/// Acquires the global lock, after all changes in progress have ended. No other change can begin until the transaction
/// ends.
pub(crate) async fn acquire_global_lock(tx: &DatabaseTransaction) -> Result<(), DbErr> {
    tx.execute_raw(statement(ACQUIRE_GLOBAL_LOCK, [])).await?;
    let used = tx.query_one_raw(statement(IS_PREVIOUS_LOCK_USED, [])).await?;
    if used.map_or(Ok(false), |row| row.try_get("", "is_used"))? {
        tx.execute_raw(statement(ACQUIRE_PREVIOUS_LOCK, [])).await?;
    }
    Ok(())
}

/// Writes audit records with the timestamp `at`. The records' own timestamps are ignored, because their JSON has only
/// millisecond precision.
pub(crate) async fn append_audit_records(
    tx: &DatabaseTransaction,
    records: &[AuditRecord],
    at: Timestamp,
) -> Result<(), DbErr> {
    let values = [to_json(records)?.into(), at.as_datetime().into()];
    tx.execute_raw(statement(APPEND_AUDIT_RECORDS, values)).await.map(drop)
}

/// Serializes a value to JSON. A serialization error is returned as [`DbErr::Json`].
pub(crate) fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<Value, DbErr> {
    serde_json::to_value(value).map_err(|error| DbErr::Json(error.to_string()))
}
