//! The forms of the global lock and of the change feed for engines other than PostgreSQL, on PostgreSQL.

use iam_storage_postgres::{Feed, Gate, PostgresOptions};

/// The settings of a process in these forms.
pub const OTHER_FORMS: [(&str, &str); 2] = [("IAM__DATABASE__GATE", "row"), ("IAM__DATABASE__FEED", "poll")];

/// The SQL with which an operator switches an installation to these forms.
pub const SWITCH: &str =
    "BEGIN; SELECT iam_lock_changes(true); UPDATE iam_engine SET gate = 'row', feed = 'poll'; COMMIT";

/// Returns whether all test databases, adapters and processes have these forms. `make test-engines` sets the environment
/// variable. The other tests choose the forms themselves.
pub fn every_database_has_other_forms() -> bool {
    #[expect(clippy::disallowed_methods, reason = "`make test-engines` selects the forms")]
    std::env::var_os("IAM_TEST_OTHER_FORMS").is_some()
}

/// Returns the settings of the forms of all test databases, if they have other forms than the default.
pub fn settings_of_forms<'a>() -> impl Iterator<Item = (&'a str, &'a str)> {
    every_database_has_other_forms().then_some(OTHER_FORMS).into_iter().flatten()
}

/// Returns the options with these forms.
pub fn in_other_forms(options: PostgresOptions) -> PostgresOptions {
    PostgresOptions { gate: Gate::Row, feed: Feed::Poll, ..options }
}
