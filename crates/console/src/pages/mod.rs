//! The pages, each in a file of its own.

pub(crate) mod audit;
pub(crate) mod companies;
pub(crate) mod decisions;
pub(crate) mod files;
pub(crate) mod health;
pub(crate) mod levels;
pub(crate) mod matrix;
pub(crate) mod overview;
pub(crate) mod platform;
pub(crate) mod provider;
pub(crate) mod search;
pub(crate) mod sign_in;
pub(crate) mod start;
pub(crate) mod users;
pub(crate) mod view_as;
