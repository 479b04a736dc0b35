//! Test cases for `transact`: work is committed, rolled back, or retried.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use iam_domain::{CommitStamp, UserLevel};

use super::fixtures::{given, level, some_company, version_and_record_count, versions};
use super::outcomes::assert_conflict;
use crate::{ChangeContext, Constraint, Result, Storage, StorageError, Target, UnitOfWork, Work, transact};

/// Work that creates a level. Each of the first `failures` runs returns an error after it has created the level. The
/// error is retryable if `retryable` is `true`.
struct Create {
    level: UserLevel,
    failures: u32,
    retryable: bool,
    runs: AtomicU32,
}

impl Create {
    const fn failing(level: UserLevel, failures: u32, retryable: bool) -> Self {
        Self { level, failures, retryable, runs: AtomicU32::new(0) }
    }

    async fn run_on(&self, storage: &Arc<dyn Storage>) -> Result<(u32, CommitStamp)> {
        let target = Target::Company(self.level.company_id);
        transact(storage.as_ref(), target, &ChangeContext::command_line(), self).await
    }
}

#[async_trait]
impl Work for Create {
    type Output = u32;
    type Error = StorageError;

    async fn run(&self, tx: &mut dyn UnitOfWork) -> Result<u32> {
        let run = self.runs.fetch_add(1, Ordering::SeqCst) + 1;
        tx.user_levels_mut().create(&self.level).await?;
        if run <= self.failures {
            return Err(StorageError::Unavailable { retryable: self.retryable, source: None });
        }
        Ok(run)
    }
}

/// Successful work runs once and is committed. `transact` returns the output of the work and the version of the commit.
pub async fn a_transaction_runs_the_work_and_commits(storage: Arc<dyn Storage>) {
    let company = some_company();
    let work = Create::failing(level(company, "Admin"), 0, false);
    let (run, committed) = work.run_on(&storage).await.unwrap();
    assert_eq!(run, 1);
    assert_eq!(committed, CommitStamp::Company(versions(&storage, Some(company)).await));
    assert_eq!(storage.reader().user_levels().find_all(company).await.unwrap(), [work.level]);
}

/// Work that fails twice with a retryable error is retried in new units of work. The failed attempts are rolled back.
pub async fn work_that_loses_a_race_is_retried(storage: Arc<dyn Storage>) {
    let company = some_company();
    let work = Create::failing(level(company, "Admin"), 2, true);
    let (run, committed) = work.run_on(&storage).await.unwrap();
    assert_eq!((run, committed.versions().map(|versions| versions.company)), (3, Some(1)));
    assert_eq!(storage.reader().user_levels().find_all(company).await.unwrap(), [work.level]);
    assert_eq!(version_and_record_count(&storage, company).await.1, 1, "the work must be recorded once");
}

/// If work always fails with a retryable error, `transact` returns the error after four attempts, and nothing is
/// stored.
pub async fn retries_of_work_are_bounded(storage: Arc<dyn Storage>) {
    let company = some_company();
    let work = Create::failing(level(company, "Admin"), u32::MAX, true);
    let error = work.run_on(&storage).await.unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    assert_eq!(work.runs.load(Ordering::SeqCst), 4);
    assert_eq!(storage.reader().company_states().read(company).await.unwrap(), None);
}

/// An error that is not retryable is returned without a retry, and the unit of work is rolled back.
pub async fn work_that_fails_has_no_effect(storage: Arc<dyn Storage>) {
    let company = some_company();
    let work = Create::failing(level(company, "Admin"), 1, false);
    let error = work.run_on(&storage).await.unwrap_err();
    assert!(matches!(error, StorageError::Unavailable { retryable: false, .. }), "{error:?}");
    assert_eq!(work.runs.load(Ordering::SeqCst), 1);
    assert_eq!(storage.reader().user_levels().find_all(company).await.unwrap(), []);
    assert_eq!(storage.reader().company_states().read(company).await.unwrap(), None);
}

/// A `Conflict` is returned without a retry.
pub async fn work_with_a_conflict_is_not_retried(storage: Arc<dyn Storage>) {
    let company = some_company();
    given(&storage, &[&level(company, "Admin")]).await;
    let work = Create::failing(level(company, "Admin"), 0, false);
    assert_conflict(work.run_on(&storage).await, Constraint::UserLevelName);
    assert_eq!(work.runs.load(Ordering::SeqCst), 1);
}
