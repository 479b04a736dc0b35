//! The global lock: the table lock that every change acquires before all other locks. Changes to companies acquire the
//! global lock in shared mode. Changes to the catalog and to the credentials acquire it in exclusive mode.
//!
//! Changes to companies hold the lock in shared mode, so they run concurrently. A change to the credentials needs the
//! lock in exclusive mode, so it waits until all these changes have ended. Therefore, if a change verifies the
//! credentials of its caller while it holds the global lock, these credentials cannot be revoked before the change
//! commits. The seed of the package `migration` acquires the same lock.
//!
//! Unlike row locks, the global lock is fair (FIFO): a continuous stream of changes to companies cannot starve a change
//! to the credentials, such as a cut-off.
//!
//! Two functions of the schema, `iam_lock_changes` and `iam_try_lock_changes`, lock the table. Only roles that may
//! change data may execute them, so other roles cannot block changes.

use iam_storage::Target;

/// The table that the global lock locks. It is in a schema that the service's role cannot use.
pub(crate) const LOCK_TABLE: &str = "iam_changes";

/// The key of the advisory lock that was the global lock in the previous release. Any role can hold an advisory lock,
/// so a change waits for this lock only if a session whose role may change data holds it or waits for it. Such a
/// session belongs to a replica of the previous release. The next release removes this lock.
const PREVIOUS_LOCK: &str = "'company_states'::regclass::oid::int4, 1";

/// The SQL condition that a session whose role may change data holds the lock of the previous release, or waits for it.
const IS_PREVIOUS_LOCK_USED: &str = "EXISTS (
    SELECT FROM pg_locks AS lock JOIN pg_stat_activity AS session USING (pid)
    WHERE lock.locktype = 'advisory' AND lock.database = session.datid AND lock.objsubid = 2
        AND lock.classid = 'company_states'::regclass AND lock.objid = 1 AND lock.pid <> pg_backend_pid()
        AND session.datname = current_database() AND has_table_privilege(session.usesysid, 'company_states', 'UPDATE')
)";

/// Returns the SQL expression that acquires the global lock in the mode that a change to `target` needs. The expression
/// waits until the global lock is available. Its value is true.
pub(crate) fn acquire_global_lock(target: Target) -> String {
    let (is_exclusive, shared) = mode(target);
    format!(
        "CASE WHEN NOT iam_lock_changes({is_exclusive}) THEN false
            WHEN pg_try_advisory_xact_lock{shared}({PREVIOUS_LOCK}) THEN true
            WHEN {IS_PREVIOUS_LOCK_USED} THEN pg_advisory_xact_lock{shared}({PREVIOUS_LOCK}) IS NOT NULL
            ELSE true END"
    )
}

/// Returns the SQL expression that tries to acquire the global lock in the mode that a change to `target` needs. The
/// expression never waits. Its value is true if it has acquired the global lock, and false if the change must also
/// execute [`acquire_global_lock`]. The expression does not check which session holds the lock of the previous release:
/// the check would have to be planned for each change.
pub(crate) fn try_acquire_global_lock(target: Target) -> String {
    let (is_exclusive, shared) = mode(target);
    format!(
        "CASE WHEN iam_try_lock_changes({is_exclusive}) THEN pg_try_advisory_xact_lock{shared}({PREVIOUS_LOCK})
            ELSE false END"
    )
}

/// Returns the argument of the lock functions for a change to `target`, and the suffix of the functions for the lock of
/// the previous release.
fn mode(target: Target) -> (bool, &'static str) {
    if target.company().is_some() { (false, "_shared") } else { (true, "") }
}
