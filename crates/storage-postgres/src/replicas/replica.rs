//! One read replica: its connections, and whether it is in use.

use std::error::Error;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use iam_database_url::UrlError;
use iam_domain::CompanyId;
use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Statement};
use secrecy::SecretString;
use tokio::time::{sleep, timeout};

use crate::connections::deadlines::Connections;
use crate::connections::hooks::PoolHooks;
use crate::connections::reachability;
use crate::connections::runtime::on_runtime;
use crate::connections::session::Limits;
use crate::connections::shares::{Class, Shares};
use crate::error::is_cancelled;
use crate::options::PostgresOptions;
use crate::replicas::condition::{on_replica, rows_in};
use crate::replicas::requirements::Requirements;
use crate::repository::Work;
use crate::statement::statement;

/// The time limit of a read if statements have no timeout.
const LIMIT: Duration = Duration::from_millis(1500);
/// Number of consecutive reads for which a replica lacks a version, after which it is examined.
const MOST_OUTDATED: u32 = 8;
/// The pause between two checks of a replica that is not in use.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest pause between two checks.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The reason why a replica is not in use although it responds.
const OUTDATED: &str = "it lacks versions of the primary, or its clock differs";

/// The outcome of a read.
#[derive(Debug)]
pub(super) enum Outcome {
    Rows(Vec<QueryResult>),
    /// The replica lacks a required version.
    Outdated,
    /// The replica cannot execute the read.
    Failed,
    /// No replica is in use.
    NoneInUse,
    /// It is not known what a replica must have.
    Unproven,
}

/// A read replica.
#[derive(Debug)]
pub(super) struct Replica {
    connections: Connections,
    /// The same connections, for statements that are planned for the size of a company.
    planning: Connections,
    shares: Arc<Shares>,
    address: String,
    /// Time limit of a read. It is shorter than the statement timeout, because the primary executes the read afterwards
    /// if the replica does not respond.
    limit: Duration,
    is_in_use: AtomicBool,
    /// Number of consecutive reads for which the replica lacked a version.
    outdated: AtomicU32,
}

impl Replica {
    /// Creates the pool of a replica, which is not in use yet.
    pub(super) fn new(options: &PostgresOptions, url: &SecretString) -> Result<Arc<Self>, UrlError> {
        let connect = options.connect_options(url)?;
        let connect = connect.application_name(&format!("{} replica reads", options.application_name));
        let limit = Some(options.statement_timeout / 2).filter(|limit| !limit.is_zero()).unwrap_or(LIMIT);
        let main = options.hooks();
        // The server cancels a slow statement before the time limit. So if the limit is reached, the replica is silent.
        let limits = |limits| Limits { statement: limit * 4 / 5, ..limits };
        let hooks = PoolHooks { session: main.session.with(limits), ..main }.for_standby();
        let address = reachability::address(&connect);
        let pool = options.pool(&hooks, connect);
        let connections = Connections::new(pool, Some(limit), tokio::runtime::Handle::current(), &hooks);
        Ok(Arc::new(Self {
            planning: connections.planning_each_statement(),
            connections,
            shares: Arc::new(Shares::new(options.max_connections)),
            address,
            limit,
            is_in_use: AtomicBool::new(false),
            outdated: AtomicU32::new(0),
        }))
    }

    pub(super) fn is_in_use(&self) -> bool {
        self.is_in_use.load(Ordering::Acquire)
    }

    /// Returns host and port of the replica, without role and password.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Returns the options of a further connection to the replica.
    pub(super) fn connect_options(&self) -> PgConnectOptions {
        self.connections.pool().connect_options().as_ref().clone()
    }

    pub(super) async fn close(&self) {
        let _ = timeout(self.limit, self.connections.pool().close()).await;
    }

    /// Executes a read, and returns its rows if the replica has the required versions.
    pub(super) async fn read(
        self: &Arc<Self>,
        read: &Statement,
        work: Work,
        company: Option<CompanyId>,
        requirements: &Arc<Requirements>,
    ) -> Outcome {
        let (class, connections) = match work {
            Work::WholeCompany(_) => (Class::Reads, &self.planning),
            Work::InPool(class, _) => (class, &self.connections),
            Work::Catalog | Work::OutsidePool => (Class::Reads, &self.connections),
        };
        let Ok(_permit) = timeout(self.limit, self.shares.acquire(class, company)).await else {
            // The connections are in use. This says nothing about the replica.
            return Outcome::Failed;
        };
        // After the wait, because the requirements contain the present time.
        let Some(required) = requirements.of(company) else { return Outcome::Unproven };
        match self.execute(connections, on_replica(company, read.clone(), &required)).await {
            Ok(Some(rows)) => {
                self.outdated.store(0, Ordering::Relaxed);
                Outcome::Rows(rows)
            }
            Ok(None) => {
                if self.outdated.fetch_add(1, Ordering::Relaxed) + 1 == MOST_OUTDATED {
                    self.examine(requirements);
                }
                Outcome::Outdated
            }
            // Other reads may succeed.
            Err(error) if is_cancelled(&error) => Outcome::Failed,
            Err(error) => {
                self.leave(&messages(&error), requirements);
                Outcome::Failed
            }
        }
    }

    async fn execute(&self, connections: &Connections, wrapped: Statement) -> Result<Option<Vec<QueryResult>>, DbErr> {
        let rows = on_runtime(connections.runtime(), connections.query_all_raw(wrapped));
        let rows = timeout(self.limit, rows).await;
        let rows = rows.map_err(|_| DbErr::Custom("the replica did not respond in time".to_owned()))??;
        rows_in(rows).map_err(|error| DbErr::Custom(error.to_string()))
    }

    /// Checks the replica in the background, and stops using it if it lacks what every read requires. It may only lack the
    /// versions of companies that change often.
    fn examine(self: &Arc<Self>, requirements: &Arc<Requirements>) {
        let (replica, requirements) = (Arc::clone(self), Arc::clone(requirements));
        drop(self.connections.runtime().spawn(async move {
            match Self::problem(&Arc::downgrade(&replica), &Arc::downgrade(&requirements)).await {
                Some(Some((_, reason))) => replica.leave(&reason, &requirements),
                Some(None) | None => replica.outdated.store(0, Ordering::Relaxed),
            }
        }));
    }

    /// Stops using the replica until a check succeeds.
    fn leave(self: &Arc<Self>, reason: &str, requirements: &Arc<Requirements>) {
        if self.is_in_use.swap(false, Ordering::AcqRel) {
            tracing::warn!(address = self.address, reason, "a read replica is not in use any more");
            self.check_until_usable(requirements);
        }
    }

    /// Checks the replica repeatedly in the background, and uses it as soon as it has the required versions. The checks
    /// end when the storage is dropped.
    pub(super) fn check_until_usable(self: &Arc<Self>, requirements: &Arc<Requirements>) {
        let (replica, requirements) = (Arc::downgrade(self), Arc::downgrade(requirements));
        drop(self.connections.runtime().spawn(async move {
            let (mut pause, mut reported) = (PAUSE, None);
            while let Some(problem) = Self::problem(&replica, &requirements).await {
                if let Some((address, reason)) = problem
                    && reported.as_ref() != Some(&reason)
                {
                    tracing::warn!(address, reason, "a read replica cannot be used");
                    reported = Some(reason);
                }
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }));
    }

    /// Checks the replica once, and uses it if it has the required versions. Otherwise returns its address and the reason,
    /// unless it cannot be checked yet. Returns `None` if no further check is needed, also if the storage was dropped.
    async fn problem(replica: &Weak<Self>, requirements: &Weak<Requirements>) -> Option<Option<(String, String)>> {
        let (replica, requirements) = (replica.upgrade()?, requirements.upgrade()?);
        let Some(required) = requirements.of(None) else { return Some(None) };
        let check = on_replica(None, statement("SELECT 1 AS one", []), &required);
        let reason = match replica.execute(&replica.connections, check).await {
            Ok(Some(_)) => {
                replica.outdated.store(0, Ordering::Relaxed);
                if !replica.is_in_use.swap(true, Ordering::AcqRel) {
                    tracing::info!(address = replica.address, "a read replica is in use");
                }
                return None;
            }
            Ok(None) => OUTDATED.to_owned(),
            Err(error) => messages(&error),
        };
        Some(Some((replica.address.clone(), reason)))
    }
}

/// Returns the messages of an error and of its causes.
pub(super) fn messages(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let message = cause.to_string();
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        source = cause.source();
    }
    text
}
