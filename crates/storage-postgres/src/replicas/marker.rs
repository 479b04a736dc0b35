//! Writes the markers that prove how recent a replica is.

use std::error::Error;
use std::sync::Arc;

use sea_orm::ConnectionTrait;
use sea_orm::entity::prelude::DateTimeUtc;

use crate::connections::control::ControlPool;
use crate::connections::runtime::on_runtime;
use crate::error::from_db;
use crate::replicas::requirements::{MarkerToWrite, Requirements};
use crate::statement::{column, incomplete, statement};

/// Writes a marker on the primary in the background, and records it. The commit is as durable as any change, also if the
/// primary replicates synchronously, so that a primary that was replaced cannot write one.
pub(crate) fn write_marker(control: Arc<ControlPool>, requirements: Arc<Requirements>, marker: MarkerToWrite) {
    let runtime = control.connections().runtime().clone();
    drop(runtime.spawn(async move {
        let written = write(&control, &marker).await;
        if let Err(error) = &written {
            tracing::debug!(error = error as &dyn Error, "cannot write the marker for reads from replicas");
        }
        requirements.written(&marker, written.ok());
    }));
}

async fn write(control: &ControlPool, marker: &MarkerToWrite) -> iam_storage::Result<DateTimeUtc> {
    // The time increases with each marker, even if the clock does not.
    let sql = "WITH gone AS (DELETE FROM iam_heartbeats WHERE beat_at < now() - interval '1 day')
        INSERT INTO iam_heartbeats AS own (replica, beat_at)
        SELECT $1, now() FROM (SELECT set_config('synchronous_commit', 'on', true)) AS durable
        ON CONFLICT (replica)
            DO UPDATE SET beat_at = greatest(excluded.beat_at, own.beat_at + interval '1 microsecond')
        RETURNING beat_at";
    let _permit = control.admit().await;
    let connections = control.connections();
    let row = connections.query_one_raw(statement(sql, [marker.0.into()]));
    let row = on_runtime(connections.runtime(), row).await.map_err(from_db)?;
    column(&row.ok_or_else(incomplete)?, "beat_at")
}
