//! Cut-offs of users and API keys: all of them are kept, and used while they are known to be current.

pub(crate) mod service;
pub(crate) mod table;
