//! The API keys of services: the list, the form that creates a key, and one key with its revocation.

pub(crate) mod create;
pub(crate) mod key;
pub(crate) mod list;
mod state;
