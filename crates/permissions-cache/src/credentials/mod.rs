//! The cache of API keys and of the token cut-offs of users. A cut-off is a time: tokens that were issued to the user
//! before this time are rejected. The cache contains all API keys and cut-offs, and serves them while the lease is
//! valid.

pub(crate) mod service;
pub(crate) mod table;
