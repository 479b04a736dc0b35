//! The gate: the advisory lock that changes to companies take in shared mode, and changes to the catalog and the
//! credentials in exclusive mode.

use iam_storage::Target;

/// The key of the advisory lock. Each installation in a database has its own key. The seed of the package `migration`
/// takes the same lock. Changes to companies hold it in shared mode and run concurrently; changes to the catalog and
/// the credentials hold it in exclusive mode. So if a caller's credentials are accepted while a change holds the gate,
/// they cannot be revoked before that change commits.
///
/// Unlike row locks, the gate is fair (FIFO): a continuous stream of changes to companies cannot starve a cut-off.
const GATE: &str = "'company_states'::regclass::oid::int4, 1";

/// Returns the SQL call that waits for the gate, in the mode that a change to `target` needs.
pub(crate) fn acquire_gate(target: Target) -> String {
    call("", target)
}

/// Returns the SQL call that takes the gate if it is available at once, and otherwise evaluates to false without
/// waiting.
pub(crate) fn try_acquire_gate(target: Target) -> String {
    call("try_", target)
}

fn call(prefix: &str, target: Target) -> String {
    let shared = if target.company().is_some() { "_shared" } else { "" };
    format!("pg_{prefix}advisory_xact_lock{shared}({GATE})")
}
