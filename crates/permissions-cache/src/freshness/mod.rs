//! The known states of the store, and the lease that limits how long cached data is trusted.

pub(crate) mod clock;
pub(crate) mod lease;
#[cfg(test)]
mod model;
pub(crate) mod ticket;
pub(crate) mod tracker;
