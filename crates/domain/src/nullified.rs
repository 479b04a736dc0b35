//! Determines the permissions that a change nullifies. A user had these permissions before the change, and a deny
//! overrides them after it.
//!
//! A deny overrides every allow, so assigning a level that contains denies can remove permissions from a user. A deny
//! has no effect on public views. Module gates and `enabled` flags are ignored.

use std::collections::{BTreeMap, BTreeSet};

use crate::CompanySnapshot;
use crate::escalation::{Grant, Levels, grantables};

/// Returns the permissions that the change from `before` to `after` nullifies. A user had each of these permissions
/// before. One of the user's levels still allows it, but another level now denies it. The result is in ascending order,
/// and contains each action once, with the widest scope that a user had.
///
/// The snapshots may contain a subset of the company's users, and must contain all levels that these users hold.
#[must_use]
pub fn nullified(before: &CompanySnapshot, after: &CompanySnapshot) -> Vec<Grant> {
    let none = BTreeSet::new();
    // Users with the same levels are compared once, because a `BTreeSet` contains no duplicates.
    let sets: BTreeSet<_> =
        after.holders.iter().map(|(user, is)| (before.holders.get(user).unwrap_or(&none), is)).collect();
    let sets: Vec<_> = sets.into_iter().map(|(was, is)| (Levels::of(before, was), Levels::of(after, is))).collect();
    let mut hidden = BTreeMap::new();
    for (was, is) in &sets {
        for grantable in is.0.iter().flat_map(|level| grantables(level)) {
            let reach = is.reach(grantable);
            if reach.granted.is_some()
                && reach.resolved.is_none()
                && !grantable.is_public(&after.catalog)
                && let Some(scope) = was.reach(grantable).resolved
            {
                let widest = hidden.entry(grantable).or_insert(scope);
                *widest = scope.max(*widest);
            }
        }
    }
    hidden.into_iter().map(|(grantable, scope)| grantable.grant(scope)).collect()
}
