//! The forms of the global lock and of the change feed for engines other than PostgreSQL, on PostgreSQL.

use iam_storage_postgres::{Feed, Gate, PostgresOptions};

use super::database::{TestDatabase, run};

/// The settings of a process in these forms.
pub const OTHER_FORMS: [(&str, &str); 2] = [("IAM__DATABASE__GATE", "row"), ("IAM__DATABASE__FEED", "poll")];

/// Returns the options with these forms.
pub fn in_other_forms(options: PostgresOptions) -> PostgresOptions {
    PostgresOptions { gate: Gate::Row, feed: Feed::Poll, ..options }
}

/// Switches the installation in this database to these forms, as an operator does.
pub async fn switch_to_other_forms(database: &TestDatabase) {
    let switch = "BEGIN; SELECT iam_lock_changes(true); UPDATE iam_engine SET gate = 'row', feed = 'poll'; COMMIT";
    run(&mut database.connect().await, switch.to_owned()).await.unwrap();
}
