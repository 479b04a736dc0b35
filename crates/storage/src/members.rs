//! Read operations that list the members of a company page by page, and the key that signs the cursors of pages.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use iam_domain::{AssignmentState, CompanyId, Email, ExternalId, Name, Period, ProfileSource, UserId, UserLevelId};

use crate::Result;
use crate::stamped::Stamped;

/// The key that signs the cursors of lists.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CursorKey(pub [u8; Self::LENGTH]);

impl CursorKey {
    /// Length of the key in bytes.
    pub const LENGTH: usize = 32;
}

impl fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CursorKey(…)")
    }
}

/// The read operation on the key that signs cursors. **Across companies**: all lists share the key.
#[async_trait]
pub trait CursorKeys: Send + Sync {
    /// Returns the key that signs the cursors of lists. All processes that use the storage read the same key.
    async fn cursor_key(&self) -> Result<CursorKey>;
}

/// A level that a member holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldLevel {
    /// The id of the level.
    pub id: UserLevelId,
    /// The name of the level.
    pub name: Name,
    /// The period in which the assignment is in effect.
    pub period: Period,
    /// The state of the assignment at the time of the read.
    pub state: AssignmentState,
}

/// A member of a company: a user who holds at least one of its levels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The user.
    pub user: UserId,
    /// The stored external id of the user.
    pub external_id: Option<ExternalId>,
    /// The display name in the user's profile.
    pub display_name: Option<Name>,
    /// The e-mail address in the user's profile.
    pub email: Option<Email>,
    /// The source of the user's profile. `None` if the user has no profile.
    pub profile_source: Option<ProfileSource>,
    /// The levels that the user holds in the company, ordered by name.
    pub levels: Vec<HeldLevel>,
}

/// A range of user ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserRange {
    /// The smallest id of the range.
    pub first: UserId,
    /// The largest id of the range.
    pub last: UserId,
}

/// The members that a list contains.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemberFilter {
    /// The level that the members hold. `None` for all levels.
    pub level: Option<UserLevelId>,
    /// The members that a search finds. `None` for all members.
    pub search: Option<MemberSearch>,
}

/// A search for members. It finds each member to whom at least one of its parts applies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemberSearch {
    /// The range of the members' ids.
    pub users: Option<UserRange>,
    /// The text that the profile of the member contains.
    pub text: Option<ProfileText>,
}

/// A text that is searched in profiles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileText {
    /// The text, in its [folded](iam_domain::folded) form.
    pub folded: String,
    /// `true` if e-mail addresses are searched too, and not only display names.
    pub in_emails: bool,
}

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the smallest to the largest value.
    Ascending,
    /// From the largest to the smallest value.
    Descending,
}

/// The position of a member in a list that is sorted by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberPosition {
    /// The [folded](iam_domain::folded) display name of the member. `None` for a member without one.
    pub name: Option<String>,
    /// The member.
    pub user: UserId,
}

/// The levels by which a list selects members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LevelRules<'a> {
    /// The levels of which a member holds at least one.
    pub allowing: &'a [UserLevelId],
    /// The levels of which a member holds none.
    pub denying: &'a [UserLevelId],
}

/// A part of the members that [`Members::select`] finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected {
    /// The members, ordered by id.
    pub members: Vec<Member>,
    /// The largest id that was examined. Members with larger ids may exist. `None` if all ids were examined.
    pub examined: Option<UserId>,
}

/// Read operations on the members of a company.
#[async_trait]
pub trait Members: Send + Sync {
    /// Returns a page of the members of a company, ordered by id in this direction: at most `limit` members after the
    /// id `after` (keyset pagination).
    async fn list(
        &self,
        company: CompanyId,
        filter: &MemberFilter,
        direction: Direction,
        after: Option<UserId>,
        limit: u64,
    ) -> Result<Vec<Member>>;
    /// Returns a page of the members of a company, ordered by folded display name, then id: at most `limit` members after
    /// the position `after`. Members without a display name are last, ordered by id. With a filter, the operation reads all
    /// members that the filter selects.
    async fn list_by_name(
        &self,
        company: CompanyId,
        filter: &MemberFilter,
        after: Option<&MemberPosition>,
        limit: u64,
    ) -> Result<Vec<Member>>;
    /// Returns the number of members that the filter selects. Counting stops at `limit`.
    async fn count(&self, company: CompanyId, filter: &MemberFilter, limit: u64) -> Result<u64>;
    /// Returns the number of users who hold each level of a company. Levels without holders are omitted.
    async fn count_by_level(&self, company: CompanyId) -> Result<BTreeMap<UserLevelId, u64>>;
    /// Returns the first members with ids greater than `after` who hold one of the allowing levels and none of the
    /// denying levels: at most `limit` members. The operation examines at least `limit` holders of allowing levels if
    /// there are as many, and its cost does not depend on the number of members. If most of the examined holders hold
    /// a denying level, the result contains fewer members than `limit`, although more exist.
    async fn select(
        &self,
        company: CompanyId,
        rules: LevelRules<'_>,
        after: Option<UserId>,
        limit: u64,
    ) -> Result<Stamped<Selected>>;
    /// Returns the number of members who hold one of the allowing levels and none of the denying levels. Counting stops at
    /// `limit`.
    async fn count_selected(&self, company: CompanyId, rules: LevelRules<'_>, limit: u64) -> Result<Stamped<u64>>;
}
