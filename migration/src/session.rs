//! The transaction in which migrations and the seed run: its settings, its schema and its lock.

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, IsolationLevel, Statement,
    TransactionTrait,
};

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
/// another schema. The query also acquires an advisory lock, so that only one migrator runs in this schema at a time.
/// The key of this lock consists of "IAMm" and the schema's OID.
const ENTER_SCHEMA: &str = "
    SELECT set_config('search_path', quote_ident(nspname), true),
        pg_advisory_xact_lock(x'49414d6d00000000'::bigint | oid::bigint)
    FROM pg_namespace WHERE nspname = current_schema()";

/// Begins a transaction, restricts it to the current schema, and waits until no other migrator runs in this schema.
pub(crate) async fn begin(db: &DatabaseConnection) -> Result<DatabaseTransaction, MigrationError> {
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
    tx.query_one_raw(statement(ENTER_SCHEMA, [])).await?.ok_or(MigrationError::NoSchema)?;
    // Each wait for a table lock is limited, because other sessions that use the table must queue behind the waiting
    // transaction.
    tx.execute_unprepared("SET LOCAL lock_timeout = '5s'").await?;
    Ok(tx)
}

/// Returns a PostgreSQL statement with its parameter values.
pub(crate) fn statement<const N: usize>(sql: &str, values: [sea_orm::Value; N]) -> Statement {
    Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
}
