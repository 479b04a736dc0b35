//! Whether what is kept is still what the store has: what is known of its states, and for how long that may be trusted.

pub(crate) mod clock;
mod follow;
pub(crate) mod lease;
#[cfg(test)]
mod model;
pub(crate) mod tracker;
