//! The permissions that a caller holds without an end. Only these permissions can the caller grant.

use std::collections::BTreeSet;

use iam_domain::{CompanyId, Snapshot, UserId};
use iam_storage::{Stamped, UnitOfWork};

use crate::Failure;

/// The permissions that determine what a caller can grant.
pub(crate) struct OwnPermissions {
    /// The caller's permissions without those that only assignments with an end grant.
    pub(crate) lasting: Snapshot,
    /// `true` if no assignment of the company starts or ends later, so that permissions alter only by changes.
    pub(crate) are_constant: bool,
}

/// Returns a user's permissions without those that only assignments with an end grant. The denies of these assignments
/// remain. `own` contains all permissions of the user.
///
/// Otherwise, a caller with a time-bound level could grant its permissions for longer than the caller holds them.
pub(super) async fn lasting(
    tx: &dyn UnitOfWork,
    company: CompanyId,
    user: UserId,
    own: Stamped<Snapshot>,
) -> Result<OwnPermissions, Failure> {
    // If the company has no next boundary, no assignment of the company starts or ends later.
    if own.next_boundary.is_none() {
        return Ok(OwnPermissions { lasting: own.value, are_constant: true });
    }
    let assigned = tx.assignments().get_assigned(company, user).await?;
    let with_end = assigned.into_iter().filter(|held| held.period.expires_at.is_some());
    let with_end: BTreeSet<_> = with_end.map(|held| held.level.id).collect();
    let Snapshot { levels, .. } = own.value;
    let levels = levels.into_iter();
    let levels = levels.map(|held| if with_end.contains(&held.level) { held.only_denies() } else { held }).collect();
    Ok(OwnPermissions { lasting: Snapshot { levels, ..own.value }, are_constant: false })
}
