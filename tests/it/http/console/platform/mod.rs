//! Tests of the pages of the super admins.

mod access;
mod api_keys;
mod catalog;
mod ceilings;
mod companies;
mod erase;
mod issuers;
mod menu;
mod modules;
