//! Changes to the levels that users hold, and the permissions of these levels.

use std::collections::{BTreeMap, BTreeSet};

use iam_domain::escalation::AssignmentChange;
use iam_domain::{CompanyId, Snapshot, Timestamp, UserId, UserLevelId};
use iam_storage::{Assigned, UnitOfWork};

use crate::Failure;

/// The names of the request fields that assign levels and that remove levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LevelFields {
    /// The field that assigns levels.
    pub assigns: &'static str,
    /// The field that removes levels.
    pub removes: &'static str,
}

/// A change to the levels that a user holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelsChange {
    /// The user.
    pub user: UserId,
    /// The levels that the user held before the change.
    pub before: BTreeSet<UserLevelId>,
    /// The levels that the user holds after the change.
    pub after: BTreeSet<UserLevelId>,
    /// `true` if a level that the change assigned denies a view or an action.
    pub adds_denies: bool,
    /// The fields of the request, which errors name.
    pub fields: LevelFields,
}

impl LevelsChange {
    /// Returns the field to which a grant is attributed: the field that assigns levels. If the change only removes
    /// levels, such as a level with denies, this is the field that removes levels.
    pub(crate) fn granting_field(&self) -> &'static str {
        if self.after.is_subset(&self.before) { self.fields.removes } else { self.fields.assigns }
    }

    /// Returns the field to which a revocation is attributed: the field that removes levels. If the change only assigns
    /// levels, such as a level with denies, this is the field that assigns levels.
    pub(crate) fn revoking_field(&self) -> &'static str {
        if self.before.is_subset(&self.after) { self.fields.assigns } else { self.fields.removes }
    }

    /// Returns `true` if the user can lose permissions by the change.
    pub(crate) fn is_reduction(&self) -> bool {
        self.adds_denies || !self.before.is_subset(&self.after)
    }
}

/// Returns the changes to the levels that a user holds, if the user's assignments change from `before` to `after` at the
/// time `now`. `denying` are those of the assigned levels that deny.
///
/// The changes concern the assignments that have not expired, and also, if they differ, those that are in effect without
/// an end: what only other assignments allow or deny ends. An assignment whose period changes is treated as removed and
/// then assigned again: a longer period is a grant, and a shorter one a revocation.
pub(crate) fn level_changes(
    user: UserId,
    (before, after): (&Assigned, &Assigned),
    now: Timestamp,
    denying: &BTreeSet<UserLevelId>,
    fields: LevelFields,
) -> Vec<LevelsChange> {
    let unexpired = |assigned: &Assigned| -> BTreeSet<UserLevelId> {
        assigned.iter().filter(|(_, period)| !period.is_expired(now)).map(|(level, _)| *level).collect()
    };
    let (held, wanted) = (unexpired(before), unexpired(after));
    let is_unchanged = |level: &UserLevelId| !wanted.contains(level) || before.get(level) == after.get(level);
    let kept: BTreeSet<_> = held.iter().copied().filter(is_unchanged).collect();
    let change = |before: BTreeSet<_>, after: BTreeSet<UserLevelId>| {
        let adds_denies = after.difference(&before).any(|level| denying.contains(level));
        LevelsChange { user, before, after, adds_denies, fields }
    };
    let lasting = |assigned: &Assigned| -> BTreeSet<UserLevelId> {
        assigned.iter().filter(|(_, period)| period.is_lasting(now)).map(|(level, _)| *level).collect()
    };
    let (lasting_before, lasting_after) = (lasting(before), lasting(after));
    let has_periods = lasting_before != held || lasting_after != wanted;
    let mut changes =
        if kept == held { vec![change(held, wanted)] } else { vec![change(held, kept.clone()), change(kept, wanted)] };
    if has_periods && lasting_before != lasting_after {
        changes.push(change(lasting_before, lasting_after));
    }
    changes
}

/// Loads the permissions of all levels of these changes, together with the catalog. The permissions of the levels are
/// those of the unit of work, which the changes do not affect.
pub(crate) async fn load_levels(
    tx: &dyn UnitOfWork,
    company: CompanyId,
    changes: &[&LevelsChange],
) -> Result<Snapshot, Failure> {
    let ids: BTreeSet<_> = changes.iter().flat_map(|change| change.before.union(&change.after)).copied().collect();
    Ok(tx.snapshots().load_levels(company, &Vec::from_iter(ids)).await?.value)
}

/// Returns the snapshot of a user who holds these of the loaded levels.
pub(crate) fn restricted(loaded: &Snapshot, held: &BTreeSet<UserLevelId>) -> Snapshot {
    let levels = loaded.levels.iter().filter(|level| held.contains(&level.level)).cloned().collect();
    let Snapshot { catalog, status, modules, ceilings, .. } = loaded;
    let (modules, ceilings) = (modules.clone(), ceilings.clone());
    Snapshot { catalog: catalog.clone(), status: *status, modules, ceilings, levels }
}

/// Groups the changes by their sets of levels before and after the change. Changes with the same sets have the same
/// effect on permissions, so each group is evaluated once. `loaded` contains the permissions of all these levels.
pub(crate) fn distinct<'a>(
    loaded: &Snapshot,
    changes: &[&'a LevelsChange],
) -> Vec<(AssignmentChange, Vec<&'a LevelsChange>)> {
    let mut groups: BTreeMap<_, Vec<&'a LevelsChange>> = BTreeMap::new();
    for change in changes {
        groups.entry((&change.before, &change.after)).or_default().push(change);
    }
    let evaluated = |((before, after), changes)| {
        let levels = |held| restricted(loaded, held).levels;
        (AssignmentChange { before: levels(before), after: levels(after) }, changes)
    };
    groups.into_iter().map(evaluated).collect()
}
