//! The gate: the advisory lock that changes of companies share, and that changes of the catalog and of the credentials
//! hold alone.

use iam_storage::Target;

/// The key of the advisory lock. Each installation in a database has its own. The seed of `migration` takes the same
/// lock. Changes of companies share it and run concurrently; those of the catalog and of the credentials hold it alone.
/// So a caller that is admitted under the lock stays admitted until the commit.
///
/// Unlike row locks it is fair: a stream of company changes cannot delay a cut-off.
const GATE: &str = "'company_states'::regclass::oid::int4, 1";

/// The SQL call that waits until a change of `target` has passed the gate.
pub(crate) fn pass(target: Target) -> String {
    call("", target)
}

/// The SQL call that passes the gate if it is open, and returns false if not.
pub(crate) fn try_pass(target: Target) -> String {
    call("try_", target)
}

fn call(prefix: &str, target: Target) -> String {
    let shared = if target.company().is_some() { "_shared" } else { "" };
    format!("pg_{prefix}advisory_xact_lock{shared}({GATE})")
}
