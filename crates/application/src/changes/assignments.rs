//! Changes to the levels that users hold: of one user, or of many users together.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use iam_domain::escalation::Grant;
use iam_domain::{Caller, CompanyId, EntityType, ExternalId, NamedUser, UserId, UserLevel, UserLevelId};
use iam_storage::{EditedLevels, LevelsEdit, ReplacedLevels, StorageError, Target, UnitOfWork};

use super::user_levels::{USER_LEVEL, find_user_level};
use crate::failure::unknown_ids;
use crate::levels_change::{distinct, load_levels};
use crate::{
    Change, Effect, Failure, FieldCode, FieldError, IfMatch, LevelFields, LevelsChange, Nullified, Requirement,
};

/// The requested levels of a user.
#[derive(Debug, Clone)]
pub enum RequestedLevels {
    /// The user holds exactly these levels, without duplicates.
    All(Vec<UserLevelId>),
    /// The user holds this level in addition to the user's other levels.
    With(UserLevelId),
    /// The user holds the user's other levels, but not this level.
    Without(UserLevelId),
}

impl RequestedLevels {
    const fn fields(&self) -> LevelFields {
        match self {
            Self::All(_) => LevelFields { assigns: "userLevelIds", removes: "userLevelIds" },
            Self::With(_) | Self::Without(_) => LevelFields { assigns: "levelId", removes: "levelId" },
        }
    }

    /// Returns `true` if the request may assign a level.
    const fn assigns(&self) -> bool {
        match self {
            Self::All(levels) => !levels.is_empty(),
            Self::With(_) => true,
            Self::Without(_) => false,
        }
    }

    /// Converts the error of an operation that assigns these levels. An unknown level in the path is not found.
    fn failure(&self, error: StorageError) -> Failure {
        match (self, error) {
            (Self::All(levels), error) => {
                let sent = levels.iter().map(UserLevelId::as_uuid);
                unknown_ids(error, EntityType::UserLevel, sent, |index| format!("userLevelIds[{index}]"))
            }
            (Self::With(_) | Self::Without(_), StorageError::Unknown { entity: EntityType::UserLevel, .. }) => {
                Failure::NotFound(USER_LEVEL)
            }
            (Self::With(_) | Self::Without(_), error) => error.into(),
        }
    }
}

/// The result of changing the levels of a user.
#[derive(Debug, Clone)]
pub struct AssignedLevels {
    /// The levels that the user holds after the change, sorted by name.
    pub levels: Vec<UserLevel>,
    /// The ids of the levels before and after the change.
    pub change: LevelsChange,
    /// The user's permissions that deny rules of the new levels override.
    pub nullified: Nullified,
}

/// Changes the levels of one user in this company. The user's levels in other companies remain unchanged.
#[derive(Debug, Clone)]
pub struct AssignUserLevels {
    /// The company in which the user's levels change.
    pub company: CompanyId,
    /// The user whose levels change.
    pub user: NamedUser,
    /// The requested levels of the user in this company.
    pub levels: RequestedLevels,
    /// If `true`, the change may leave the company without an administrator. Only super admins can force such a change.
    pub force: bool,
    /// The client's `If-Match` precondition.
    pub if_match: IfMatch,
}

impl AssignUserLevels {
    /// Returns the ids of all levels that the user holds after the change. Returns [`Failure::NotFound`] if the request
    /// removes a level that does not exist.
    async fn wanted(&self, tx: &mut dyn UnitOfWork) -> Result<Vec<UserLevelId>, Failure> {
        let all = matches!(self.levels, RequestedLevels::All(_));
        let stored = if !all || self.if_match.needs_content() {
            tx.assignments().get_user_levels(self.company, self.user.id).await?
        } else {
            Vec::new()
        };
        self.if_match.check(&stored)?;
        let mut held: BTreeSet<_> = stored.iter().map(|level| level.id).collect();
        match &self.levels {
            RequestedLevels::All(levels) => return Ok(levels.clone()),
            RequestedLevels::With(level) => {
                held.insert(*level);
            }
            RequestedLevels::Without(level) => {
                if !held.remove(level) {
                    find_user_level(tx, self.company, *level).await?;
                }
            }
        }
        Ok(held.into_iter().collect())
    }
}

#[async_trait]
impl Change for AssignUserLevels {
    type Answer = AssignedLevels;

    const REQUIREMENT: Requirement = Requirement::AssignLevels;

    fn target(&self) -> Target {
        Target::Company(self.company)
    }

    fn effect<'a>(&self, answer: &'a Self::Answer) -> Effect<'a> {
        Effect::Levels(std::slice::from_ref(&answer.change))
    }

    fn external_ids(&self) -> Vec<&ExternalId> {
        self.user.external_id.iter().collect()
    }

    fn is_forced(&self) -> bool {
        self.force
    }

    fn may_only_remove(&self) -> bool {
        !matches!(self.levels, RequestedLevels::With(_))
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, caller: Caller) -> Result<Self::Answer, Failure> {
        if self.levels.assigns() && !is_external_holder(tx, self.company, self.user.id).await? {
            check_can_sign_in(&self.user, "userId")?;
        }
        let wanted = self.wanted(tx).await?;
        let replace =
            tx.assignments_mut().replace_for_user(self.company, self.user.id, &wanted, caller.actor().id()).await;
        let ReplacedLevels { before, after } = replace.map_err(|error| self.levels.failure(error))?;
        let change = LevelsChange {
            user: self.user.id,
            adds_denies: after.iter().any(|held| held.has_denies && !before.contains(&held.level.id)),
            before: before.into_iter().collect(),
            after: after.iter().map(|held| held.level.id).collect(),
            fields: self.levels.fields(),
        };
        let nullified = nullified(tx, self.company, std::slice::from_ref(&change)).await?;
        Ok(AssignedLevels { levels: after.into_iter().map(|held| held.level).collect(), change, nullified })
    }
}

/// Returns the users' permissions that deny rules of the assigned levels override.
async fn nullified(tx: &dyn UnitOfWork, company: CompanyId, changes: &[LevelsChange]) -> Result<Nullified, Failure> {
    let denying: Vec<_> = changes.iter().filter(|change| change.adds_denies).collect();
    if denying.is_empty() {
        return Ok(Nullified::default());
    }
    let loaded = load_levels(tx, company, &denying).await?;
    let mut hidden: BTreeMap<_, Grant> = BTreeMap::new();
    for (permissions, _) in distinct(&loaded, &denying) {
        // The scopes of an action may differ between users. Each action is listed once.
        hidden.extend(permissions.nullified(&loaded.catalog).into_iter().map(|grant| (grant.cell(), grant)));
    }
    Ok(Nullified::new(&loaded.catalog, &Vec::from_iter(hidden.into_values())))
}

/// Checks that the specified user can sign in. Levels can be assigned only to users who can sign in.
pub(crate) fn check_can_sign_in(user: &NamedUser, field: &'static str) -> Result<(), Failure> {
    if user.can_sign_in { Ok(()) } else { Err(Failure::Invalid(vec![cannot_sign_in(field)])) }
}

fn cannot_sign_in(field: impl Into<String>) -> FieldError {
    let problem = "does not identify a user who can sign in. Identify users of external issuers by issuer|subject";
    FieldError::new(field, FieldCode::Invalid, problem)
}

/// Returns `true` if the user is a user of an external issuer and already holds a level in the company. Administrators
/// of the company can read the user's id from this assignment, so requests may contain the id without issuer and
/// subject.
async fn is_external_holder(tx: &mut dyn UnitOfWork, company: CompanyId, user: UserId) -> Result<bool, Failure> {
    Ok(user.is_service_generated() && !tx.assignments().get_user_levels(company, user).await?.is_empty())
}

/// A user, and a level to assign to the user or to remove from the user.
#[derive(Debug, Clone)]
pub struct LevelOfUser {
    /// The user.
    pub user: NamedUser,
    /// The level.
    pub level: UserLevelId,
}

/// The result of changing the levels of many users.
#[derive(Debug, Clone)]
pub struct EditedAssignments {
    /// The changes, one for each user of the request. The levels of some of these users may be unchanged.
    pub changes: Vec<LevelsChange>,
    /// The users' permissions that deny rules of the new levels override.
    pub nullified: Nullified,
}

/// Assigns and removes levels of many users in this company, in one unit of work.
#[derive(Debug, Clone)]
pub struct EditAssignments {
    /// The company in which the users' levels change.
    pub company: CompanyId,
    /// The pairs to assign, without duplicates.
    pub add: Vec<LevelOfUser>,
    /// The pairs to remove, without duplicates and without pairs that are also assigned.
    pub remove: Vec<LevelOfUser>,
    /// If `true`, the change may leave the company without an administrator. Only super admins can force such a change.
    pub force: bool,
}

impl EditAssignments {
    /// Returns the edits, one for each user, in ascending order.
    fn edits(&self) -> Vec<LevelsEdit> {
        let mut edits: BTreeMap<UserId, LevelsEdit> = BTreeMap::new();
        let none = |user| LevelsEdit { user, add: BTreeSet::new(), remove: BTreeSet::new() };
        for LevelOfUser { user, level } in &self.add {
            edits.entry(user.id).or_insert_with(|| none(user.id)).add.insert(*level);
        }
        for LevelOfUser { user, level } in &self.remove {
            edits.entry(user.id).or_insert_with(|| none(user.id)).remove.insert(*level);
        }
        edits.into_values().collect()
    }

    /// Checks that levels are assigned only to users who can sign in, or who are users of an external issuer and held a
    /// level before.
    fn check_users(&self, changes: &[LevelsChange]) -> Result<(), Failure> {
        let holders: BTreeSet<_> =
            changes.iter().filter(|change| !change.before.is_empty()).map(|change| change.user).collect();
        let may_hold =
            |user: &NamedUser| user.can_sign_in || (user.id.is_service_generated() && holders.contains(&user.id));
        let refused = self.add.iter().enumerate().filter(|(_, pair)| !may_hold(&pair.user));
        let errors = FieldError::bounded(refused.map(|(index, _)| cannot_sign_in(format!("add[{index}].userId"))));
        if errors.is_empty() { Ok(()) } else { Err(Failure::Invalid(errors)) }
    }

    /// Converts the error of an operation on the levels of all pairs.
    fn failure(&self, error: StorageError) -> Failure {
        let sent = self.add.iter().chain(&self.remove).map(|pair| pair.level.as_uuid());
        let added = self.add.len();
        unknown_ids(error, EntityType::UserLevel, sent, |index| match index.checked_sub(added) {
            None => format!("add[{index}].userLevelId"),
            Some(index) => format!("remove[{index}].userLevelId"),
        })
    }
}

#[async_trait]
impl Change for EditAssignments {
    type Answer = EditedAssignments;

    const REQUIREMENT: Requirement = Requirement::AssignLevels;

    fn target(&self) -> Target {
        Target::Company(self.company)
    }

    fn effect<'a>(&self, answer: &'a Self::Answer) -> Effect<'a> {
        Effect::Levels(&answer.changes)
    }

    fn external_ids(&self) -> Vec<&ExternalId> {
        self.add.iter().chain(&self.remove).filter_map(|pair| pair.user.external_id.as_ref()).collect()
    }

    fn is_forced(&self) -> bool {
        self.force
    }

    fn may_only_remove(&self) -> bool {
        self.add.is_empty()
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, caller: Caller) -> Result<Self::Answer, Failure> {
        let edits = self.edits();
        if edits.is_empty() {
            return Ok(EditedAssignments { changes: Vec::new(), nullified: Nullified::default() });
        }
        let edited = tx.assignments_mut().edit(self.company, &edits, caller.actor().id()).await;
        let EditedLevels { users, denying } = edited.map_err(|error| self.failure(error))?;
        let change = |edited: iam_storage::EditedUser| LevelsChange {
            user: edited.user,
            adds_denies: edited.after.difference(&edited.before).any(|level| denying.contains(level)),
            before: edited.before,
            after: edited.after,
            fields: LevelFields { assigns: "add", removes: "remove" },
        };
        let changes: Vec<_> = users.into_iter().map(change).collect();
        self.check_users(&changes)?;
        let nullified = nullified(tx, self.company, &changes).await?;
        Ok(EditedAssignments { changes, nullified })
    }
}
