//! Whether a caller may do something: requirements, and what a change may grant or take away.

mod authorize;
mod escalation;

pub use authorize::Requirement;
pub(crate) use authorize::note_refusal;
pub use escalation::Affects;
pub(crate) use escalation::{EscalationGuard, forces};
