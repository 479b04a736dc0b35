//! Tests of the binaries as processes.

mod demo;
mod migration;
mod modes;
mod persistence;
mod replicas;
mod shutdown;
