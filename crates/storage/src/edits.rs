//! Edits of the levels of several users, which one operation applies together.

use std::collections::BTreeSet;

use iam_domain::{UserId, UserLevelId};

use crate::{Result, StorageError};

/// The levels to assign to one user, and the levels to remove from the user. Assigning a level that the user holds, and
/// removing a level that the user does not hold, has no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelsEdit {
    /// The user.
    pub user: UserId,
    /// The levels to assign.
    pub add: BTreeSet<UserLevelId>,
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
        if edits.iter().any(|edit| !edit.add.is_disjoint(&edit.remove)) {
            return Err(StorageError::Misuse("an edit assigns and removes the same level"));
        }
        Ok(())
    }

    /// Returns the levels that the user holds after the edit.
    #[must_use]
    pub fn applied_to(&self, held: &BTreeSet<UserLevelId>) -> BTreeSet<UserLevelId> {
        held.union(&self.add).filter(|level| !self.remove.contains(level)).copied().collect()
    }
}

/// The levels of a user before and after an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditedUser {
    /// The user.
    pub user: UserId,
    /// The levels that the user held before.
    pub before: BTreeSet<UserLevelId>,
    /// The levels that the user holds now.
    pub after: BTreeSet<UserLevelId>,
}

/// The result of edits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditedLevels {
    /// The users of the edits, in the order of the edits.
    pub users: Vec<EditedUser>,
    /// Those of the levels to assign that deny a view or an action.
    pub denying: BTreeSet<UserLevelId>,
}
