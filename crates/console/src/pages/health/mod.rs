//! The health of the replica that answers: readiness, charts of its figures, and its slowest storage operations.

mod chart;
mod charts;
mod operations;
pub(crate) mod page;
