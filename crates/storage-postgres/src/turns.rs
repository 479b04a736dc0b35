//! Whose turn it is to take a connection and change a company.
//!
//! Changes of one company are serial anyway, so only one of them has a connection to wait with; and changes of companies take at
//! most half of the connections. So neither a company that changes without end nor many of them keep others from theirs: reads,
//! other companies, and what takes their rights.

use std::sync::Arc;
use std::time::Duration;

use iam_domain::CompanyId;
use iam_storage::company_locks::{CompanyLocks, Exclusive};
use iam_storage::{Result, StorageError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::PostgresOptions;

/// The queues of changes of companies.
#[derive(Debug)]
pub(crate) struct Turns {
    companies: CompanyLocks,
    connections: Arc<Semaphore>,
    /// `None`: for ever.
    patience: Option<Duration>,
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _connection: OwnedSemaphorePermit,
    _company: Exclusive,
}

impl Turns {
    pub(crate) fn new(options: &PostgresOptions) -> Self {
        let half = usize::try_from(options.max_connections / 2).unwrap_or(usize::MAX);
        Self {
            companies: CompanyLocks::default(),
            connections: Arc::new(Semaphore::new(half.clamp(1, Semaphore::MAX_PERMITS))),
            patience: Some(options.lock_timeout).filter(|patience| !patience.is_zero()),
        }
    }

    /// Waits for a turn, in the order of coming, as long as for a lock.
    pub(crate) async fn wait(&self, company: CompanyId) -> Result<Turn> {
        let turn = async {
            // In this order, so that whoever waits for the company keeps no connection from others.
            let company = self.companies.exclusive(company).await;
            let connection = Arc::clone(&self.connections).acquire_owned().await;
            let connection = connection
                .map_err(|closed| StorageError::Unavailable { retryable: false, source: Some(Box::new(closed)) })?;
            Ok(Turn { _connection: connection, _company: company })
        };
        match self.patience {
            None => turn.await,
            Some(patience) => tokio::time::timeout(patience, turn).await.unwrap_or_else(|late| {
                Err(StorageError::Unavailable { retryable: false, source: Some(Box::new(late)) })
            }),
        }
    }
}
