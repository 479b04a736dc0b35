//! Loads from the store, shared by the requests that wait for them.

pub(crate) mod coalescer;
pub(crate) mod results;
