//! The removal of expired assignments, which a background task repeats.

use std::time::Duration;

use async_trait::async_trait;
use iam_domain::CompanyId;
use iam_storage::{StorageError, UnitOfWork, Work};

use crate::{Application, Failure};

/// Maximum number of assignments that one call removes from a company. The removal holds the lock of the company, so each
/// call removes a small number.
const BATCH: u64 = 500;

/// Maximum number of expired assignments that one call examines to find their companies.
const MOST_EXAMINED: u64 = 10_000;

/// Removes expired assignments of one company in a unit of work.
struct RemoveExpired {
    company: CompanyId,
    expired_for: Duration,
}

#[async_trait]
impl Work for RemoveExpired {
    type Output = u64;
    type Error = StorageError;

    async fn run(&self, tx: &mut dyn UnitOfWork) -> Result<u64, StorageError> {
        let by = tx.now().minus(self.expired_for);
        tx.assignments_mut().remove_expired(self.company, by, BATCH).await
    }
}

impl Application {
    /// Removes assignments that expired at least this long ago, and returns their number. Each company is changed in one
    /// unit of work, which holds the lock of the company, so only one replica at a time removes assignments of a company.
    /// A call removes at most 500 assignments of each company. Expired assignments have no effect, so the next call can
    /// remove the others.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Unavailable`] if the storage cannot be read, or if a company cannot be changed. The assignments
    /// of the other companies are removed even so.
    pub async fn remove_expired_assignments(&self, expired_for: Duration) -> Result<u64, Failure> {
        let companies = self.reader().ending_assignments().find_expired(expired_for, MOST_EXAMINED).await?;
        let (mut removed, mut failure) = (0, None);
        for company in companies {
            match self.execute_as_system(company, RemoveExpired { company, expired_for }).await {
                Ok(count) => removed += count,
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(removed), Err)
    }
}
