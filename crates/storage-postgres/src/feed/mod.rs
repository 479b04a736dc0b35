//! The change feed: polls, acknowledgements, new epochs and wake-ups.

pub(crate) mod epoch;
pub(crate) mod listener;
pub(crate) mod notifier;
mod poll;
pub(crate) mod poll_state;
mod versions;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use async_trait::async_trait;
use iam_storage::{ChangeFeed, Changes, NotPrimary, Polled, Position, Result, Target, WakeUps};
use sea_orm::{ConnectionTrait, QueryResult};
use uuid::Uuid;

use crate::PostgresStorage;
use crate::changes::{global_lock, row_gate};
use crate::connections::control::{ControlPool, LOCK_TIMEOUT};
use crate::engine::{Feed, Gate, check_form};
use crate::error::{from_db, is_forbidden};
use crate::feed::epoch::{epoch, epoch_of_installation};
use crate::feed::notifier::{CHANNEL, OwnCommits};
use crate::feed::poll::{changes, poll};
use crate::metric_list::LAST_BACKUP;
use crate::operation::operation;
use crate::replicas::marker::write_marker;
use crate::repository::Executor;
use crate::statement::{column, incomplete, statement};

impl PostgresStorage {
    fn control(&self) -> &ControlPool {
        &self.repository().0.control
    }

    /// Polls with transaction ids ([`Feed::Listen`]).
    async fn poll_transactions(&self, since: Option<&Position>) -> Result<Polled> {
        let (mut since, sent) = (since, Instant::now());
        let mut row = self.read_transactions(since).await?;
        if let Some(why) = self.not_primary(&row)? {
            return Ok(Polled::NotPrimary(why));
        }
        if column(&row, "is_of_the_future")? {
            // Some rows contain transaction ids from another PostgreSQL cluster, which are ahead of this cluster's
            // transaction ids. Every poll would report these rows as changed until this cluster has updated them.
            self.renew(epoch(&row)?).await?;
            since = None;
            row = self.read_transactions(since).await?;
        }
        metrics::gauge!("iam_database_running_transactions").set(column::<i64>(&row, "running")? as f64);
        let changes = changes(&row)?;
        if let (Some(requirements), Some(history)) = (&self.repository().0.requirements, column(&row, "history")?) {
            let continues = since.is_some() && changes.is_continuous;
            if let Some(marker) = requirements.polled(&changes, history, continues, sent) {
                write_marker(Arc::clone(&self.repository().0), Arc::clone(requirements), marker);
            }
        }
        self.observed(&row, changes)
    }

    async fn read_transactions(&self, since: Option<&Position>) -> Result<QueryResult> {
        let poll_state = &self.repository().0.poll_state;
        let is_hidden = poll_state.is_identity_hidden.load(Ordering::Relaxed);
        let rows = match self.control().query_repeatable(poll(is_hidden, since)).await {
            Err(error) if !is_hidden && is_forbidden(&error) => {
                tracing::info!(
                    "the role lacks EXECUTE on pg_control_system; restores and failovers are detected without the \
                    system identifier and the timeline of the cluster"
                );
                poll_state.is_identity_hidden.store(true, Ordering::Relaxed);
                self.control().query_repeatable(poll(true, since)).await
            }
            outcome => outcome,
        };
        let rows = rows.map_err(from_db)?;
        rows.into_iter().next().ok_or_else(incomplete)
    }

    /// Polls by comparing versions ([`Feed::Poll`]).
    async fn poll_versions(&self, since: Option<&Position>) -> Result<Polled> {
        let mut known = self.repository().0.poll_state.known.lock().await;
        let row = known.read(self.control()).await?;
        if let Some(why) = self.not_primary(&row)? {
            return Ok(Polled::NotPrimary(why));
        }
        let changes = known.apply(&row, since)?;
        self.observed(&row, changes)
    }

    /// Returns why the server that responded to a poll is not the primary, if it is not. In this case, discards all open
    /// connections.
    fn not_primary(&self, row: &QueryResult) -> Result<Option<NotPrimary>> {
        let why = if column(row, "in_recovery")? {
            NotPrimary::InRecovery
        } else if column(row, "read_only")? {
            NotPrimary::ReadOnly
        } else {
            return Ok(None);
        };
        self.repository().0.outdated.discard_open(&why.to_string());
        Ok(Some(why))
    }

    /// Checks the form of the feed, and records the epoch and the time of the latest backup, after a poll of the primary.
    fn observed(&self, row: &QueryResult, changes: Changes) -> Result<Polled> {
        check_form(row, "feed", self.feed().name())?;
        metrics::gauge!(LAST_BACKUP).set(column::<Option<i64>>(row, "last_backup")?.unwrap_or(0) as f64);
        self.repository().0.outdated.observe_epoch(changes.epoch);
        Ok(Polled::Primary(changes))
    }

    fn feed(&self) -> Feed {
        self.repository().0.feed()
    }
}

#[async_trait]
impl ChangeFeed for PostgresStorage {
    async fn poll(&self, since: Option<&Position>) -> Result<Polled> {
        operation("change_feed.poll", async {
            match self.feed() {
                Feed::Listen => self.poll_transactions(since).await,
                Feed::Poll => self.poll_versions(since).await,
            }
        })
        .await
    }

    async fn acknowledge(&self) -> Result<()> {
        operation("change_feed.acknowledge", async {
            // The statement sets `synchronous_commit` to `on`, regardless of the role's default. The acknowledgement is
            // then as durable as any change.
            let sql = "WITH gone AS (DELETE FROM iam_heartbeats WHERE beat_at < now() - interval '1 day')
            INSERT INTO iam_heartbeats AS own (replica, beat_at)
            SELECT $1, now() FROM (SELECT set_config('synchronous_commit', 'on', true)) AS durable
            ON CONFLICT (replica) DO UPDATE SET beat_at = excluded.beat_at RETURNING 1 AS beat";
            let replica = *self.repository().0.poll_state.replica.get_or_init(Uuid::new_v4);
            self.control().query_repeatable(statement(sql, [replica.into()])).await.map(drop).map_err(from_db)
        })
        .await
    }

    async fn renew(&self, epoch: u64) -> Result<()> {
        operation("change_feed.renew", async {
            let epoch = epoch.cast_signed();
            tracing::warn!("versions decreased within one epoch: assigning a new history id, which changes the epoch");
            // All statements run in one transaction that holds the global lock, so that each change belongs to exactly
            // one history.
            let pool = &self.repository().0;
            let (lock, _mark) = match pool.gate {
                Gate::Native => (global_lock::acquire_global_lock(Target::Catalog), None),
                Gate::Row => (
                    row_gate::EXCLUSIVE.to_owned(),
                    Some(row_gate::Mark::place(pool, LOCK_TIMEOUT).await.map_err(from_db)?),
                ),
            };
            let mark_rows = match pool.feed() {
                Feed::Listen => {
                    "UPDATE company_states SET version = version
                    WHERE changed_by >= pg_snapshot_xmax(pg_current_snapshot())"
                }
                Feed::Poll => "",
            };
            let sql = format!(
                "SELECT set_config('iam.company', 'all', true);
                SELECT {lock};
                UPDATE iam_installation AS installation SET history = gen_random_uuid() WHERE {} = {epoch};
                {mark_rows}",
                epoch_of_installation(pool.feed()),
            );
            self.control().connections().execute_unprepared(&sql).await.map(drop).map_err(from_db)
        })
        .await
    }

    async fn listen(&self) -> Result<Box<dyn WakeUps>> {
        if self.feed() == Feed::Poll {
            return Ok(Box::new(OwnCommits::of(&self.repository().0.notifier)));
        }
        let row = self.control().query_repeatable(statement(format!("SELECT {CHANNEL} AS channel"), [])).await;
        let row = row.map_err(from_db)?;
        let channel: Option<String> = row.first().map(|row| column(row, "channel")).transpose()?.flatten();
        let channel = channel.ok_or_else(incomplete)?;
        Ok(Box::new(self.listener_options().clone().start(channel, self.runtime()).await?))
    }
}
