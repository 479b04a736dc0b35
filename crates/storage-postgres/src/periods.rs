//! The SQL for the periods of assignments. The database's clock at the beginning of a statement determines which
//! assignments are in effect.

use iam_domain::{Period, Timestamp};
use iam_storage::{Result, StorageError};
use sea_orm::QueryResult;

use crate::statement::column;

/// The condition on a row of `user_user_levels` that the assignment is in effect.
pub(crate) const ACTIVE: &str = "(starts_at IS NULL OR starts_at <= statement_timestamp())
    AND (expires_at IS NULL OR expires_at > statement_timestamp())";

/// The condition on a row of `user_user_levels` that the assignment is in effect and has no end.
pub(crate) const LASTING: &str = "(starts_at IS NULL OR starts_at <= statement_timestamp()) AND expires_at IS NULL";

/// The condition on a row of `user_user_levels` that the assignment has not expired.
pub(crate) const UNEXPIRED: &str = "(expires_at IS NULL OR expires_at > statement_timestamp())";

/// The select list of a period of `user_user_levels`: its start and its end in microseconds since the Unix epoch.
pub(crate) const PERIOD: &str = "(extract(epoch FROM starts_at) * 1000000)::bigint,
    (extract(epoch FROM expires_at) * 1000000)::bigint";

/// Returns the SQL of the columns `boundary` and `next_boundary` for a company: its latest start or end of an assignment
/// that has passed, and the next one, in microseconds since the Unix epoch. `company` is the parameter with its id.
pub(crate) fn boundaries(company: &str) -> String {
    let nearest = |aggregate: &str, column: &str, comparison: &str| {
        format!(
            "(SELECT {aggregate}({column}) FROM user_user_levels
                WHERE company_id = {company} AND {column} {comparison} statement_timestamp())"
        )
    };
    format!(
        "coalesce((extract(epoch FROM greatest({}, {})) * 1000000)::bigint, 0) AS boundary,
        (extract(epoch FROM least({}, {})) * 1000000)::bigint AS next_boundary",
        nearest("max", "starts_at", "<="),
        nearest("max", "expires_at", "<="),
        nearest("min", "starts_at", ">"),
        nearest("min", "expires_at", ">"),
    )
}

/// Returns the element of an array parameter for a start or an end. Parameters cannot be arrays with NULL elements, so a
/// number that no time has stands for NULL.
pub(crate) fn micros(time: Option<Timestamp>) -> i64 {
    time.map_or(i64::MIN, |time| time.micros())
}

/// Returns the SQL expression for the time of an element that [`micros`] returned. The seconds and the microseconds are
/// added separately, because PostgreSQL multiplies intervals by floating-point numbers, which represent each product
/// exactly, but not the microseconds of the year 9999.
pub(crate) fn time(element: &str) -> String {
    format!(
        "to_timestamp(0) + nullif({element}, {none}) / 1000000 * interval '1 second'
            + nullif({element}, {none}) % 1000000 * interval '1 microsecond'",
        none = i64::MIN
    )
}

/// Reads the column `next_boundary`.
pub(crate) fn next_boundary(row: &QueryResult) -> Result<Option<Timestamp>> {
    column::<Option<i64>>(row, "next_boundary")?.map(timestamp).transpose()
}

/// Returns the period with this start and this end, in microseconds since the Unix epoch.
pub(crate) fn period(starts_at: Option<i64>, expires_at: Option<i64>) -> Result<Period> {
    Ok(Period { starts_at: starts_at.map(timestamp).transpose()?, expires_at: expires_at.map(timestamp).transpose()? })
}

fn timestamp(micros: i64) -> Result<Timestamp> {
    Timestamp::from_micros(micros).ok_or_else(|| StorageError::corrupt("a time is out of range"))
}
