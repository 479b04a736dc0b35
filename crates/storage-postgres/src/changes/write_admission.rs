//! Write admission: the queue in which changes wait for a database connection.
//!
//! The database serializes the changes to one company. Therefore, at most one change per company holds a connection at
//! a time. The change waits for its locks on this connection. A company that is changed continuously cannot starve
//! changes to other companies.
//!
//! Changes to companies and to the catalog use the connections of one share of the pool, and changes to the credentials
//! use those of another share. So changes to many companies starve neither reads nor changes that revoke rights.
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
use crate::connections::shares::{Class, Permit, Shares};
use crate::connections::waits::{Stage, measured};

/// Maximum number of changes to the catalog that have a connection at a time. The same limit applies separately to
/// changes to the credentials. The limit is two and not one, so that the next change can proceed even if the first
/// change has a dead connection.
const EXCLUSIVE_PERMITS: usize = 2;

/// The queues in which changes wait for admission.
#[derive(Debug)]
pub(crate) struct WriteAdmission {
    /// One lock per company, which admits one change to the company at a time.
    companies: CompanyLocks,
    /// Permits for changes to the catalog.
    catalog: Arc<Semaphore>,
    /// Permits for changes to the credentials.
    credentials: Arc<Semaphore>,
    /// The shares of the connection pool.
    shares: Arc<Shares>,
    /// Maximum time that a change waits for admission. `None`: no limit.
    timeout: Option<Duration>,
}

/// The permission for one change to use a database connection. Dropping the permit admits the next change.
#[derive(Debug)]
pub(crate) struct WritePermit {
    _connection: Permit,
    _turn: Turn,
}

/// The turn of a change among the changes to the same target. Dropping it begins the turn of the next change.
#[derive(Debug)]
enum Turn {
    Company(#[expect(dead_code, reason = "holds the lock")] Exclusive),
    Other(#[expect(dead_code, reason = "holds the permit")] OwnedSemaphorePermit),
}

impl WriteAdmission {
    pub(crate) fn new(options: &PostgresOptions, shares: Arc<Shares>) -> Self {
        Self {
            companies: CompanyLocks::default(),
            catalog: Arc::new(Semaphore::new(EXCLUSIVE_PERMITS)),
            credentials: Arc::new(Semaphore::new(EXCLUSIVE_PERMITS)),
            shares,
            timeout: Some(options.lock_timeout).filter(|timeout| !timeout.is_zero()),
        }
    }

    /// Returns the maximum time that a change waits for admission. `None`: no limit.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Waits for a permit, in FIFO order. Fails if the lock timeout passes before a permit is available.
    pub(crate) async fn acquire(&self, target: Target) -> Result<WritePermit> {
        let permit = async {
            // The turn comes first, so that a change that waits for its turn holds no permit for a connection.
            let (turn, class) = match target {
                Target::Company(company) => (Turn::Company(self.companies.exclusive(company).await), Class::Changes),
                Target::Catalog => (Turn::Other(permit_of(&self.catalog).await?), Class::Changes),
                Target::Credentials => (Turn::Other(permit_of(&self.credentials).await?), Class::Revocations),
            };
            Ok(WritePermit {
                _connection: measured(Stage::Share, self.shares.acquire_limited(class)).await,
                _turn: turn,
            })
        };
        match self.timeout {
            None => permit.await,
            Some(timeout) => tokio::time::timeout(timeout, permit).await.unwrap_or_else(|late| {
                Err(StorageError::Unavailable { retryable: false, source: Some(Box::new(late)) })
            }),
        }
    }
}

/// Waits for a permit of a semaphore.
async fn permit_of(semaphore: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit> {
    let permit = Arc::clone(semaphore).acquire_owned().await;
    permit.map_err(|closed| StorageError::Unavailable { retryable: false, source: Some(Box::new(closed)) })
}
