//! The repository: executes statements on a pool or in a transaction, and converts their rows.

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use iam_domain::{CompanyId, EntityType, Versions};
use iam_storage::{Result, Stamps, StorageError};
use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, EntityTrait, FromQueryResult, QueryResult, QueryTrait, Select, Statement,
    TryGetable,
};
use tokio::runtime::Handle;
use uuid::Uuid;

use crate::catalog_cache::CatalogCache;
use crate::changes::read_matrices::ReadMatrices;
use crate::connections::outdated::OutdatedConnections;
use crate::connections::runtime::on_runtime;
use crate::connections::shares::{Class, Permit};
use crate::engine::Feed;
use crate::error::{from_db, is_lost_connection, is_retryable};
use crate::replicas::requirements::Version;
use crate::statement::{column, convert, incomplete};

/// The executor of a repository's statements: the pool, or the transaction of a unit of work.
pub(crate) trait Executor: Send + Sync + 'static {
    /// Maximum number of attempts for a statement that fails with a retryable error. In a transaction it is 1, because
    /// only the whole transaction can be retried.
    const ATTEMPTS: u32;

    /// The type of the connection: a pool or a transaction.
    type Connection: ConnectionTrait + Send + Sync;

    /// Returns the connection that executes this work.
    fn connection(&self, work: Work) -> &Self::Connection;

    /// Waits until the connection can be used for this work. Returns `None` in a transaction, which already has its
    /// connection.
    fn admit(&self, work: Work) -> impl Future<Output = Result<Option<Permit>>> + Send;

    /// Returns the Tokio runtime that owns the connections.
    fn runtime(&self) -> &Handle;

    /// Returns the record of outdated connections.
    fn outdated(&self) -> &OutdatedConnections;

    /// Returns the form of the change feed, which determines the SQL of the epoch.
    fn feed(&self) -> Feed;

    /// Returns the catalog cache, or `None` if this executor may read uncommitted changes to the catalog.
    fn catalog(&self) -> Option<&Arc<CatalogCache>>;

    /// Returns the matrix cache of a unit of work. Returns `None` for the pool, because other sessions can change the
    /// matrices between two reads.
    fn read_matrices(&self) -> Option<&ReadMatrices>;

    /// Restricts a statement to the rows of one company (`None`: all companies). If the transaction already has this
    /// restriction, the statement is returned unchanged.
    fn for_company(&self, company: Option<CompanyId>, statement: Statement) -> Statement;

    /// Executes a read on a read replica. Returns `None` if the read must be executed on [`Self::connection`], which is
    /// always the case for executors without replicas.
    fn rows_of_replica(
        &self,
        _statement: &Statement,
        _work: Work,
    ) -> impl Future<Output = Option<Vec<QueryResult>>> + Send {
        std::future::ready(None)
    }

    /// Records versions that a read has returned: the epoch, the version of the catalog, and that of a company. Later
    /// reads of this process from replicas are at least as recent.
    fn learned(&self, _epoch: u64, _catalog: Version, _company: Option<(CompanyId, Version)>) {}
}

/// The connections that a statement outside a transaction uses.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Work {
    /// The connections of the pool: the share of this class, and of this company (`None`: no single company).
    InPool(Class, Option<CompanyId>),
    /// The connections of the pool, for a read of all data of this company, in the share of [`Class::Reads`]. The
    /// statement is planned for the size of the company, while other statements may reuse a plan for all companies.
    WholeCompany(CompanyId),
    /// The connections of the pool, for a read of the catalog alone, in the share of [`Class::Reads`].
    Catalog,
    /// The connections outside the pool.
    OutsidePool,
}

/// A statement, and the share of the connections that it uses. A plain statement is a read that concerns no single
/// company.
#[derive(Debug)]
pub(crate) struct Asked {
    statement: Statement,
    work: Work,
}

impl Asked {
    /// Changes the class of the statement, which is `Reads` by default.
    pub(crate) fn of(self, class: Class) -> Self {
        let work = match self.work {
            Work::InPool(_, company) => Work::InPool(class, company),
            Work::WholeCompany(company) => Work::InPool(class, Some(company)),
            Work::Catalog => Work::InPool(class, None),
            Work::OutsidePool => Work::OutsidePool,
        };
        Self { work, ..self }
    }

    /// Returns a read of views, features, modules or their mappings, and of nothing else.
    pub(crate) fn of_catalog(statement: Statement) -> Self {
        Self { statement, work: Work::Catalog }
    }

    /// Executes the statement as this work.
    pub(crate) fn for_work(self, work: Work) -> Self {
        Self { work, ..self }
    }

    /// Executes the statement on a connection outside the pool.
    pub(crate) fn outside_pool(self) -> Self {
        Self { work: Work::OutsidePool, ..self }
    }
}

impl From<Statement> for Asked {
    fn from(statement: Statement) -> Self {
        Self { statement, work: Work::InPool(Class::Reads, None) }
    }
}

/// The implementation of the storage operations on an executor. Reads are the same on the pool and in a transaction.
#[derive(Debug)]
pub(crate) struct Repository<T>(pub(crate) T);

impl<T: Executor> Repository<T> {
    /// Executes a call on the runtime that owns the connections. If the call fails because of a serialization failure,
    /// a deadlock or an outdated connection, retries it, with at most [`Executor::ATTEMPTS`] attempts in total.
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
                    if attempt == T::ATTEMPTS || !is_retryable(&error) {
                        return Err(error);
                    }
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    /// Executes a read like [`Self::attempt`]. If the connection is lost before the response arrives, repeats the read
    /// once on another connection, except in a transaction.
    async fn attempt_read<A, F>(&self, call: impl Fn() -> F) -> Result<A>
    where
        F: Future<Output = Result<A, DbErr>>,
    {
        match self.attempt(&call).await {
            Err(error) if T::ATTEMPTS > 1 && is_lost_connection(&error) => {
                tracing::warn!(error = &from_db(error) as &dyn Error, "repeating a read whose connection was lost");
                self.attempt(call).await.map_err(from_db)
            }
            outcome => outcome.map_err(from_db),
        }
    }

    /// Restricts a statement, by row-level security, to the rows of one company (`None`: all companies).
    pub(crate) fn for_company(&self, company: impl Into<Option<CompanyId>>, statement: Statement) -> Asked {
        let company = company.into();
        Asked { statement: self.0.for_company(company, statement), work: Work::InPool(Class::Reads, company) }
    }

    /// Records the versions of a result. Later reads of this process from replicas are at least as recent.
    pub(crate) fn learn(&self, company: Option<CompanyId>, versions: Versions, stamps: Stamps) {
        let catalog = Version { version: versions.catalog, stamp: Some(stamps.catalog) };
        // A company has no version before its first change.
        let company = company.filter(|_| versions.company > 0);
        let company = company.map(|id| (id, Version { version: versions.company, stamp: Some(stamps.company) }));
        self.0.learned(versions.epoch, catalog, company);
    }

    /// Returns the rows of a query as domain entities.
    pub(crate) async fn select<E, D>(&self, query: Select<E>) -> Result<Vec<D>>
    where
        E: EntityTrait,
        D: TryFrom<E::Model, Error = StorageError>,
    {
        self.query::<E::Model, D>(query.build(DbBackend::Postgres)).await
    }

    /// Returns the row of a query that returns at most one row, as a domain entity.
    pub(crate) async fn select_one<E, D>(&self, query: Select<E>) -> Result<Option<D>>
    where
        E: EntityTrait,
        D: TryFrom<E::Model, Error = StorageError>,
    {
        self.query_one::<E::Model, D>(query.build(DbBackend::Postgres)).await
    }

    /// Returns the rows of a statement as domain entities.
    pub(crate) async fn query<M, D>(&self, statement: impl Into<Asked>) -> Result<Vec<D>>
    where
        M: FromQueryResult,
        D: TryFrom<M, Error = StorageError>,
    {
        self.rows(statement).await?.iter().map(convert::<M, D>).collect()
    }

    /// Returns the row of a statement that returns at most one row, as a domain entity.
    pub(crate) async fn query_one<M, D>(&self, statement: impl Into<Asked>) -> Result<Option<D>>
    where
        M: FromQueryResult,
        D: TryFrom<M, Error = StorageError>,
    {
        self.row(statement).await?.as_ref().map(convert::<M, D>).transpose()
    }

    /// Returns the rows of a read, which may be executed twice. In a transaction, returns the rows of any statement.
    pub(crate) async fn rows(&self, statement: impl Into<Asked>) -> Result<Vec<QueryResult>> {
        let Asked { statement, work } = statement.into();
        if let Some(rows) = self.0.rows_of_replica(&statement, work).await {
            return Ok(rows);
        }
        let _permit = self.0.admit(work).await?;
        let connection = self.0.connection(work);
        self.attempt_read(|| connection.query_all_raw(statement.clone())).await
    }

    /// Returns the row of a read that returns at most one row. The read may be executed twice. In a transaction, returns the
    /// row of any such statement.
    pub(crate) async fn row(&self, statement: impl Into<Asked>) -> Result<Option<QueryResult>> {
        let Asked { statement, work } = statement.into();
        if let Some(rows) = self.0.rows_of_replica(&statement, work).await {
            return Ok(rows.into_iter().next());
        }
        let _permit = self.0.admit(work).await?;
        let connection = self.0.connection(work);
        self.attempt_read(|| connection.query_one_raw(statement.clone())).await
    }

    /// Executes a read that always returns exactly one row, like [`Self::row`], and returns this row.
    pub(crate) async fn single(&self, statement: impl Into<Asked>) -> Result<QueryResult> {
        self.row(statement).await?.ok_or_else(incomplete)
    }

    /// Executes a statement, and returns the number of rows that it changed.
    pub(crate) async fn execute(&self, statement: impl Into<Asked>) -> Result<u64> {
        let Asked { statement, work } = statement.into();
        let _permit = self.0.admit(work).await?;
        let connection = self.0.connection(work);
        let result = self.attempt(|| connection.execute_raw(statement.clone())).await.map_err(from_db)?;
        Ok(result.rows_affected())
    }

    /// Executes a statement, and returns one column of its rows.
    pub(crate) async fn column<V: TryGetable>(&self, statement: impl Into<Asked>, name: &str) -> Result<Vec<V>> {
        self.rows(statement).await?.iter().map(|row| column(row, name)).collect()
    }

    /// Returns the error `Unknown` with those of `ids` that do not exist. `known` is a query that returns the existing
    /// ids in the column `id`.
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
