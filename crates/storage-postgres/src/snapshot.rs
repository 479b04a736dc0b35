//! A consistent snapshot of the database: a read-only transaction in which every statement sees the same data.

use std::sync::Arc;
use std::time::Duration;

use iam_domain::CompanyId;
use iam_storage::Result;
use sea_orm::Statement;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::runtime::Handle;

use crate::catalog_cache::CatalogCache;
use crate::changes::read_matrices::ReadMatrices;
use crate::connections::deadlines::Connections;
use crate::connections::hooks::PoolHooks;
use crate::connections::outdated::OutdatedConnections;
use crate::connections::runtime::on_runtime;
use crate::connections::session::Limits;
use crate::connections::shares::Permit;
use crate::connections::transaction::Transaction;
use crate::engine::Feed;
use crate::error::from_db;
use crate::options::PostgresOptions;
use crate::repository::{Executor, Repository, Work};
use crate::row_security::for_company;

/// Maximum lifetime of a snapshot. A snapshot prevents the database from removing old row versions.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// A read-only transaction on a connection of its own. Dropping it ends the transaction and closes the connection.
#[derive(Debug)]
pub(crate) struct Snapshot {
    tx: Transaction,
    runtime: Handle,
    outdated: Arc<OutdatedConnections>,
    catalog: Arc<CatalogCache>,
    feed: Feed,
}

impl Snapshot {
    /// Opens a connection and begins a transaction on it. Reads of the snapshot have no statement timeout, and the server
    /// does not terminate the session while the client processes rows.
    pub(crate) async fn open(
        options: &PostgresOptions,
        main: &PoolHooks,
        connect: PgConnectOptions,
    ) -> Result<Repository<Self>> {
        let limits = |limits| Limits { statement: Duration::ZERO, transaction: Duration::ZERO, ..limits };
        let hooks = PoolHooks { session: main.session.with(limits), ..main.clone() };
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(options.acquire_limit());
        let connect = connect.application_name(&format!("{} snapshot", options.application_name));
        let pool = hooks.install(pool).connect_lazy_with(connect);
        let connections = Connections::new(pool, None, Handle::current(), &hooks);
        let runtime = connections.runtime().clone();
        let begun = async { Transaction::begin_snapshot(&connections, LIFETIME).await };
        let tx = on_runtime(&runtime, begun).await.map_err(from_db)?;
        let (outdated, catalog) = (Arc::clone(&main.outdated), Arc::default());
        Ok(Repository(Self { tx, runtime, outdated, catalog, feed: options.feed }))
    }
}

impl Executor for Snapshot {
    const ATTEMPTS: u32 = 1;

    type Connection = Transaction;

    fn connection(&self, _work: Work) -> &Transaction {
        &self.tx
    }

    async fn admit(&self, _work: Work) -> Result<Option<Permit>> {
        Ok(None)
    }

    fn runtime(&self) -> &Handle {
        &self.runtime
    }

    fn outdated(&self) -> &OutdatedConnections {
        &self.outdated
    }

    fn feed(&self) -> Feed {
        self.feed
    }

    fn catalog(&self) -> Option<&Arc<CatalogCache>> {
        Some(&self.catalog)
    }

    fn read_matrices(&self) -> Option<&ReadMatrices> {
        None
    }

    fn for_company(&self, company: Option<CompanyId>, statement: Statement) -> Statement {
        for_company(company, statement)
    }
}
