//! Opens a snapshot on a read replica that has everything that the primary had committed before.

use std::sync::Arc;
use std::time::Duration;

use iam_storage::Result;
use sea_orm::entity::prelude::DateTimeUtc;
use sea_orm::{QueryResult, Statement};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::connections::hooks::PoolHooks;
use crate::engine::Feed;
use crate::feed::epoch::{EPOCH_SETTING, current_epoch, epoch};
use crate::options::PostgresOptions;
use crate::pool::Pool;
use crate::replicas::marker;
use crate::replicas::replica::{Replica, messages};
use crate::replicas::requirements::MarkerToWrite;
use crate::repository::{Asked, Repository};
use crate::snapshot::Snapshot;
use crate::statement::{column, statement};

/// The time for which a snapshot waits until a replica has the marker. Afterwards, the primary provides the snapshot.
const PATIENCE: Duration = Duration::from_secs(5);
/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// The state of the primary that a replica must have. Commits are replayed in their order, so a replica with the marker has
/// every commit before it.
struct Proof {
    epoch: u64,
    history: Uuid,
    marker: (Uuid, DateTimeUtc),
}

impl Proof {
    /// Writes a marker on the primary.
    async fn write(primary: &Repository<Arc<Pool>>, feed: Feed) -> Result<Self> {
        let row = Uuid::new_v4();
        let at = marker::write(primary, &MarkerToWrite(row)).await?;
        let sql = format!("SELECT history, {} AS epoch FROM iam_installation", current_epoch(feed));
        let state = primary.single(Asked::from(statement(&sql, []))).await?;
        Ok(Self { epoch: epoch(&state)?, history: column(&state, "history")?, marker: (row, at) })
    }

    /// The statement that checks a snapshot of a replica, and sets the epoch that its reads return.
    ///
    /// A replica whose primary may remove rows that the snapshot still needs would cancel long exports, so it must either
    /// report its snapshots to the primary or delay the replay without limit.
    fn check(&self) -> Statement {
        let sql = format!(
            "SELECT set_config('{EPOCH_SETTING}', $1, true) AS epoch,
                EXISTS (SELECT FROM iam_installation WHERE history = $2) AS is_replica,
                EXISTS (SELECT FROM iam_heartbeats WHERE replica = $3 AND beat_at >= $4) AS has_marker,
                current_setting('hot_standby_feedback')::boolean
                    OR current_setting('max_standby_streaming_delay') = '-1' AS keeps_rows"
        );
        let (row, at) = self.marker;
        let epoch = self.epoch.cast_signed().to_string();
        statement(&sql, [epoch.into(), self.history.into(), row.into(), at.into()])
    }
}

/// Why a replica provides no snapshot.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("it lacks commits of the primary")]
    Outdated,
    #[error("it belongs to another database")]
    Foreign,
    #[error("it may cancel long reads: neither hot_standby_feedback is on nor max_standby_streaming_delay is -1")]
    MayCancel,
    #[error(transparent)]
    Failed(#[from] iam_storage::StorageError),
}

/// Opens a snapshot on one of the replicas. Returns `None` if none of them provides one in time: the primary must provide
/// it.
pub(super) async fn open(
    replicas: &[Arc<Replica>],
    primary: &Repository<Arc<Pool>>,
    options: &PostgresOptions,
    main: &PoolHooks,
) -> Option<Repository<Snapshot>> {
    let mut reason = "no marker can be written".to_owned();
    let found = timeout(PATIENCE, async {
        let proof = Proof::write(primary, options.feed).await.inspect_err(|error| reason = messages(error)).ok()?;
        let mut candidates: Vec<_> = replicas.iter().collect();
        while !candidates.is_empty() {
            // Only a replica that is merely outdated is tried again.
            let mut outdated = Vec::new();
            for replica in candidates {
                match of_replica(replica, options, main, &proof).await {
                    Ok(snapshot) => {
                        tracing::info!(address = replica.address(), "a read replica provides the snapshot");
                        return Some(snapshot);
                    }
                    Err(problem) => {
                        reason = format!("{}: {}", replica.address(), messages(&problem));
                        if matches!(problem, Problem::Outdated) {
                            outdated.push(replica);
                        }
                    }
                }
            }
            candidates = outdated;
            sleep(PAUSE).await;
        }
        None
    });
    let snapshot = found.await.ok().flatten();
    if snapshot.is_none() {
        tracing::warn!(reason, "no read replica provides the snapshot: the primary provides it");
    }
    snapshot
}

async fn of_replica(
    replica: &Replica,
    options: &PostgresOptions,
    main: &PoolHooks,
    proof: &Proof,
) -> Result<Repository<Snapshot>, Problem> {
    let snapshot = Snapshot::open(options, &main.clone().for_standby(), replica.connect_options()).await?;
    let row: QueryResult = snapshot.single(Asked::from(proof.check())).await?;
    // New sessions are rejected unless the server is a standby.
    if !column::<bool>(&row, "is_replica")? {
        Err(Problem::Foreign)
    } else if !column::<bool>(&row, "keeps_rows")? {
        Err(Problem::MayCancel)
    } else if !column::<bool>(&row, "has_marker")? {
        Err(Problem::Outdated)
    } else {
        Ok(snapshot)
    }
}
