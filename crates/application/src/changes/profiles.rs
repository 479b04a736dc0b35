//! Changes to the profiles of users, and the change by which a user leaves a company.

use std::collections::BTreeSet;

use async_trait::async_trait;
use iam_domain::{Caller, CompanyId, Email, ExternalId, Name, NamedUser, ProfileSource, UserProfile};
use iam_storage::{Assigned, Forgotten, Target, UnitOfWork};

use crate::levels_change::level_changes;
use crate::profiles::USER;
use crate::{Change, Effect, Failure, IfMatch, LevelFields, LevelsChange, Requirement};

/// Replaces the profile of a user in a company. The user must hold a level in the company.
#[derive(Debug, Clone)]
pub struct SetUserProfile {
    /// The company.
    pub company: CompanyId,
    /// The user.
    pub user: NamedUser,
    /// The new display name. `None` if the user has none.
    pub display_name: Option<Name>,
    /// The new e-mail address. `None` if the user has none.
    pub email: Option<Email>,
    /// The client's `If-Match` precondition on the profile.
    pub if_match: IfMatch,
}

#[async_trait]
impl Change for SetUserProfile {
    type Answer = Option<UserProfile>;

    const REQUIREMENT: Requirement = Requirement::AssignLevels;

    fn target(&self) -> Target {
        Target::Company(self.company)
    }

    fn external_ids(&self) -> Vec<&ExternalId> {
        self.user.external_id.iter().collect()
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, _: Caller) -> Result<Self::Answer, Failure> {
        let user = self.user.id;
        // Only members have profiles, so the number of profiles is bounded by the number of assignments.
        if tx.assignments().get_user_levels(self.company, user).await?.is_empty() {
            return Err(Failure::NotFound(USER));
        }
        if self.if_match.needs_content() {
            self.if_match.check(&tx.user_profiles().find(self.company, &[user]).await?.pop())?;
        }
        let now = tx.now();
        let profile = UserProfile {
            company_id: self.company,
            user_id: user,
            display_name: self.display_name.clone(),
            email: self.email.clone(),
            source: ProfileSource::Api,
            created_at: now,
            updated_at: now,
        };
        tx.user_profiles_mut().replace(&profile).await?;
        Ok(tx.user_profiles().find(self.company, &[user]).await?.pop())
    }
}

/// Removes a user from a company: deletes the user's levels, profile and navigation trail in this company.
#[derive(Debug, Clone)]
pub struct RemoveUser {
    /// The company that the user leaves.
    pub company: CompanyId,
    /// The user.
    pub user: NamedUser,
    /// If `true`, the change may leave the company without an administrator. Only super admins can force such a change.
    pub force: bool,
}

#[async_trait]
impl Change for RemoveUser {
    /// The changes from the levels that the user held to no levels.
    type Answer = Vec<LevelsChange>;

    const REQUIREMENT: Requirement = Requirement::AssignLevels;

    fn target(&self) -> Target {
        Target::Company(self.company)
    }

    fn effect<'a>(&self, answer: &'a Self::Answer) -> Effect<'a> {
        Effect::Levels(answer)
    }

    fn is_forced(&self) -> bool {
        self.force
    }

    fn may_only_remove(&self) -> bool {
        true
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, caller: Caller) -> Result<Self::Answer, Failure> {
        let (company, user) = (self.company, self.user.id);
        let replaced = tx.assignments_mut().replace_for_user(company, user, &[], caller.actor().id()).await?;
        let forgotten = tx.user_profiles_mut().forget(company, user).await?;
        if replaced.before.is_empty() && forgotten == Forgotten::default() {
            return Err(Failure::NotFound(USER));
        }
        let fields = LevelFields { assigns: "userId", removes: "userId" };
        Ok(level_changes(user, (&replaced.before, &Assigned::new()), tx.now(), &BTreeSet::new(), fields))
    }
}
