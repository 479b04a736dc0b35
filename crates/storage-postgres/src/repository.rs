//! What all operations share: a connection, whether it is the pool's or a transaction's, and how it is asked.

use iam_storage::{Result, StorageError};
use sea_orm::{
    ConnectionTrait, DbBackend, EntityTrait, FromQueryResult, QueryResult, Select, Statement, TryGetable, Value,
};

use tokio::runtime::Handle;
use tokio_util::context::TokioContext;

use crate::error::from_db;
use crate::snapshots::CatalogCache;

/// The version of the catalog is kept in the row of this company, which is none.
pub(crate) const CATALOG: &str = "'00000000-0000-0000-0000-000000000000'::uuid";

/// Something that statements can be sent to.
pub(crate) trait Connected: Send + Sync + 'static {
    /// A pool or a transaction.
    type C: ConnectionTrait + Send + Sync;

    /// Where to send statements.
    fn connection(&self) -> &Self::C;

    /// The runtime that connections live on.
    fn runtime(&self) -> &Handle;

    /// The epoch that the newest connection has reached, for answers that do not say their own.
    fn latest_epoch(&self) -> u64;

    /// The catalog as it was last read, if this connection sees only what is committed.
    fn catalog(&self) -> Option<&CatalogCache>;
}

/// The reads, the same for the pool and for a transaction; and whatever else one of them can do.
#[derive(Debug)]
pub(crate) struct Repository<T>(pub(crate) T);

/// A statement with its values.
pub(crate) fn statement<const N: usize>(sql: impl Into<String>, values: [Value; N]) -> Statement {
    Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
}

/// A number of rows as the database counts them: what it cannot express is more than it has.
pub(crate) fn limit(limit: u64) -> u64 {
    limit.min(i64::MAX.unsigned_abs())
}

/// A column of an answer.
pub(crate) fn column<T: TryGetable>(row: &QueryResult, name: &str) -> Result<T> {
    row.try_get("", name).map_err(from_db)
}

fn convert<M, D: TryFrom<M, Error = StorageError>>(rows: Vec<M>) -> Result<Vec<D>> {
    rows.into_iter().map(D::try_from).collect()
}

/// Asks the database where its connections live. A connection belongs to the runtime that opens it, which for a request
/// may be a worker's that ends before the process does; a change that got such a connection would break off.
pub(crate) fn at_home<F: Future>(runtime: &Handle, call: F) -> TokioContext<F> {
    TokioContext::new(call, runtime.clone())
}

impl<T: Connected> Repository<T> {
    /// Asks the database where its connections live.
    pub(crate) fn ask<F: Future>(&self, call: F) -> TokioContext<F> {
        at_home(self.0.runtime(), call)
    }

    /// The rows of a query, as the domain's entities.
    pub(crate) async fn select<E, D>(&self, query: Select<E>) -> Result<Vec<D>>
    where
        E: EntityTrait,
        D: TryFrom<E::Model, Error = StorageError>,
    {
        convert(self.ask(query.all(self.0.connection())).await.map_err(from_db)?)
    }

    /// The row of a query that finds at most one.
    pub(crate) async fn select_one<E, D>(&self, query: Select<E>) -> Result<Option<D>>
    where
        E: EntityTrait,
        D: TryFrom<E::Model, Error = StorageError>,
    {
        self.ask(query.one(self.0.connection())).await.map_err(from_db)?.map(D::try_from).transpose()
    }

    /// The rows of a statement, as the domain's entities.
    pub(crate) async fn query<M, D>(&self, statement: Statement) -> Result<Vec<D>>
    where
        M: FromQueryResult + Send + Sync,
        D: TryFrom<M, Error = StorageError>,
    {
        convert(self.ask(M::find_by_statement(statement).all(self.0.connection())).await.map_err(from_db)?)
    }

    /// The row of a statement that finds at most one.
    pub(crate) async fn query_one<M, D>(&self, statement: Statement) -> Result<Option<D>>
    where
        M: FromQueryResult + Send + Sync,
        D: TryFrom<M, Error = StorageError>,
    {
        let row = self.row(statement).await?;
        row.map(|row| D::try_from(M::from_query_result(&row, "").map_err(from_db)?)).transpose()
    }

    /// The rows of a statement.
    pub(crate) async fn rows(&self, statement: Statement) -> Result<Vec<QueryResult>> {
        self.ask(self.0.connection().query_all_raw(statement)).await.map_err(from_db)
    }

    /// The row of a statement that answers at most one.
    pub(crate) async fn row(&self, statement: Statement) -> Result<Option<QueryResult>> {
        self.ask(self.0.connection().query_one_raw(statement)).await.map_err(from_db)
    }

    /// The row of a statement that always answers one.
    pub(crate) async fn single(&self, statement: Statement) -> Result<QueryResult> {
        self.row(statement).await?.ok_or_else(|| StorageError::corrupt("company_states has no row for the catalog"))
    }

    /// How many rows a statement changed.
    pub(crate) async fn execute(&self, statement: Statement) -> Result<u64> {
        Ok(self.ask(self.0.connection().execute_raw(statement)).await.map_err(from_db)?.rows_affected())
    }

    /// One column of the rows of a statement.
    pub(crate) async fn column<V: TryGetable>(&self, statement: Statement, name: &str) -> Result<Vec<V>> {
        self.rows(statement).await?.iter().map(|row| column(row, name)).collect()
    }
}
