//! Terminates sessions of the service that block a change.
//!
//! A session belongs to the service if it has the same role, database and application name as the waiting session. A
//! session of a program with another application name, such as `psql`, is never terminated, even if it uses the same
//! role.

use std::convert::Infallible;
use std::error::Error;
use std::sync::Once;
use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, DbErr};

use crate::changes::{global_lock, row_gate};
use crate::engine::Gate;
use crate::error::{from_db, is_unsupported};
use crate::pool::Pool;
use crate::statement::statement;

/// Interval between checks for the sessions that block a waiting change. The first check runs after one interval. A
/// session that blocks the change at two consecutive checks is terminated. A session is thus terminated at the earliest
/// one second after the change began to wait.
const PAUSE: Duration = Duration::from_millis(500);
/// The same interval for a change that revokes rights. Such a change terminates sessions after half a second.
const PAUSE_OF_REVOCATION: Duration = Duration::from_millis(250);
/// Interval between checks after a session has been terminated. This interval is shorter than the regular interval,
/// because a hanging process may have several sessions in the lock queue. When one of them ends, the next one blocks
/// the change. The next session is terminated if its state did not change between two checks, or if it has blocked the
/// change for the regular interval.
const PAUSE_AFTER_TERMINATION: Duration = Duration::from_millis(25);

/// Whether this process has reported that the database does not support the termination of blocking sessions.
static REPORTED: Once = Once::new();

/// Specifies which blocking sessions are terminated.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Blockers {
    /// All blocking sessions, because the waiting change revokes rights.
    OfRevocation,
    /// All blocking sessions, because every other change waits behind the waiting change.
    OfCatalog,
    /// Only the blocking sessions whose backend has been waiting for its client, without receiving anything, for at
    /// least this time.
    Silent(Duration),
}

impl Blockers {
    /// Returns the regular interval between checks.
    const fn pause(self) -> Duration {
        match self {
            Self::OfRevocation => PAUSE_OF_REVOCATION,
            Self::OfCatalog | Self::Silent(_) => PAUSE,
        }
    }
}

/// A session that blocked the change at the time of a check.
#[derive(Debug, Clone, Copy)]
struct Blocking {
    pid: i32,
    /// The time of the session's last state change (`state_change`), in microseconds since the Unix epoch.
    since: i64,
    /// The time of the first check at which the session blocked the change.
    first_seen: Instant,
}

/// Awaits the future `waiting`. Its statements run in the server backend with the process id `pid` and may wait for
/// locks. Meanwhile, this function terminates the sessions that block the backend and that `which` selects.
pub(crate) async fn terminating_blockers<T>(
    pool: &Pool,
    pid: i32,
    which: Blockers,
    waiting: impl Future<Output = T>,
) -> T {
    tokio::select! {
        biased;
        outcome = waiting => outcome,
        never = terminate_repeatedly(pool, pid, which) => match never {},
    }
}

/// Checks for blocking sessions and terminates them, repeatedly. Never returns. On an engine that does not show which
/// sessions block, or does not permit it, the change only waits until its lock timeout.
async fn terminate_repeatedly(pool: &Pool, pid: i32, which: Blockers) -> Infallible {
    let mut seen = Vec::new();
    let mut has_ended = false;
    loop {
        tokio::time::sleep(if has_ended { PAUSE_AFTER_TERMINATION } else { which.pause() }).await;
        match end(pool, pid, which, &seen).await {
            Ok((blocking, ended)) => {
                if !ended.is_empty() {
                    let pids: Vec<_> = ended.iter().map(ToString::to_string).collect();
                    tracing::warn!(
                        pids = pids.join(", "),
                        "terminated database sessions (opened by this service) that were blocking a change"
                    );
                    has_ended = true;
                }
                seen = blocking;
            }
            Err(error) if is_unsupported(&error) => {
                REPORTED.call_once(|| {
                    tracing::warn!(
                        error = &error as &dyn Error,
                        "the database does not show the sessions that block a change; they are not terminated"
                    );
                });
                return std::future::pending().await;
            }
            Err(error) => {
                let error = from_db(error);
                tracing::warn!(error = &error as &dyn Error, "cannot terminate the sessions that block a change");
                seen = Vec::new();
            }
        }
    }
}

/// Finds the sessions that block the backend `pid`, and terminates some of them. `seen` contains the blocking sessions
/// of the previous check. A session in `seen` that still blocks the backend is terminated if its state has not changed
/// since then, or if it has blocked the backend for the regular interval. Returns the blocking sessions that were not
/// terminated, and the process ids of the terminated sessions.
async fn end(pool: &Pool, pid: i32, which: Blockers, seen: &[Blocking]) -> Result<(Vec<Blocking>, Vec<i32>), DbErr> {
    // A session that waits for the global lock is not terminated. Such a session holds no lock yet. It is only ahead of
    // this change in the queue of the global lock. `chosen` is materialized, because PostgreSQL could otherwise call
    // `pg_terminate_backend` for a session before it evaluates the conditions that exclude the session.
    let waits = |pid| waits_for_global_lock(pool.gate, pid);
    // A session that waits for a row lock is blocked by the first session in the queue, which may itself wait for the
    // sessions that hold the lock.
    let queue = match pool.gate {
        Gate::Native => String::new(),
        Gate::Row => {
            format!("UNION SELECT unnest(pg_blocking_pids(blocking.pid)) FROM blocking WHERE {}", waits("blocking.pid"))
        }
    };
    let sql = format!(
        "WITH RECURSIVE blocking (pid) AS (SELECT unnest(pg_blocking_pids($1)) {queue}),
        chosen AS MATERIALIZED (
            SELECT blocker.pid, (extract(epoch FROM blocker.state_change) * 1000000)::bigint AS since FROM blocking
            JOIN pg_stat_activity AS blocker USING (pid)
            JOIN pg_stat_activity AS own ON own.pid = $1
            WHERE blocker.usesysid = own.usesysid AND blocker.datid = own.datid
                AND blocker.application_name = own.application_name
                AND (blocker.wait_event_type, blocker.wait_event) IS DISTINCT FROM ('Lock', 'advisory')
                AND NOT {is_waiting}
                AND ($2::float8 IS NULL OR blocker.wait_event_type = 'Client'
                    AND blocker.state_change < clock_timestamp() - make_interval(secs => $2))
        )
        SELECT pid, since, CASE WHEN EXISTS (
            SELECT FROM unnest($3::integer[], $4::bigint[], $5::boolean[]) AS seen (pid, since, is_overdue)
            WHERE seen.pid = chosen.pid AND (seen.is_overdue OR seen.since = chosen.since)
        ) THEN pg_terminate_backend(pid) ELSE false END AS is_ended FROM chosen",
        is_waiting = waits("blocker.pid"),
    );
    let silent_for = match which {
        Blockers::OfRevocation | Blockers::OfCatalog => None,
        Blockers::Silent(silence) => Some(silence.as_secs_f64()),
    };
    let (pids, times): (Vec<_>, Vec<_>) = seen.iter().map(|session| (session.pid, session.since)).unzip();
    let overdue: Vec<_> = seen.iter().map(|session| session.first_seen.elapsed() >= which.pause()).collect();
    let values = [pid.into(), silent_for.into(), pids.into(), times.into(), overdue.into()];
    let _permit = pool.control.admit().await;
    let rows = pool.control.connections().query_all_raw(statement(sql, values)).await?;
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

/// Returns the SQL condition that the session with the process id `pid`, an SQL expression, waits for the global lock. A
/// session holds the lock of a tuple (a row version) only while it waits for the row lock.
fn waits_for_global_lock(gate: Gate, pid: &str) -> String {
    let is_awaited = match gate {
        Gate::Native => format!("NOT awaited.granted AND pg_class.relname = '{}'", global_lock::LOCK_TABLE),
        Gate::Row => format!("awaited.locktype = 'tuple' AND pg_class.relname = '{}'", row_gate::LOCKED_TABLE),
    };
    format!(
        "EXISTS (
            SELECT FROM pg_locks AS awaited JOIN pg_class ON pg_class.oid = awaited.relation
            WHERE awaited.pid = {pid} AND {is_awaited}
        )"
    )
}
