//! The epoch: a number that differs between two histories of the database, also after a restore or a failover.

use iam_storage::Result;
use sea_orm::QueryResult;

use crate::statement::{column, incomplete};

/// The epoch of a row of `iam_installation`, which is named `installation`: its history, the server process that
/// answers, and the identity of the database and of the table. A restore in place makes or rewrites the table; a copy
/// of the database is another database; a promoted standby is another process.
pub(crate) const EPOCH_OF_INSTALLATION: &str = "hashtextextended(concat_ws('/', installation.history,
    extract(epoch FROM pg_postmaster_start_time()), (SELECT oid FROM pg_database WHERE datname = current_database()),
    'company_states'::regclass::oid, pg_relation_filenode('company_states')), 0)";

/// The epoch of the database that answers. Every read of versions returns it.
pub(crate) fn current_epoch() -> String {
    format!("(SELECT {EPOCH_OF_INSTALLATION} FROM iam_installation AS installation)")
}

/// The epoch in the column `epoch` of a row.
pub(crate) fn epoch(row: &QueryResult) -> Result<u64> {
    column::<Option<i64>>(row, "epoch")?.map(i64::cast_unsigned).ok_or_else(incomplete)
}
