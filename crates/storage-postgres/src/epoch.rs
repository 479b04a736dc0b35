//! Which database answered: what tells it from another, also from itself before it was restored or a standby took over.
//!
//! Each connection asks once, when it is opened, and keeps the answer as a setting of its session. So a statement can say
//! which database *it* was answered by, at no cost, whatever other connections have reached since.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use iam_storage::{Result, StorageError};
use sea_orm::QueryResult;
use sea_orm::sqlx::postgres::PgConnection;
use sea_orm::sqlx::{self, AssertSqlSafe};

use crate::error::is_forbidden;
use crate::repository::column;

/// The epoch of the connection that answers, as text; nothing where a pooler changes the session between transactions.
pub(crate) const EPOCH: &str = "nullif(current_setting('iam.epoch', true), '')";

/// The cluster, its timeline, and the database in it.
const OF_CLUSTER: &str = "concat_ws('/',
    (SELECT system_identifier FROM pg_control_system()),
    CASE WHEN pg_is_in_recovery() THEN (SELECT lpad(to_hex(timeline_id), 8, '0') FROM pg_control_checkpoint())
         ELSE lower(left(pg_walfile_name(pg_current_wal_lsn()), 8)) END,
    (SELECT oid FROM pg_database WHERE datname = current_database())
)";

/// Where the role may not ask for the cluster: only the database, which at least is the same after a restart.
const OF_DATABASE: &str =
    "(SELECT concat_ws('/', current_database(), oid) FROM pg_database WHERE datname = current_database())";

/// Asks which database a new connection has reached, and has the session remember it.
async fn ask(connection: &mut PgConnection, identity: &str) -> Result<u64, sqlx::Error> {
    let sql = format!("SELECT set_config('iam.epoch', hashtextextended({identity}, 0)::text, false)::bigint");
    let epoch: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(connection).await?;
    Ok(epoch.cast_unsigned())
}

/// What the connections of a pool have reached.
#[derive(Debug, Default)]
pub(crate) struct Epochs(Mutex<Reached>);

#[derive(Debug, Default)]
struct Reached {
    latest: Option<u64>,
    /// When it became another one. Older connections are to databases of the past.
    changed: Option<Instant>,
}

impl Epochs {
    /// Notes what a new connection has reached.
    pub(crate) async fn greet(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let epoch = match ask(connection, OF_CLUSTER).await {
            Err(error) if is_forbidden(&error) => ask(connection, OF_DATABASE).await?,
            other => other?,
        };
        let mut reached = self.reached();
        if reached.latest.replace(epoch).is_some_and(|before| before != epoch) {
            log::warn!("the database is another one than before: connections to that one are given up");
            reached.changed = Some(Instant::now());
        }
        Ok(())
    }

    /// Whether a connection of this age is to a database of the past.
    pub(crate) fn is_past(&self, age: Duration) -> bool {
        self.reached().changed.is_some_and(|changed| age > changed.elapsed())
    }

    /// The epoch that the newest connection has reached; 0 before the first.
    pub(crate) fn latest(&self) -> u64 {
        self.reached().latest.unwrap_or_default()
    }

    fn reached(&self) -> MutexGuard<'_, Reached> {
        // Held for a look at it, and right at every moment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The epoch that a row says by [`EPOCH`], in its column `epoch`; else `otherwise`.
pub(crate) fn epoch(row: &QueryResult, otherwise: u64) -> Result<u64> {
    match column::<Option<String>>(row, "epoch")? {
        Some(text) => text.parse().map(i64::cast_unsigned).map_err(StorageError::corrupt),
        None => Ok(otherwise),
    }
}
