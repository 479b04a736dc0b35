//! Acquires the global lock for a change, in the form that the installation uses.

use iam_storage::Target;
use sea_orm::{ConnectionTrait, QueryResult};

use crate::changes::lock_error::LockError;
use crate::changes::{global_lock, row_gate};
use crate::connections::transaction::Transaction;
use crate::engine::Gate;
use crate::pool::Pool;
use crate::statement::statement;

/// Returns the select list that tries to acquire the global lock in the mode that a change to `target` needs, without
/// waiting. The value of `has_global_lock` is `false` if the change must also [`wait`].
pub(crate) fn try_acquire(gate: Gate, target: Target) -> String {
    match gate {
        Gate::Native => format!("{} AS has_global_lock", global_lock::try_acquire_global_lock(target)),
        Gate::Row => row_gate::try_acquire(target),
    }
}

/// Waits until the transaction holds the global lock in the mode that a change to `target` needs. `opened` is the row of
/// the query with the select list of [`try_acquire`].
pub(crate) async fn wait(pool: &Pool, tx: &Transaction, target: Target, opened: &QueryResult) -> Result<(), LockError> {
    match pool.gate {
        Gate::Native => {
            let sql = format!("SELECT {} AS has_global_lock", global_lock::acquire_global_lock(target));
            tx.query_one_raw(statement(sql, [])).await?;
            Ok(())
        }
        Gate::Row if target.company().is_some() => {
            row_gate::acquire_shared(tx, opened.try_get("", "arrived_at")?, pool.lock_wait()).await
        }
        Gate::Row => {
            let _mark = row_gate::Mark::place(pool, pool.lock_wait()).await?;
            row_gate::acquire_exclusive(tx).await
        }
    }
}
