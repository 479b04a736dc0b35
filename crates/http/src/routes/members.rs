//! Lists the members of a company, and the users who hold a level.

use actix_web::get;
use iam_application::{HeldLevel, ListMembers, Member, Page};
use iam_domain::{AssignmentState, Email, ExternalId, Name, Period, ProfileSource, Timestamp, UserId, UserLevelId};
use serde::Serialize;
use utoipa::ToSchema;

use super::lists::{MEMBER_ORDERS, TotalData, counted_page, member_search, sort};
use crate::extract::{Authorized, Input, ReadIam, RequestReader};
use crate::respond::{ApiResponse, ApiResult, Success};

/// A level that a member holds.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HeldLevelData {
    /// The id of the level.
    id: UserLevelId,
    /// The name of the level.
    name: Name,
    /// The start of the assignment. It is absent if the assignment is in effect since it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    starts_at: Option<Timestamp>,
    /// The end of the assignment. It is absent if the assignment has no end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    expires_at: Option<Timestamp>,
    /// The state of the assignment. It is absent if the assignment has neither a start nor an end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    state: Option<AssignmentState>,
}

impl From<HeldLevel> for HeldLevelData {
    fn from(HeldLevel { id, name, period, state }: HeldLevel) -> Self {
        let Period { starts_at, expires_at } = period;
        Self { id, name, starts_at, expires_at, state: (!period.is_unlimited()).then_some(state) }
    }
}

/// A member of a company.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MemberData {
    /// The id of the user.
    id: UserId,
    /// The external id (`issuer|subject`). `null` for users of the native issuer, and for users whose external id is
    /// not stored.
    #[schema(value_type = Option<String>, required = true)]
    external_id: Option<ExternalId>,
    /// The URL-safe form of the external id.
    #[schema(required = true)]
    path_id: Option<String>,
    /// The display name in the user's profile.
    #[schema(required = true)]
    display_name: Option<Name>,
    /// The e-mail address in the user's profile. Always `null` if the caller may not read profiles.
    #[schema(value_type = Option<String>, required = true)]
    email: Option<Email>,
    /// The source of the user's profile. `null` if the user has none. A name whose source is `token` may be chosen by the
    /// user.
    #[schema(required = true)]
    profile_source: Option<ProfileSource>,
    /// The levels that are assigned to the user in the company, sorted by name. An assignment that has expired is listed
    /// until it is removed.
    user_levels: Vec<HeldLevelData>,
}

impl From<Member> for MemberData {
    fn from(Member { user, external_id, display_name, email, profile_source, levels }: Member) -> Self {
        let path_id = external_id.as_ref().map(ExternalId::path_id);
        let user_levels = levels.into_iter().map(HeldLevelData::from).collect();
        Self { id: user, external_id, path_id, display_name, email, profile_source, user_levels }
    }
}

/// A page of members.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MembersData {
    /// The members on this page.
    users: Vec<MemberData>,
    /// The cursor of the next page (keyset pagination). `null` on the last page, and only there.
    #[schema(required = true)]
    next_cursor: Option<String>,
    #[serde(flatten)]
    total: TotalData,
}

impl From<Page<Member>> for MembersData {
    fn from(page: Page<Member>) -> Self {
        let users = page.elements.into_iter().map(MemberData::from).collect();
        Self { users, next_cursor: page.next_cursor, total: page.total.into() }
    }
}

/// The requested page of the members of a company.
pub(crate) struct MembersQuery(ListMembers);

/// Reads the parameters of a list of members.
fn members(request: &mut RequestReader<'_>, level: Option<Option<UserLevelId>>) -> Option<ListMembers> {
    let (search, order) = (member_search(request), sort(request, &MEMBER_ORDERS));
    let (company, page) = (request.company(), counted_page(request));
    Some(ListMembers { company: company?, level: level?, search: search?, order: order?, page: page? })
}

impl Input for MembersQuery {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let level = request.query("level");
        members(request, level).map(Self)
    }
}

/// Lists the members of the company: the users who hold levels, with their levels.
#[utoipa::path(
    tag = "Users",
    params(
        ("level" = Option<UserLevelId>, Query, description = "Only users who hold this level"),
        (
            "q" = Option<String>,
            Query,
            max_length = 255,
            description = "Only users whose id begins with this text, or whose display name contains it, regardless of \
                case. If the caller may read profiles, e-mail addresses are searched, too. A pathId or issuer|subject \
                selects this user",
        ),
        (
            "sort" = Option<String>,
            Query,
            description = "`id`, `-id` (descending), or `name`: by display name, regardless of case; users without a \
                display name are last. Default: `id`",
        ),
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 200, description = "The page size. Default: 50"),
        (
            "cursor" = Option<String>,
            Query,
            description = "The nextCursor of the previous page. The filters and the sort order must be the same",
        ),
        ("total" = Option<bool>, Query, description = "If true, the response contains the number of all users"),
    ),
    responses((status = 200, body = Success<MembersData>), (status = 404, description = "The level does not exist")),
)]
#[get("/api/iam/users")]
pub(crate) async fn list_users(call: Authorized<ReadIam, MembersQuery>) -> ApiResult {
    let MembersQuery(list) = &call.input;
    let page = call.application().list_members(call.caller(), "users", list).await?;
    ApiResponse::ok().data(MembersData::from(page))
}

/// The requested page of the users who hold a level.
pub(crate) struct HoldersQuery(ListMembers);

impl Input for HoldersQuery {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let level = request.path("id").map(Some);
        members(request, level).map(Self)
    }
}

/// Lists the users who hold a level, with all their levels.
#[utoipa::path(
    tag = "User levels",
    params(
        (
            "q" = Option<String>,
            Query,
            max_length = 255,
            description = "Only users whose id begins with this text, or whose display name contains it, regardless of \
                case. If the caller may read profiles, e-mail addresses are searched, too. A pathId or issuer|subject \
                selects this user",
        ),
        (
            "sort" = Option<String>,
            Query,
            description = "`id`, `-id` (descending), or `name`: by display name, regardless of case; users without a \
                display name are last. Default: `id`",
        ),
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 200, description = "The page size. Default: 50"),
        (
            "cursor" = Option<String>,
            Query,
            description = "The nextCursor of the previous page. The search text and the sort order must be the same",
        ),
        ("total" = Option<bool>, Query, description = "If true, the response contains the number of all users"),
    ),
    responses((status = 200, body = Success<MembersData>), (status = 404, description = "The level does not exist")),
)]
#[get("/api/iam/user-levels/{id}/users")]
pub(crate) async fn list_holders(call: Authorized<ReadIam, HoldersQuery>) -> ApiResult {
    let HoldersQuery(list) = &call.input;
    let page = call.application().list_members(call.caller(), "holders", list).await?;
    ApiResponse::ok().data(MembersData::from(page))
}
