//! Authorization of callers: the requirements of use cases, and the escalation checks of changes.

mod authorize;
mod escalation;
mod lasting;
mod requirement;

pub(crate) use authorize::{authorize_within, recheck_credentials, record_denial};
pub(crate) use escalation::{EscalationGuard, is_forced_by};
pub use requirement::Requirement;
