//! The forms of the global lock and of the change feed, which depend on what the database engine supports.

use iam_storage::{Result, StorageError};
use sea_orm::QueryResult;

use crate::statement::column;

/// The form of the global lock, which every change acquires before all other locks. All processes of an installation
/// use the same form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Gate {
    /// A table lock. It requires `LOCK TABLE`, advisory locks and `pg_locks`.
    #[default]
    Native,
    /// A row lock, and marks of the changes that wait for it in exclusive mode. It requires `FOR SHARE` and
    /// `FOR UPDATE`.
    Row,
}

impl Gate {
    /// Returns the name of the form in settings and in the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Row => "row",
        }
    }
}

/// The form of the change feed. All processes of an installation use the same form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Feed {
    /// Commits notify the other processes, and polls compare transaction ids. It requires `LISTEN`, `pg_snapshot` and
    /// functions that identify the server.
    #[default]
    Listen,
    /// Processes detect the commits of other processes only by their regular polls, which compare the versions of all
    /// companies. The epoch does not depend on the server that responds.
    Poll,
}

impl Feed {
    /// Returns the name of the form in settings and in the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Listen => "listen",
            Self::Poll => "poll",
        }
    }
}

/// The installation uses another form of the global lock or of the change feed than this process.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the installation uses {of}={installed} (table iam_engine), but this process is configured with {of}={own}")]
pub struct OtherForm {
    of: &'static str,
    installed: String,
    own: &'static str,
}

/// Checks that the installation uses the form `own`. `of` is the column that contains the name of the installation's
/// form, and also the name of the setting. If it does not, the source of the error is [`OtherForm`].
pub(crate) fn check_form(row: &QueryResult, of: &'static str, own: &'static str) -> Result<()> {
    let installed: String = column(row, of)?;
    if installed == own {
        return Ok(());
    }
    let source = OtherForm { of, installed, own };
    Err(StorageError::Unavailable { retryable: false, source: Some(Box::new(source)) })
}
