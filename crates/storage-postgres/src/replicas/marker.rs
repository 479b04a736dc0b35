//! Writes the markers that prove how recent a replica is.

use std::error::Error;
use std::sync::Arc;

use iam_storage::Result;
use sea_orm::entity::prelude::DateTimeUtc;

use crate::connections::shares::Class;
use crate::pool::Pool;
use crate::replicas::requirements::{MarkerToWrite, Requirements};
use crate::repository::{Asked, Repository};
use crate::statement::{column, statement};

/// Writes a marker on the primary in the background, and records it. The commit is as durable as any change, also if the
/// primary replicates synchronously, so that a primary that was replaced cannot write one.
pub(crate) fn write_marker(pool: Arc<Pool>, requirements: Arc<Requirements>, marker: MarkerToWrite) {
    let runtime = pool.connections.runtime().clone();
    drop(runtime.spawn(async move {
        let written = write(&Repository(pool), &marker).await;
        if let Err(error) = &written {
            tracing::debug!(error = error as &dyn Error, "cannot write the marker for reads from replicas");
        }
        requirements.written(&marker, written.ok());
    }));
}

/// Writes a marker, and returns the time in its row. The statement uses the pool and not the connections outside the pool,
/// because a commit that waits for a synchronous standby must not delay polls and look-ups of credentials.
pub(super) async fn write(repository: &Repository<Arc<Pool>>, marker: &MarkerToWrite) -> Result<DateTimeUtc> {
    // The time increases with each marker, even if the clock does not. A repetition of the statement is harmless.
    let sql = "WITH gone AS (DELETE FROM iam_heartbeats WHERE beat_at < now() - interval '1 day')
        INSERT INTO iam_heartbeats AS own (replica, beat_at)
        SELECT $1, now() FROM (SELECT set_config('synchronous_commit', 'on', true)) AS durable
        ON CONFLICT (replica)
            DO UPDATE SET beat_at = greatest(excluded.beat_at, own.beat_at + interval '1 microsecond')
        RETURNING beat_at";
    let write = Asked::from(statement(sql, [marker.0.into()])).of(Class::Trails);
    column(&repository.single(write).await?, "beat_at")
}
