//! Ends sessions of the service that keep a change waiting.
//!
//! A session is the service's when its role, its database and its application name are those of the session that waits. A
//! program of another name, such as `psql`, is never ended, even if it uses the same role.

use std::convert::Infallible;
use std::time::Duration;

use sea_orm::{ConnectionTrait, DbErr};

use crate::connections::Connections;
use crate::repository::statement;

/// How often a change that waits looks for what blocks it. What does so at two looks is ended: after a second.
const PAUSE: Duration = Duration::from_millis(500);
/// The same once a session was ended: a process that stands still may have others in the queue, which block next.
const PAUSE_AFTER_ENDING: Duration = Duration::from_millis(100);

/// Which blockers are ended.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Blockers {
    /// Every one: what waits takes rights away.
    All,
    /// Those whose server process has waited for its client for so long.
    Silent(Duration),
}

/// Waits for a lock on behalf of the server process `pid`, and meanwhile ends what blocks it.
pub(crate) async fn unblocked<T>(
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

async fn keep_ending(control: &Connections, pid: i32, which: Blockers) -> Infallible {
    let mut seen = Vec::new();
    let mut pause = PAUSE;
    loop {
        tokio::time::sleep(pause).await;
        match end(control, pid, which, seen).await {
            Ok((blocking, ended)) => {
                if !ended.is_empty() {
                    log::warn!("ended the sessions {ended:?} of the service, which kept a change waiting");
                    pause = PAUSE_AFTER_ENDING;
                }
                seen = blocking;
            }
            Err(error) => {
                log::warn!("cannot end the sessions that keep a change waiting: {error}");
                seen = Vec::new();
            }
        }
    }
}

/// Ends those of the sessions `seen` that block a server process still; answers all that block it, and those that were ended.
async fn end(control: &Connections, pid: i32, which: Blockers, seen: Vec<i32>) -> Result<(Vec<i32>, Vec<i32>), DbErr> {
    // Those who wait for the gate themselves hold nothing yet: they are ahead in its queue, and go when it opens. The choice is
    // materialized, since a function in a condition may otherwise be called for rows that another condition leaves out.
    let sql = "WITH blocking AS MATERIALIZED (SELECT unnest(pg_blocking_pids($1)) AS pid),
        chosen AS MATERIALIZED (
            SELECT blocker.pid FROM blocking
            JOIN pg_stat_activity AS blocker USING (pid)
            JOIN pg_stat_activity AS own ON own.pid = $1
            WHERE blocker.usesysid = own.usesysid AND blocker.datid = own.datid
                AND blocker.application_name = own.application_name
                AND (blocker.wait_event_type, blocker.wait_event) IS DISTINCT FROM ('Lock', 'advisory')
                AND ($2::float8 IS NULL OR blocker.wait_event_type = 'Client'
                    AND blocker.state_change < clock_timestamp() - make_interval(secs => $2))
        )
        SELECT pid, CASE WHEN pid = ANY($3) THEN pg_terminate_backend(pid) ELSE false END AS is_ended FROM chosen";
    let silent_for = match which {
        Blockers::All => None,
        Blockers::Silent(silence) => Some(silence.as_secs_f64()),
    };
    let rows = control.query_all_raw(statement(sql, [pid.into(), silent_for.into(), seen.into()])).await?;
    let (mut blocking, mut ended) = (Vec::new(), Vec::new());
    for row in &rows {
        let pid = row.try_get("", "pid")?;
        let of = if row.try_get("", "is_ended")? { &mut ended } else { &mut blocking };
        of.push(pid);
    }
    Ok((blocking, ended))
}
