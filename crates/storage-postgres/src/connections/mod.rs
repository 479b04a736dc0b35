//! Connections: how they are opened, checked, limited by deadlines, and discarded.

pub(crate) mod control;
pub(crate) mod deadlines;
pub(crate) mod failures;
pub(crate) mod hooks;
pub(crate) mod outdated;
pub(crate) mod reachability;
pub(crate) mod runtime;
pub(crate) mod session;
pub(crate) mod shares;
pub(crate) mod statement_span;
pub(crate) mod transaction;
pub(crate) mod waits;
