//! Write admission: the queue in which changes wait for a database connection.
//!
//! The database serializes the changes to one company. Therefore, at most one change per company holds a connection at
//! a time. The change waits for its locks on this connection. A company that is changed continuously cannot starve
//! changes to other companies.
//!
//! A quarter of the pool, but at least two connections, is reserved for other work. Changes to companies share the
//! remaining connections, and may always use one connection, even if the pool has only one or two. This limit prevents
//! changes to many companies from starving reads or changes that revoke rights.
//!
//! Changes to the catalog and to the credentials are serialized too. At most two changes of each kind have a connection
//! at a time. The limit is low, because if this process hangs, another replica must terminate the sessions of these
//! changes one after the other before it can revoke rights.

use std::sync::Arc;
use std::time::Duration;

use iam_storage::company_locks::{CompanyLocks, Exclusive};
use iam_storage::{Result, StorageError, Target};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::PostgresOptions;

/// Maximum number of changes to the catalog that have a connection at a time. The same limit applies separately to
/// changes to the credentials. The limit is two and not one, so that the next change can proceed even if the first
/// change has a dead connection.
const EXCLUSIVE_PERMITS: usize = 2;

/// The queues in which changes wait for admission.
#[derive(Debug)]
pub(crate) struct WriteAdmission {
    /// One lock per company, which admits one change to the company at a time.
    companies: CompanyLocks,
    /// Permits for the connections available to changes to companies, one per connection.
    connections: Arc<Semaphore>,
    /// Permits for the connections available to changes to the catalog, one per connection.
    catalog: Arc<Semaphore>,
    /// Permits for the connections available to changes to the credentials, one per connection.
    credentials: Arc<Semaphore>,
    /// Maximum time that a change waits for admission. `None`: no limit.
    timeout: Option<Duration>,
}

/// The permission for one change to use a database connection. Dropping the permit admits the next change.
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

    /// Waits for a permit, in FIFO order. Fails if the lock timeout passes before a permit is available.
    pub(crate) async fn acquire(&self, target: Target) -> Result<WritePermit> {
        let permit = async {
            // The lock of the company is acquired first, so that a change that waits for this lock holds no permit for
            // a connection.
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
