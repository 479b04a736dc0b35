//! Tests through the HTTP door.

mod assignments;
mod audit;
mod authority;
mod bad_input;
mod catalog;
mod checks;
mod conditional;
mod consistency;
mod decisions;
mod explain;
mod gates;
mod invalidation;
mod limits;
mod matrices;
mod matrix;
mod menu;
mod navigation;
mod parity;
mod permissions_current;
mod provisioning;
mod service;
mod tokens;
mod trail;
mod user_levels;
mod walk;
