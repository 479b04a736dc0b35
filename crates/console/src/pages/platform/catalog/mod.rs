//! The catalog: views, features, modules, and menus.
//!
//! The forms of all entries work in the same way (`editor`). What differs between the entries is a `Kind`.

mod conflict;
mod content;
pub(crate) mod editor;
pub(crate) mod features;
pub(crate) mod frame;
pub(crate) mod kind;
pub(crate) mod menu;
pub(crate) mod menu_items;
pub(crate) mod modules;
pub(crate) mod order;
mod sequence;
pub(crate) mod sub_items;
mod targets;
mod typed;
pub(crate) mod views;
