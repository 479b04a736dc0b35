//! Tests that run the binaries as separate processes.

mod access_log;
mod additive_defaults;
mod bouncer;
mod check_config;
mod commands;
mod connections;
mod demo;
mod deployment;
mod draining;
mod flooding;
mod frozen;
mod histories;
mod keys;
mod logs;
pub(crate) mod metrics;
mod migration;
mod migration_safety;
mod modes;
mod observability;
pub(crate) mod persistence;
mod recipes;
mod replicas;
mod settings;
mod shutdown;
mod token;
mod traces;
mod unreachable;
