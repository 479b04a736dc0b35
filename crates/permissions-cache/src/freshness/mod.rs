//! What is known of the store's states, and how long that may be trusted: whether what is kept is current.

pub(crate) mod clock;
pub(crate) mod lease;
#[cfg(test)]
mod model;
pub(crate) mod ticket;
pub(crate) mod tracker;
