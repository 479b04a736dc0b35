//! Decisions: why a user may see or do something, and who may.

pub(crate) mod export;
mod fix;
mod question;
pub(crate) mod who_can;
pub(crate) mod why;
