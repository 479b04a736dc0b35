//! The audit log: who changed what, when, and what it was before.
//!
//! The list and the file have the same filter (`filter`), which is part of the address. `log` reads records with the names
//! that they refer to, `difference` turns the changes of a record into differences that people can read, and `record` shows
//! a record.

pub(crate) mod actions;
pub(crate) mod difference;
pub(crate) mod export;
pub(crate) mod filter;
pub(crate) mod list;
pub(crate) mod log;
pub(crate) mod record;
