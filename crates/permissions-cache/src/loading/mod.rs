//! Loads from the store, shared by the requests that wait for them.

pub(crate) mod coalescer;
pub(crate) mod context;
pub(crate) mod error;
mod follow;
pub(crate) mod loads;
pub(crate) mod menus;
pub(crate) mod polls;
pub(crate) mod resolver;
mod results;
