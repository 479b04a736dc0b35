//! The users of a company: the list, one user, and changes to their levels.

mod deciding;
pub(crate) mod edit;
pub(crate) mod effect;
pub(crate) mod list;
pub(crate) mod names;
pub(crate) mod permissions;
pub(crate) mod person;
pub(crate) mod review;
pub(crate) mod user;
