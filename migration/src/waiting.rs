//! Attempts to change the schema. Each attempt waits only briefly for locks, and is repeated until a total time is over.
//!
//! A statement that waits for an ACCESS EXCLUSIVE lock makes all other sessions that use the table queue behind it.
//! Therefore the statement gives up soon, the whole transaction is rolled back, and the sessions in the queue continue
//! before the next attempt.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection};
use sea_orm::sqlx::{self, Connection, Row};
use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr};
use sea_orm_migration::MigratorTrait;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use crate::error::MigrationError;
use crate::obstacle::{BlockingSession, Obstacle};
use crate::session::{LOCK_NOT_AVAILABLE, Records, begin, sqlstate, statement};

/// Sets the maximum time that a statement of a migration waits for a lock.
const LIMIT_LOCK_WAIT: &str = "SET LOCAL lock_timeout = '1s'";

/// The mean of the first pause between two attempts. Each mean is twice as long as the previous one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The largest mean of the pauses.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The time between two queries for the sessions that block an attempt.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Query for the table that the session $1 waits for, and for the sessions that block the session. The columns of
/// sessions of other roles are NULL unless the role may read them.
const FIND_OBSTACLE: &str = "
    SELECT lock.relation::regclass::text AS relation, blocking.pid, session.application_name, session.state
    FROM pg_locks AS lock
    CROSS JOIN LATERAL (SELECT DISTINCT pid FROM unnest(pg_blocking_pids(lock.pid)) AS blocking (pid)) AS blocking
    LEFT JOIN pg_stat_activity AS session ON session.pid = blocking.pid
    WHERE lock.pid = $1 AND NOT lock.granted
    ORDER BY blocking.pid";

/// How long a change to the schema is attempted while other sessions hold locks, and what reports its progress.
#[derive(Clone, Copy)]
pub struct LockWait<'a> {
    /// The time after which no further attempt begins. With zero, there is one attempt.
    pub limit: Duration,
    /// Receives what the operation does until it returns.
    pub report: &'a (dyn Fn(&Progress) + Sync),
}

impl LockWait<'_> {
    /// The default limit.
    pub const LIMIT: Duration = Duration::from_secs(60);
}

impl Default for LockWait<'_> {
    /// Returns the default limit, without reports.
    fn default() -> Self {
        Self { limit: Self::LIMIT, report: &|_| {} }
    }
}

impl fmt::Debug for LockWait<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockWait").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// What an operation reports before it returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// An attempt failed, and another one follows.
    Blocked(FailedAttempt),
    /// The build of the index with this name begins.
    BuildingIndex(&'static str),
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blocked(attempt) => attempt.fmt(f),
            Self::BuildingIndex(name) => write!(f, "building the index {name}"),
        }
    }
}

/// An attempt that was rolled back because a lock was not available in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedAttempt {
    /// The number of the attempt, beginning at 1.
    pub number: u32,
    /// What blocked the attempt.
    pub obstacle: Obstacle,
    /// The time until the next attempt.
    pub pause: Duration,
}

impl fmt::Display for FailedAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, obstacle, pause } = self;
        write!(f, "attempt {number} was rolled back: {obstacle}; the next attempt begins in {pause:.1?}")
    }
}

/// The statements of one attempt. The future is boxed, because the compiler cannot prove of an `AsyncFn` that its futures
/// are `Send`.
pub(crate) type Work<'t, T> = Pin<Box<dyn Future<Output = Result<T, MigrationError>> + Send + 't>>;

/// Runs `work` in a transaction that [`begin`] begins, and commits it. Repeats this if a lock is not available in time.
pub(crate) async fn change_schema<M: MigratorTrait, T>(
    db: &DatabaseConnection,
    records: Records,
    wait: LockWait<'_>,
    work: impl for<'t> Fn(&'t DatabaseTransaction) -> Work<'t, T>,
) -> Result<T, MigrationError> {
    let until = Instant::now() + wait.limit;
    let options = db.get_postgres_connection_pool().connect_options();
    for number in 1.. {
        let tx = begin::<M>(db, records).await?;
        tx.execute_unprepared(LIMIT_LOCK_WAIT).await?;
        let session = tx.query_one_raw(statement("SELECT pg_backend_pid() AS pid", [])).await?;
        let session = session.ok_or_else(|| DbErr::RecordNotFound("the session has no process id".to_owned()))?;
        let observer = Observer::new(session.try_get("", "pid")?, Arc::clone(&options));
        let source = match observer.during(work(&tx)).await {
            Ok(value) => {
                tx.commit().await?;
                return Ok(value);
            }
            Err(MigrationError::Database(error)) if is_contention(&error) => error,
            Err(error) => return Err(error),
        };
        tx.rollback().await?;
        let (obstacle, now) = (observer.last(), Instant::now());
        if now >= until {
            return Err(MigrationError::Locked { obstacle: Box::new(obstacle), waited: wait.limit, source });
        }
        let next = (now + pause_after(number)).min(until);
        (wait.report)(&Progress::Blocked(FailedAttempt { number, obstacle, pause: next - now }));
        sleep_until(next).await;
    }
    Err(DbErr::Custom("the attempts cannot be counted".to_owned()).into())
}

/// Returns `true` if the transaction may succeed when it is run again: a lock was not available, or a
/// deadlock was detected.
pub(crate) fn is_contention(error: &DbErr) -> bool {
    sqlstate(error).is_some_and(|code| matches!(code.as_ref(), LOCK_NOT_AVAILABLE | "40P01"))
}

/// Returns the pause after the attempt with this number. It is random, so that several programs do not attempt at the
/// same time.
fn pause_after(number: u32) -> Duration {
    let mean = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(number - 1)).min(LONGEST_PAUSE);
    mean.mul_f64(rand::random_range(0.5..1.5))
}

/// Looks for the sessions that block one session, with a connection of its own.
pub(crate) struct Observer {
    pid: i32,
    options: Arc<PgConnectOptions>,
    seen: watch::Sender<Obstacle>,
}

impl Observer {
    /// Returns an observer of the session with this process id.
    pub(crate) fn new(pid: i32, options: Arc<PgConnectOptions>) -> Self {
        Self { pid, options, seen: watch::Sender::new(Obstacle::default()) }
    }

    /// Returns the obstacle that was seen last. It is empty if none was seen.
    pub(crate) fn last(&self) -> Obstacle {
        self.seen.borrow().clone()
    }

    /// Waits for the outcome of `work`, and looks for obstacles meanwhile.
    pub(crate) async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::select! {
            outcome = work => outcome,
            never = self.look() => match never {},
        }
    }

    /// Looks for obstacles until it is dropped. Without a connection, there is nothing to see.
    async fn look(&self) -> Infallible {
        sleep(LOOK_INTERVAL).await;
        if let Ok(mut connection) = PgConnection::connect_with(&self.options).await {
            while let Ok(seen) = self.find(&mut connection).await {
                if let Some(obstacle) = seen {
                    self.seen.send_replace(obstacle);
                }
                sleep(LOOK_INTERVAL).await;
            }
        }
        std::future::pending().await
    }

    async fn find(&self, connection: &mut PgConnection) -> Result<Option<Obstacle>, sqlx::Error> {
        let rows = sqlx::query(FIND_OBSTACLE).bind(self.pid).fetch_all(connection).await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let session = |row: &sqlx::postgres::PgRow| {
            Ok(BlockingSession {
                pid: row.try_get("pid")?,
                application: row.try_get("application_name")?,
                state: row.try_get("state")?,
            })
        };
        let sessions = rows.iter().map(session).collect::<Result<_, sqlx::Error>>()?;
        Ok(Some(Obstacle { table: first.try_get("relation")?, sessions }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_maximum_and_differ() {
        for (number, seconds) in [(1, 0.5..1.5), (2, 1.0..3.0), (3, 2.0..6.0), (5, 5.0..15.0), (u32::MAX, 5.0..15.0)] {
            let pauses: Vec<_> = (0..100).map(|_| pause_after(number).as_secs_f64()).collect();
            assert!(pauses.iter().all(|pause| seconds.contains(pause)), "{number}: {pauses:?}");
            assert!(pauses.iter().any(|pause| *pause != pauses[0]), "{number}: {pauses:?}");
        }
    }

    #[test]
    fn an_obstacle_names_the_table_and_each_session_without_control_characters() {
        let session = |pid, application: Option<&str>, state: Option<&str>| BlockingSession {
            pid,
            application: application.map(str::to_owned),
            state: state.map(str::to_owned),
        };
        let sessions = vec![session(7, Some("a\nb"), Some("idle in transaction")), session(8, Some(""), None)];
        let obstacle = Obstacle { table: Some("views".to_owned()), sessions };
        assert_eq!(
            obstacle.to_string(),
            "the table views is locked by session 7 (application \"a\\nb\", idle in transaction), \
            session 8 (in an unknown state)"
        );
        assert_eq!(Obstacle::default().to_string(), "a lock is held by an unknown session");
    }

    /// Callers may spawn the function on a runtime with several threads.
    #[test]
    fn the_future_of_a_change_can_be_sent_to_another_thread() {
        fn is_send<T: Send>(_: impl FnOnce(DatabaseConnection) -> T) {}
        is_send(|db| async move { crate::up(&db).await });
    }
}
