//! The change feed: polls, acknowledgements, new epochs and wake-ups.

pub(crate) mod epoch;
pub(crate) mod listener;
pub(crate) mod notifier;
pub(crate) mod poll;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use async_trait::async_trait;
use iam_storage::{ChangeFeed, Changes, NotPrimary, Polled, Position, Result, Target, WakeUps};
use sea_orm::{ConnectionTrait, QueryResult};
use uuid::Uuid;

use crate::PostgresStorage;
use crate::changes::global_lock::acquire_global_lock;
use crate::connections::control::ControlPool;
use crate::error::{from_db, is_forbidden};
use crate::feed::epoch::{EPOCH_OF_INSTALLATION, epoch};
use crate::feed::notifier::CHANNEL;
use crate::feed::poll::{changes, poll};
use crate::metric_list::LAST_BACKUP;
use crate::operation::operation;
use crate::replicas::marker::write_marker;
use crate::statement::{column, incomplete, statement};

impl PostgresStorage {
    fn control(&self) -> &ControlPool {
        &self.repository().0.control
    }

    async fn poll_once(&self, since: Option<&Position>) -> Result<QueryResult> {
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

    /// Requires of the replicas what a poll has reported, and writes a marker if it is time.
    fn require_of_replicas(&self, changes: &Changes, history: Option<Uuid>, has_position: bool, sent: Instant) {
        let pool = &self.repository().0;
        if let (Some(requirements), Some(history)) = (&pool.requirements, history) {
            let continues = has_position && changes.is_continuous;
            if let Some(marker) = requirements.polled(changes, history, continues, sent) {
                write_marker(Arc::clone(&pool.control), Arc::clone(requirements), marker);
            }
        }
    }
}

#[async_trait]
impl ChangeFeed for PostgresStorage {
    async fn poll(&self, since: Option<&Position>) -> Result<Polled> {
        operation("change_feed.poll", async {
            let (mut sent, mut since) = (Instant::now(), since);
            let mut row = self.poll_once(since).await?;
            let outdated = &self.repository().0.outdated;
            let why = if column(&row, "in_recovery")? {
                Some(NotPrimary::InRecovery)
            } else if column(&row, "read_only")? {
                Some(NotPrimary::ReadOnly)
            } else {
                None
            };
            if let Some(why) = why {
                outdated.discard_open(&why.to_string());
                return Ok(Polled::NotPrimary(why));
            }
            if column(&row, "is_of_the_future")? {
                // Some rows contain transaction ids from another PostgreSQL cluster, which are ahead of this cluster's
                // transaction ids. Every poll would report these rows as changed until this cluster has updated them.
                self.renew(epoch(&row)?).await?;
                (sent, since) = (Instant::now(), None);
                row = self.poll_once(None).await?;
            }
            metrics::gauge!("iam_database_running_transactions").set(column::<i64>(&row, "running")? as f64);
            metrics::gauge!(LAST_BACKUP).set(column::<Option<i64>>(&row, "last_backup")?.unwrap_or(0) as f64);
            let changes = changes(&row)?;
            outdated.observe_epoch(changes.epoch);
            self.require_of_replicas(&changes, column(&row, "history")?, since.is_some(), sent);
            Ok(Polled::Primary(changes))
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
            let sql = format!(
                "SELECT set_config('iam.company', 'all', true);
            SELECT {acquire_global_lock};
            UPDATE iam_installation AS installation SET history = gen_random_uuid()
                WHERE {EPOCH_OF_INSTALLATION} = {epoch};
            UPDATE company_states SET version = version
                WHERE changed_by >= pg_snapshot_xmax(pg_current_snapshot())",
                acquire_global_lock = acquire_global_lock(Target::Catalog),
            );
            self.control().connections().execute_unprepared(&sql).await.map(drop).map_err(from_db)
        })
        .await
    }

    async fn listen(&self) -> Result<Box<dyn WakeUps>> {
        let row = self.control().query_repeatable(statement(format!("SELECT {CHANNEL} AS channel"), [])).await;
        let row = row.map_err(from_db)?;
        let channel: Option<String> = row.first().map(|row| column(row, "channel")).transpose()?.flatten();
        let channel = channel.ok_or_else(incomplete)?;
        Ok(Box::new(self.listener_options().clone().start(channel, self.runtime()).await?))
    }
}
