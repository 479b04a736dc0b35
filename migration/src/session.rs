//! The transaction in which migrations and the seed run: its settings, its schema and its lock.
//!
//! The lock is a table lock on the migrator's table of applied migrations. Any role could hold an advisory lock, and so
//! stop every migration. The mode is SHARE UPDATE EXCLUSIVE: it excludes other migrators, and only roles that may
//! change the table can hold this mode or a mode that conflicts with it. The first migrator in a schema creates the
//! table in its own transaction. A concurrent migrator cannot create the table as well: it waits until the first
//! transaction has ended, fails to create the table, and begins again.

use std::borrow::Cow;

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, IsolationLevel, RuntimeErr, Statement,
    TransactionTrait,
};
use sea_orm_migration::MigratorTrait;

use crate::error::MigrationError;

/// Query that disables timeouts until the transaction ends. It also makes the rows of all companies visible until then,
/// because row-level security applies even to the owner of the tables. The query returns the properties that can make
/// the session unusable.
const SET_UP: &str = "
    SELECT (
            SELECT count(set_config(name, '0', true)) FROM pg_settings
            WHERE name IN ('lock_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')
        ),
        set_config('row_security', 'on', true), set_config('iam.company', 'all', true),
        current_setting('transaction_read_only') = 'on' AS is_read_only,
        current_setting('server_encoding') AS encoding";

/// Query that restricts the search path to the current schema until the transaction ends, so that no name resolves to
/// another schema. The query returns whether the schema contains the table $1.
const ENTER_SCHEMA: &str = "
    SELECT set_config('search_path', quote_ident(nspname), true),
        EXISTS (
            SELECT FROM pg_class WHERE relnamespace = own.oid AND relname = $1 AND relkind IN ('r', 'p')
        ) AS is_recorded
    FROM pg_namespace AS own WHERE nspname = current_schema()";

/// Limits each wait for the lock of another migrator. The wait is repeated in a new transaction: a waiting transaction has
/// a snapshot, and the other migrator may build an index, which waits for the end of each transaction with a snapshot.
const LIMIT_WAIT: &str = "SET LOCAL lock_timeout = '1s'";

/// The SQLSTATE of a statement that did not acquire a lock in time.
pub(crate) const LOCK_NOT_AVAILABLE: &str = "55P03";

/// Maximum number of attempts to begin a transaction while other migrators create the table of applied migrations.
const ATTEMPTS: u32 = 10;

/// Specifies what [`begin`] does if the migrator's table of applied migrations does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Records {
    /// The transaction creates the table, because it may apply migrations.
    Required,
    /// The transaction begins without a lock. No migration is applied, so there is nothing to change.
    Optional,
}

/// Begins a transaction, restricts it to the current schema, and waits until no other migrator runs in this schema.
pub(crate) async fn begin<M: MigratorTrait>(
    db: &DatabaseConnection,
    records: Records,
) -> Result<DatabaseTransaction, MigrationError> {
    let table = M::migration_table_name().to_string();
    let mut attempt = 1;
    loop {
        let tx = open(db).await?;
        let entered = tx.query_one_raw(statement(ENTER_SCHEMA, [table.clone().into()])).await?;
        let is_recorded: bool = entered.ok_or(MigrationError::NoSchema)?.try_get("", "is_recorded")?;
        if is_recorded {
            let name = table.replace('"', "\"\"");
            let lock = format!("{LIMIT_WAIT}; LOCK TABLE \"{name}\" IN SHARE UPDATE EXCLUSIVE MODE");
            match tx.execute_unprepared(&lock).await {
                Ok(_) => {}
                Err(error) if sqlstate(&error).as_deref() == Some(LOCK_NOT_AVAILABLE) => {
                    tx.rollback().await?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
        } else if records == Records::Required
            && let Err(error) = M::install(&tx).await
        {
            if attempt == ATTEMPTS || !is_name_taken(&error) {
                return Err(error.into());
            }
            attempt += 1;
            tx.rollback().await?;
            continue;
        }
        // Each wait for a table lock is limited, because other sessions that use the table must queue behind the
        // waiting transaction.
        tx.execute_unprepared("SET LOCAL lock_timeout = '5s'").await?;
        return Ok(tx);
    }
}

/// Begins a transaction without timeouts, and checks its session.
async fn open(db: &DatabaseConnection) -> Result<DatabaseTransaction, MigrationError> {
    // The isolation level is READ COMMITTED, regardless of the role's default. After the wait for other migrators, this
    // transaction must see the changes that they have committed.
    let tx = db.begin_with_config(Some(IsolationLevel::ReadCommitted), None).await?;
    // The statement timeout is disabled, because migrations and the wait for other migrators may take a long time.
    tx.execute_unprepared("SET LOCAL statement_timeout = 0").await?;
    let session = tx.query_one_raw(statement(SET_UP, [])).await?;
    let session = session.ok_or_else(|| DbErr::RecordNotFound("the session query returned no row".to_owned()))?;
    if session.try_get("", "is_read_only")? {
        return Err(MigrationError::ReadOnly);
    }
    let encoding: String = session.try_get("", "encoding")?;
    if encoding != "UTF8" {
        return Err(MigrationError::Encoding(encoding));
    }
    Ok(tx)
}

/// Returns `true` if a statement failed because another transaction has created an object with the same name.
fn is_name_taken(error: &DbErr) -> bool {
    // unique_violation (in the system catalog), duplicate_table, duplicate_object
    sqlstate(error).is_some_and(|code| matches!(code.as_ref(), "23505" | "42P07" | "42710"))
}

/// Returns the SQLSTATE of an error that the server reported.
pub(crate) fn sqlstate(error: &DbErr) -> Option<Cow<'_, str>> {
    match error {
        DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => {
            error.as_database_error()?.code()
        }
        _ => None,
    }
}

/// Returns a PostgreSQL statement with its parameter values.
pub(crate) fn statement<const N: usize>(sql: &str, values: [sea_orm::Value; N]) -> Statement {
    Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
}
