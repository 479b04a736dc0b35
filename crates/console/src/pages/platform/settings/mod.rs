//! The settings of one company, for super admins: its name, modules, ceilings, quotas and status, and its erasure.

pub(crate) mod ceilings;
mod draft;
mod effect;
pub(crate) mod erase;
pub(crate) mod modules;
pub(crate) mod overview;
pub(crate) mod status;
