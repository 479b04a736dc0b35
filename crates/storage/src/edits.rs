//! Edits of the levels of several users, which one operation applies together.

use std::collections::{BTreeMap, BTreeSet};

use iam_domain::{Period, Timestamp, UserId, UserLevelId};

use crate::{Result, StorageError};

/// The assignments of a user in one company: the levels with the periods in which they are in effect. Assignments that
/// have expired but were not swept yet are included.
pub type Assigned = BTreeMap<UserLevelId, Period>;

/// The levels to assign to one user, and the levels to remove from the user. Removing a level that the user does not
/// hold has no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelsEdit {
    /// The user.
    pub user: UserId,
    /// The levels to assign, with the periods. `None` if the edit states no period: an assignment that has not expired
    /// then keeps its period, and a new assignment is unlimited.
    pub add: BTreeMap<UserLevelId, Option<Period>>,
    /// The levels to remove.
    pub remove: BTreeSet<UserLevelId>,
}

impl LevelsEdit {
    /// Checks that the edits do not contradict each other.
    ///
    /// # Errors
    ///
    /// Returns `Misuse` if two edits are for the same user, or if an edit assigns and removes the same level.
    pub fn check(edits: &[Self]) -> Result<()> {
        let users: BTreeSet<_> = edits.iter().map(|edit| edit.user).collect();
        if users.len() < edits.len() {
            return Err(StorageError::Misuse("two edits are for the same user"));
        }
        if edits.iter().any(|edit| edit.remove.iter().any(|level| edit.add.contains_key(level))) {
            return Err(StorageError::Misuse("an edit assigns and removes the same level"));
        }
        Ok(())
    }

    /// Returns the assignments of the user after the edit, which is applied at the time `now`.
    #[must_use]
    pub fn applied_to(&self, held: &Assigned, now: Timestamp) -> Assigned {
        let mut after = held.clone();
        after.retain(|level, _| !self.remove.contains(level));
        for (level, period) in &self.add {
            let kept = held.get(level).filter(|period| !period.is_expired(now)).copied().unwrap_or_default();
            after.insert(*level, period.unwrap_or(kept));
        }
        after
    }
}

/// The assignments of a user before and after an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditedUser {
    /// The user.
    pub user: UserId,
    /// The assignments before.
    pub before: Assigned,
    /// The assignments now.
    pub after: Assigned,
}

/// The result of edits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditedLevels {
    /// The users of the edits, in the order of the edits.
    pub users: Vec<EditedUser>,
    /// Those of the levels to assign that deny a view or an action.
    pub denying: BTreeSet<UserLevelId>,
}
