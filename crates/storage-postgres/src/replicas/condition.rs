//! The SQL that executes a read on a replica only if the replica has the required versions.

use iam_domain::CompanyId;
use sea_orm::{QueryResult, Statement};
use uuid::Uuid;

use crate::entities::company_states::CATALOG;
use crate::feed::epoch::EPOCH_SETTING;
use crate::replicas::requirements::Required;
use crate::row_security::setting;
use crate::statement::column;

/// Maximum difference between the clocks of a replica and of the primary, in seconds. The clock of the server that executes
/// a read determines which assignments are in effect.
const MAX_CLOCK_DIFFERENCE: f64 = 1.0;

/// Wraps a read so that it returns rows only if the server is a standby that has the required versions. The versions and
/// the rows are from the same snapshot of the database. In the read, the epoch is that of the primary.
///
/// The first row tells whether the server has the versions. A row of the read has the value `true` in the column
/// `replica_has_row`.
pub(super) fn on_replica(company: Option<CompanyId>, read: Statement, required: &Required) -> Statement {
    let Statement { sql, values, db_backend } = read;
    let mut values = values.map_or_else(Vec::new, |values| values.0);
    let mut parameter = |value: sea_orm::Value| {
        values.push(value);
        format!("${}", values.len())
    };
    let (row, marker) = required.marker;
    // A read of the catalog may see no row of a company.
    let tenant = company.map_or_else(|| Uuid::nil().to_string(), |company| setting(Some(company)));
    let tenant = parameter(tenant.into());
    let epoch = parameter(required.epoch.cast_signed().to_string().into());
    let history = parameter(required.history.into());
    let row = parameter(row.into());
    let marker = parameter(marker.into());
    let now = parameter(required.now.as_datetime().into());
    let catalog = [parameter(required.catalog.version.into()), parameter(required.catalog.stamp.into())];
    let company = parameter(company.map(|id| id.as_uuid()).into());
    let version = required.company;
    let own = [parameter(version.map(|it| it.version).into()), parameter(version.and_then(|it| it.stamp).into())];
    // A version that equals the required one, but has another stamp, belongs to another history.
    let has = |[version, stamp]: &[String; 2]| {
        format!(
            "(version > {version}::bigint
                OR version = {version}::bigint AND stamp = coalesce({stamp}::bigint, stamp))"
        )
    };
    let sql = format!(
        "WITH replica_session AS MATERIALIZED (
            SELECT set_config('iam.company', {tenant}, true) AS company,
                set_config('{EPOCH_SETTING}', {epoch}, true) AS epoch
        ),
        replica_state AS MATERIALIZED (
            SELECT coalesce((
                SELECT pg_is_in_recovery()
                    AND abs(extract(epoch FROM statement_timestamp() - {now}::timestamptz)) < {MAX_CLOCK_DIFFERENCE}
                    AND EXISTS (SELECT FROM iam_installation WHERE history = {history}::uuid)
                    AND EXISTS (
                        SELECT FROM iam_heartbeats WHERE replica = {row}::uuid AND beat_at >= {marker}::timestamptz)
                    AND EXISTS (SELECT FROM company_states WHERE company_id = {CATALOG} AND {has_catalog})
                    AND ({own_version}::bigint IS NULL OR EXISTS (
                        SELECT FROM company_states WHERE company_id = {company}::uuid AND {has_company}))
                WHERE replica_session.company <> '' OFFSET 0
            ), false) AS has_versions
            FROM replica_session
        ),
        replica_read AS ({sql})
        SELECT replica_state.has_versions AS replica_has_versions, replica_read.*
        FROM replica_state LEFT JOIN LATERAL (
            SELECT true AS replica_has_row, replica_read.* FROM replica_read WHERE replica_state.has_versions OFFSET 0
        ) AS replica_read ON true",
        has_catalog = has(&catalog),
        has_company = has(&own),
        own_version = own[0],
    );
    Statement::from_sql_and_values(db_backend, sql, values)
}

/// Returns the rows of a read that [`on_replica`] wrapped, or `None` if the replica lacks a required version.
pub(super) fn rows_in(mut rows: Vec<QueryResult>) -> iam_storage::Result<Option<Vec<QueryResult>>> {
    let has_versions = rows.first().map(|row| column(row, "replica_has_versions")).transpose()?;
    if has_versions != Some(true) {
        return Ok(None);
    }
    if let [row] = &*rows
        && column::<Option<bool>>(row, "replica_has_row")?.is_none()
    {
        rows.clear();
    }
    Ok(Some(rows))
}
