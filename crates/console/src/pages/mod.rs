//! The pages, each in a file of its own.

pub(crate) mod companies;
pub(crate) mod decisions;
pub(crate) mod overview;
pub(crate) mod sign_in;
pub(crate) mod start;
pub(crate) mod users;
