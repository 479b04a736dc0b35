//! The cache of API keys and of the token cut-offs of users. A cut-off revokes all tokens that were issued to the user
//! before this time. The cache contains all API keys and cut-offs, and serves them while the lease is valid.

pub(crate) mod service;
pub(crate) mod table;
