//! The pages of the super admins: the settings of companies, the catalog, API keys, and issuers.

pub(crate) mod api_keys;
pub(crate) mod catalog;
mod control;
pub(crate) mod create;
pub(crate) mod issuers;
mod once;
mod pager;
pub(crate) mod settings;
