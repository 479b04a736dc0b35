//! The PostgreSQL storage: opens the pools, and provides repositories, units of work and health checks.

use std::sync::Arc;

use async_trait::async_trait;
use iam_database_url::UrlError;
use iam_storage::{
    ApiKeyUses, ChangeContext, ChangeFeed, EffectiveFeaturePermissions, EffectiveViewPermissions, Health,
    IdempotencyKeys, NavTrail, PoolStats, PoolUse, Reader, Result, Sessions, Storage, Target, UnitOfWork,
};
use sea_orm::sqlx::PgPool;
use sea_orm::{DatabaseConnection, SqlxPostgresConnector};
use tokio::runtime::Handle;

use crate::changes::begin;
use crate::connections::hooks::PoolHooks;
use crate::connections::reachability::{self, Unreachable};
use crate::connections::runtime::on_runtime;
use crate::connections::session::Refusal;
use crate::engine::{Feed, Gate, check_form};
use crate::entities::probes;
use crate::feed::listener::ListenerOptions;
use crate::operation::operation;
use crate::options::PostgresOptions;
use crate::pool::Pool;
use crate::replicas::Replicas;
use crate::replicas::reader::WithReplicas;
use crate::repository::{Executor, Repository};
use crate::snapshot::Snapshot;
use crate::statement::{column, statement};

/// The PostgreSQL storage. Share it in an [`Arc`](std::sync::Arc).
pub struct PostgresStorage {
    options: PostgresOptions,
    hooks: PoolHooks,
    listener_options: ListenerOptions,
    repository: Repository<Arc<Pool>>,
    /// `None` if the options contain no replica.
    replicas: Option<Repository<WithReplicas>>,
}

impl std::fmt::Debug for PostgresStorage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresStorage").field("pool", &PoolStats::pool(self)).finish()
    }
}

/// The error for a database URL that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// [`PostgresOptions::url`] cannot be used.
    #[error("the database URL {0}")]
    Url(#[source] UrlError),
    /// [`PostgresOptions::listener_url`] cannot be used.
    #[error("the listener's database URL {0}")]
    ListenerUrl(#[source] UrlError),
    /// One of [`PostgresOptions::replica_urls`] cannot be used.
    #[error("the database URL of a replica {0}")]
    ReplicaUrl(#[source] UrlError),
    /// [`PostgresOptions::replica_urls`] is not empty, although [`PostgresOptions::feed`] is [`Feed::Poll`]. The epoch of this
    /// feed does not change after a failover, so a standby of the lost primary could not be told from one of the new primary.
    #[error("replicas cannot be used with the feed `poll`")]
    ReplicasWithPoll,
}

impl PostgresStorage {
    /// Creates a storage that connects on first use, so the service may start before its database. The schema is
    /// neither created nor checked. Call this function within a Tokio runtime that runs as long as the storage is used:
    /// this runtime owns the connections, regardless of which task uses them.
    ///
    /// # Errors
    ///
    /// [`OptionsError`] if a URL cannot be used. The error contains no value from the URL.
    pub fn connect(options: &PostgresOptions) -> Result<Self, OptionsError> {
        let hooks = options.hooks();
        let connect = options.connect_options(&options.url).map_err(OptionsError::Url)?;
        let listener_options = options.listener_options(&hooks.session).map_err(OptionsError::ListenerUrl)?;
        if options.feed == Feed::Poll && !options.replica_urls.is_empty() {
            return Err(OptionsError::ReplicasWithPoll);
        }
        let replicas = Replicas::new(options).map_err(OptionsError::ReplicaUrl)?;
        let requirements = replicas.as_ref().map(|replicas| Arc::clone(replicas.requirements()));
        let pool = Arc::new(Pool::new(options, &hooks, connect, requirements));
        let replicas = replicas.map(|replicas| Repository(WithReplicas { primary: Arc::clone(&pool), replicas }));
        Ok(Self { options: options.clone(), hooks, listener_options, repository: Repository(pool), replicas })
    }

    pub(crate) fn listener_options(&self) -> &ListenerOptions {
        &self.listener_options
    }

    pub(crate) fn runtime(&self) -> &Handle {
        self.repository.0.runtime()
    }

    pub(crate) fn repository(&self) -> &Repository<Arc<Pool>> {
        &self.repository
    }

    /// Opens one connection outside the pools to check whether the database can be used. The error identifies the
    /// server by host and port, and contains no role or password.
    ///
    /// # Errors
    ///
    /// [`Unreachable`] if no writable session can be opened within
    /// [`acquire_timeout`](PostgresOptions::acquire_timeout).
    pub async fn contact(&self) -> Result<(), Unreachable> {
        let options = self.main_pool().connect_options();
        on_runtime(
            self.runtime(),
            reachability::connect_once(&options, &self.hooks.session, self.options.acquire_limit()),
        )
        .await
    }

    /// Returns the address of the database for log lines: host and port (or the path of the socket), and the name of
    /// the database. It contains no role or password.
    #[must_use]
    pub fn address(&self) -> String {
        reachability::address(&self.main_pool().connect_options())
    }

    /// Returns why the latest new connection was rejected, or `None` if it was accepted. Until a connection is
    /// accepted, the database cannot be used.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        self.hooks.session.refusal()
    }

    /// Returns a SeaORM connection with its own pool, for statements outside the storage operations, such as the check
    /// for pending migrations. Only the server's timeouts apply to its statements.
    #[must_use]
    pub fn connection(&self) -> DatabaseConnection {
        let connect = self.main_pool().connect_options().as_ref().clone();
        SqlxPostgresConnector::from_sqlx_postgres_pool(self.options.pool(&self.hooks, connect))
    }

    /// Publishes the metrics that are read when they are scraped: the number of replicas in use.
    pub fn publish_metrics(&self) {
        if let Some(Repository(WithReplicas { replicas, .. })) = &self.replicas {
            replicas.publish();
        }
    }

    /// Checks that the schema has every table and column that this adapter uses, that the installation uses the forms of
    /// the global lock and of the change feed of these options, and that the role may acquire the global lock.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](iam_storage::StorageError::Unavailable) if a table or a column is missing, if the
    /// installation uses another form, or if the role may not acquire the global lock.
    pub async fn check_schema(&self) -> Result<()> {
        for probe in probes() {
            self.repository.rows(probe).await?;
        }
        self.check_forms().await?;
        let try_lock = match self.options.gate {
            Gate::Native => "SELECT iam_try_lock_changes(false) AS has_global_lock",
            Gate::Row => "SELECT gate FROM iam_engine FOR SHARE SKIP LOCKED",
        };
        self.repository.rows(statement(try_lock, [])).await?;
        Ok(())
    }

    /// Checks that the installation uses the forms of the global lock and of the change feed of these options.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](iam_storage::StorageError::Unavailable) if the database cannot be reached, or with the source
    /// [`OtherForm`](crate::OtherForm) if the installation uses another form.
    pub async fn check_forms(&self) -> Result<()> {
        let installed = self.repository.single(statement("SELECT gate, feed FROM iam_engine", [])).await?;
        check_form(&installed, "gate", self.options.gate.name())?;
        check_form(&installed, "feed", self.options.feed.name())
    }

    /// Returns `true` if row-level security applies to the connecting role. Row-level security applies neither to
    /// superusers nor to roles with `BYPASSRLS`.
    ///
    /// # Errors
    ///
    /// Fails if the database cannot be reached, or if its tables do not exist.
    pub async fn is_row_security_active(&self) -> Result<bool> {
        let sql = "SELECT row_security_active('user_levels') AS is_behind";
        column(&self.repository.single(statement(sql, [])).await?, "is_behind")
    }

    /// Closes the pools. New statements fail. Running statements may finish within a grace period: the statement
    /// timeout plus one second, or the change timeout if there is no statement timeout. Connections that are still in
    /// use afterwards remain open until the process ends.
    pub async fn close(&self) {
        let Pool { connections, control, .. } = &*self.repository.0;
        let replicas = async {
            if let Some(Repository(WithReplicas { replicas, .. })) = &self.replicas {
                replicas.close().await;
            }
        };
        let close = async { tokio::join!(connections.pool().close(), control.connections().pool().close(), replicas) };
        let limit = self.options.statement_limit().unwrap_or(self.options.change_timeout);
        if tokio::time::timeout(limit, close).await.is_err() {
            tracing::warn!(
                timeout_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
                "some database connections are still in use after the timeout: they remain open until the process ends"
            );
        }
    }

    fn main_pool(&self) -> &PgPool {
        self.repository.0.connections.pool()
    }
}

#[async_trait]
impl Storage for PostgresStorage {
    fn reader(&self) -> &dyn Reader {
        &self.repository
    }

    fn reader_of_replicas(&self) -> Option<&dyn Reader> {
        self.replicas.as_ref().map(|repository| repository as _)
    }

    async fn snapshot(&self) -> Result<Box<dyn Reader>> {
        let connect = self.main_pool().connect_options().as_ref().clone();
        let snapshot = Snapshot::open(&self.options, &self.hooks, connect);
        Ok(Box::new(operation("storage.snapshot", snapshot).await?))
    }

    async fn begin(&self, target: Target, context: ChangeContext) -> Result<Box<dyn UnitOfWork>> {
        let unit = operation("storage.begin", begin(&self.repository.0, target, context)).await?;
        Ok(Box::new(unit))
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

    fn idempotency_keys(&self) -> &dyn IdempotencyKeys {
        &self.repository
    }

    fn sessions(&self) -> &dyn Sessions {
        &self.repository
    }

    fn changes(&self) -> &dyn ChangeFeed {
        self
    }
}

#[async_trait]
impl Health for PostgresStorage {
    async fn ping(&self) -> Result<()> {
        operation("health.ping", async { self.repository.execute(statement("SELECT 1", [])).await.map(drop) }).await
    }
}

impl PoolStats for PostgresStorage {
    fn pool(&self) -> PoolUse {
        PoolUse {
            size: self.main_pool().size(),
            idle: u32::try_from(self.main_pool().num_idle()).unwrap_or(u32::MAX),
            max: self.main_pool().options().get_max_connections(),
        }
    }
}
