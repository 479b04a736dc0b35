//! Manages the directory of companies, for super admins: creates, reads, changes and erases companies.

use std::collections::BTreeMap;

use actix_web::{delete, get, patch, post};
use iam_application::{Company, CreateCompany, IfMatch, UpdateCompany};
use iam_domain::{CompanyId, CompanyStatus, GrantedModule, ModuleId, Name, Timestamp, UserId};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::data;
use crate::extract::{Authorized, Input, Platform, PlatformCompany, RequestReader};
use crate::respond::{ApiResponse, ApiResult, Success};

/// The numbers of some entities of a company.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CompanyCounts {
    /// The number of levels.
    user_levels: u64,
    /// The number of menu items and sub-items.
    menu_items: u64,
    /// The number of API keys that are restricted to the company and not revoked.
    api_keys: u64,
}

/// A company.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CompanyView {
    /// The id of the company.
    id: CompanyId,
    /// The display name of the company. `null` until a super admin sets it.
    #[schema(required = true)]
    name: Option<Name>,
    /// The status of the company.
    status: CompanyStatus,
    /// The time when the company was provisioned. `null` if it was not.
    #[schema(required = true)]
    provisioned_at: Option<Timestamp>,
    /// The modules of the company, sorted by name.
    modules: Vec<GrantedModule>,
    /// The numbers of some entities of the company.
    counts: CompanyCounts,
}

impl From<Company> for CompanyView {
    fn from(company: Company) -> Self {
        let Company { id, details, provisioned_at, modules, levels, menu_items, api_keys } = company;
        let counts = CompanyCounts { user_levels: levels, menu_items, api_keys };
        Self { id, name: details.name, status: details.status, provisioned_at, modules, counts }
    }
}

data! {
    /// The company.
    CompanyData { company: CompanyView }
    /// The number of deleted rows of each table.
    ErasedData { rows: BTreeMap<&'static str, u64>, message }
}

/// Returns a company: its name, its status, its modules, and the numbers of some of its entities.
///
/// A company exists as soon as it was changed or provisioned. The entity tag identifies the name and the status.
#[utoipa::path(tag = "Companies", responses((status = 200, body = Success<CompanyData>), (status = 404)))]
#[get("/api/iam/companies/{companyId}")]
pub(crate) async fn get_company(call: Authorized<PlatformCompany>) -> ApiResult {
    let company = call.application().company(call.company()?).await?;
    ApiResponse::ok().etag(&company.details)?.data(CompanyData { company: company.into() })
}

/// A new company.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct NewCompany {
    /// The id of the company. Default: a random id.
    #[schema(value_type = String, format = "uuid", required = false)]
    id: CompanyId,
    /// The display name of the company.
    name: Name,
    /// The ids of the company's modules in addition to the module `core`, without duplicates.
    #[schema(required = false)]
    module_ids: Vec<ModuleId>,
    /// The user to whom the level Admin is assigned.
    #[schema(value_type = String, required = false)]
    admin_user_id: UserId,
}

impl Input for CreateCompany {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let mut body = request.body()?;
        let (id, name) = (body.optional("id"), body.required("name"));
        let (modules, admin) = (body.optional_list("moduleIds"), body.user("adminUserId"));
        Some(Self {
            company: id?.unwrap_or_else(|| CompanyId::from_uuid(Uuid::new_v4())),
            name: name?,
            modules: modules?.unwrap_or_default(),
            admin: admin?,
        })
    }
}

/// Creates a company and provisions it: adds the module `core` and the given modules, creates the levels Admin, Member
/// and Visitor, and assigns the level Admin to the first administrator.
#[utoipa::path(
    tag = "Companies",
    request_body = NewCompany,
    responses(
        (status = 201, body = Success<CompanyData>),
        (
            status = 409,
            description = "A company with this id is already provisioned or was erased, or the company has reached a \
                quota",
        ),
    ),
)]
#[post("/api/iam/companies")]
pub(crate) async fn create_company(call: Authorized<Platform, CreateCompany>) -> ApiResult {
    let done = call.execute().await?;
    let location = format!("/api/iam/companies/{}", done.value.id);
    let response = ApiResponse::created_once(done.is_repeated, &location);
    let response = response.commit(done.stamp).etag(&done.value.details)?;
    response.data(CompanyData { company: done.value.into() })
}

/// A partial update of a company. Omitted fields remain unchanged.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct CompanyPatch {
    /// The new display name.
    #[schema(required = false)]
    name: Name,
    /// The new status. While a company is suspended, every decision about its users is a denial.
    #[schema(required = false)]
    status: CompanyStatus,
}

impl Input for UpdateCompany {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let (company, if_match) = (request.company(), request.if_match());
        let mut body = request.body()?;
        let (name, status) = (body.optional("name"), body.optional("status"));
        Some(Self { company: company?, name: name?, status: status?, if_match })
    }
}

/// Changes the name or the status of a company.
///
/// While a company is suspended, every decision about a user who holds a level is a denial with the reason code
/// `company_suspended`, and only super admins, and services with a platform key, can administer the company. `If-Match` is
/// compared with the entity tag of the name and the status.
#[utoipa::path(
    tag = "Companies",
    request_body = CompanyPatch,
    responses((status = 200, body = Success<CompanyData>), (status = 404), (status = 409), (status = 412)),
)]
#[patch("/api/iam/companies/{companyId}")]
pub(crate) async fn update_company(call: Authorized<PlatformCompany, UpdateCompany>) -> ApiResult {
    let done = call.execute().await?;
    let response = ApiResponse::ok().commit(done.stamp).etag(&done.value.details)?;
    response.data(CompanyData { company: done.value.into() })
}

/// The precondition of an erasure.
pub(crate) struct Erasure(IfMatch);

impl Input for Erasure {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        Some(Self(request.if_match()))
    }
}

/// Erases a suspended company.
///
/// The operation revokes the API keys of the company, and then deletes all its data, including its audit log. It cannot
/// be undone. The audit log of the platform records the numbers of deleted rows. The id of the company can never be used
/// again.
#[utoipa::path(
    tag = "Companies",
    responses(
        (status = 200, body = Success<ErasedData>),
        (status = 404),
        (status = 409, description = "The company is not suspended, or was already erased"),
        (status = 412),
    ),
)]
#[delete("/api/iam/companies/{companyId}")]
pub(crate) async fn erase_company(call: Authorized<PlatformCompany, Erasure>) -> ApiResult {
    let Erasure(if_match) = &call.input;
    let done = call.application().erase_company(call.context(), call.company()?, if_match.clone()).await?;
    let data = ErasedData { message: "Company erased successfully", rows: done.value.0 };
    ApiResponse::ok().commit(done.stamp).data(data)
}
