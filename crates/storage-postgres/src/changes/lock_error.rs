//! The reasons why a change does not acquire its locks.

use iam_storage::StorageError;
use sea_orm::DbErr;

/// The reason why a change did not acquire its locks.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] DbErr),
    /// The installation uses another form of the global lock, or the lock did not become available in time.
    #[error(transparent)]
    Refused(#[from] StorageError),
}
