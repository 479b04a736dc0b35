//! Changes to user levels.

use async_trait::async_trait;
use iam_domain::escalation::LevelChange;
use iam_domain::{
    Caller, CompanyId, Description, EntityType, FeaturePermission, FeaturePermissionId, FeatureRule, LevelPermissions,
    Name, UserId, UserLevel, UserLevelId, ViewPermission, ViewPermissionId,
};
use iam_storage::{Target, UnitOfWork};
use uuid::Uuid;

use crate::authorization::authorize_within;
use crate::external_ids::external_ids;
use crate::failure::unknown_field;
use crate::{Change, Effect, Failure, FieldCode, FieldError, IfMatch, Requirement};

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
    /// The level whose matrices the new level receives. `None` if the new level has no cells.
    pub copy_from: Option<UserLevelId>,
}

/// The result of creating a level.
#[derive(Debug, Clone)]
pub struct CreatedUserLevel {
    /// The level.
    pub level: UserLevel,
    /// The permissions of the level, which had none before. `None` if the level was not copied.
    pub copied: Option<LevelChange>,
}

#[async_trait]
impl Change for CreateUserLevel {
    type Answer = CreatedUserLevel;

    const REQUIREMENT: Requirement = Requirement::ManageLevels;

    const CREATES: bool = true;

    fn target(&self) -> Target {
        Target::Company(self.company)
    }

    fn effect<'a>(&self, answer: &'a Self::Answer) -> Effect<'a> {
        answer.copied.as_ref().map_or(Effect::None, |change| Effect::Matrix { field: COPY_FROM, change })
    }

    fn created(&self, answer: &Self::Answer) -> Option<Uuid> {
        Some(answer.level.id.as_uuid())
    }

    async fn find_created(&self, tx: &mut dyn UnitOfWork, id: Uuid) -> Result<Option<Self::Answer>, Failure> {
        let level = tx.user_levels().find_by_id(self.company, UserLevelId::from_uuid(id)).await?;
        Ok(level.map(|level| CreatedUserLevel { level, copied: None }))
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, caller: Caller) -> Result<Self::Answer, Failure> {
        if self.copy_from.is_some() {
            authorize_within(tx, caller, Some(self.company), Requirement::ManagePermissions).await?;
        }
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
        let copied = match self.copy_from {
            Some(source) => Some(copy_matrices(tx, self.company, source, level.id).await?),
            None => None,
        };
        Ok(CreatedUserLevel { level, copied })
    }
}

/// The name of the request field that specifies the level to copy.
const COPY_FROM: &str = "copyFrom";

/// Copies the cells of both matrices of a level to a new level. Pins are not copied: only super admins may pin cells.
async fn copy_matrices(
    tx: &mut dyn UnitOfWork,
    company: CompanyId,
    source: UserLevelId,
    level: UserLevelId,
) -> Result<LevelChange, Failure> {
    if tx.user_levels().find_by_id(company, source).await?.is_none() {
        let error = unknown_field(COPY_FROM.to_owned(), EntityType::UserLevel, source.as_uuid());
        return Err(Failure::Invalid(vec![error]));
    }
    let now = tx.now();
    let mut views = tx.view_permissions().find_by_user_level(company, source).await?;
    for cell in &mut views {
        let id = ViewPermissionId::generate(now);
        *cell = ViewPermission {
            id,
            user_level_id: level,
            modifiable: true,
            created_at: now,
            updated_at: now,
            ..cell.clone()
        };
    }
    let mut features = tx.feature_permissions().find_by_user_level(company, source).await?;
    for cell in &mut features {
        let id = FeaturePermissionId::generate(now);
        *cell = FeaturePermission {
            id,
            user_level_id: level,
            modifiable: true,
            created_at: now,
            updated_at: now,
            ..cell.clone()
        };
    }
    tx.view_permissions_mut().replace_for_user_level(company, level, &views).await?;
    tx.feature_permissions_mut().replace_for_user_level(company, level, &features).await?;
    let before = level_permissions(level, &[], &[]);
    Ok(LevelChange { before, after: level_permissions(level, &views, &features) })
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

/// Returns a level of the company.
pub(crate) async fn find_user_level(
    tx: &mut dyn UnitOfWork,
    company: CompanyId,
    id: UserLevelId,
) -> Result<UserLevel, Failure> {
    tx.user_levels().find_by_id(company, id).await?.ok_or(Failure::NotFound(USER_LEVEL))
}
