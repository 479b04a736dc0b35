//! Manages user levels.

use actix_web::{delete, get, patch, post};
use iam_application::{CreateUserLevel, DeleteUserLevel, Patch, UpdateUserLevel};
use iam_domain::{Description, Name, UserLevel, UserLevelId};
use serde::Serialize;
use utoipa::ToSchema;

use super::{data, flag};
use crate::extract::{Authorized, Input, ManageLevels, ReadIam, RequestReader};
use crate::respond::{ApiResponse, ApiResult, ErrorBody, Message, Success};

data! {
    /// The user level.
    UserLevelData { user_level: UserLevel }
}

/// The level specified in the path.
pub(crate) struct OneLevel(pub(crate) UserLevelId);

impl Input for OneLevel {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        request.path("id").map(Self)
    }
}

/// A level, with the number of its holders if the request asks for it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListedLevel {
    #[serde(flatten)]
    level: UserLevel,
    /// The number of users who hold the level, if requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    holders: Option<u64>,
}

data! {
    /// The user levels, sorted by name.
    ListedLevelsData { user_levels: Vec<ListedLevel> }
}

/// Whether the response contains the number of holders of each level.
pub(crate) struct WithHolders(bool);

impl Input for WithHolders {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        flag(request, "holders").map(Self)
    }
}

/// Lists the levels of the company, sorted by name.
#[utoipa::path(
    tag = "User levels",
    params((
        "holders" = Option<bool>,
        Query,
        description = "If true, each level has the number of users who hold it",
    )),
    responses((status = 200, body = Success<ListedLevelsData>)),
)]
#[get("/api/iam/user-levels")]
pub(crate) async fn list_user_levels(call: Authorized<ReadIam, WithHolders>) -> ApiResult {
    let company = call.company()?;
    let levels = call.application().user_levels(company).await?;
    let WithHolders(is_counted) = call.input;
    let counts = if is_counted { Some(call.application().count_holders(company).await?) } else { None };
    let holders = |level: &UserLevel| counts.as_ref().map(|counts| counts.get(&level.id).copied().unwrap_or(0));
    let listed = |level: UserLevel| ListedLevel { holders: holders(&level), level };
    ApiResponse::ok().data(ListedLevelsData { user_levels: levels.into_iter().map(listed).collect() })
}

/// The level to create.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct NewUserLevel {
    /// The name, which must be unique in the company.
    name: Name,
    /// The description. Default: the empty string.
    #[schema(required = false)]
    description: Description,
    /// A level of the company. The new level receives the cells of both matrices of this level, without pins. Default:
    /// the new level has no cells.
    #[schema(required = false)]
    copy_from: UserLevelId,
}

impl Input for CreateUserLevel {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let company = request.company();
        let mut body = request.body()?;
        let (name, description) = (body.required("name"), body.description("description"));
        let copy_from = body.optional("copyFrom");
        Some(Self { company: company?, name: name?, description: description?, copy_from: copy_from? })
    }
}

/// Creates a level.
#[utoipa::path(
    tag = "User levels",
    request_body = NewUserLevel,
    responses(
        (status = 201, body = Success<UserLevelData>),
        (
            status = 403,
            body = ErrorBody,
            description = "The caller lacks the permission, or may not grant the permissions that `errors` lists",
        ),
        (status = 409, description = "The name is already in use, or the company has reached a quota"),
    ),
)]
#[post("/api/iam/user-levels")]
pub(crate) async fn create_user_level(call: Authorized<ManageLevels, CreateUserLevel>) -> ApiResult {
    let done = call.execute().await?;
    let user_level = done.value.level;
    let UserLevel { id, company_id, .. } = user_level;
    let location = format!("/api/iam/user-levels/{id}?companyId={company_id}");
    ApiResponse::created_once(done.is_repeated, &location)
        .commit(done.stamp)
        .etag(&user_level)?
        .data(UserLevelData { user_level })
}

/// Returns a level.
#[utoipa::path(
    tag = "User levels",
    responses((status = 200, body = Success<UserLevelData>), (status = 404, description = "The level does not exist")),
)]
#[get("/api/iam/user-levels/{id}")]
pub(crate) async fn get_user_level(call: Authorized<ReadIam, OneLevel>) -> ApiResult {
    let user_level = call.application().user_level(call.company()?, call.input.0).await?;
    ApiResponse::ok().etag(&user_level)?.data(UserLevelData { user_level })
}

/// A partial update of a level. Omitted fields remain unchanged.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct UserLevelPatch {
    /// The new name.
    #[schema(required = false)]
    name: Name,
    /// The new description. `null` clears the description.
    description: Option<Description>,
}

impl Input for UpdateUserLevel {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let (company, if_match) = (request.company(), request.if_match());
        let id = request.path("id");
        let mut body = request.body()?;
        let (name, description) = (body.optional("name"), body.patch::<Description>("description"));
        let description = match description? {
            Patch::Keep => None,
            Patch::Clear => Some(body.description("")?),
            Patch::Set(description) => Some(description),
        };
        Some(Self { company: company?, id: id?, name: name?, description, if_match })
    }
}

/// Updates a level.
#[utoipa::path(
    tag = "User levels",
    request_body = UserLevelPatch,
    responses((status = 200, body = Success<UserLevelData>), (status = 404), (status = 409), (status = 412)),
)]
#[patch("/api/iam/user-levels/{id}")]
pub(crate) async fn update_user_level(call: Authorized<ManageLevels, UpdateUserLevel>) -> ApiResult {
    let done = call.execute().await?;
    ApiResponse::ok().commit(done.stamp).etag(&done.value)?.data(UserLevelData { user_level: done.value })
}

impl Input for DeleteUserLevel {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        Some(Self { company: request.company()?, id: request.path("id")?, if_match: request.if_match() })
    }
}

/// Deletes a level that no user holds.
#[utoipa::path(
    tag = "User levels",
    responses(
        (status = 200, body = Success<Message>),
        (
            status = 400,
            body = ErrorBody,
            description = "Users hold the level. Callers who may read IAM data receive the first ten users in `errors`",
        ),
        (status = 404),
        (status = 412),
    ),
)]
#[delete("/api/iam/user-levels/{id}")]
pub(crate) async fn delete_user_level(call: Authorized<ManageLevels, DeleteUserLevel>) -> ApiResult {
    let done = call.execute().await?;
    ApiResponse::ok().commit(done.stamp).message("User level deleted successfully")
}
