//! Polls for what was committed, and the wake-ups between the processes of an installation.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use iam_domain::CompanyId;
use iam_storage::{
    BoxError, ChangeFeed, Changes, NotPrimary, Polled, Position, Result, StateId, StorageError, WakeUps,
};
use sea_orm::sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sea_orm::{ConnectionTrait, DbErr, QueryResult, RuntimeErr, Statement, sqlx};
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::PostgresStorage;
use crate::changes::GATE;
use crate::connections::{Connections, RETURN_LIMIT};
use crate::epoch::{Epochs, OF_INSTALLATION, epoch, epoch_of_now};
use crate::error::{from_db, is_forbidden, is_lost_connection, is_silence};
use crate::repository::{CATALOG, CREDENTIALS, column, incomplete, scoped, statement};
use crate::session::Session;
use crate::snapshots::parse;

/// The channel of this installation. Another installation in the same database, or a copy of this one in another
/// schema, has its own.
const CHANNEL: &str = "(SELECT 'iam_' || md5(concat_ws('/', installation.id,
        (SELECT relnamespace::regnamespace FROM pg_class WHERE oid = 'company_states'::regclass)))
    FROM iam_installation AS installation)";

/// A listening connection that was quiet this long is pinged.
const QUIET: Duration = Duration::from_secs(10);

/// The minimum time between two wake-ups: commits in between share the next one.
const LEAST_GAP: Duration = Duration::from_millis(5);

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
        send(pool.control(), &pool.epochs, statement).await
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

/// Sends a statement beside the pool, and waits until its transaction has ended. Sends it again when the connection
/// was lost, as idle ones are when a server restarts: the statement must be repeatable. When it is not answered in
/// time, open connections are given up, those of the pool too.
async fn send(control: &Connections, epochs: &Epochs, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
    let asked = Instant::now();
    let outcome = match control.query_all_raw(statement.clone()).await {
        Err(error) if is_lost_connection(&error) => control.query_all_raw(statement).await,
        outcome => outcome,
    };
    outcome.inspect_err(|error| {
        epochs.note(error, asked);
        if is_silence(error) {
            epochs.give_up("the database does not answer");
        }
    })
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
            SELECT pg_advisory_xact_lock({GATE});
            UPDATE iam_installation AS installation SET history = gen_random_uuid() WHERE {OF_INSTALLATION} = {epoch};
            UPDATE company_states SET version = version
                WHERE changed_by >= pg_snapshot_xmax(pg_current_snapshot())"
        );
        let control = self.repository().0.control();
        control.execute_unprepared(&sql).await.map(drop).map_err(from_db)
    }

    async fn listen(&self) -> Result<Box<dyn WakeUps>> {
        let row = self.control(statement(format!("SELECT {CHANNEL} AS channel"), [])).await.map_err(from_db)?;
        let channel: Option<String> = row.first().map(|row| column(row, "channel")).transpose()?.flatten();
        let channel = channel.ok_or_else(incomplete)?;
        let listening = self.listening().clone();
        let (woken, wakes) = watch::channel(());
        let (listens, is_listening) = oneshot::channel();
        // The connection lives and ends on the runtime that lives as long as the storage.
        let task = self.runtime().spawn(async move {
            match listening.listen(&channel).await {
                Ok(listener) => {
                    // The receiver ends this task when it is dropped.
                    let _ = listens.send(Ok(()));
                    pass_on(listener, woken).await;
                }
                Err(error) => {
                    let _ = listens.send(Err(error));
                }
            }
        });
        let wakes = Listened { wakes, _task: AbortOnDropHandle::new(task) };
        is_listening.await.map_err(unavailable)??;
        Ok(Box::new(wakes))
    }
}

/// How a listener connects.
#[derive(Debug, Clone)]
pub(crate) struct Listening {
    pub(crate) options: PgConnectOptions,
    pub(crate) timeout: Duration,
    pub(crate) session: Session,
}

impl Listening {
    /// A connection that listens.
    async fn listen(&self, channel: &str) -> Result<PgListener> {
        // A pool of one is the way to give options to the listener.
        let session = self.session.clone();
        let pool = PgPoolOptions::new()
            .after_connect(move |connection, _| {
                let session = session.clone();
                Box::pin(async move { session.set_up(connection).await })
            })
            .max_connections(1)
            .acquire_timeout(self.timeout)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(self.options.clone());
        let listen = async {
            let mut listener = PgListener::connect_with(&pool).await?;
            // The follower must know that wake-ups were lost.
            listener.eager_reconnect(false);
            listener.listen(channel).await?;
            Ok(listener)
        };
        match timeout(self.timeout, listen).await {
            Ok(outcome) => {
                outcome.map_err(|error: sqlx::Error| from_db(DbErr::Conn(RuntimeErr::SqlxError(error.into()))))
            }
            Err(timed_out) => Err(unavailable(timed_out)),
        }
    }
}

fn unavailable(source: impl Into<BoxError>) -> StorageError {
    StorageError::Unavailable { retryable: false, source: Some(source.into()) }
}

/// Passes wake-ups on until the connection is lost. The content of a notice is ignored.
async fn pass_on(mut listener: PgListener, woken: watch::Sender<()>) {
    loop {
        match timeout(QUIET, listener.try_recv()).await {
            Ok(Ok(Some(_))) => {
                woken.send_replace(());
            }
            Ok(Ok(None)) => return,
            Ok(Err(error)) => return log::debug!("the listening connection is lost: {error}"),
            // Nothing arrived for long: the connection may be dead and not closed.
            Err(_) => match timeout(RETURN_LIMIT, sqlx::query("SELECT 1").execute(&mut listener)).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return log::debug!("the listening connection is lost: {error}"),
                Err(_) => return log::debug!("the listening connection does not answer"),
            },
        }
    }
}

/// Where wake-ups arrive: the other end goes when the connection does.
struct Listened {
    wakes: watch::Receiver<()>,
    _task: AbortOnDropHandle<()>,
}

#[async_trait]
impl WakeUps for Listened {
    async fn next(&mut self) -> Result<()> {
        self.wakes.changed().await.map_err(unavailable)
    }
}

/// Wakes the other processes after commits. It does so outside the transactions that commit, since PostgreSQL lets
/// only one transaction that notifies commit at a time.
#[derive(Debug)]
pub(crate) struct Waking {
    committed: Arc<Notify>,
    _task: AbortOnDropHandle<()>,
}

impl Waking {
    /// Wakes through these connections for as long as this lives.
    pub(crate) fn new(control: Arc<Connections>, epochs: Arc<Epochs>, runtime: &Handle) -> Self {
        let committed = Arc::<Notify>::default();
        let task = runtime.spawn(wake(control, epochs, Arc::clone(&committed)));
        Self { committed, _task: AbortOnDropHandle::new(task) }
    }

    /// Reports a commit.
    pub(crate) fn committed(&self) -> &Arc<Notify> {
        &self.committed
    }
}

async fn wake(control: Arc<Connections>, epochs: Arc<Epochs>, committed: Arc<Notify>) {
    // It claims nothing, so it need not be durable.
    let sql = format!(
        "SELECT pg_notify({CHANNEL}, '') FROM (SELECT set_config('synchronous_commit', 'off', true) OFFSET 0) AS light"
    );
    loop {
        committed.notified().await;
        if let Err(error) = send(&control, &epochs, statement(sql.as_str(), [])).await {
            log::debug!("the other processes could not be woken, and poll later: {error}");
        }
        tokio::time::sleep(LEAST_GAP).await;
    }
}
