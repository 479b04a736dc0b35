//! What is known of the store's states, and how long cached data may be trusted.

pub(crate) mod clock;
pub(crate) mod lease;
#[cfg(test)]
mod model;
pub(crate) mod ticket;
pub(crate) mod tracker;
