//! The global lock: the advisory lock that every change acquires before all other locks. Changes to companies acquire
//! the global lock in shared mode. Changes to the catalog and to the credentials acquire it in exclusive mode.

use iam_storage::Target;

/// The key of the advisory lock. Each installation in a database has its own key. The seed of the package `migration`
/// acquires the same lock. Changes to companies hold the lock in shared mode, so they run concurrently. A change to the
/// credentials needs the lock in exclusive mode, so it waits until all these changes have ended. Therefore, if a change
/// verifies the credentials of its caller while it holds the global lock, these credentials cannot be revoked before
/// the change commits.
///
/// Unlike row locks, the global lock is fair (FIFO): a continuous stream of changes to companies cannot starve a change
/// to the credentials, such as a cut-off.
const GLOBAL_LOCK: &str = "'company_states'::regclass::oid::int4, 1";

/// Returns the SQL call that acquires the global lock in the mode that a change to `target` needs. The call waits until
/// the global lock is available.
pub(crate) fn acquire_global_lock(target: Target) -> String {
    call("", target)
}

/// Returns the SQL call that tries to acquire the global lock in the mode that a change to `target` needs. The call
/// never waits. It returns true if it has acquired the global lock, and false if the global lock is not available.
pub(crate) fn try_acquire_global_lock(target: Target) -> String {
    call("try_", target)
}

fn call(prefix: &str, target: Target) -> String {
    let shared = if target.company().is_some() { "_shared" } else { "" };
    format!("pg_{prefix}advisory_xact_lock{shared}({GLOBAL_LOCK})")
}
