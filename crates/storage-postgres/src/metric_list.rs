//! The metrics of this crate: their descriptions, and their series from the start of the process.

use crate::connections::waits::{ACQUIRE, Stage, WAITING};
use crate::operation::{DURATIONS, ERRORS, ROWS};

/// The name of the counter of audit records.
pub(crate) const AUDIT_RECORDS: &str = "iam_audit_records_total";

/// The name of the gauge of the time of the latest backup.
pub(crate) const LAST_BACKUP: &str = "iam_last_backup_timestamp_seconds";

/// The name of the counter of reads that could be sent to a read replica.
pub(crate) const REPLICA_READS: &str = "iam_replica_reads_total";

/// The values of the label `result` of [`REPLICA_READS`].
const REPLICA_RESULTS: [&str; 5] = ["replica", "outdated", "failed", "none_in_use", "unproven"];

/// The name of the gauge of the read replicas in use.
pub(crate) const REPLICAS_IN_USE: &str = "iam_replicas_in_use";

/// The tables whose rows are parsed when they are read.
const PARSED_TABLES: [&str; 7] =
    ["views", "features", "modules", "menu_items", "sub_menu_items", "api_keys", "user_cutoffs"];

/// Describes the metrics of the storage, and creates their series, so that they are exported from the start of the
/// process. Call this function once, after the metrics recorder is installed.
pub fn describe_metrics() {
    metrics::describe_counter!("iam_unreadable_rows_total", "Reads of rows that cannot be parsed");
    for table in PARSED_TABLES {
        metrics::counter!("iam_unreadable_rows_total", "table" => table).increment(0);
    }
    // The series of the other operations appear with their first call.
    metrics::describe_histogram!(DURATIONS, "Duration of storage operations in seconds");
    metrics::describe_counter!(ERRORS, "Storage operations that failed");
    metrics::describe_counter!(ROWS, "Rows that the statements of storage operations returned or changed");
    for operation in ["snapshots.load_user", "change_feed.poll", "storage.begin", "unit_of_work.commit"] {
        let _ = metrics::histogram!(DURATIONS, "operation" => operation);
        metrics::counter!(ERRORS, "operation" => operation).increment(0);
        metrics::counter!(ROWS, "operation" => operation).increment(0);
    }
    metrics::describe_counter!(AUDIT_RECORDS, "Audit records that were committed");
    metrics::counter!(AUDIT_RECORDS).increment(0);
    metrics::describe_histogram!(ACQUIRE, "Waits for a connection of the database connection pool, in seconds");
    metrics::describe_gauge!(WAITING, "Statements and changes that wait for a connection of the pool");
    for stage in Stage::ALL {
        let _ = metrics::histogram!(ACQUIRE, "stage" => stage.name());
        metrics::gauge!(WAITING, "stage" => stage.name()).increment(0.0);
    }
    metrics::describe_gauge!(
        "iam_database_running_transactions",
        "Difference between the newest transaction id and that of the oldest running transaction"
    );
    metrics::gauge!("iam_database_running_transactions").set(0.0);
    metrics::describe_gauge!(LAST_BACKUP, "Time of the latest backup that was recorded in the database");
    metrics::gauge!(LAST_BACKUP).set(0.0);
    metrics::describe_counter!(REPLICA_READS, "Reads that could be sent to a read replica, by what became of them");
    for result in REPLICA_RESULTS {
        metrics::counter!(REPLICA_READS, "result" => result).increment(0);
    }
    metrics::describe_gauge!(REPLICAS_IN_USE, "Read replicas to which reads are sent");
    metrics::gauge!(REPLICAS_IN_USE).set(0.0);
}
