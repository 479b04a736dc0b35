//! Whose view the page shows: that of a user, or that of a holder of certain levels.

use std::collections::BTreeMap;

use iam_application::Requirement;
use iam_domain::{AssignmentState, Name, UserLevel, UserLevelId};

use super::address::Query;
use crate::authorized::{Authorized, CheckOthers};
use crate::error::PageError;
use crate::pages::users::identify::{Identified, NotIdentified, identify};

/// A user, or a holder of certain levels that no user needs to hold.
pub(crate) struct Subject {
    /// The user. `None` for a holder of certain levels.
    pub(crate) user: Option<Identified>,
    /// The levels that are in effect, with their names.
    pub(crate) levels: BTreeMap<UserLevelId, Name>,
}

/// The outcome of reading a query: the subject, `None` if the query is empty, or the reason why it is not valid.
pub(crate) type Named = Result<Option<Subject>, NotIdentified>;

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
                Ok(Self::of_levels(levels, all).map(Some).map_err(NotIdentified::Problem))
            }
        }
    }

    async fn of_user(page: &Authorized<CheckOthers>, text: &str) -> Result<Named, PageError> {
        let user = match identify(page, text).await? {
            Ok(user) => user,
            Err(problem) => return Ok(Err(problem)),
        };
        let is_in_effect = |state: Option<AssignmentState>| state.is_none_or(|state| state == AssignmentState::Active);
        let held = page.application().levels_of_user(page.company, user.user).await?;
        let held = held.into_iter().filter(|held| is_in_effect(held.state));
        let levels = held.map(|held| (held.level.id, held.level.name)).collect();
        Ok(Ok(Some(Self { user: Some(user), levels })))
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
