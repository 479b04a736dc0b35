//! Polls for what was committed, and the wake-ups between the processes of an installation.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use iam_domain::CompanyId;
use iam_storage::{ChangeFeed, Changes, NotPrimary, Polled, Position, Result, StateId, Target, WakeUps};
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Statement};
use uuid::Uuid;

use crate::PostgresStorage;
use crate::control::send;
use crate::entities::company_states::{CATALOG, CREDENTIALS};
use crate::epoch::{OF_INSTALLATION, epoch, epoch_of_now};
use crate::error::{from_db, is_forbidden};
use crate::gate::pass;
use crate::notifier::CHANNEL;
use crate::row_security::scoped;
use crate::statement::{column, incomplete, parse, statement};

/// The cluster's own identity. Not every role may read it.
const IDENTITY: &str = "CASE WHEN pg_is_in_recovery() THEN 0 ELSE hashtextextended(concat_ws('/',
        (SELECT system_identifier FROM pg_control_system()), left(pg_walfile_name(pg_current_wal_lsn()), 8)), 0) END";

/// How this process polls.
#[derive(Debug, Default)]
pub(crate) struct Polling {
    /// Whether the role may not read the identity of the cluster.
    is_identity_hidden: AtomicBool,
    /// The id of this process for acknowledgements.
    replica: OnceLock<Uuid>,
}

/// The poll. $1 is the position of the previous one, or NULL.
///
/// Whatever committed before the statement began is visible in its snapshot. Of these changes it reports those that
/// were not visible in the snapshot of the previous poll; a row carries the transaction that changed it last.
/// `changed_by` is compared with `xmin` so that the index is used.
fn poll(is_identity_hidden: bool, since: Option<&Position>) -> Statement {
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
            catalog.version AS catalog_version, catalog.stamp AS catalog_stamp,
            credentials.version AS credentials_version, credentials.stamp AS credentials_stamp,
            (SELECT coalesce(json_agg(json_build_array(company_id, version, stamp)), '[]') FROM company_states
                WHERE changed_by >= pg_snapshot_xmin($1::text::pg_snapshot)
                    AND NOT pg_visible_in_snapshot(changed_by, $1::text::pg_snapshot)
                    AND company_id NOT IN ({CATALOG}, {CREDENTIALS}))::text AS companies
        FROM company_states AS catalog, company_states AS credentials
        WHERE catalog.company_id = {CATALOG} AND credentials.company_id = {CREDENTIALS}",
        epoch = epoch_of_now(),
    );
    scoped(None, statement(sql, [since.map(|position| position.as_str().to_owned()).into()]))
}

fn state(row: &QueryResult, of: &str) -> Result<StateId> {
    Ok(StateId { version: column(row, &format!("{of}_version"))?, stamp: column(row, &format!("{of}_stamp"))? })
}

fn changes(row: &QueryResult) -> Result<Changes> {
    let companies: Vec<(Uuid, i64, i64)> = parse(&column::<String>(row, "companies")?)?;
    Ok(Changes {
        epoch: epoch(row)?,
        identity: column::<i64>(row, "identity")?.cast_unsigned(),
        position: Position::new(column::<String>(row, "position")?),
        is_continuous: column(row, "is_continuous")?,
        catalog: state(row, "catalog")?,
        credentials: state(row, "credentials")?,
        companies: companies
            .into_iter()
            .map(|(id, version, stamp)| (CompanyId::from_uuid(id), StateId { version, stamp }))
            .collect(),
        needs_acknowledgement: column(row, "needs_acknowledgement")?,
    })
}

impl PostgresStorage {
    async fn control(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let pool = &self.repository().0;
        send(&pool.control, &pool.epochs, statement).await
    }

    async fn poll_once(&self, since: Option<&Position>) -> Result<QueryResult> {
        let polling = &self.repository().0.polling;
        let is_hidden = polling.is_identity_hidden.load(Ordering::Relaxed);
        let rows = match self.control(poll(is_hidden, since)).await {
            Err(error) if !is_hidden && is_forbidden(&error) => {
                log::info!(
                    "the role may not ask for the identity of the cluster: other signs of another history remain"
                );
                polling.is_identity_hidden.store(true, Ordering::Relaxed);
                self.control(poll(true, since)).await
            }
            outcome => outcome,
        };
        let rows = rows.map_err(from_db)?;
        rows.into_iter().next().ok_or_else(incomplete)
    }
}

#[async_trait]
impl ChangeFeed for PostgresStorage {
    async fn poll(&self, since: Option<&Position>) -> Result<Polled> {
        let mut row = self.poll_once(since).await?;
        let epochs = &self.repository().0.epochs;
        let why = if column(&row, "in_recovery")? {
            Some(NotPrimary::InRecovery)
        } else if column(&row, "read_only")? {
            Some(NotPrimary::ReadOnly)
        } else {
            None
        };
        if let Some(why) = why {
            epochs.give_up(&why.to_string());
            return Ok(Polled::NotPrimary(why));
        }
        if column(&row, "is_of_the_future")? {
            // Rows of a younger cluster would be reported forever.
            self.renew(epoch(&row)?).await?;
            row = self.poll_once(None).await?;
        }
        metrics::gauge!("iam_database_running_transactions").set(column::<i64>(&row, "running")? as f64);
        let changes = changes(&row)?;
        epochs.saw(changes.epoch);
        Ok(Polled::Primary(changes))
    }

    async fn acknowledge(&self) -> Result<()> {
        // Whatever the role's default: as durable as the strictest change.
        let sql = "WITH gone AS (DELETE FROM iam_heartbeats WHERE beat_at < now() - interval '1 day')
            INSERT INTO iam_heartbeats AS own (replica, beat_at)
            SELECT $1, now() FROM (SELECT set_config('synchronous_commit', 'on', true)) AS durable
            ON CONFLICT (replica) DO UPDATE SET beat_at = excluded.beat_at RETURNING 1 AS beat";
        let replica = *self.repository().0.polling.replica.get_or_init(Uuid::new_v4);
        self.control(statement(sql, [replica.into()])).await.map(drop).map_err(from_db)
    }

    async fn renew(&self, epoch: u64) -> Result<()> {
        let epoch = epoch.cast_signed();
        log::warn!("versions went back: the history of the database gets another epoch");
        // One transaction. Changes wait meanwhile, since all of them must be of one history.
        let sql = format!(
            "SELECT set_config('iam.company', 'all', true);
            SELECT {pass_gate};
            UPDATE iam_installation AS installation SET history = gen_random_uuid() WHERE {OF_INSTALLATION} = {epoch};
            UPDATE company_states SET version = version
                WHERE changed_by >= pg_snapshot_xmax(pg_current_snapshot())",
            pass_gate = pass(Target::Catalog),
        );
        let control = &self.repository().0.control;
        control.execute_unprepared(&sql).await.map(drop).map_err(from_db)
    }

    async fn listen(&self) -> Result<Box<dyn WakeUps>> {
        let row = self.control(statement(format!("SELECT {CHANNEL} AS channel"), [])).await.map_err(from_db)?;
        let channel: Option<String> = row.first().map(|row| column(row, "channel")).transpose()?.flatten();
        let channel = channel.ok_or_else(incomplete)?;
        Ok(Box::new(self.listening().clone().start(channel, self.runtime()).await?))
    }
}
