//! The repository: sends statements on a pool or in a transaction, and converts their rows.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use iam_domain::{CompanyId, EntityType};
use iam_storage::{Result, StorageError};
use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, EntityTrait, FromQueryResult, QueryResult, QueryTrait, Select, Statement,
    TryGetable,
};
use tokio::runtime::Handle;
use uuid::Uuid;

use crate::catalog_cache::CatalogCache;
use crate::error::{from_db, is_lost_race};
use crate::outdated::OutdatedConnections;
use crate::read_matrices::ReadMatrices;
use crate::runtime::on_runtime;
use crate::statement::{column, convert, incomplete};

/// What a repository sends its statements to: the pool, or the transaction of a unit of work.
pub(crate) trait Executor: Send + Sync + 'static {
    /// How many times a statement that lost a race is sent. In a transaction once: it can only be retried as a whole.
    const ATTEMPTS: u32;

    /// The connection: a pool or a transaction.
    type Connection: ConnectionTrait + Send + Sync;

    /// Where to send statements.
    fn connection(&self) -> &Self::Connection;

    /// The runtime that connections live on.
    fn runtime(&self) -> &Handle;

    /// Which connections are outdated.
    fn outdated(&self) -> &OutdatedConnections;

    /// The catalog as it was last read, if this connection sees only what is committed.
    fn catalog(&self) -> Option<&Arc<CatalogCache>>;

    /// Where matrices are kept that were read, if a lock keeps others from changing them.
    fn read_matrices(&self) -> Option<&ReadMatrices>;

    /// Makes a statement see the rows of this company only (`None`: of all), unless its transaction does so already.
    fn for_company(&self, company: Option<CompanyId>, statement: Statement) -> Statement;
}

/// The operations of the storage. Reads are the same on the pool and in a transaction.
#[derive(Debug)]
pub(crate) struct Repository<T>(pub(crate) T);

impl<T: Executor> Repository<T> {
    /// Sends a statement on the connections' runtime, and again if it lost a race or met an outdated connection.
    pub(crate) async fn attempt<A, F>(&self, call: impl Fn() -> F) -> Result<A, DbErr>
    where
        F: Future<Output = Result<A, DbErr>>,
    {
        let mut attempt = 1;
        loop {
            let sent_at = Instant::now();
            match on_runtime(self.0.runtime(), call()).await {
                Err(error) => {
                    self.0.outdated().record_error(&error, sent_at);
                    if attempt == T::ATTEMPTS || !is_lost_race(&error) {
                        return Err(error);
                    }
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    /// Makes a statement see the rows of this company only; `None`: of all companies.
    pub(crate) fn for_company(&self, company: impl Into<Option<CompanyId>>, statement: Statement) -> Statement {
        self.0.for_company(company.into(), statement)
    }

    /// The rows of a query, as the domain's entities.
    pub(crate) async fn select<E, D>(&self, query: Select<E>) -> Result<Vec<D>>
    where
        E: EntityTrait,
        D: TryFrom<E::Model, Error = StorageError>,
    {
        self.query::<E::Model, D>(query.build(DbBackend::Postgres)).await
    }

    /// The row of a query that finds at most one.
    pub(crate) async fn select_one<E, D>(&self, query: Select<E>) -> Result<Option<D>>
    where
        E: EntityTrait,
        D: TryFrom<E::Model, Error = StorageError>,
    {
        self.query_one::<E::Model, D>(query.build(DbBackend::Postgres)).await
    }

    /// The rows of a statement, as the domain's entities.
    pub(crate) async fn query<M, D>(&self, statement: Statement) -> Result<Vec<D>>
    where
        M: FromQueryResult,
        D: TryFrom<M, Error = StorageError>,
    {
        self.rows(statement).await?.iter().map(convert::<M, D>).collect()
    }

    /// The row of a statement that finds at most one.
    pub(crate) async fn query_one<M, D>(&self, statement: Statement) -> Result<Option<D>>
    where
        M: FromQueryResult,
        D: TryFrom<M, Error = StorageError>,
    {
        self.row(statement).await?.as_ref().map(convert::<M, D>).transpose()
    }

    /// The rows of a statement.
    pub(crate) async fn rows(&self, statement: Statement) -> Result<Vec<QueryResult>> {
        let connection = self.0.connection();
        self.attempt(|| connection.query_all_raw(statement.clone())).await.map_err(from_db)
    }

    /// The row of a statement that returns at most one.
    pub(crate) async fn row(&self, statement: Statement) -> Result<Option<QueryResult>> {
        let connection = self.0.connection();
        self.attempt(|| connection.query_one_raw(statement.clone())).await.map_err(from_db)
    }

    /// The row of a statement that always returns one.
    pub(crate) async fn single(&self, statement: Statement) -> Result<QueryResult> {
        self.row(statement).await?.ok_or_else(incomplete)
    }

    /// Sends a statement, and returns how many rows it changed.
    pub(crate) async fn execute(&self, statement: Statement) -> Result<u64> {
        let connection = self.0.connection();
        let result = self.attempt(|| connection.execute_raw(statement.clone())).await.map_err(from_db)?;
        Ok(result.rows_affected())
    }

    /// One column of the rows of a statement.
    pub(crate) async fn column<V: TryGetable>(&self, statement: Statement, name: &str) -> Result<Vec<V>> {
        self.rows(statement).await?.iter().map(|row| column(row, name)).collect()
    }

    /// The error that names the ids that `known`, a query of the column `id`, does not return.
    pub(crate) async fn unknown(&self, entity: EntityType, ids: &[Uuid], known: Statement) -> StorageError {
        match self.column::<Uuid>(known, "id").await {
            Err(error) => error,
            Ok(known) => {
                let mut unknown: BTreeSet<Uuid> = ids.iter().copied().collect();
                for id in known {
                    unknown.remove(&id);
                }
                StorageError::Unknown { entity, ids: unknown.into_iter().collect() }
            }
        }
    }
}
