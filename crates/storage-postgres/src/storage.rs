//! The storage as a whole.

use std::sync::Arc;

use async_trait::async_trait;
use iam_domain::CompanyId;
use iam_storage::{
    ApiKeyUses, ChangeContext, EffectiveFeaturePermissions, EffectiveViewPermissions, Health, NavTrail, PoolStats,
    PoolUse, Reader, Result, Storage, Target, UnitOfWork,
};
use sea_orm::sqlx::PgPool;
use sea_orm::{DatabaseConnection, SqlxPostgresConnector, Statement};
use tokio::runtime::Handle;

use crate::PostgresOptions;
use crate::changes::begin;
use crate::entities::check;
use crate::epoch::Epochs;
use crate::feed::Listening;
use crate::repository::{Connected, Repository, column, scoped, statement};
use crate::snapshots::CatalogCache;
use crate::turns::Turns;

/// The storage in PostgreSQL. Share it in an [`Arc`].
pub struct PostgresStorage {
    pool: PgPool,
    listening: Listening,
    repository: Repository<Pool>,
}

impl std::fmt::Debug for PostgresStorage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresStorage").field("pool", &self.pool()).finish()
    }
}

/// The pool, as reads and side writes use it.
#[derive(Debug)]
pub(crate) struct Pool {
    connection: DatabaseConnection,
    runtime: Handle,
    epochs: Arc<Epochs>,
    catalog: Arc<CatalogCache>,
    pub(crate) turns: Turns,
}

impl Connected for Pool {
    type C = DatabaseConnection;

    fn connection(&self) -> &DatabaseConnection {
        &self.connection
    }

    fn runtime(&self) -> &Handle {
        &self.runtime
    }

    fn latest_epoch(&self) -> u64 {
        self.epochs.latest()
    }

    fn catalog(&self) -> Option<&Arc<CatalogCache>> {
        Some(&self.catalog)
    }

    fn scoped(&self, company: Option<CompanyId>, statement: Statement) -> Statement {
        scoped(company, statement)
    }
}

impl PostgresStorage {
    /// A storage that connects when it is first used: the server may start before its database does. It neither creates
    /// nor checks the schema. Call it within the Tokio runtime that lives as long as
    /// the storage: connections live on it, whoever uses them.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](iam_storage::StorageError::Corrupt) when a url cannot be read. The error does not repeat the url.
    pub fn connect(options: &PostgresOptions) -> Result<Self> {
        let epochs = Arc::default();
        let pool = options.pool(&epochs)?;
        let listening = options.listening()?;
        let connection = SqlxPostgresConnector::from_sqlx_postgres_pool(pool.clone());
        let runtime = Handle::current();
        let turns = Turns::new(options);
        let repository = Repository(Pool { connection, runtime, epochs, catalog: Arc::default(), turns });
        Ok(Self { pool, listening, repository })
    }

    pub(crate) fn listening(&self) -> &Listening {
        &self.listening
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.repository.0.runtime
    }

    pub(crate) fn repository(&self) -> &Repository<Pool> {
        &self.repository
    }

    /// The connection pool as SeaORM's connection, for what is not a storage operation: to check the schema.
    #[must_use]
    pub fn connection(&self) -> DatabaseConnection {
        self.repository.0.connection.clone()
    }

    /// Whether the schema has every table and column that this adapter knows: one statement a table, which reads no rows.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](iam_storage::StorageError::Corrupt) when something is missing.
    pub async fn check_schema(&self) -> Result<()> {
        check(&self.repository.0.connection).await
    }

    /// Whether row-level security holds for the role that it connects as: not for superusers and those with `BYPASSRLS`.
    ///
    /// # Errors
    ///
    /// When the database cannot be reached, or has no tables.
    pub async fn is_behind_policies(&self) -> Result<bool> {
        let sql = "SELECT row_security_active('user_levels') AS is_behind";
        column(&self.repository.single(statement(sql, [])).await?, "is_behind")
    }

    /// Closes the pool: waits for what is under way, and refuses what comes after.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

#[async_trait]
impl Storage for PostgresStorage {
    fn reader(&self) -> &dyn Reader {
        &self.repository
    }

    async fn begin(&self, target: Target, context: ChangeContext) -> Result<Box<dyn UnitOfWork>> {
        Ok(Box::new(begin(&self.repository.0, target, context).await?))
    }

    fn nav_trail(&self) -> &dyn NavTrail {
        &self.repository
    }

    fn effective_view_permissions(&self) -> &dyn EffectiveViewPermissions {
        &self.repository
    }

    fn effective_feature_permissions(&self) -> &dyn EffectiveFeaturePermissions {
        &self.repository
    }

    fn api_key_uses(&self) -> &dyn ApiKeyUses {
        &self.repository
    }
}

#[async_trait]
impl Health for PostgresStorage {
    async fn ping(&self) -> Result<()> {
        self.repository.execute(statement("SELECT 1", [])).await.map(drop)
    }
}

impl PoolStats for PostgresStorage {
    fn pool(&self) -> PoolUse {
        PoolUse {
            size: self.pool.size(),
            idle: u32::try_from(self.pool.num_idle()).unwrap_or(u32::MAX),
            max: self.pool.options().get_max_connections(),
        }
    }
}
