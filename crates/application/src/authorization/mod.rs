//! Authorization of callers: the requirements of use cases, and the limits on what a change may grant or take away.

mod authorize;
mod escalation;
mod requirement;

pub(crate) use authorize::{authorize_within, recheck_credentials, record_denial};
pub(crate) use escalation::{EscalationGuard, is_forced_by};
pub use requirement::Requirement;
