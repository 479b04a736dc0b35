//! Tests of the binaries as processes.

mod bouncer;
mod demo;
mod draining;
mod frozen;
mod keys;
mod metrics;
mod migration;
mod modes;
mod persistence;
mod replicas;
mod shutdown;
