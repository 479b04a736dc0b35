//! The reasons why an export or an import fails.

use std::io;

use iam_domain::CompanyId;
use iam_storage::StorageError;

/// The reason why a file cannot be imported, with the number of the line at which it was found.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct FileError {
    /// The number of the line, beginning with 1.
    pub line: u64,
    /// The reason.
    pub problem: Problem,
}

/// The reason why a line of a file is rejected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file does not begin with the header of an export.
    #[error("the file is not an export of this service")]
    Foreign,
    /// The file has a format that this release does not know.
    #[error("the file has version {0} of the format, but this release reads only version {1}")]
    Version(u32, u32),
    /// The file ends before its manifest.
    #[error("the file is truncated")]
    Truncated,
    /// The line is too long.
    #[error("the line is longer than {0} bytes")]
    TooLong(u64),
    /// The line cannot be parsed. The text contains no control characters.
    #[error("{0}")]
    Invalid(String),
    /// The line is not allowed at this place.
    #[error("a line of this type is not allowed here")]
    Misplaced,
    /// The lines were altered: their hash differs from the hash in the file.
    #[error("the hash of the lines differs from the hash in the file: the file was altered")]
    Altered,
    /// The number of lines or sections differs from the number in the file.
    #[error("the file contains {found} {what}, but states {stated}")]
    Count {
        /// What was counted.
        what: &'static str,
        /// The number that was found.
        found: u64,
        /// The number that the file states.
        stated: u64,
    },
    /// The data contradicts itself.
    #[error("{0}")]
    Inconsistent(&'static str),
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The reason why an export failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// A chosen company does not exist.
    #[error("the company {0} does not exist")]
    NoCompany(CompanyId),
    /// The storage failed.
    #[error("the storage failed: {0}")]
    Storage(#[from] StorageError),
    /// The file cannot be written.
    #[error("the export cannot be written: {0}")]
    Io(#[from] io::Error),
}

/// The reason why an import failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file is rejected.
    #[error(transparent)]
    File(#[from] FileError),
    /// A chosen company is not in the file.
    #[error("the file does not contain the company {0}")]
    NoCompany(CompanyId),
    /// The data of the storage changed after the preview, or a conflict was not expected.
    #[error("{0} conflicts with the data of the storage")]
    Conflict(String),
    /// The storage failed.
    #[error("the storage failed: {0}")]
    Storage(#[from] StorageError),
    /// The file with the audit log cannot be written.
    #[error("the audit log cannot be written: {0}")]
    Io(#[from] io::Error),
}
