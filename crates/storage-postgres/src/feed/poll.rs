//! The poll: the statement that returns the changes that were committed since the previous poll, and the conversion of
//! its result row.

use std::time::Duration;

use iam_domain::{CompanyId, Timestamp};
use iam_storage::{Changes, Position, Result, StateId};
use sea_orm::{QueryResult, Statement};
use uuid::Uuid;

use crate::engine::Feed;
use crate::entities::company_states::{CATALOG, CREDENTIALS, is_company};
use crate::feed::epoch::{current_epoch, epoch};
use crate::row_security::for_company;
use crate::statement::{column, json_column, statement};

/// SQL expression for the identity of the PostgreSQL cluster: a hash of its system identifier and its timeline. Reading
/// it requires a privilege that the role may lack.
const IDENTITY: &str = "CASE WHEN pg_is_in_recovery() THEN 0 ELSE hashtextextended(concat_ws('/',
        (SELECT system_identifier FROM pg_control_system()), left(pg_walfile_name(pg_current_wal_lsn()), 8)), 0) END";

/// Returns the SQL statement for a poll. $1 is the position of the previous poll, or NULL.
///
/// Every change that committed before the statement began is visible in its snapshot of the database. The statement
/// reports the changes that were not visible in the snapshot of the previous poll. The column `changed_by` contains the
/// id of the transaction that last changed the row. This id is also compared with the `xmin` of the previous poll's
/// snapshot, so that PostgreSQL uses the index on `changed_by`. The column `updated_at` contains the time at which the
/// change raised the version.
pub(crate) fn poll(is_identity_hidden: bool, since: Option<&Position>) -> Statement {
    let identity = if is_identity_hidden { "0::bigint" } else { IDENTITY };
    let sql = format!(
        "SELECT {epoch} AS epoch, {identity} AS identity, pg_is_in_recovery() AS in_recovery,
            current_setting('transaction_read_only') = 'on' AS read_only,
            current_setting('synchronous_standby_names') <> '' AS needs_acknowledgement,
            pg_current_snapshot()::text AS position,
            pg_snapshot_xmax(pg_current_snapshot())::text::bigint
                - pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS running,
            coalesce(pg_snapshot_xmax($1::text::pg_snapshot) <= pg_snapshot_xmax(pg_current_snapshot()), false)
                AS is_continuous,
            EXISTS (SELECT FROM company_states WHERE changed_by >= pg_snapshot_xmax(pg_current_snapshot()))
                AS is_of_the_future,
            (SELECT floor(extract(epoch FROM last_backup_at))::bigint FROM iam_installation) AS last_backup,
            (SELECT history FROM iam_installation) AS history, (SELECT feed FROM iam_engine) AS feed,
            statement_timestamp() AS now, catalog.version AS catalog_version, catalog.stamp AS catalog_stamp,
            credentials.version AS credentials_version, credentials.stamp AS credentials_stamp,
            (SELECT coalesce(json_agg(json_build_array(company_id, version, stamp,
                    (extract(epoch FROM updated_at) * 1000000)::bigint)), '[]')
                FROM company_states
                WHERE changed_by >= pg_snapshot_xmin($1::text::pg_snapshot)
                    AND NOT pg_visible_in_snapshot(changed_by, $1::text::pg_snapshot))::text AS changed
        FROM company_states AS catalog, company_states AS credentials
        WHERE catalog.company_id = {CATALOG} AND credentials.company_id = {CREDENTIALS}",
        epoch = current_epoch(Feed::Listen),
    );
    for_company(None, statement(sql, [since.map(|position| position.as_str().to_owned()).into()]))
}

/// A changed row: its id, version and stamp, and the time at which the change raised the version, in microseconds since
/// the Unix epoch.
type Changed = (Uuid, i64, i64, i64);

/// Reads the version and stamp of the catalog or of the credentials, as selected by `of`, from the result row of a
/// poll.
pub(crate) fn state(row: &QueryResult, of: &str) -> Result<StateId> {
    Ok(StateId { version: column(row, &format!("{of}_version"))?, stamp: column(row, &format!("{of}_stamp"))? })
}

/// Returns the time that has passed between a change and `now`. `changed_at` is in microseconds since the Unix epoch.
pub(crate) fn delay(now: Timestamp, changed_at: i64) -> Duration {
    let micros = now.as_datetime().timestamp_micros().saturating_sub(changed_at);
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// Reads the changes from the result row of a poll.
pub(crate) fn changes(row: &QueryResult) -> Result<Changes> {
    let changed: Vec<Changed> = json_column(row, "changed")?;
    let now = Timestamp::new(column(row, "now")?);
    Ok(Changes {
        epoch: epoch(row)?,
        identity: column::<i64>(row, "identity")?.cast_unsigned(),
        position: Position::new(column::<String>(row, "position")?),
        is_continuous: column(row, "is_continuous")?,
        catalog: state(row, "catalog")?,
        credentials: state(row, "credentials")?,
        delays: changed.iter().map(|(.., changed_at)| delay(now, *changed_at)).collect(),
        companies: changed
            .into_iter()
            .filter(|(id, ..)| is_company(*id))
            .map(|(id, version, stamp, _)| (CompanyId::from_uuid(id), StateId { version, stamp }))
            .collect(),
        now,
        needs_acknowledgement: column(row, "needs_acknowledgement")?,
    })
}
