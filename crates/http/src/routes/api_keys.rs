//! Lists, creates and revokes the API keys of services, for super admins.

use actix_web::{delete, get, post};
use iam_application::{CreateApiKey, Patch, RevokeApiKey};
use iam_domain::{ApiKey, ApiKeyId, CompanyId, Name, RequestRate, ServiceRole, Timestamp};
use iam_identity::NewApiKey;
use secrecy::ExposeSecret;
use serde::Serialize;
use utoipa::ToSchema;

use super::data;
use crate::extract::{Authorized, Input, ManageCredentials, RequestReader};
use crate::respond::{ApiError, ApiResponse, ApiResult, Message, Success};

data! {
    /// The API keys, sorted by name.
    ApiKeysData { api_keys: Vec<ApiKey> }
    /// The API key, without its secret.
    ApiKeyData { api_key: ApiKey }
}

/// Lists all API keys, sorted by name, including revoked and expired keys.
#[utoipa::path(tag = "API keys", responses((status = 200, body = Success<ApiKeysData>)))]
#[get("/api/iam/api-keys")]
pub(crate) async fn list_api_keys(call: Authorized<ManageCredentials>) -> ApiResult {
    ApiResponse::ok().data(ApiKeysData { api_keys: call.application().api_keys().await? })
}

/// The API key specified in the path.
pub(crate) struct OneApiKey(ApiKeyId);

impl Input for OneApiKey {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        request.path("id").map(Self)
    }
}

/// Returns an API key, without its secret.
#[utoipa::path(tag = "API keys", responses((status = 200, body = Success<ApiKeyData>), (status = 404)))]
#[get("/api/iam/api-keys/{id}")]
pub(crate) async fn get_api_key(call: Authorized<ManageCredentials, OneApiKey>) -> ApiResult {
    ApiResponse::ok().data(ApiKeyData { api_key: call.application().api_key(call.input.0).await? })
}

/// The API key to create.
///
/// If the request specifies a company (in the query, in a header, or as `companyId` in the body), the key is restricted
/// to that company. Otherwise, the key is valid for all companies and for the platform.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct NewKey {
    /// The display name of the key.
    name: Name,
    /// The role of the key, which determines what the service may do.
    role: ServiceRole,
    /// The key's own limit on its work, in cost units per second. Five times as many cost units may be used at once.
    /// Default, also for `null`: the setting for all API keys.
    requests_per_second: Option<RequestRate>,
    /// The time when the key expires. Default: never.
    #[schema(required = false)]
    expires_at: Timestamp,
}

/// The attributes of the API key to create.
pub(crate) struct Attributes {
    name: Name,
    role: ServiceRole,
    company: Option<CompanyId>,
    rate: Option<RequestRate>,
    expires_at: Option<Timestamp>,
}

impl Input for Attributes {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        // The company can be specified in the query, a header or the body.
        let company = request.company();
        let mut body = request.body()?;
        let (name, role) = (body.required("name"), body.required("role"));
        let rate = body.patch("requestsPerSecond");
        let expires_at = body.optional("expiresAt");
        let rate = match rate? {
            Patch::Set(rate) => Some(rate),
            Patch::Keep | Patch::Clear => None,
        };
        Some(Self { name: name?, role: role?, company, rate, expires_at: expires_at? })
    }
}

/// An API key that was just created.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CreatedKeyData {
    /// The stored attributes of the key.
    api_key: ApiKey,
    /// The API key itself, to be sent as `Authorization: Bearer iam_…`. It is returned only once.
    key: String,
}

/// An API key that an earlier request with the same idempotency key created.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AlreadyCreatedKeyData {
    /// The stored attributes of the key. The key itself is not returned again.
    api_key: ApiKey,
    /// Always `true`.
    already_created: bool,
}

/// Creates an API key. Only this response contains the key itself.
#[utoipa::path(
    tag = "API keys",
    request_body = NewKey,
    responses(
        (status = 201, body = Success<CreatedKeyData>),
        (status = 200, body = Success<AlreadyCreatedKeyData>),
        (status = 409, description = "The company has reached its quota of API keys"),
    ),
)]
#[post("/api/iam/api-keys")]
pub(crate) async fn create_api_key(call: Authorized<ManageCredentials, Attributes>) -> ApiResult {
    let Attributes { name, role, company, rate, expires_at } = &call.input;
    let NewApiKey { prefix, digest, secret } = NewApiKey::generate().map_err(ApiError::internal)?;
    let (name, role, company, rate, expires_at) = (name.clone(), *role, *company, *rate, *expires_at);
    let done = call.make(CreateApiKey { prefix, digest, name, role, company, rate, expires_at }).await?;
    let response = ApiResponse::created_once(done.is_repeated, &format!("/api/iam/api-keys/{}", done.value.id));
    if done.is_repeated {
        return response.data(AlreadyCreatedKeyData { api_key: done.value, already_created: true });
    }
    let key = secret.expose_secret().to_owned();
    response.data(CreatedKeyData { api_key: done.value, key })
}

impl Input for RevokeApiKey {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        Some(Self { id: request.path("id")? })
    }
}

/// Revokes an API key permanently.
///
/// While the database is available, every replica rejects the key after at most one lease (2 s by default).
#[utoipa::path(tag = "API keys", responses((status = 200, body = Success<Message>), (status = 404)))]
#[delete("/api/iam/api-keys/{id}")]
pub(crate) async fn revoke_api_key(call: Authorized<ManageCredentials, RevokeApiKey>) -> ApiResult {
    call.execute().await?;
    ApiResponse::ok().message("API key revoked successfully")
}
