//! The users of a company: the list, one user, and changes to their levels.

mod edit;
mod effect;
pub(crate) mod list;
mod permissions;
pub(crate) mod person;
pub(crate) mod review;
pub(crate) mod user;
