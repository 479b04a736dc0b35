//! The menu and the permissions that a user, or a holder of certain levels, sees. Nothing can be changed on this page.

pub(crate) mod address;
mod menu;
pub(crate) mod page;
mod subject;
