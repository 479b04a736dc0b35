//! The figures of storage operations in the last minutes, as an adapter counts them.

use std::time::Duration;

/// The figures of one operation in the last minutes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationFigures {
    /// The name of the operation: the trait and the method, or `none` for statements outside an operation.
    pub operation: &'static str,
    /// Number of completed calls.
    pub calls: u64,
    /// Number of failed calls.
    pub errors: u64,
    /// Number of rows that the statements of the operation returned or changed.
    pub rows: u64,
    /// The duration of all calls together.
    pub total: Duration,
    /// The quantile 0.99 of the durations. It exceeds the exact value by at most a quarter, or is at most 0.1 ms.
    pub p99: Duration,
}

/// The figures of all operations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecentOperations {
    /// The period that the figures cover: at least five minutes, unless the process is younger, and at most six.
    pub window: Duration,
    /// The figures of each operation that was called in this period.
    pub operations: Vec<OperationFigures>,
}
