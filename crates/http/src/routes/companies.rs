//! Manages the modules of companies and provisions companies, for super admins.

use actix_web::http::StatusCode;
use actix_web::{get, patch, post, put};
use iam_application::{ProvisionCompany, SetCompanyModules, SwitchCompanyModule};
use iam_domain::{GrantedModule, ModuleId, UserId};
use utoipa::ToSchema;

use super::data;
use crate::extract::{Authorized, Input, PlatformCompany, RequestReader};
use crate::respond::{ApiResponse, ApiResult, Message, Success};

data! {
    /// The modules of the company, sorted by name.
    GrantedModulesData { modules: Vec<GrantedModule> }
    /// The module of the company.
    GrantedModuleData { module: GrantedModule }
}

/// Lists the modules of a company, sorted by name, each with its `enabled` flag.
#[utoipa::path(tag = "Companies", responses((status = 200, body = Success<GrantedModulesData>)))]
#[get("/api/iam/companies/{companyId}/modules")]
pub(crate) async fn get_company_modules(call: Authorized<PlatformCompany>) -> ApiResult {
    let modules = call.application().company_modules(call.company()?).await?;
    ApiResponse::ok().etag(&modules)?.data(GrantedModulesData { modules })
}

/// The requested modules of a company.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct ModuleIds {
    /// The ids of all modules that the company has after the change, without duplicates.
    module_ids: Vec<ModuleId>,
}

impl Input for SetCompanyModules {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let (company, if_match) = (request.company(), request.if_match());
        let modules = request.body()?.list("moduleIds");
        Some(Self { company: company?, modules: modules?, if_match })
    }
}

/// Replaces the modules of a company. A module that the company already has retains its `enabled` flag.
#[utoipa::path(
    tag = "Companies",
    request_body = ModuleIds,
    responses((status = 200, body = Success<Message>), (status = 412)),
)]
#[put("/api/iam/companies/{companyId}/modules")]
pub(crate) async fn set_company_modules(call: Authorized<PlatformCompany, SetCompanyModules>) -> ApiResult {
    let done = call.execute().await?;
    ApiResponse::ok().commit(done.stamp).message("Company modules updated successfully")
}

/// The requested value of the `enabled` flag of a company's module.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct Switch {
    /// Whether the module is enabled for the company.
    enabled: bool,
}

impl Input for SwitchCompanyModule {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let (company, if_match) = (request.company(), request.if_match());
        let module = request.path("moduleId");
        let enabled = request.body()?.required("enabled");
        Some(Self { company: company?, module: module?, enabled: enabled?, if_match })
    }
}

/// Enables or disables a module of a company.
///
/// `If-Match` is compared with the entity tag of the company's module list.
#[utoipa::path(
    tag = "Companies",
    request_body = Switch,
    responses((status = 200, body = Success<GrantedModuleData>), (status = 404), (status = 412)),
)]
#[patch("/api/iam/companies/{companyId}/modules/{moduleId}")]
pub(crate) async fn switch_company_module(call: Authorized<PlatformCompany, SwitchCompanyModule>) -> ApiResult {
    let done = call.execute().await?;
    ApiResponse::ok().commit(done.stamp).data(GrantedModuleData { module: done.value })
}

/// The options for provisioning a company.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct Provision {
    /// The user to whom the level Admin is assigned. If the company is already provisioned, the level is assigned only
    /// if the company has no administrator.
    #[schema(value_type = String, required = false)]
    admin_user_id: UserId,
}

impl Input for ProvisionCompany {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let company = request.company();
        let admin = match request.optional_body()? {
            Some(mut body) => body.user("adminUserId")?,
            None => None,
        };
        Some(Self { company: company?, admin })
    }
}

/// Provisions a company: adds the module `core`, and creates the levels Admin, Member and Visitor.
///
/// The operation is idempotent. Repeating it does not restore levels or modules that were renamed or removed after the
/// first provisioning.
#[utoipa::path(
    tag = "Companies",
    request_body = Option<Provision>,
    responses(
        (status = 201, body = Success<Message>),
        (status = 200, body = Success<Message>, description = "The company is already provisioned"),
        (status = 409, description = "No level of the company has the permissions to administer it"),
    ),
)]
#[post("/api/iam/companies/{companyId}/provision")]
pub(crate) async fn provision_company(call: Authorized<PlatformCompany, ProvisionCompany>) -> ApiResult {
    let done = call.execute().await?;
    let (status, message) = if done.value {
        (StatusCode::CREATED, "Company provisioned successfully")
    } else {
        (StatusCode::OK, "Company was already provisioned")
    };
    ApiResponse::with(status).commit(done.stamp).message(message)
}
