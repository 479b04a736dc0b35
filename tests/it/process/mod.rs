//! Tests of the binaries as processes.

mod demo;
mod keys;
mod metrics;
mod migration;
mod modes;
mod persistence;
mod replicas;
mod shutdown;
