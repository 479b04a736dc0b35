//! Token cut-offs of users and API keys. All of them are cached, and used while they are known to be current.

pub(crate) mod service;
pub(crate) mod table;
