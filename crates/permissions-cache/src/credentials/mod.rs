//! Caches API keys and the token cut-offs of users (a cut-off revokes the user's tokens). All of them are held in
//! memory, and served while the lease runs.

pub(crate) mod service;
pub(crate) mod table;
