//! Reads of the profiles of users.

use std::collections::{BTreeMap, BTreeSet};

use iam_domain::{CompanyId, Name, UserId, UserProfile};

use crate::{Application, Failure};

pub(crate) const USER: &str = "User";

impl Application {
    /// Returns the profile of a user in a company. Returns `None` if the user is a member of the company without a
    /// profile.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::NotFound`] if the user has no profile and holds no level in the company, and
    /// [`Failure::Unavailable`] if the storage cannot be read.
    pub async fn user_profile(&self, company: CompanyId, user: UserId) -> Result<Option<UserProfile>, Failure> {
        let profile = self.reader().user_profiles().find(company, &[user]).await?.pop();
        if profile.is_none() && self.reader().assignments().get_user_levels(company, user).await?.is_empty() {
            return Err(Failure::NotFound(USER));
        }
        Ok(profile)
    }

    /// Returns the display names of those users who have one in their profile in a company.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Unavailable`] if the storage cannot be read.
    pub async fn display_names(
        &self,
        company: CompanyId,
        users: &BTreeSet<UserId>,
    ) -> Result<BTreeMap<UserId, Name>, Failure> {
        let users: Vec<_> = users.iter().copied().collect();
        let profiles = self.reader().user_profiles().find(company, &users).await?;
        Ok(profiles.into_iter().filter_map(|profile| Some((profile.user_id, profile.display_name?))).collect())
    }
}
