//! Changes of user levels and of who holds them.

use async_trait::async_trait;
use iam_domain::{Caller, CompanyId, Description, EntityType, Name, UserId, UserLevel, UserLevelId};
use iam_storage::{Target, UnitOfWork};

use crate::failure::unknown_at;
use crate::{Change, Failure, FieldError, IfMatch, Requirement};

pub(crate) const USER_LEVEL: &str = "User level";

/// Adds a level.
#[derive(Debug, Clone)]
pub struct CreateUserLevel {
    /// Where.
    pub company: CompanyId,
    /// Its name.
    pub name: Name,
    /// What it is for.
    pub description: Description,
}

#[async_trait]
impl Change for CreateUserLevel {
    type Answer = UserLevel;

    fn requirement(&self) -> Requirement {
        Requirement::ManageLevels
    }

    fn target(&self) -> Target {
        Target::Company(self.company)
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, _: Caller) -> Result<UserLevel, Failure> {
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

/// Changes a level. What is `None` stays.
#[derive(Debug, Clone)]
pub struct UpdateUserLevel {
    /// Where.
    pub company: CompanyId,
    /// Which.
    pub id: UserLevelId,
    /// Its new name.
    pub name: Option<Name>,
    /// What it is for from now on.
    pub description: Option<Description>,
    /// What the client saw.
    pub if_match: IfMatch,
}

#[async_trait]
impl Change for UpdateUserLevel {
    type Answer = UserLevel;

    fn requirement(&self) -> Requirement {
        Requirement::ManageLevels
    }

    fn target(&self) -> Target {
        Target::Company(self.company)
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, _: Caller) -> Result<UserLevel, Failure> {
        let before = find(tx, self.company, self.id).await?;
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

/// Removes a level that nobody holds.
#[derive(Debug, Clone)]
pub struct DeleteUserLevel {
    /// Where.
    pub company: CompanyId,
    /// Which.
    pub id: UserLevelId,
    /// What the client saw.
    pub if_match: IfMatch,
}

#[async_trait]
impl Change for DeleteUserLevel {
    type Answer = ();

    fn requirement(&self) -> Requirement {
        Requirement::ManageLevels
    }

    fn target(&self) -> Target {
        Target::Company(self.company)
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, caller: Caller) -> Result<(), Failure> {
        if self.if_match.needs_content() {
            self.if_match.check(&find(tx, self.company, self.id).await?)?;
        }
        let holders = tx.assignments().get_users(self.company, self.id).await?.len();
        if holders > 0 {
            return Err(Failure::Invalid(vec![FieldError {
                field: "id".to_owned(),
                message: format!("Cannot delete user level: {holders} user(s) are assigned to it"),
                code: "assigned",
            }]));
        }
        if !caller.is_super_admin {
            let pinned = tx.user_levels().count_pinned(self.company, self.id).await?;
            if pinned > 0 {
                return Err(Failure::Refused {
                    message: format!("Only super admins may delete a user level with pinned permissions ({pinned})"),
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

/// Makes these the user's levels in this company, and in no other.
#[derive(Debug, Clone)]
pub struct AssignUserLevels {
    /// Where.
    pub company: CompanyId,
    /// To whom.
    pub user: UserId,
    /// The levels, each once.
    pub levels: Vec<UserLevelId>,
    /// What the client saw.
    pub if_match: IfMatch,
}

#[async_trait]
impl Change for AssignUserLevels {
    type Answer = ();

    fn requirement(&self) -> Requirement {
        Requirement::AssignLevels
    }

    fn target(&self) -> Target {
        Target::Company(self.company)
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, caller: Caller) -> Result<(), Failure> {
        if self.if_match.needs_content() {
            self.if_match.check(&tx.assignments().get_user_levels(self.company, self.user).await?)?;
        }
        tx.assignments_mut()
            .replace_for_user(self.company, self.user, &self.levels, Some(caller.user_id))
            .await
            .map_err(|error| {
                let sent = self.levels.iter().map(UserLevelId::as_uuid);
                unknown_at(error, EntityType::UserLevel, sent, |index| format!("userLevelIds[{index}]"))
            })
    }
}

pub(crate) async fn find(tx: &mut dyn UnitOfWork, company: CompanyId, id: UserLevelId) -> Result<UserLevel, Failure> {
    tx.user_levels().find_by_id(company, id).await?.ok_or(Failure::NotFound(USER_LEVEL))
}
