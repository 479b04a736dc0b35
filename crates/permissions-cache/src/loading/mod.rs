//! Loads data from the database, and polls for changes. Requests that wait for the same data share one load, and
//! requests that wait for a poll share one poll (single flight).

pub(crate) mod allowance;
pub(crate) mod batches;
pub(crate) mod coalescer;
pub(crate) mod context;
pub(crate) mod error;
mod follow;
pub(crate) mod loads;
pub(crate) mod menus;
pub(crate) mod polls;
pub(crate) mod resolver;
mod results;
