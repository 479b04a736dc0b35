//! Indexes that are built with `CREATE INDEX CONCURRENTLY`, outside of any transaction.
//!
//! The build does not block writers, but an interrupted build leaves an invalid index, which is dropped and built again.
//! While a session builds an index, a transaction of another session holds the lock of the migrator. This transaction
//! executes no statement meanwhile: the build would wait for the end of each transaction that has a snapshot.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection};
use sea_orm::sqlx::{AssertSqlSafe, Connection, query, query_scalar, raw_sql};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, RuntimeErr};
use sea_orm_migration::MigratorTrait;

use crate::connect::set_up;
use crate::error::MigrationError;
use crate::session::{Records, begin, statement};
use crate::waiting::{LockWait, Observer, Progress, change_schema, is_contention};

/// Query for the current schema, and for the index $1 in it. `is_valid` is NULL if the index does not exist.
const FIND: &str = "
    SELECT current_schema()::text AS schema, (
        SELECT indisvalid FROM pg_class JOIN pg_index ON indexrelid = pg_class.oid
        WHERE relname = $1 AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())
    ) AS is_valid";

/// Statement that sets the search path to the schema $1, and the limit for each wait for a lock to $2.
const ENTER_SCHEMA: &str =
    "SELECT set_config('search_path', quote_ident($1), false), set_config('lock_timeout', $2, false)";

/// Statement that makes the server cancel the build if this program has ended. Not every server supports it.
const CANCEL_IF_ABANDONED: &str = "SET client_connection_check_interval = '1s'";

/// The shortest limit for a wait of the build. The build blocks no other session while it waits.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// An index that a migration declares, and that is built after the transaction of the migrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConcurrentIndex {
    /// The name of the index.
    pub name: &'static str,
    /// The name of the table.
    pub table: &'static str,
    /// The SQL after `CREATE INDEX … ON table`: the method, the columns and the predicate.
    pub definition: &'static str,
}

/// The state of a declared index that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexProblem {
    /// The index does not exist.
    Missing,
    /// A build is in progress, failed or was interrupted.
    Invalid,
}

/// Builds the indexes that are missing or invalid, and returns their names. The migrations of `M` must be applied.
///
/// Several processes may call this function concurrently: one of them builds, and the others wait for it.
///
/// # Errors
///
/// [`MigrationError::Index`] if an index cannot be built; the indexes before it are built.
/// [`MigrationError::Locked`] if an invalid index cannot be dropped.
pub async fn build_indexes<M: MigratorTrait>(
    db: &DatabaseConnection,
    indexes: &[ConcurrentIndex],
    wait: LockWait<'_>,
) -> Result<Vec<String>, MigrationError> {
    let mut built = Vec::new();
    for index in indexes {
        while let (_, Some(problem)) = find(db, index).await? {
            match problem {
                IndexProblem::Missing if create::<M>(db, index, wait).await? => built.push(index.name.to_owned()),
                IndexProblem::Missing => {}
                IndexProblem::Invalid => drop_invalid::<M>(db, index, wait).await?,
            }
        }
    }
    Ok(built)
}

/// Returns the indexes that are missing or invalid. Changes nothing.
pub(crate) async fn problems(
    db: &DatabaseConnection,
    indexes: &[ConcurrentIndex],
) -> Result<Vec<(&'static str, IndexProblem)>, MigrationError> {
    let mut found = Vec::new();
    for index in indexes {
        found.extend(find(db, index).await?.1.map(|problem| (index.name, problem)));
    }
    Ok(found)
}

/// Returns the current schema, and the problem of an index.
async fn find(
    db: &impl ConnectionTrait,
    index: &ConcurrentIndex,
) -> Result<(String, Option<IndexProblem>), MigrationError> {
    let row = db.query_one_raw(statement(FIND, [index.name.into()])).await?.ok_or(MigrationError::NoSchema)?;
    let schema: Option<String> = row.try_get("", "schema")?;
    let problem = match row.try_get("", "is_valid")? {
        Some(true) => None,
        Some(false) => Some(IndexProblem::Invalid),
        None => Some(IndexProblem::Missing),
    };
    Ok((schema.ok_or(MigrationError::NoSchema)?, problem))
}

/// Drops an index if it is still invalid when no session builds it any more.
async fn drop_invalid<M: MigratorTrait>(
    db: &DatabaseConnection,
    index: &ConcurrentIndex,
    wait: LockWait<'_>,
) -> Result<(), MigrationError> {
    let index = *index;
    change_schema::<M, _>(db, Records::Optional, wait, |tx| {
        Box::pin(async move {
            // A build holds this lock. Readers and writers do not wait for it.
            tx.execute_unprepared(&format!("LOCK TABLE {} IN SHARE UPDATE EXCLUSIVE MODE", index.table)).await?;
            if find(tx, &index).await?.1 == Some(IndexProblem::Invalid) {
                tx.execute_unprepared(&format!("DROP INDEX {}", index.name)).await?;
            }
            Ok(())
        })
    })
    .await
}

/// Builds an index. Returns `false` if another process has created the index meanwhile.
async fn create<M: MigratorTrait>(
    db: &DatabaseConnection,
    index: &ConcurrentIndex,
    wait: LockWait<'_>,
) -> Result<bool, MigrationError> {
    let guard = begin::<M>(db, Records::Optional).await?;
    let (schema, problem) = find(&guard, index).await?;
    let is_missing = problem == Some(IndexProblem::Missing);
    if is_missing {
        (wait.report)(&Progress::BuildingIndex(index.name));
        build(db.get_postgres_connection_pool().connect_options(), &schema, index, wait.limit).await?;
    }
    guard.rollback().await?;
    Ok(is_missing)
}

/// Builds an index with a connection of its own.
async fn build(
    options: Arc<PgConnectOptions>,
    schema: &str,
    index: &ConcurrentIndex,
    limit: Duration,
) -> Result<(), MigrationError> {
    let ConcurrentIndex { name, table, definition } = index;
    let failed = |source: sea_orm::sqlx::Error| DbErr::Exec(RuntimeErr::SqlxError(Arc::new(source)));
    let mut connection = PgConnection::connect_with(&options).await.map_err(failed)?;
    set_up(&mut connection).await.map_err(failed)?;
    let limit = format!("{}ms", limit.max(SHORTEST_WAIT).as_millis());
    query(ENTER_SCHEMA).bind(schema).bind(limit).execute(&mut connection).await.map_err(failed)?;
    // Without support, the server continues the build if this program ends.
    let _ = raw_sql(CANCEL_IF_ABANDONED).execute(&mut connection).await;
    let pid = query_scalar("SELECT pg_backend_pid()").fetch_one(&mut connection).await.map_err(failed)?;
    let observer = Observer::new(pid, options);
    let create = AssertSqlSafe(format!("CREATE INDEX CONCURRENTLY {name} ON {table} {definition}"));
    let outcome = observer.during(raw_sql(create).execute(&mut connection)).await.map_err(failed);
    outcome.map(drop).map_err(|source| MigrationError::Index {
        index: (*name).to_owned(),
        obstacle: is_contention(&source).then(|| Box::new(observer.last())),
        source,
    })
}
