//! The latest known versions of the catalog, the credentials and the companies, and the lease that bounds the staleness
//! of cached data.

pub(crate) mod clock;
pub(crate) mod database_clock;
pub(crate) mod lease;
#[cfg(test)]
mod model;
pub(crate) mod ticket;
pub(crate) mod tracker;
