//! Functions for commands that change data: they begin a transaction on the current schema, acquire the global lock,
//! and write audit records.

use iam_domain::{AuditRecord, Timestamp};
use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::bookkeeping::Bookkeeping;
use crate::error::MigrationError;
use crate::session::{Records, begin, statement};
use crate::{Migrator, compare, names};

/// Query for the form of the global lock that the installation uses.
const READ_GATE: &str = "SELECT gate FROM iam_engine";

/// Query that acquires the global lock in exclusive mode, in the form `native`. Every change acquires the global lock.
/// The lock is fair (FIFO): changes to companies that request it later must wait.
const ACQUIRE_TABLE_LOCK: &str = "SELECT iam_lock_changes(true)";

/// Query that acquires the global lock in exclusive mode, in the form `row`.
const ACQUIRE_ROW_LOCK: &str = "SELECT gate FROM iam_engine FOR UPDATE";

/// Statement that adds a wanted mark with the id $1: changes to companies that arrive later wait until the mark is
/// removed or has expired. The mark expires a little later than the lock timeout of this program.
const ADD_MARK: &str = "INSERT INTO iam_gate_marks (id, wanted_at, expires_at)
    VALUES ($1, clock_timestamp(), clock_timestamp() + interval '6 s')";

const REMOVE_MARK: &str = "DELETE FROM iam_gate_marks WHERE id = $1";

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

/// Begins a transaction as [`begin_on_current_schema`] does, and acquires the global lock, after all changes in progress
/// have ended. No other change can begin until the transaction ends.
pub(crate) async fn begin_change(db: &DatabaseConnection) -> Result<DatabaseTransaction, MigrationError> {
    let tx = begin_on_current_schema(db).await?;
    if read_gate(&tx, READ_GATE).await? != ROW {
        acquire_table_lock(&tx).await?;
        return Ok(tx);
    }
    // Row locks are not fair, so this change commits a wanted mark before it waits.
    let mark = Uuid::new_v4();
    tx.execute_raw(statement(ADD_MARK, [mark.into()])).await?;
    tx.commit().await?;
    let tx = begin_on_current_schema(db).await?;
    if read_gate(&tx, ACQUIRE_ROW_LOCK).await? != ROW {
        return Err(DbErr::Custom(
            "the form of the global lock has just been changed; run the command again".to_owned(),
        )
        .into());
    }
    tx.execute_raw(statement(REMOVE_MARK, [mark.into()])).await?;
    Ok(tx)
}

/// The name of the form of the global lock that is a row lock.
const ROW: &str = "row";

async fn read_gate(tx: &DatabaseTransaction, query: &str) -> Result<String, DbErr> {
    let row = tx.query_one_raw(statement(query, [])).await?;
    row.ok_or_else(|| DbErr::RecordNotFound("the table iam_engine has no row".to_owned()))?.try_get("", "gate")
}

async fn acquire_table_lock(tx: &DatabaseTransaction) -> Result<(), DbErr> {
    tx.execute_raw(statement(ACQUIRE_TABLE_LOCK, [])).await?;
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
