//! The connection pool of a storage, which executes the reads and writes outside units of work. It also contains the
//! state that is needed to begin a unit of work.

use std::sync::Arc;
use std::time::Duration;

use iam_domain::CompanyId;
use iam_storage::{Result, StorageError};
use sea_orm::Statement;
use sea_orm::sqlx::postgres::PgConnectOptions;
use tokio::runtime::Handle;

use crate::catalog_cache::CatalogCache;
use crate::changes::read_matrices::ReadMatrices;
use crate::changes::write_admission::WriteAdmission;
use crate::connections::control::ControlPool;
use crate::connections::deadlines::Connections;
use crate::connections::hooks::PoolHooks;
use crate::connections::outdated::OutdatedConnections;
use crate::connections::shares::{Class, Permit, Shares};
use crate::connections::waits::{Stage, measured};
use crate::engine::{Feed, Gate};
use crate::feed::notifier::Notifier;
use crate::feed::poll_state::PollState;
use crate::options::PostgresOptions;
use crate::replicas::requirements::{Requirements, Version};
use crate::repository::{Executor, Work};
use crate::row_security::for_company;

/// The connection pool of a storage, with the state that reads and units of work share.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) connections: Connections,
    /// The same connections, for statements that are planned for the size of a company.
    planning: Connections,
    pub(crate) outdated: Arc<OutdatedConnections>,
    catalog: Arc<CatalogCache>,
    shares: Arc<Shares>,
    /// Timeout for the wait for a connection of a share.
    acquire_timeout: Duration,
    pub(crate) write_admission: WriteAdmission,
    /// Separate connections for statements that must run even if the pool is exhausted or its connections are dead.
    pub(crate) control: Arc<ControlPool>,
    pub(crate) notifier: Notifier,
    pub(crate) poll_state: PollState,
    /// Timeout for a change, from its first statement to the response to its commit.
    pub(crate) change_timeout: Duration,
    /// Time after which the server terminates a session whose client sends nothing inside a transaction.
    pub(crate) silence_timeout: Duration,
    /// What a replica must have before its data is used. `None` if there is no replica.
    pub(crate) requirements: Option<Arc<Requirements>>,
    pub(crate) gate: Gate,
    pub(crate) feed: Feed,
}

impl Pool {
    /// Creates a pool that opens its first connection on first use. The current Tokio runtime owns its connections.
    pub(crate) fn new(
        options: &PostgresOptions,
        hooks: &PoolHooks,
        connect: PgConnectOptions,
        requirements: Option<Arc<Requirements>>,
    ) -> Self {
        let pool = options.pool(hooks, connect.clone());
        let control = Arc::new(ControlPool::new(options, hooks, connect));
        let connections = Connections::new(pool, options.statement_limit(), Handle::current(), hooks).measured();
        let planning = connections.planning_each_statement();
        let shares = Arc::new(Shares::new(options.max_connections));
        let notifier = Notifier::new(options.feed, &control, connections.runtime());
        Self {
            connections,
            planning,
            outdated: Arc::clone(&hooks.outdated),
            catalog: Arc::default(),
            write_admission: WriteAdmission::new(options, Arc::clone(&shares)),
            shares,
            acquire_timeout: options.acquire_limit(),
            control,
            notifier,
            poll_state: PollState::default(),
            change_timeout: options.change_timeout,
            silence_timeout: options.silence_timeout,
            requirements,
            gate: options.gate,
            feed: options.feed,
        }
    }
}

impl Pool {
    /// Returns the maximum time for which a change waits for the global lock.
    pub(crate) fn lock_wait(&self) -> Duration {
        self.write_admission.timeout().unwrap_or(self.change_timeout)
    }
}

impl Executor for Arc<Pool> {
    const ATTEMPTS: u32 = 4;

    type Connection = Connections;

    fn connection(&self, work: Work) -> &Connections {
        match work {
            Work::InPool(..) | Work::Catalog => &self.connections,
            Work::WholeCompany(_) => &self.planning,
            Work::OutsidePool => self.control.connections(),
        }
    }

    async fn admit(&self, work: Work) -> Result<Option<Permit>> {
        let permit = async {
            match work {
                Work::InPool(class, company) => measured(Stage::Share, self.shares.acquire(class, company)).await,
                Work::WholeCompany(company) => {
                    measured(Stage::Share, self.shares.acquire(Class::Reads, Some(company))).await
                }
                Work::Catalog => measured(Stage::Share, self.shares.acquire(Class::Reads, None)).await,
                Work::OutsidePool => self.control.admit().await,
            }
        };
        let permit = tokio::time::timeout(self.acquire_timeout, permit).await;
        permit.map(Some).map_err(|_| {
            let problem = format!("no connection became available in time for this share: {work:?}");
            StorageError::Unavailable { retryable: false, source: Some(problem.into()) }
        })
    }

    fn runtime(&self) -> &Handle {
        self.connections.runtime()
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

    fn learned(&self, epoch: u64, catalog: Version, company: Option<(CompanyId, Version)>) {
        if let Some(requirements) = &self.requirements {
            requirements.learned(epoch, catalog, company);
        }
    }
}
