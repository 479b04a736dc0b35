//! The cache of API keys and of the token cut-offs of users (a cut-off revokes the tokens that were issued to a user
//! before it). The cache contains all API keys and cut-offs, and serves them while the lease is valid.

pub(crate) mod service;
pub(crate) mod table;
