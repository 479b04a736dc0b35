//! The decision engine: compiles permissions from a snapshot, and decides permission checks from compiled sets. The
//! engine uses no lock, no clock and no I/O.

pub(crate) mod access;
pub(crate) mod check;
pub(crate) mod compiled;
pub(crate) mod effective;
pub(crate) mod entitlements;
pub(crate) mod index;
pub(crate) mod level_rules;
pub(crate) mod memory_usage;
pub(crate) mod navigation;
pub(crate) mod outcome;
