//! The global lock as a row lock, for engines without `LOCK TABLE`, advisory locks and `pg_locks`. Changes to companies
//! lock the row of the table `iam_engine` with `FOR SHARE`. Changes to the catalog and to the credentials lock it with
//! `FOR UPDATE`.
//!
//! Row locks are not fair: while new sessions share the lock, a session that needs it exclusively could wait for ever.
//! Therefore, an exclusive change that has to wait first commits a *wanted mark*, a row of the table `iam_gate_marks`.
//! A change to a company that arrived after the mark does not lock the row before the mark is removed or has expired.
//! So the exclusive change waits only for changes that arrived earlier. A change to a company waits only for marks that
//! are older than its arrival, so a stream of exclusive changes does not starve it either.
//!
//! A mark only determines the order. The row lock alone excludes, so a change is correct without marks, and also if a
//! mark expires too early or the clocks of two servers differ. The mark is removed as soon as the wait has ended,
//! whether the change then commits or not. The mark of a crashed process expires.

use std::sync::Arc;
use std::time::{Duration, Instant};

use iam_storage::{StorageError, Target};
use sea_orm::entity::prelude::DateTimeUtc;
use sea_orm::{ConnectionTrait, DbErr};
use tokio::runtime::Handle;
use uuid::Uuid;

use crate::changes::lock_error::LockError;
use crate::connections::control::ControlPool;
use crate::connections::transaction::Transaction;
use crate::engine::{Gate, check_form};
use crate::pool::Pool;
use crate::statement::statement;

/// The table whose only row the global lock locks.
pub(crate) const LOCKED_TABLE: &str = "iam_engine";

/// The select list and the clauses of the query that waits for the row in exclusive mode. The column `gate` contains the
/// form of the global lock that the installation uses.
pub(crate) const EXCLUSIVE: &str = "gate FROM iam_engine FOR UPDATE";

/// Interval at which a change to a company checks whether the wanted marks that it waits for are gone.
const PAUSE: Duration = Duration::from_millis(10);
/// Time after the end of the longest wait at which the mark of a crashed process expires.
const EXPIRY_MARGIN: Duration = Duration::from_secs(1);

/// Returns the select list that tries to lock the row in the mode that a change to `target` needs, without waiting.
/// `arrived_at` is the time from which later marks do not concern the change.
pub(crate) fn try_acquire(target: Target) -> String {
    let lock = if target.company().is_some() {
        "WHERE NOT EXISTS (SELECT FROM iam_gate_marks WHERE expires_at > clock_timestamp()) FOR SHARE"
    } else {
        "FOR UPDATE"
    };
    let row = Gate::Row.name();
    format!(
        "coalesce((SELECT gate = '{row}' FROM {LOCKED_TABLE} {lock} SKIP LOCKED), false) AS has_global_lock,
        clock_timestamp() AS arrived_at"
    )
}

/// Waits until no mark that is older than `arrived_at` exists, and then until the row is locked in shared mode. Both
/// waits are limited by `limit`.
pub(crate) async fn acquire_shared(
    tx: &Transaction,
    arrived_at: DateTimeUtc,
    limit: Duration,
) -> Result<(), LockError> {
    let sql = format!(
        "SELECT gate FROM {LOCKED_TABLE}
        WHERE NOT EXISTS (SELECT FROM iam_gate_marks WHERE expires_at > clock_timestamp() AND wanted_at <= $1)
        FOR SHARE"
    );
    let began = Instant::now();
    loop {
        if let Some(row) = tx.query_one_raw(statement(sql.as_str(), [arrived_at.into()])).await? {
            return Ok(check_form(&row, "gate", Gate::Row.name())?);
        }
        if began.elapsed() >= limit {
            let problem = "the global lock did not become available in time: changes that revoke rights wait for it";
            let problem = StorageError::Unavailable { retryable: false, source: Some(problem.into()) };
            return Err(problem.into());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits until the row is locked in exclusive mode. The caller holds a [`Mark`].
pub(crate) async fn acquire_exclusive(tx: &impl ConnectionTrait) -> Result<(), LockError> {
    match tx.query_one_raw(statement(format!("SELECT {EXCLUSIVE}"), [])).await? {
        Some(row) => Ok(check_form(&row, "gate", Gate::Row.name())?),
        None => Err(DbErr::RecordNotFound("the table iam_engine has no row".to_owned()).into()),
    }
}

/// A committed wanted mark. Dropping it removes the mark in the background.
#[derive(Debug)]
pub(crate) struct Mark {
    id: Uuid,
    control: Arc<ControlPool>,
    runtime: Handle,
}

impl Mark {
    /// Commits a mark for a wait of at most `limit`, and removes expired marks.
    pub(crate) async fn place(pool: &Pool, limit: Duration) -> Result<Self, DbErr> {
        let control = &pool.control;
        // The guard exists before the statement is sent, so that the mark is also removed if this future is dropped.
        let mark =
            Self { id: Uuid::new_v4(), control: Arc::clone(control), runtime: pool.connections.runtime().clone() };
        let sql = "WITH gone AS (DELETE FROM iam_gate_marks WHERE expires_at < clock_timestamp())
            INSERT INTO iam_gate_marks (id, wanted_at, expires_at)
            VALUES ($1, clock_timestamp(), clock_timestamp() + make_interval(secs => $2)) ON CONFLICT DO NOTHING";
        let expiry = (limit + EXPIRY_MARGIN).as_secs_f64();
        let _permit = control.admit().await;
        control.query_repeatable(statement(sql, [mark.id.into(), expiry.into()])).await?;
        Ok(mark)
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        let (id, control) = (self.id, Arc::clone(&self.control));
        self.runtime.spawn(async move {
            let _permit = control.admit().await;
            let remove = statement("DELETE FROM iam_gate_marks WHERE id = $1", [id.into()]);
            if let Err(error) = control.query_repeatable(remove).await {
                tracing::debug!(error = &error as &dyn std::error::Error, "a wanted mark remains until it expires");
            }
        });
    }
}
