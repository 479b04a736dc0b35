//! Users as such: what other issuers call them, and since when their tokens count.

use actix_web::{get, put};
use iam_application::CutOffUser;
use iam_domain::{ExternalId, NamedUser, Timestamp, User, UserId};
use serde::Serialize;
use utoipa::ToSchema;

use super::data;
use crate::call::{Guarded, Input, ManageCredentials, ReadCatalog, Reading};
use crate::response::{ApiResponse, ApiResult, Success};

/// A user of the path.
pub(crate) struct OneUser(pub(crate) NamedUser);

impl Input for OneUser {
    fn read(reading: &mut Reading<'_>) -> Option<Self> {
        reading.user("userId").map(Self)
    }
}

/// A user as clients see one.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserView {
    id: UserId,
    /// `issuer|subject`, as paths and bodies name the user; `null` for users of the native issuer, and for those of whom
    /// nothing was stored.
    #[schema(value_type = Option<String>)]
    external_id: Option<ExternalId>,
    /// The same in a spelling that needs no escapes in URLs.
    path_id: Option<String>,
    /// Who says so.
    #[schema(value_type = Option<String>)]
    issuer: Option<String>,
    /// What it calls the user.
    #[schema(value_type = Option<String>)]
    subject: Option<String>,
    /// Tokens from before are refused. Told to super admins who name no company.
    not_before: Option<Timestamp>,
}

data! { UserData { user as "user": UserView } }

impl From<User> for UserData {
    fn from(user: User) -> Self {
        let User { id, external_id, not_before } = user;
        let issuer = external_id.as_ref().map(|external| external.issuer.to_string());
        let subject = external_id.as_ref().map(|external| external.subject.to_string());
        let path_id = external_id.as_ref().map(ExternalId::path_id);
        Self { user: UserView { id, external_id, path_id, issuer, subject, not_before } }
    }
}

/// A user who holds a level in the company; without a company, for super admins, any.
#[utoipa::path(tag = "Users", responses((status = 200, body = Success<UserData>), (status = 404)))]
#[get("/api/iam/users/{userId}")]
pub(crate) async fn get_user(call: Guarded<ReadCatalog, OneUser>) -> ApiResult {
    let OneUser(named) = &call.input;
    let mut user = call.application().user(call.company_if_any(), named.id).await?;
    if user.external_id.is_none() {
        user.external_id.clone_from(&named.external_id);
    }
    ApiResponse::ok().data(UserData::from(user))
}

/// When tokens begin to count.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body; the change is read from its members")]
pub(crate) struct NotBefore {
    /// Tokens that were made before it are refused; if left out, all that were made until now, also by a clock that is ahead
    /// as far as it may be.
    not_before: Option<Timestamp>,
}

impl Input for CutOffUser {
    fn read(reading: &mut Reading<'_>) -> Option<Self> {
        let user = reading.user("userId");
        let not_before = match reading.optional_body()? {
            Some(mut body) => body.optional("notBefore")?,
            None => None,
        };
        Some(Self { user: user?, not_before, clock_skew: reading.clock_skew() })
    }
}

/// Cuts a user off: all tokens that were made before are refused, by every replica within its lease.
#[utoipa::path(tag = "Users", request_body = Option<NotBefore>, responses((status = 200, body = Success<UserData>)))]
#[put("/api/iam/users/{userId}/not-before")]
pub(crate) async fn cut_off_user(call: Guarded<ManageCredentials, CutOffUser>) -> ApiResult {
    let done = call.execute().await?;
    ApiResponse::ok().data(UserData::from(done.value))
}
