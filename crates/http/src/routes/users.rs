//! Returns users with their external ids, and sets the cut-offs of users.

use actix_web::{get, put};
use iam_application::CutOffUser;
use iam_domain::{ExternalId, NamedUser, Timestamp, User, UserId};
use serde::Serialize;
use utoipa::ToSchema;

use super::data;
use crate::extract::{Authorized, Input, ManageCredentials, ReadCatalog, RequestReader};
use crate::respond::{ApiResponse, ApiResult, Success};

/// The user specified in the path.
pub(crate) struct OneUser(pub(crate) NamedUser);

impl Input for OneUser {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        request.user("userId").map(Self)
    }
}

/// A user in a response.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserView {
    /// The id of the user.
    id: UserId,
    /// The external id (`issuer|subject`), as used in paths and bodies. `null` for users of the native issuer, and for
    /// users whose external id is not stored.
    #[schema(value_type = Option<String>, required = true)]
    external_id: Option<ExternalId>,
    /// The URL-safe form of the external id.
    #[schema(required = true)]
    path_id: Option<String>,
    /// The issuer in the external id.
    #[schema(value_type = Option<String>, required = true)]
    issuer: Option<String>,
    /// The subject in the external id.
    #[schema(value_type = Option<String>, required = true)]
    subject: Option<String>,
    /// The cut-off: tokens issued (`iat`) before this time and tokens without `iat` are rejected. `null` if no cut-off
    /// is set, or if the request specifies a company.
    #[schema(required = true)]
    not_before: Option<Timestamp>,
}

data! {
    /// The user.
    UserData { user: UserView }
}

impl From<User> for UserData {
    fn from(user: User) -> Self {
        let User { id, external_id, not_before } = user;
        let issuer = external_id.as_ref().map(|external| external.issuer.to_string());
        let subject = external_id.as_ref().map(|external| external.subject.to_string());
        let path_id = external_id.as_ref().map(ExternalId::path_id);
        Self { user: UserView { id, external_id, path_id, issuer, subject, not_before } }
    }
}

/// Returns a user who holds a level in the company.
///
/// Super admins, and services that may read all companies, can retrieve any user if the request specifies no company.
#[utoipa::path(tag = "Users", responses((status = 200, body = Success<UserData>), (status = 404)))]
#[get("/api/iam/users/{userId}")]
pub(crate) async fn get_user(call: Authorized<ReadCatalog, OneUser>) -> ApiResult {
    let OneUser(named) = &call.input;
    let mut user = call.application().user(call.company_if_any(), named.id).await?;
    if user.external_id.is_none() {
        user.external_id.clone_from(&named.external_id);
    }
    ApiResponse::ok().data(UserData::from(user))
}

/// The requested cut-off (not-before time) of a user.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct NotBefore {
    /// The cut-off: tokens issued (`iat`) before this time and tokens without `iat` are rejected. Default: the current
    /// time plus the tolerated clock skew. With this default, all tokens issued until now are rejected, even if the
    /// issuer's clock is ahead.
    #[schema(required = false)]
    not_before: Timestamp,
}

impl Input for CutOffUser {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let user = request.user("userId");
        let not_before = match request.optional_body()? {
            Some(mut body) => body.optional("notBefore")?,
            None => None,
        };
        Some(Self { user: user?, not_before, clock_skew: request.clock_skew() })
    }
}

/// Sets the cut-off of a user. This revokes all tokens of the user that were issued (`iat`) before the cut-off.
///
/// While the database is available, every replica applies the cut-off after at most one lease (2 s by default).
#[utoipa::path(tag = "Users", request_body = Option<NotBefore>, responses((status = 200, body = Success<UserData>)))]
#[put("/api/iam/users/{userId}/not-before")]
pub(crate) async fn cut_off_user(call: Authorized<ManageCredentials, CutOffUser>) -> ApiResult {
    let done = call.execute().await?;
    ApiResponse::ok().data(UserData::from(done.value))
}
