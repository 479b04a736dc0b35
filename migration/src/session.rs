//! The transaction in which migrations and the seed run: its settings, its schema and its lock.

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, IsolationLevel, Statement,
    TransactionTrait,
};

use crate::error::MigrationError;

/// Sets, until the transaction ends, that timeouts are lifted and that the rows of all companies are visible, since the
/// policies bind the owner of the tables too. Returns what may make the session unusable.
const SET_UP: &str = "
    SELECT (
            SELECT count(set_config(name, '0', true)) FROM pg_settings
            WHERE name IN ('lock_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')
        ),
        set_config('row_security', 'on', true), set_config('iam.company', 'all', true),
        current_setting('transaction_read_only') = 'on' AS is_read_only,
        current_setting('server_encoding') AS encoding";

/// Makes the current schema the only one of the search path until the transaction ends, so that names are never found
/// in another one, and takes the advisory lock of its migrators: "IAMm" and the schema's OID.
const ENTER_SCHEMA: &str = "
    SELECT set_config('search_path', quote_ident(nspname), true),
        pg_advisory_xact_lock(x'49414d6d00000000'::bigint | oid::bigint)
    FROM pg_namespace WHERE nspname = current_schema()";

/// Begins the transaction, confines it to the current schema, and waits in it for other migrators.
pub(crate) async fn begin(db: &DatabaseConnection) -> Result<DatabaseTransaction, MigrationError> {
    // READ COMMITTED whatever the role's default: after waiting we must see what the others committed.
    let tx = db.begin_with_config(Some(IsolationLevel::ReadCommitted), None).await?;
    // Neither the wait for other migrators nor a statement is limited …
    tx.execute_unprepared("SET LOCAL statement_timeout = 0").await?;
    let session = tx.query_one_raw(statement(SET_UP, [])).await?;
    let session = session.ok_or_else(|| DbErr::RecordNotFound("the session has no settings".to_owned()))?;
    if session.try_get("", "is_read_only")? {
        return Err(MigrationError::ReadOnly);
    }
    let encoding: String = session.try_get("", "encoding")?;
    if encoding != "UTF8" {
        return Err(MigrationError::Encoding(encoding));
    }
    tx.query_one_raw(statement(ENTER_SCHEMA, [])).await?.ok_or(MigrationError::NoSchema)?;
    // … but a wait for a busy table is, since all other sessions would queue behind it.
    tx.execute_unprepared("SET LOCAL lock_timeout = '5s'").await?;
    Ok(tx)
}

/// A statement with its values, in PostgreSQL's dialect.
pub(crate) fn statement<const N: usize>(sql: &str, values: [sea_orm::Value; N]) -> Statement {
    Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
}
