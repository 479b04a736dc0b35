//! Changes to user levels and their assignments.

use async_trait::async_trait;
use iam_domain::{
    Caller, CompanyId, Description, EntityType, ExternalId, FeaturePermission, FeatureRule, LevelPermissions, Name,
    NamedUser, UserId, UserLevel, UserLevelId, ViewPermission,
};
use iam_storage::{ReplacedLevels, Target, UnitOfWork};

use crate::authorization::authorize_within;
use crate::external_ids::external_ids;
use crate::failure::unknown_ids;
use crate::{Change, Effect, Failure, FieldCode, FieldError, IfMatch, LevelsChange, Nullified, Requirement};

pub(crate) const USER_LEVEL: &str = "User level";

/// Creates a level.
#[derive(Debug, Clone)]
pub struct CreateUserLevel {
    /// The company in which the level is created.
    pub company: CompanyId,
    /// The name of the level.
    pub name: Name,
    /// The description of the level.
    pub description: Description,
}

#[async_trait]
impl Change for CreateUserLevel {
    type Answer = UserLevel;

    const REQUIREMENT: Requirement = Requirement::ManageLevels;

    fn target(&self) -> Target {
        Target::Company(self.company)
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, _: Caller) -> Result<Self::Answer, Failure> {
        let now = tx.now();
        let level = UserLevel {
            id: UserLevelId::generate(now),
            company_id: self.company,
            name: self.name.clone(),
            description: self.description.clone(),
            is_default: false,
            created_at: now,
            updated_at: now,
        };
        tx.user_levels_mut().create(&level).await?;
        Ok(level)
    }
}

/// Updates a level. Fields that are `None` remain unchanged.
#[derive(Debug, Clone)]
pub struct UpdateUserLevel {
    /// The company of the level.
    pub company: CompanyId,
    /// The level to update.
    pub id: UserLevelId,
    /// The new name of the level.
    pub name: Option<Name>,
    /// The new description of the level.
    pub description: Option<Description>,
    /// The client's `If-Match` precondition.
    pub if_match: IfMatch,
}

#[async_trait]
impl Change for UpdateUserLevel {
    type Answer = UserLevel;

    const REQUIREMENT: Requirement = Requirement::ManageLevels;

    fn target(&self) -> Target {
        Target::Company(self.company)
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, _: Caller) -> Result<Self::Answer, Failure> {
        let before = find_user_level(tx, self.company, self.id).await?;
        self.if_match.check(&before)?;
        let mut level = before.clone();
        if let Some(name) = &self.name {
            level.name.clone_from(name);
        }
        if let Some(description) = &self.description {
            level.description.clone_from(description);
        }
        if level != before {
            level.updated_at = tx.now();
            tx.user_levels_mut().update(&level).await?;
        }
        Ok(level)
    }
}

/// Deletes a level. This fails if users hold the level, because these users would lose the allow and deny rules of the
/// level.
#[derive(Debug, Clone)]
pub struct DeleteUserLevel {
    /// The company of the level.
    pub company: CompanyId,
    /// The level to delete.
    pub id: UserLevelId,
    /// The client's `If-Match` precondition.
    pub if_match: IfMatch,
}

#[async_trait]
impl Change for DeleteUserLevel {
    type Answer = ();

    const REQUIREMENT: Requirement = Requirement::ManageLevels;

    fn target(&self) -> Target {
        Target::Company(self.company)
    }

    fn may_only_remove(&self) -> bool {
        true
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, caller: Caller) -> Result<Self::Answer, Failure> {
        if self.if_match.needs_content() {
            self.if_match.check(&find_user_level(tx, self.company, self.id).await?)?;
        }
        let holders = tx.assignments().get_users(self.company, self.id).await?;
        if !holders.is_empty() {
            return Err(in_use(tx, self.company, caller, &holders).await?);
        }
        if !caller.is_super_admin() {
            let pinned = tx.user_levels().count_pinned(self.company, self.id).await?;
            if pinned > 0 {
                return Err(Failure::ForbiddenChange {
                    message: format!(
                        "Only super admins may delete a user level that has pinned permissions. This level has {pinned}"
                    ),
                    errors: Vec::new(),
                });
            }
        }
        tx.user_levels_mut().delete(self.company, self.id).await.map_err(|error| match Failure::from(error) {
            Failure::NotFound(_) => Failure::NotFound(USER_LEVEL),
            other => other,
        })?;
        Ok(())
    }
}

/// Maximum number of users that are listed in the failure for deleting a level that users hold.
const LISTED_HOLDERS: usize = 10;

/// Creates the failure for deleting a level that users hold. The failure contains the number of these users. If the
/// caller may read IAM data, it also lists the first [`LISTED_HOLDERS`] of them.
async fn in_use(
    tx: &mut dyn UnitOfWork,
    company: CompanyId,
    caller: Caller,
    holders: &[UserId],
) -> Result<Failure, Failure> {
    let count = holders.len();
    let message = format!("Cannot delete user level: {count} user(s) are assigned to it");
    match authorize_within(tx, caller, Some(company), Requirement::ReadIam).await {
        Ok(_) => {}
        Err(Failure::Forbidden(_)) => return Ok(Failure::InUse { message, errors: Vec::new() }),
        Err(failure) => return Err(failure),
    }
    let named = || holders.iter().copied().take(LISTED_HOLDERS);
    let external_ids = external_ids(tx.users(), named()).await?;
    let holder = |user: UserId| {
        let name = external_ids.get(&user).map_or_else(|| user.to_string(), ToString::to_string);
        FieldError {
            field: "id".to_owned(),
            message: format!("The level is assigned to {name}"),
            code: FieldCode::Assigned,
        }
    };
    let mut errors: Vec<_> = named().map(holder).collect();
    let more = count.saturating_sub(LISTED_HOLDERS);
    if more > 0 {
        errors.push(FieldError {
            field: "id".to_owned(),
            message: format!("The level is assigned to {more} more user(s)"),
            code: FieldCode::More,
        });
    }
    Ok(Failure::InUse { message, errors })
}

/// The result of replacing the levels of a user.
#[derive(Debug, Clone)]
pub struct AssignedLevels {
    /// The levels that the user holds after the change, sorted by name.
    pub levels: Vec<UserLevel>,
    /// The ids of the levels before and after the change.
    pub change: LevelsChange,
    /// The user's permissions that deny rules of the new levels override.
    pub nullified: Nullified,
}

/// Replaces the user's levels in this company. The user's levels in other companies remain unchanged.
#[derive(Debug, Clone)]
pub struct AssignUserLevels {
    /// The company in which the user's levels are replaced.
    pub company: CompanyId,
    /// The user whose levels are replaced.
    pub user: NamedUser,
    /// The new levels of the user in this company, without duplicates.
    pub levels: Vec<UserLevelId>,
    /// If `true`, the change may leave the company without an administrator. Only super admins can force such a change.
    pub force: bool,
    /// The client's `If-Match` precondition.
    pub if_match: IfMatch,
}

#[async_trait]
impl Change for AssignUserLevels {
    type Answer = AssignedLevels;

    const REQUIREMENT: Requirement = Requirement::AssignLevels;

    fn target(&self) -> Target {
        Target::Company(self.company)
    }

    fn effect<'a>(&self, answer: &'a Self::Answer) -> Effect<'a> {
        Effect::Levels { user: self.user.id, change: &answer.change }
    }

    fn external_id(&self) -> Option<&ExternalId> {
        self.user.external_id.as_ref()
    }

    fn is_forced(&self) -> bool {
        self.force
    }

    fn may_only_remove(&self) -> bool {
        true
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, caller: Caller) -> Result<Self::Answer, Failure> {
        if !self.levels.is_empty() && !is_external_holder(tx, self.company, self.user.id).await? {
            check_can_sign_in(&self.user, "userId")?;
        }
        if self.if_match.needs_content() {
            self.if_match.check(&tx.assignments().get_user_levels(self.company, self.user.id).await?)?;
        }
        let ReplacedLevels { before, after } = tx
            .assignments_mut()
            .replace_for_user(self.company, self.user.id, &self.levels, caller.actor().id())
            .await
            .map_err(|error| {
                let sent = self.levels.iter().map(UserLevelId::as_uuid);
                unknown_ids(error, EntityType::UserLevel, sent, |index| format!("userLevelIds[{index}]"))
            })?;
        let change = LevelsChange {
            adds_denies: after.iter().any(|held| held.has_denies && !before.contains(&held.level.id)),
            before: before.into_iter().collect(),
            after: after.iter().map(|held| held.level.id).collect(),
        };
        let nullified = if change.adds_denies {
            let (change, catalog) = change.load(tx, self.company).await?;
            Nullified::new(&catalog, &change.nullified(&catalog))
        } else {
            Nullified::default()
        };
        Ok(AssignedLevels { levels: after.into_iter().map(|held| held.level).collect(), change, nullified })
    }
}

/// Converts the cells of a level's matrices into the permissions of the level.
pub(super) fn level_permissions(
    level: UserLevelId,
    views: &[ViewPermission],
    features: &[FeaturePermission],
) -> LevelPermissions {
    let views = views.iter().map(|cell| (cell.view_id, cell.state));
    let rule = |cell: &FeaturePermission| FeatureRule { value: cell.value, scope: cell.scope };
    let features = features.iter().map(|cell| (cell.feature_id, cell.action.clone(), rule(cell)));
    LevelPermissions::new(level, views, features)
}

/// Checks that the specified user can sign in. Levels can be assigned only to users who can sign in.
pub(crate) fn check_can_sign_in(user: &NamedUser, field: &'static str) -> Result<(), Failure> {
    if user.can_sign_in {
        return Ok(());
    }
    let problem = "does not identify a user who can sign in. Identify users of external issuers by issuer|subject";
    Err(Failure::invalid(field, problem))
}

/// Returns `true` if the user is a user of an external issuer and already holds a level in the company. Administrators
/// of the company can read the user's id from this assignment, so requests may contain the id without issuer and
/// subject.
async fn is_external_holder(tx: &mut dyn UnitOfWork, company: CompanyId, user: UserId) -> Result<bool, Failure> {
    Ok(user.is_service_generated() && !tx.assignments().get_user_levels(company, user).await?.is_empty())
}

/// Returns a level of the company.
pub(crate) async fn find_user_level(
    tx: &mut dyn UnitOfWork,
    company: CompanyId,
    id: UserLevelId,
) -> Result<UserLevel, Failure> {
    tx.user_levels().find_by_id(company, id).await?.ok_or(Failure::NotFound(USER_LEVEL))
}
