//! Functions for commands that change data: they begin a transaction on the current schema, acquire the global lock,
//! and write audit records.

use iam_domain::{AuditRecord, Timestamp};
use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr};
use serde::Serialize;
use serde_json::Value;

use crate::bookkeeping::Bookkeeping;
use crate::error::MigrationError;
use crate::session::{begin, statement};
use crate::{Migrator, compare, names};

// Query that acquires the global lock in exclusive mode. The global lock is an advisory lock that every change
// acquires; `global_lock.rs` in the PostgreSQL adapter defines its key. The lock is fair (FIFO): changes to companies
// that request it later must wait.
const ACQUIRE_GLOBAL_LOCK: &str = "SELECT pg_advisory_xact_lock('company_states'::regclass::oid::int4, 1)";

const APPEND_AUDIT_RECORDS: &str = r#"
    INSERT INTO iam_audit_logs (id, company_id, actor_kind, action, entity_type, entity_id, changes, "timestamp")
    SELECT id, "companyId", "actorKind", action, "entityType", "entityId", changes, $2
    FROM jsonb_to_recordset($1) AS record (
        id uuid, "companyId" uuid, "actorKind" text, action text, "entityType" text, "entityId" uuid, changes jsonb
    )"#;

/// Begins a transaction as [`begin`] does, and fails if migrations are pending.
pub(crate) async fn begin_on_current_schema(db: &DatabaseConnection) -> Result<DatabaseTransaction, MigrationError> {
    let tx = begin(db).await?;
    let pending = names(compare::<Migrator>(&Bookkeeping::read::<Migrator>(&tx).await?)?, false);
    if pending.is_empty() { Ok(tx) } else { Err(MigrationError::Behind { pending }) }
}

/// Acquires the global lock, after all changes in progress have ended. No other change can begin until the transaction
/// ends.
pub(crate) async fn acquire_global_lock(tx: &DatabaseTransaction) -> Result<(), DbErr> {
    tx.execute_raw(statement(ACQUIRE_GLOBAL_LOCK, [])).await.map(drop)
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
