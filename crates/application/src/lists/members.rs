//! Lists the members of a company, and the users who hold a level.

use std::collections::BTreeMap;

use iam_domain::{Caller, CompanyId, UserId, UserLevelId, folded};
use iam_permissions_cache::Consistency;
use iam_storage::{Direction, Member, MemberFilter, MemberPosition, MemberSearch, ProfileText, UserRange};
use serde::{Deserialize, Serialize};

use crate::lists::cursor::Binding;
use crate::lists::page::{Page, PageRequest};
use crate::lists::search::ids_with_prefix;
use crate::reads::{COUNT_LIMIT, Total};
use crate::{Application, Failure, Requirement};

/// The text by which a list of members is searched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SearchText {
    /// The search text identifies exactly this user.
    User(UserId),
    /// Members whose id begins with this text, or whose profile contains it.
    Text(String),
}

/// The order of a list of members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberOrder {
    /// By id.
    Id(Direction),
    /// By display name, regardless of case, then by id. Members without a display name are last.
    Name,
}

/// The position of a member in a list, as a cursor contains it.
#[derive(Serialize, Deserialize)]
struct Position {
    /// The folded display name, if the list is sorted by name.
    name: Option<String>,
    user: UserId,
}

/// A request for a page of a list of members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListMembers {
    /// The company.
    pub company: CompanyId,
    /// The level that the members hold. `None` for all levels.
    pub level: Option<UserLevelId>,
    /// The search text.
    pub search: Option<SearchText>,
    /// The order of the list.
    pub order: MemberOrder,
    /// The requested page.
    pub page: PageRequest,
}

impl ListMembers {
    /// Returns the filter of the list. Callers who may not read e-mail addresses cannot search them.
    fn filter(&self, may_read_emails: bool) -> MemberFilter {
        let search = self.search.as_ref().map(|search| match search {
            SearchText::User(user) => MemberSearch { users: Some(UserRange { first: *user, last: *user }), text: None },
            SearchText::Text(text) => {
                let in_profiles = ProfileText { folded: folded(text), in_emails: may_read_emails };
                MemberSearch { users: ids_with_prefix(text), text: Some(in_profiles) }
            }
        });
        MemberFilter { level: self.level, search }
    }
}

impl Application {
    /// Returns a page of the members of a company with their levels and the names in their profiles. The e-mail
    /// addresses are included if the caller may read profiles.
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
        let ListMembers { company, level, order, page, .. } = request;
        let parameters = format!("{level:?} {:?} {order:?}", request.search);
        let binding = Binding { list, caller, company: Some(*company), parameters: &parameters };
        let may_read_emails =
            self.meets(caller, Some(*company), Requirement::ReadProfiles, Consistency::Cached).await?;
        let filter = request.filter(may_read_emails);
        let members = self.reader().members();
        let read = async |after: Option<Position>, limit| match order {
            MemberOrder::Id(direction) => {
                members.list(*company, &filter, *direction, after.map(|after| after.user), limit).await
            }
            MemberOrder::Name => {
                let after = after.map(|Position { name, user }| MemberPosition { name, user });
                members.list_by_name(*company, &filter, after.as_ref(), limit).await
            }
        };
        let position = |member: &Member| {
            let name = member.display_name.as_ref().filter(|_| *order == MemberOrder::Name);
            Position { name: name.map(|name| folded(name.as_str())), user: member.user }
        };
        let mut found = self.page(&binding, page, position, read).await?;
        if found.elements.is_empty()
            && let Some(level) = level
        {
            self.user_level(*company, *level).await?;
        }
        if !may_read_emails {
            found.elements.iter_mut().for_each(|member| member.email = None);
        }
        let total = match page.include_total {
            false => None,
            true => Some(Total::counted(members.count(*company, &filter, COUNT_LIMIT + 1).await?)),
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
