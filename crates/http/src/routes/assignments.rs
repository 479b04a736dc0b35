//! Returns and changes the levels that users hold.

use std::collections::BTreeSet;

use actix_web::http::Method;
use actix_web::{delete, get, post, put};
use iam_application::{
    AssignUserLevels, AssignedLevels, Committed, EditAssignments, EditedAssignments, FieldCode, LevelOfUser, Patch,
    RequestedLevels,
};
use iam_domain::{AssignedUserLevel, Period, Timestamp, UserId, UserLevelId};
use serde::Serialize;
use utoipa::ToSchema;

use super::flag;
use super::nullified::NullifiedData;
use super::users::OneUser;
use crate::extract::{AssignLevels, Authorized, FieldReader, Input, ReadIam, RequestReader};
use crate::respond::{ApiResponse, ApiResult, ErrorBody, Success};

/// Maximum number of pairs that one request assigns and removes.
const MOST_PAIRS: usize = 1000;

/// The result of changing the levels of a user.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AssignedLevelsData {
    /// The human-readable result of the operation.
    message: &'static str,
    /// The levels that are assigned to the user after the change, sorted by name.
    user_levels: Vec<AssignedUserLevel>,
    /// The permissions that a deny overrides as a result of this change.
    nullified: NullifiedData,
}

impl AssignedLevelsData {
    fn respond(done: Committed<AssignedLevels>) -> ApiResult {
        let AssignedLevels { levels: user_levels, nullified, .. } = done.value;
        let message = "User levels updated successfully";
        let data = Self { message, user_levels, nullified: nullified.into() };
        ApiResponse::ok().commit(done.stamp).etag(&data.user_levels)?.data(data)
    }
}

/// The levels that are assigned to a user.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AssignedUserLevelsData {
    /// The levels, sorted by name. An assignment that has expired is listed until it is removed.
    user_levels: Vec<AssignedUserLevel>,
}

/// Lists the levels that are assigned to a user in the company.
#[utoipa::path(tag = "User levels", responses((status = 200, body = Success<AssignedUserLevelsData>)))]
#[get("/api/iam/users/{userId}/user-levels")]
pub(crate) async fn get_levels_of_user(call: Authorized<ReadIam, OneUser>) -> ApiResult {
    let user_levels = call.application().levels_of_user(call.company()?, call.input.0.id).await?;
    ApiResponse::ok().etag(&user_levels)?.data(AssignedUserLevelsData { user_levels })
}

/// Reads the query parameter `force`. If it is `true`, a super admin may make the change even if no administrator of
/// the company remains.
pub(crate) fn force(request: &mut RequestReader<'_>) -> Option<bool> {
    flag(request, "force")
}

/// The requested levels of a user, which replace the current levels.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct UserLevelIds {
    /// The ids of all levels that the user holds in the company after the change, without duplicates.
    user_level_ids: Vec<UserLevelId>,
}

impl Input for AssignUserLevels {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let (company, if_match) = (request.company(), request.if_match());
        let user = request.user("userId");
        let force = force(request);
        let levels = if !request.has_path_parameter("levelId") {
            request.body()?.list("userLevelIds").map(RequestedLevels::All)
        } else if request.method() == Method::DELETE {
            request.path("levelId").map(RequestedLevels::Without)
        } else {
            let level = request.path("levelId");
            let period = match request.optional_body()? {
                Some(mut body) => period(&mut body),
                None => Some(None),
            };
            level.zip(period).map(|(level, period)| RequestedLevels::With(level, period))
        };
        Some(Self { company: company?, user: user?, levels: levels?, force: force?, if_match })
    }
}

/// The period for which a level is assigned. A request without members keeps the period of an assignment that has not
/// expired.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct PeriodBody {
    /// The start. Default, or `null`: the assignment is in effect at once.
    starts_at: Option<Timestamp>,
    /// The end. Default, or `null`: the assignment has no end.
    expires_at: Option<Timestamp>,
}

/// Reads the period of an assignment. `None` if the object states neither a start nor an end.
fn period(object: &mut FieldReader<'_>) -> Option<Option<Period>> {
    let (starts_at, expires_at) = (object.patch::<Timestamp>("startsAt"), object.patch::<Timestamp>("expiresAt"));
    let time = |time: Patch<Timestamp>| match time {
        Patch::Set(time) => Some(time),
        Patch::Clear | Patch::Keep => None,
    };
    match (starts_at?, expires_at?) {
        (Patch::Keep, Patch::Keep) => Some(None),
        (starts_at, expires_at) => Some(Some(Period { starts_at: time(starts_at), expires_at: time(expires_at) })),
    }
}

/// Replaces the levels that a user holds in the company.
#[utoipa::path(
    tag = "User levels",
    params((
        "force" = Option<bool>,
        Query,
        description = "If true, a super admin may make the change even if no administrator of the company remains",
    )),
    request_body = UserLevelIds,
    responses(
        (status = 200, body = Success<AssignedLevelsData>),
        (
            status = 403,
            body = ErrorBody,
            description = "The caller lacks the permission, or may not grant the permissions that `errors` lists",
        ),
        (
            status = 409,
            body = ErrorBody,
            description = "The company would be left without an administrator, or the user or the company has reached a \
                quota",
        ),
        (status = 412),
    ),
)]
#[put("/api/iam/users/{userId}/user-levels")]
pub(crate) async fn assign_user_levels(call: Authorized<AssignLevels, AssignUserLevels>) -> ApiResult {
    AssignedLevelsData::respond(call.execute().await?)
}

/// Assigns a level to a user, without limit or for a period. The user keeps all other levels.
#[utoipa::path(
    tag = "User levels",
    params((
        "force" = Option<bool>,
        Query,
        description = "If true, a super admin may make the change even if no administrator of the company remains",
    )),
    request_body = Option<PeriodBody>,
    responses(
        (status = 200, body = Success<AssignedLevelsData>),
        (
            status = 403,
            body = ErrorBody,
            description = "The caller lacks the permission, or may not grant the permissions that `errors` lists",
        ),
        (status = 404, description = "The level does not exist"),
        (
            status = 409,
            body = ErrorBody,
            description = "The company would be left without an administrator, or the user or the company has reached a \
                quota",
        ),
        (status = 412),
    ),
)]
#[put("/api/iam/users/{userId}/user-levels/{levelId}")]
pub(crate) async fn assign_user_level(call: Authorized<AssignLevels, AssignUserLevels>) -> ApiResult {
    AssignedLevelsData::respond(call.execute().await?)
}

/// Removes a level from a user. The user keeps all other levels.
#[utoipa::path(
    tag = "User levels",
    params((
        "force" = Option<bool>,
        Query,
        description = "If true, a super admin may make the change even if no administrator of the company remains",
    )),
    responses(
        (status = 200, body = Success<AssignedLevelsData>),
        (
            status = 403,
            body = ErrorBody,
            description = "The caller lacks the permission, or may not grant the permissions that `errors` lists",
        ),
        (status = 404, description = "The level does not exist"),
        (
            status = 409,
            body = ErrorBody,
            description = "The company would be left without an administrator",
        ),
        (status = 412),
    ),
)]
#[delete("/api/iam/users/{userId}/user-levels/{levelId}")]
pub(crate) async fn unassign_user_level(call: Authorized<AssignLevels, AssignUserLevels>) -> ApiResult {
    AssignedLevelsData::respond(call.execute().await?)
}

/// A user and a level.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct LevelOfUserBody {
    /// The user: a user id, or `issuer|subject`.
    #[schema(value_type = String)]
    user_id: UserId,
    /// The level.
    user_level_id: UserLevelId,
}

/// A user and a level, and the period for which the level is assigned. A pair without a start and an end keeps the period
/// of an assignment that has not expired.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct AssignmentBody {
    /// The user: a user id, or `issuer|subject`.
    #[schema(value_type = String)]
    user_id: UserId,
    /// The level.
    user_level_id: UserLevelId,
    /// The start. Default, or `null`: the assignment is in effect at once.
    starts_at: Option<Timestamp>,
    /// The end. Default, or `null`: the assignment has no end.
    expires_at: Option<Timestamp>,
}

/// Assignments and removals of levels. At most 1,000 pairs of a user and a level in both lists together.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct AssignmentEdits {
    /// The levels to assign, without duplicates. Default: none.
    #[schema(required = false)]
    add: Vec<AssignmentBody>,
    /// The levels to remove, without duplicates and without pairs that are also in `add`. Default: none.
    #[schema(required = false)]
    remove: Vec<LevelOfUserBody>,
}

/// The result of changing the levels of many users.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EditedAssignmentsData {
    /// The human-readable result of the operation.
    message: &'static str,
    /// The number of users whose levels changed.
    users_changed: usize,
    /// The number of levels that were assigned. Levels that a user already held are not counted.
    added: usize,
    /// The number of levels that were removed. Levels that a user did not hold are not counted.
    removed: usize,
    /// The permissions that a deny overrides as a result of this change.
    nullified: NullifiedData,
}

/// Reads a pair to assign.
fn assignment(pair: &mut FieldReader<'_>) -> Option<LevelOfUser> {
    let (user, level, period) = (pair.required_user("userId"), pair.required("userLevelId"), period(pair));
    Some(LevelOfUser { user: user?, level: level?, period: period? })
}

/// Reads a pair to remove.
fn removal(pair: &mut FieldReader<'_>) -> Option<LevelOfUser> {
    let (user, level) = (pair.required_user("userId"), pair.required("userLevelId"));
    Some(LevelOfUser { user: user?, level: level?, period: None })
}

fn key_of(pair: &LevelOfUser) -> (UserId, UserLevelId) {
    (pair.user.id, pair.level)
}

impl Input for EditAssignments {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let (company, force) = (request.company(), force(request));
        let mut body = request.body()?;
        body.know(&["add", "remove"]);
        if body.length("add") + body.length("remove") > MOST_PAIRS {
            let what = format!("and remove must together contain at most {MOST_PAIRS} elements");
            return body.reject("add", FieldCode::Length, what);
        }
        let add = body.optional_objects("add", assignment, key_of, "userLevelId");
        let remove = body.optional_objects("remove", removal, key_of, "userLevelId");
        let (add, remove) = (add?, remove?);
        let added: BTreeSet<_> = add.iter().map(key_of).collect();
        body.reject_common(("remove", remove.iter().map(key_of), "userLevelId"), ("add", &added));
        Some(Self { company: company?, add, remove, force: force? })
    }
}

/// Assigns and removes levels of many users, in one change.
#[utoipa::path(
    tag = "User levels",
    params((
        "force" = Option<bool>,
        Query,
        description = "If true, a super admin may make the change even if no administrator of the company remains",
    )),
    request_body = AssignmentEdits,
    responses(
        (status = 200, body = Success<EditedAssignmentsData>),
        (
            status = 403,
            body = ErrorBody,
            description = "The caller lacks the permission, or may not grant the permissions that `errors` lists",
        ),
        (
            status = 409,
            body = ErrorBody,
            description = "The company would be left without an administrator, or a user or the company has reached a \
                quota",
        ),
    ),
)]
#[post("/api/iam/assignments")]
pub(crate) async fn edit_assignments(call: Authorized<AssignLevels, EditAssignments>) -> ApiResult {
    call.charge(call.input.add.len() + call.input.remove.len());
    let done = call.execute().await?;
    let EditedAssignments { users_changed, added, removed, nullified, .. } = done.value;
    let message = "Assignments updated successfully";
    let data = EditedAssignmentsData { message, users_changed, added, removed, nullified: nullified.into() };
    ApiResponse::ok().commit(done.stamp).data(data)
}
