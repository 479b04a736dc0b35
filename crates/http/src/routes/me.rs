//! Describes the caller: its identity and memberships, and the catalog of its company.

use actix_web::get;
use iam_application::PageRequest;
use iam_domain::{ApiKeyId, Caller, CompanyId, ExternalId, Service, ServiceRole, UserId, UserLevel};
use iam_permissions_cache::AvailableCatalog;
use serde::Serialize;
use utoipa::ToSchema;

use crate::extract::{Authorized, Member, Myself};
use crate::respond::{ApiResponse, ApiResult, Success};

/// The levels that the caller holds in one company.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MembershipData {
    /// The company.
    company_id: CompanyId,
    /// The levels, sorted by name.
    user_levels: Vec<UserLevel>,
}

/// The caller: a user who authenticates with a token, or a service that authenticates with an API key.
#[derive(Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub(crate) enum Me {
    /// A user.
    #[serde(rename_all = "camelCase")]
    User {
        /// The id of the user.
        id: UserId,
        /// The external id (`issuer|subject`). `null` for users of the native issuer.
        #[schema(value_type = Option<String>, required = true)]
        external_id: Option<ExternalId>,
        /// The URL-safe form of the external id.
        #[schema(required = true)]
        path_id: Option<String>,
        /// Whether the user is a super admin.
        super_admin: bool,
        /// A page of the companies in which the user holds levels, sorted by id.
        companies: Vec<MembershipData>,
        /// The cursor of the next page (keyset pagination). `null` on the last page.
        #[schema(required = true)]
        next_cursor: Option<String>,
    },
    /// A service.
    #[serde(rename_all = "camelCase")]
    Service {
        /// The id of the API key.
        id: ApiKeyId,
        /// The role of the API key.
        role: ServiceRole,
        /// The company to which the API key is restricted. `null` if it is valid for all companies.
        #[schema(required = true)]
        company_id: Option<CompanyId>,
    },
}

/// Returns the caller: its identity, whether it is a super admin, and its levels in each company.
///
/// The request need not specify a company. The levels are read from the storage. Therefore, they reflect every earlier
/// change, regardless of `X-IAM-Min-Version`.
#[utoipa::path(
    tag = "Caller",
    params(
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 200, description = "The page size. Default: 50"),
        ("cursor" = Option<String>, Query, description = "The nextCursor of the previous page"),
    ),
    responses((status = 200, body = Success<Me>)),
)]
#[get("/api/iam/me")]
pub(crate) async fn get_me(call: Authorized<Myself, PageRequest>) -> ApiResult {
    let (id, is_super_admin) = match call.caller() {
        Caller::User { id, is_super_admin } => (id, is_super_admin),
        Caller::Service(Service { key, role, company, .. }) => {
            return ApiResponse::ok().data(Me::Service { id: key, role, company_id: company });
        }
    };
    let page = call.application().memberships(call.caller(), id, &call.input).await?;
    let membership =
        |of: iam_application::Membership| MembershipData { company_id: of.company, user_levels: of.levels };
    let external_id = call.external_id().cloned();
    ApiResponse::ok().data(Me::User {
        id,
        path_id: external_id.as_ref().map(ExternalId::path_id),
        external_id,
        super_admin: is_super_admin,
        companies: page.elements.into_iter().map(membership).collect(),
        next_cursor: page.next_cursor,
    })
}

/// Returns the views and features that are available in the caller's company.
///
/// These are the views and the enabled features of modules that the company has, and those that belong to no module,
/// except the views and actions that a ceiling of the company permits to no user.
/// They do not depend on the caller's permissions.
#[utoipa::path(tag = "Decisions", responses((status = 200, body = Success<AvailableCatalog>)))]
#[get("/api/iam/me/catalog")]
pub(crate) async fn get_my_catalog(call: Authorized<Member>) -> ApiResult {
    let access = call.application().own_access(&call.decision_context()?).await?;
    ApiResponse::ok().freshness_headers(&access).data(access.available_catalog())
}
