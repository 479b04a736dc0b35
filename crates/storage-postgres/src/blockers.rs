//! Ends sessions of the service that block a change.
//!
//! A session is the service's when its role, its database and its application name are those of the session that
//! waits. A program of another name, such as `psql`, is never ended, even if it uses the same role.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, DbErr};

use crate::connections::Connections;
use crate::statement::statement;

/// How often a waiting change looks for its blockers. A session that blocks at two looks is ended: after a second.
const PAUSE: Duration = Duration::from_millis(500);
/// How often it looks once a session was ended. A stopped process may have more sessions in the queue, which block one
/// after the other: each is ended when it has done nothing between two looks, or has blocked for [`PAUSE`].
const PAUSE_AFTER_ENDING: Duration = Duration::from_millis(25);

/// The blockers to end.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Blockers {
    /// All of them: the waiting change revokes rights.
    All,
    /// Those whose server process has waited for its client this long.
    Silent(Duration),
}

/// A session that blocked at one look.
#[derive(Debug, Clone, Copy)]
struct Blocking {
    pid: i32,
    /// When its state changed last, in microseconds.
    since: i64,
    /// When it was seen to block for the first time.
    first_seen: Instant,
}

/// Waits for a lock on behalf of the server process `pid`, and ends what blocks it meanwhile.
pub(crate) async fn ending_blockers<T>(
    control: &Connections,
    pid: i32,
    which: Blockers,
    waiting: impl Future<Output = T>,
) -> T {
    tokio::select! {
        biased;
        outcome = waiting => outcome,
        never = keep_ending(control, pid, which) => match never {},
    }
}

/// Looks for blockers and ends them, forever.
async fn keep_ending(control: &Connections, pid: i32, which: Blockers) -> Infallible {
    let mut seen = Vec::new();
    let mut has_ended = false;
    loop {
        tokio::time::sleep(if has_ended { PAUSE_AFTER_ENDING } else { PAUSE }).await;
        match end(control, pid, which, &seen).await {
            Ok((blocking, ended)) => {
                if !ended.is_empty() {
                    tracing::warn!(pids = ?ended, "ended sessions of the service that kept a change waiting");
                    has_ended = true;
                }
                seen = blocking;
            }
            Err(error) => {
                tracing::warn!(%error, "cannot end the sessions that keep a change waiting");
                seen = Vec::new();
            }
        }
    }
}

/// Ends those of the sessions `seen` that still block a server process, and have done nothing since that look or have
/// blocked for [`PAUSE`]. Returns the blocking sessions that were not ended, and the process ids of those that were.
async fn end(
    control: &Connections,
    pid: i32,
    which: Blockers,
    seen: &[Blocking],
) -> Result<(Vec<Blocking>, Vec<i32>), DbErr> {
    // Sessions that wait for the gate themselves hold nothing yet: they are ahead in its queue, and continue when it
    // opens. The choice is materialized, since a function in a condition may otherwise be called for rows that another
    // condition excludes.
    let sql = "WITH blocking AS MATERIALIZED (SELECT unnest(pg_blocking_pids($1)) AS pid),
        chosen AS MATERIALIZED (
            SELECT blocker.pid, (extract(epoch FROM blocker.state_change) * 1000000)::bigint AS since FROM blocking
            JOIN pg_stat_activity AS blocker USING (pid)
            JOIN pg_stat_activity AS own ON own.pid = $1
            WHERE blocker.usesysid = own.usesysid AND blocker.datid = own.datid
                AND blocker.application_name = own.application_name
                AND (blocker.wait_event_type, blocker.wait_event) IS DISTINCT FROM ('Lock', 'advisory')
                AND ($2::float8 IS NULL OR blocker.wait_event_type = 'Client'
                    AND blocker.state_change < clock_timestamp() - make_interval(secs => $2))
        )
        SELECT pid, since, CASE WHEN EXISTS (
            SELECT FROM unnest($3::integer[], $4::bigint[], $5::boolean[]) AS seen (pid, since, is_overdue)
            WHERE seen.pid = chosen.pid AND (seen.is_overdue OR seen.since = chosen.since)
        ) THEN pg_terminate_backend(pid) ELSE false END AS is_ended FROM chosen";
    let silent_for = match which {
        Blockers::All => None,
        Blockers::Silent(silence) => Some(silence.as_secs_f64()),
    };
    let (pids, times): (Vec<_>, Vec<_>) = seen.iter().map(|session| (session.pid, session.since)).unzip();
    let overdue: Vec<_> = seen.iter().map(|session| session.first_seen.elapsed() >= PAUSE).collect();
    let values = [pid.into(), silent_for.into(), pids.into(), times.into(), overdue.into()];
    let rows = control.query_all_raw(statement(sql, values)).await?;
    let (mut blocking, mut ended) = (Vec::new(), Vec::new());
    for row in &rows {
        let (pid, since) = (row.try_get("", "pid")?, row.try_get("", "since")?);
        let before = seen.iter().find(|session| session.pid == pid);
        let first_seen = before.map_or_else(Instant::now, |session| session.first_seen);
        let session = Blocking { pid, since, first_seen };
        if row.try_get("", "is_ended")? {
            ended.push(session.pid);
        } else {
            blocking.push(session);
        }
    }
    Ok((blocking, ended))
}
