//! Lists the members of a company, and the users who hold a level.

use std::collections::BTreeMap;

use iam_domain::{Caller, CompanyId, UserId, UserLevelId};
use iam_storage::{Direction, Member, MemberFilter};

use crate::lists::cursor::Binding;
use crate::lists::page::{Page, PageRequest};
use crate::lists::search::ids_with_prefix;
use crate::reads::{COUNT_LIMIT, Total};
use crate::{Application, Failure};

/// The text by which a list of members is searched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberSearch {
    /// The search text identifies exactly this user.
    User(UserId),
    /// Members whose id begins with this text.
    Text(String),
}

/// A request for a page of a list of members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListMembers {
    /// The company.
    pub company: CompanyId,
    /// The level that the members hold. `None` for all levels.
    pub level: Option<UserLevelId>,
    /// The search text.
    pub search: Option<MemberSearch>,
    /// The order of the list, which is sorted by id.
    pub direction: Direction,
    /// The requested page.
    pub page: PageRequest,
}

impl ListMembers {
    /// Returns the filter of the list, or `None` if no member matches the search text.
    fn filter(&self) -> Option<MemberFilter> {
        let users = match &self.search {
            None => None,
            Some(MemberSearch::User(user)) => Some(iam_storage::UserRange { first: *user, last: *user }),
            Some(MemberSearch::Text(text)) => Some(ids_with_prefix(text)?),
        };
        Some(MemberFilter { level: self.level, users })
    }
}

impl Application {
    /// Returns a page of the members of a company with their levels.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Invalid`] if the cursor was not issued for this request. Returns [`Failure::NotFound`] if the
    /// request specifies a level that does not exist, and [`Failure::Unavailable`] if the storage cannot be read.
    pub async fn list_members(
        &self,
        caller: Caller,
        list: &'static str,
        request: &ListMembers,
    ) -> Result<Page<Member>, Failure> {
        let ListMembers { company, level, direction, page, .. } = request;
        let parameters = format!("{level:?} {:?} {direction:?}", request.search);
        let binding = Binding { list, caller, company: Some(*company), parameters: &parameters };
        let filter = request.filter();
        let members = self.reader().members();
        let read = async |after, limit| match &filter {
            Some(filter) => members.list(*company, filter, *direction, after, limit).await,
            None => Ok(Vec::new()),
        };
        let found = self.page(&binding, page, |member: &Member| member.user, read).await?;
        if found.elements.is_empty()
            && let Some(level) = level
        {
            self.user_level(*company, *level).await?;
        }
        let total = match (&filter, page.include_total) {
            (_, false) => None,
            (None, true) => Some(Total::Exactly(0)),
            (Some(filter), true) => Some(Total::counted(members.count(*company, filter, COUNT_LIMIT + 1).await?)),
        };
        Ok(Page { total, ..found })
    }

    /// Returns the number of users who hold each level of a company. Levels without holders are omitted.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Unavailable`] if the storage cannot be read.
    pub async fn count_holders(&self, company: CompanyId) -> Result<BTreeMap<UserLevelId, u64>, Failure> {
        Ok(self.reader().members().count_by_level(company).await?)
    }
}
