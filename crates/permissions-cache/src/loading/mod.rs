//! Loads from the database and polls for changes. All requests that wait for the same load or poll share it.

pub(crate) mod coalescer;
pub(crate) mod context;
pub(crate) mod error;
mod follow;
pub(crate) mod loads;
pub(crate) mod menus;
pub(crate) mod polls;
pub(crate) mod resolver;
mod results;
