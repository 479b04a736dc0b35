//! Whose view the page shows: that of a user, or that of a holder of certain levels.

use std::collections::{BTreeMap, BTreeSet};

use iam_application::Requirement;
use iam_domain::{AssignmentState, Name, UserId, UserLevel, UserLevelId};

use super::address::Query;
use crate::authorized::{Authorized, CheckOthers};
use crate::error::PageError;

/// A user, or a holder of certain levels that no user needs to hold.
pub(crate) struct Subject {
    /// The user with the display name. `None` for a holder of certain levels.
    pub(crate) user: Option<(UserId, Option<Name>)>,
    /// The levels that are in effect, with their names.
    pub(crate) levels: BTreeMap<UserLevelId, Name>,
}

/// The outcome of reading a query: the subject, `None` if the query is empty, or the reason why it is not valid.
pub(crate) type Named = Result<Option<Subject>, String>;

impl Subject {
    /// Reads the subject of a query. `all` are the levels that the person may choose from.
    pub(crate) async fn of(
        page: &Authorized<CheckOthers>,
        query: &Query,
        all: &[UserLevel],
    ) -> Result<Named, PageError> {
        match (query.levels.as_slice(), query.user.as_str()) {
            ([], "") => Ok(Ok(None)),
            ([], user) => Self::of_user(page, user).await,
            (levels, _) => {
                // Levels that no user holds disclose their matrices, which only people who may read IAM data may see.
                if !page.meets(Requirement::ReadIam).await? {
                    return Err(PageError::Forbidden(Requirement::ReadIam.denial_message().to_owned()));
                }
                Ok(Self::of_levels(levels, all).map(Some))
            }
        }
    }

    async fn of_user(page: &Authorized<CheckOthers>, text: &str) -> Result<Named, PageError> {
        let user = match page.user_named(text) {
            Ok(user) => user.id,
            Err(error) => return Ok(Err(format!("The user {error}"))),
        };
        let application = page.application();
        let is_in_effect = |state: Option<AssignmentState>| state.is_none_or(|state| state == AssignmentState::Active);
        let held = application.levels_of_user(page.company, user).await?;
        let held = held.into_iter().filter(|held| is_in_effect(held.state));
        let levels = held.map(|held| (held.level.id, held.level.name)).collect();
        let mut names = match page.meets(Requirement::ReadProfiles).await? {
            true => application.display_names(page.company, &BTreeSet::from([user])).await?,
            false => BTreeMap::new(),
        };
        Ok(Ok(Some(Self { user: Some((user, names.remove(&user))), levels })))
    }

    fn of_levels(levels: &[String], all: &[UserLevel]) -> Result<Self, String> {
        let mut chosen = BTreeMap::new();
        for text in levels {
            let level = all.iter().find(|level| UserLevelId::parse(text) == Ok(level.id));
            let level = level.ok_or_else(|| format!("The level {text} does not exist"))?;
            chosen.insert(level.id, level.name.clone());
        }
        Ok(Self { user: None, levels: chosen })
    }

    /// Returns the ids of the levels, in ascending order.
    pub(crate) fn level_ids(&self) -> Vec<UserLevelId> {
        self.levels.keys().copied().collect()
    }
}
