//! The epoch: a number that identifies one run of the database server with one history of the database. A restart, a
//! restore and a failover change the epoch.

use iam_storage::Result;
use sea_orm::QueryResult;

use crate::engine::Feed;
use crate::statement::{column, incomplete};

/// Returns the SQL expression for the epoch. The expression refers to the row of `iam_installation` by the alias
/// `installation`. With [`Feed::Poll`], the epoch is a hash of the installation's history id, because the servers of a
/// distributed engine have different start times and file nodes. With [`Feed::Listen`], the epoch is a hash of the installation's history id, the start time of the server process, the OID of the database,
/// and the identity of the table `company_states`. So the epoch changes in several cases: a restore in place creates or
/// rewrites the table, a copy of the database has another OID, and a promoted standby is a server process with another
/// start time.
pub(crate) const fn epoch_of_installation(feed: Feed) -> &'static str {
    match feed {
        Feed::Listen => {
            "hashtextextended(concat_ws('/', installation.history, extract(epoch FROM pg_postmaster_start_time()),
                (SELECT oid FROM pg_database WHERE datname = current_database()), 'company_states'::regclass::oid,
                pg_relation_filenode('company_states')), 0)"
        }
        Feed::Poll => "hashtextextended(installation.history::text, 0)",
    }
}

/// The setting that contains the epoch of the primary during a read from a standby, whose server process has another
/// start time.
pub(crate) const EPOCH_SETTING: &str = "iam.epoch";

/// Returns the SQL expression for the epoch of the connected database, or of its primary if a standby was asked to read
/// for it. Every statement that reads versions includes this expression.
pub(crate) fn current_epoch(feed: Feed) -> String {
    format!(
        "(SELECT CASE WHEN coalesce(current_setting('{EPOCH_SETTING}', true), '') = '' THEN {}
            ELSE current_setting('{EPOCH_SETTING}', true)::bigint END FROM iam_installation AS installation)",
        epoch_of_installation(feed)
    )
}

/// Reads the epoch from the column `epoch` of a row.
pub(crate) fn epoch(row: &QueryResult) -> Result<u64> {
    column::<Option<i64>>(row, "epoch")?.map(i64::cast_unsigned).ok_or_else(incomplete)
}
