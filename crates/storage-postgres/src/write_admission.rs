//! The queue in which changes wait for a connection.
//!
//! Changes of one company are serial anyway, so only one of them gets a connection to wait with. Changes of companies
//! leave a quarter of the connections to others, and at least two. So neither a company that changes without a pause
//! nor many of them can starve others: reads, other companies, and changes that revoke their rights.
//!
//! Changes of the catalog and of the credentials are serial too. Few of them wait in the database at a time: when a
//! process stands still its sessions must be ended one after the other before another replica can revoke anything.

use std::sync::Arc;
use std::time::Duration;

use iam_storage::company_locks::{CompanyLocks, Exclusive};
use iam_storage::{Result, StorageError, Target};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::PostgresOptions;

/// How many changes of the catalog, and how many of the credentials, have a connection at a time: a second one, in
/// case the first has got a dead connection.
const EXCLUSIVE_PERMITS: usize = 2;

/// The queues of changes.
#[derive(Debug)]
pub(crate) struct WriteAdmission {
    companies: CompanyLocks,
    connections: Arc<Semaphore>,
    catalog: Arc<Semaphore>,
    credentials: Arc<Semaphore>,
    /// How long a change waits. `None`: forever.
    timeout: Option<Duration>,
}

/// The permission of one change to take a connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct WritePermit {
    _connection: OwnedSemaphorePermit,
    _company: Option<Exclusive>,
}

impl WriteAdmission {
    pub(crate) fn new(options: &PostgresOptions) -> Self {
        let permits = options.max_connections.saturating_sub((options.max_connections / 4).max(2));
        let permits = usize::try_from(permits).unwrap_or(usize::MAX);
        Self {
            companies: CompanyLocks::default(),
            connections: Arc::new(Semaphore::new(permits.clamp(1, Semaphore::MAX_PERMITS))),
            catalog: Arc::new(Semaphore::new(EXCLUSIVE_PERMITS)),
            credentials: Arc::new(Semaphore::new(EXCLUSIVE_PERMITS)),
            timeout: Some(options.lock_timeout).filter(|timeout| !timeout.is_zero()),
        }
    }

    /// Waits for a permit, first come, first served, for at most the lock timeout.
    pub(crate) async fn acquire(&self, target: Target) -> Result<WritePermit> {
        let permit = async {
            // In this order, so that a change that waits for its company holds no connection.
            let (company, connections) = match target {
                Target::Company(company) => (Some(self.companies.exclusive(company).await), &self.connections),
                Target::Catalog => (None, &self.catalog),
                Target::Credentials => (None, &self.credentials),
            };
            let connection = Arc::clone(connections).acquire_owned().await;
            let connection = connection
                .map_err(|closed| StorageError::Unavailable { retryable: false, source: Some(Box::new(closed)) })?;
            Ok(WritePermit { _connection: connection, _company: company })
        };
        match self.timeout {
            None => permit.await,
            Some(timeout) => tokio::time::timeout(timeout, permit).await.unwrap_or_else(|late| {
                Err(StorageError::Unavailable { retryable: false, source: Some(Box::new(late)) })
            }),
        }
    }
}
