//! Changes to the levels that users hold, and the permissions of these levels.

use std::collections::{BTreeMap, BTreeSet};

use iam_domain::escalation::AssignmentChange;
use iam_domain::{CompanyId, Period, Snapshot, Timestamp, UserId, UserLevelId};
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

/// A change to the levels that a user holds in an interval of time, in which no assignment of the user starts or ends.
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

/// Returns the changes to the levels that a user holds, now or later, if the user's assignments change from `before` to
/// `after` at the time `now`. `denying` are those of the assigned levels that deny.
///
/// Assignments start and end, so a change can have another effect in each interval between two such times: it can add a
/// level that only later grants permissions, because another level that grants them ends. The result contains each
/// distinct change of the set of levels that are in effect, in any interval from now on.
pub(crate) fn level_changes(
    user: UserId,
    (before, after): (&Assigned, &Assigned),
    now: Timestamp,
    denying: &BTreeSet<UserLevelId>,
    fields: LevelFields,
) -> Vec<LevelsChange> {
    let active = |assigned: &Assigned, at: Timestamp| -> BTreeSet<UserLevelId> {
        assigned.iter().filter(|(_, period)| period.is_active(at)).map(|(level, _)| *level).collect()
    };
    let periods = before.values().chain(after.values());
    let later: BTreeSet<_> = periods.flat_map(Period::boundaries).filter(|at| *at > now).collect();
    let in_intervals = std::iter::once(now).chain(later).map(|at| (active(before, at), active(after, at)));
    let changes: BTreeSet<_> = in_intervals.filter(|(before, after)| before != after).collect();
    let change = |(before, after): (BTreeSet<_>, BTreeSet<_>)| {
        let adds_denies = after.difference(&before).any(|level| denying.contains(level));
        LevelsChange { user, before, after, adds_denies, fields }
    };
    changes.into_iter().map(change).collect()
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
