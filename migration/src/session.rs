//! The transaction of a change, and how statements are sent in it.

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, IsolationLevel, Statement,
    TransactionTrait,
};

use crate::error::MigrationError;

/// Lifts, until the transaction ends, the limits that the session begins with and that this server knows, opens all
/// rows, and returns the objections to the session. Migrations and the seed are about no single company, and the
/// policies bind the owner of the tables too.
const SET_UP: &str = "
    SELECT (
            SELECT count(set_config(name, '0', true)) FROM pg_settings
            WHERE name IN ('lock_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')
        ),
        set_config('row_security', 'on', true), set_config('iam.company', 'all', true),
        current_setting('transaction_read_only') = 'on' AS is_read_only, current_setting('server_encoding') AS encoding";

/// Makes the schema of our objects the only one of the search path until the transaction ends, so that no name is ever
/// found in another one, and takes the advisory lock of its migrators: "IAMm" and the schema's OID.
const ENTER_SCHEMA: &str = "
    SELECT set_config('search_path', quote_ident(nspname), true), pg_advisory_xact_lock(x'49414d6d00000000'::bigint | oid::bigint)
    FROM pg_namespace WHERE nspname = current_schema()";

/// Begins the transaction of a change, confines it to our schema, and waits in it for other migrators.
pub(crate) async fn begin(db: &DatabaseConnection) -> Result<DatabaseTransaction, MigrationError> {
    // READ COMMITTED whatever the role's default: after waiting we must see what the others committed.
    let tx = db.begin_with_config(Some(IsolationLevel::ReadCommitted), None).await?;
    // However long other migrators take, and however long our statements take …
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
    // … but never wait in front of a busy table with all other sessions queueing behind us.
    tx.execute_unprepared("SET LOCAL lock_timeout = '5s'").await?;
    Ok(tx)
}

/// A statement with its values, in PostgreSQL's dialect.
pub(crate) fn statement<const N: usize>(sql: &str, values: [sea_orm::Value; N]) -> Statement {
    Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
}
