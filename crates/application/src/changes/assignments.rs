//! Changes to the levels that users hold: of one user, or of many users together.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use iam_domain::escalation::Grant;
use iam_domain::{
    AssignedUserLevel, Caller, CompanyId, EntityType, ExternalId, NamedUser, Period, Timestamp, UserId, UserLevelId,
};
use iam_storage::{
    Assigned, AssignedLevel, EditedLevels, EditedUser, LevelAssignment, LevelsEdit, ReplacedLevels, StorageError,
    Target, UnitOfWork,
};
use uuid::Uuid;

use super::user_levels::{USER_LEVEL, find_user_level};
use crate::failure::unknown_ids;
use crate::levels_change::{distinct, level_changes, load_levels};
use crate::{
    Change, Effect, Failure, FieldCode, FieldError, IfMatch, LevelFields, LevelsChange, Nullified, Requirement,
};

/// The requested levels of a user.
#[derive(Debug, Clone)]
pub enum RequestedLevels {
    /// The user holds exactly these levels, without duplicates.
    All(Vec<UserLevelId>),
    /// The user holds this level in addition to the user's other levels, for this period. Without a period, an assignment
    /// that has not expired keeps its period.
    With(UserLevelId, Option<Period>),
    /// The user holds the user's other levels, but not this level.
    Without(UserLevelId),
}

impl RequestedLevels {
    const fn fields(&self) -> LevelFields {
        match self {
            Self::All(_) => LevelFields { assigns: "userLevelIds", removes: "userLevelIds" },
            Self::With(..) | Self::Without(_) => LevelFields { assigns: "levelId", removes: "levelId" },
        }
    }

    /// Returns `true` if the request may assign a level.
    const fn assigns(&self) -> bool {
        match self {
            Self::All(levels) => !levels.is_empty(),
            Self::With(..) => true,
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
            (Self::With(..) | Self::Without(_), StorageError::Unknown { entity: EntityType::UserLevel, .. }) => {
                Failure::NotFound(USER_LEVEL)
            }
            (Self::With(..) | Self::Without(_), error) => error.into(),
        }
    }
}

/// The result of changing the levels of a user.
#[derive(Debug, Clone)]
pub struct AssignedLevels {
    /// The levels that are assigned to the user after the change, sorted by name.
    pub levels: Vec<AssignedUserLevel>,
    /// The changes to the levels that the user holds.
    pub changes: Vec<LevelsChange>,
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
    /// Checks the `If-Match` precondition, and that a level to remove exists.
    async fn check(&self, tx: &mut dyn UnitOfWork) -> Result<Vec<UserLevelId>, Failure> {
        let removed = match &self.levels {
            RequestedLevels::Without(level) => Some(*level),
            RequestedLevels::All(_) | RequestedLevels::With(..) => None,
        };
        if removed.is_none() && !self.if_match.needs_content() {
            return Ok(Vec::new());
        }
        let stored = assigned_levels(tx, self.company, self.user.id).await?;
        self.if_match.check(&stored)?;
        let mut held: Vec<_> = stored.iter().map(|assigned| assigned.level.id).collect();
        if let Some(level) = removed {
            if !held.contains(&level) {
                find_user_level(tx, self.company, level).await?;
            }
            held.retain(|other| *other != level);
        }
        Ok(held)
    }

    /// Applies the change. Returns the assignments before and after the change, the levels that are assigned after it,
    /// and those of them that deny.
    async fn change(
        &self,
        tx: &mut dyn UnitOfWork,
        held: &[UserLevelId],
        by: Option<Uuid>,
    ) -> Result<Changed, Failure> {
        let (company, user, now) = (self.company, self.user.id, tx.now());
        let wanted = match &self.levels {
            RequestedLevels::All(levels) => levels,
            RequestedLevels::Without(_) => held,
            RequestedLevels::With(level, period) => {
                let add = BTreeMap::from([(*level, *period)]);
                let edit = LevelsEdit { user, add, remove: BTreeSet::new() };
                let edited = tx.assignments_mut().edit(company, &[edit], by).await;
                let EditedLevels { users, denying } = edited.map_err(|error| self.levels.failure(error))?;
                let (before, after) =
                    users.into_iter().next().map(|user| (user.before, user.after)).unwrap_or_default();
                let levels = assigned_levels(tx, company, user).await?;
                return Ok(Changed { before, after, levels, denying });
            }
        };
        let replaced = tx.assignments_mut().replace_for_user(company, user, wanted, by).await;
        let ReplacedLevels { before, after: held } = replaced.map_err(|error| self.levels.failure(error))?;
        let after = held.iter().map(|held| (held.level.id, held.period)).collect();
        let denying = held.iter().filter(|held| held.has_denies).map(|held| held.level.id).collect();
        let assigned = |held: AssignedLevel| AssignedUserLevel::new(held.level, held.period, held.period.state(now));
        Ok(Changed { before, after, levels: held.into_iter().map(assigned).collect(), denying })
    }
}

/// The assignments of a user before and after a change.
struct Changed {
    before: Assigned,
    after: Assigned,
    levels: Vec<AssignedUserLevel>,
    denying: BTreeSet<UserLevelId>,
}

/// Returns the levels that are assigned to a user.
async fn assigned_levels(
    tx: &dyn UnitOfWork,
    company: CompanyId,
    user: UserId,
) -> Result<Vec<AssignedUserLevel>, Failure> {
    let assigned = tx.assignments().get_assigned(company, user).await?;
    Ok(assigned.into_iter().map(LevelAssignment::into_assigned).collect())
}

/// Checks that a requested period has not ended, and that it ends after its start. `prefix` precedes the names of the
/// fields.
fn check_period(period: Option<Period>, now: Timestamp, prefix: &str) -> Option<FieldError> {
    let Period { starts_at, expires_at } = period?;
    let end = expires_at?;
    let error = |what| Some(FieldError::new(format!("{prefix}expiresAt"), FieldCode::Range, what));
    if starts_at.is_some_and(|start| end <= start) {
        error("must be after startsAt")
    } else if end <= now {
        error("must be in the future")
    } else {
        None
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
        Effect::Levels(&answer.changes)
    }

    fn external_ids(&self) -> Vec<&ExternalId> {
        self.user.external_id.iter().collect()
    }

    fn is_forced(&self) -> bool {
        self.force
    }

    fn may_only_remove(&self) -> bool {
        !matches!(self.levels, RequestedLevels::With(..))
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, caller: Caller) -> Result<Self::Answer, Failure> {
        if self.levels.assigns() && !is_external_holder(tx, self.company, self.user.id).await? {
            check_can_sign_in(&self.user, "userId")?;
        }
        if let RequestedLevels::With(_, period) = &self.levels
            && let Some(error) = check_period(*period, tx.now(), "")
        {
            return Err(Failure::Invalid(vec![error]));
        }
        let held = self.check(tx).await?;
        let Changed { before, after, levels, denying } = self.change(tx, &held, caller.actor().id()).await?;
        let changes = level_changes(self.user.id, (&before, &after), tx.now(), &denying, self.levels.fields());
        let nullified = nullified(tx, self.company, &changes).await?;
        Ok(AssignedLevels { levels, changes, nullified })
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
    /// The period for which the level is assigned, if the request states one.
    pub period: Option<Period>,
}

/// The result of changing the levels of many users.
#[derive(Debug, Clone, Default)]
pub struct EditedAssignments {
    /// The changes to the levels that the users of the request hold, in each interval of time.
    pub changes: Vec<LevelsChange>,
    /// The number of users whose assignments changed.
    pub users_changed: usize,
    /// The number of levels that were assigned to users who did not hold them.
    pub added: usize,
    /// The number of levels that were removed from users.
    pub removed: usize,
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
        let none = |user| LevelsEdit { user, add: BTreeMap::new(), remove: BTreeSet::new() };
        for LevelOfUser { user, level, period } in &self.add {
            edits.entry(user.id).or_insert_with(|| none(user.id)).add.insert(*level, *period);
        }
        for LevelOfUser { user, level, .. } in &self.remove {
            edits.entry(user.id).or_insert_with(|| none(user.id)).remove.insert(*level);
        }
        edits.into_values().collect()
    }

    /// Checks that levels are assigned only to users who can sign in, or who are users of an external issuer and held a
    /// level before (`holders`).
    fn check_users(&self, holders: &BTreeSet<UserId>) -> Result<(), Failure> {
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
            return Ok(EditedAssignments::default());
        }
        let now = tx.now();
        let invalid = self.add.iter().enumerate();
        let invalid = invalid.filter_map(|(index, pair)| check_period(pair.period, now, &format!("add[{index}].")));
        let errors = FieldError::bounded(invalid);
        if !errors.is_empty() {
            return Err(Failure::Invalid(errors));
        }
        let edited = tx.assignments_mut().edit(self.company, &edits, caller.actor().id()).await;
        let EditedLevels { users, denying } = edited.map_err(|error| self.failure(error))?;
        let fields = LevelFields { assigns: "add", removes: "remove" };
        let (mut done, mut holders) = (EditedAssignments::default(), BTreeSet::new());
        for EditedUser { user, before, after } in users {
            if before.values().any(|period| !period.is_expired(now)) {
                holders.insert(user);
            }
            done.users_changed += usize::from(before != after);
            done.added += after.keys().filter(|level| !before.contains_key(level)).count();
            done.removed += before.keys().filter(|level| !after.contains_key(level)).count();
            done.changes.extend(level_changes(user, (&before, &after), now, &denying, fields));
        }
        self.check_users(&holders)?;
        done.nullified = nullified(tx, self.company, &done.changes).await?;
        Ok(done)
    }
}
