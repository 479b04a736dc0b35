//! Tests through the HTTP door.

mod assignments;
mod audit;
mod authority;
mod bad_input;
mod catalog;
mod conditional;
mod decisions;
mod gates;
mod limits;
mod matrices;
mod matrix;
mod menu;
mod navigation;
mod parity;
mod permissions_current;
mod provisioning;
mod service;
mod trail;
mod user_levels;
mod walk;
