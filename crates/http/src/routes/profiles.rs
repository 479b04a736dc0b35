//! Manages the profiles of users, removes users from companies, and lists the companies of users.

use actix_web::{delete, get, put};
use iam_application::{Application, PageRequest, RemoveUser, SetUserProfile};
use iam_domain::{
    Caller, CompanyId, CompanyStatus, Email, Name, ProfileSource, Timestamp, UserId, UserLevel, UserProfile,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::assignments::force;
use super::data;
use super::users::OneUser;
use crate::extract::{AssignLevels, Authorized, Input, Myself, Platform, ReadProfiles, RequestReader};
use crate::respond::{ApiResponse, ApiResult, ErrorBody, Message, Success};

/// The profile of a user in a company. Profiles decide nothing.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProfileView {
    /// The id of the user.
    user_id: UserId,
    /// The display name of the user. `null` if the user has none.
    #[schema(required = true)]
    display_name: Option<Name>,
    /// The e-mail address of the user. `null` if the user has none.
    #[schema(value_type = Option<String>, required = true)]
    email: Option<Email>,
    /// The source of the profile. `null` if the user has no profile.
    #[schema(required = true)]
    source: Option<ProfileSource>,
    /// The time when the profile was last changed. `null` if the user has no profile.
    #[schema(required = true)]
    updated_at: Option<Timestamp>,
}

impl ProfileView {
    fn of(user_id: UserId, profile: Option<UserProfile>) -> Self {
        let (source, updated_at) =
            profile.as_ref().map_or((None, None), |profile| (Some(profile.source), Some(profile.updated_at)));
        let (display_name, email) = profile.map_or((None, None), |profile| (profile.display_name, profile.email));
        Self { user_id, display_name, email, source, updated_at }
    }
}

data! {
    /// The profile of the user.
    ProfileData { profile: ProfileView }
    /// The profile of the user after the change.
    SetProfileData { profile: ProfileView, message }
}

/// Returns the profile of a user who holds a level in the company.
#[utoipa::path(tag = "Members", responses((status = 200, body = Success<ProfileData>), (status = 404)))]
#[get("/api/iam/users/{userId}/profile")]
pub(crate) async fn get_user_profile(call: Authorized<ReadProfiles, OneUser>) -> ApiResult {
    let user = call.input.0.id;
    let profile = call.application().user_profile(call.company()?, user).await?;
    ApiResponse::ok().etag(&profile)?.data(ProfileData { profile: ProfileView::of(user, profile) })
}

/// The new profile of a user. An omitted field has the same effect as `null`.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct NewProfile {
    /// The display name of the user.
    display_name: Option<Name>,
    /// The e-mail address of the user.
    #[schema(value_type = Option<String>, max_length = 254)]
    email: Option<Email>,
}

impl Input for SetUserProfile {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let (company, if_match) = (request.company(), request.if_match());
        let user = request.user("userId");
        let mut body = request.body()?;
        let (name, email) = (body.patch("displayName"), body.patch("email"));
        let (display_name, email) = (name?.into_value(), email?.into_value());
        Some(Self { company: company?, user: user?, display_name, email, if_match })
    }
}

/// Replaces the display name and the e-mail address of a user in the company.
///
/// The user must hold a level in the company. `If-Match` is compared with the entity tag of the profile.
#[utoipa::path(
    tag = "Members",
    request_body = NewProfile,
    responses((status = 200, body = Success<SetProfileData>), (status = 404), (status = 412)),
)]
#[put("/api/iam/users/{userId}/profile")]
pub(crate) async fn set_user_profile(call: Authorized<AssignLevels, SetUserProfile>) -> ApiResult {
    let user = call.input.user.id;
    let done = call.execute().await?;
    let response = ApiResponse::ok().commit(done.stamp).etag(&done.value)?;
    let profile = ProfileView::of(user, done.value);
    response.data(SetProfileData { message: "User profile updated successfully", profile })
}

impl Input for RemoveUser {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let (company, user, force) = (request.company(), request.user("userId"), force(request));
        Some(Self { company: company?, user: user?, force: force? })
    }
}

/// Removes a user from the company: deletes the user's levels, profile and navigation trail in this company.
#[utoipa::path(
    tag = "Members",
    params((
        "force" = Option<bool>,
        Query,
        description = "If true, a super admin may make the change even if no administrator of the company remains",
    )),
    responses(
        (status = 200, body = Success<Message>),
        (
            status = 403,
            body = ErrorBody,
            description = "The caller lacks the permission, or may not revoke the permissions that `errors` lists",
        ),
        (status = 404),
        (status = 409, body = ErrorBody, description = "The company would be left without an administrator"),
    ),
)]
#[delete("/api/iam/users/{userId}")]
pub(crate) async fn remove_user(call: Authorized<AssignLevels, RemoveUser>) -> ApiResult {
    let done = call.execute().await?;
    ApiResponse::ok().commit(done.stamp).message("User removed successfully")
}

/// A company in which a user holds levels.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CompanyMembership {
    /// The id of the company.
    company_id: CompanyId,
    /// The display name of the company. `null` if it has none.
    #[schema(required = true)]
    name: Option<Name>,
    /// The status of the company.
    status: CompanyStatus,
    /// The levels that the user holds, sorted by name.
    user_levels: Vec<UserLevel>,
}

/// A page of the companies in which a user holds levels, sorted by id.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CompaniesOfUserData {
    /// The companies on this page.
    companies: Vec<CompanyMembership>,
    /// The cursor of the next page (keyset pagination). `null` on the last page.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// The user, and the requested page of the user's companies.
pub(crate) struct CompaniesOfUserQuery {
    user: OneUser,
    page: PageRequest,
}

impl Input for CompaniesOfUserQuery {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let (user, page) = (OneUser::read(request), PageRequest::read(request));
        Some(Self { user: user?, page: page? })
    }
}

/// Returns a page of the companies of a user.
async fn companies_of(application: &Application, caller: Caller, user: UserId, page: &PageRequest) -> ApiResult {
    let page = application.memberships(caller, user, page).await?;
    let companies = page.elements.into_iter().map(|of| CompanyMembership {
        company_id: of.company,
        name: of.details.name,
        status: of.details.status,
        user_levels: of.levels,
    });
    ApiResponse::ok().data(CompaniesOfUserData { companies: companies.collect(), next_cursor: page.next_cursor })
}

/// Lists the companies in which a user holds levels, with the names and the status of the companies.
#[utoipa::path(
    tag = "Users",
    params(
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 200, description = "The page size. Default: 50"),
        ("cursor" = Option<String>, Query, description = "The nextCursor of the previous page"),
    ),
    responses((status = 200, body = Success<CompaniesOfUserData>)),
)]
#[get("/api/iam/users/{userId}/companies")]
pub(crate) async fn get_companies_of_user(call: Authorized<Platform, CompaniesOfUserQuery>) -> ApiResult {
    companies_of(call.application(), call.caller(), call.input.user.0.id, &call.input.page).await
}

/// Lists the companies in which the caller holds levels, with the names and the status of the companies.
///
/// The request need not specify a company. A service holds no levels, so its list is empty.
#[utoipa::path(
    tag = "Caller",
    params(
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 200, description = "The page size. Default: 50"),
        ("cursor" = Option<String>, Query, description = "The nextCursor of the previous page"),
    ),
    responses((status = 200, body = Success<CompaniesOfUserData>)),
)]
#[get("/api/iam/me/companies")]
pub(crate) async fn get_my_companies(call: Authorized<Myself, PageRequest>) -> ApiResult {
    match call.caller().user_id() {
        Some(user) => companies_of(call.application(), call.caller(), user, &call.input).await,
        None => ApiResponse::ok().data(CompaniesOfUserData { companies: Vec::new(), next_cursor: None }),
    }
}
