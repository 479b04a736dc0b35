//! Manages the modules of companies and provisions companies, for super admins.

use actix_web::{get, patch, post, put};
use iam_application::{
    FieldCode, ProvisionCompany, Provisioned, ProvisionedAdmin, SetCompanyModules, SwitchCompanyModule, SwitchedModule,
};
use iam_domain::{GrantedModule, ModuleId, UserId, UserLevel};
use utoipa::ToSchema;

use super::data;
use crate::extract::{Authorized, Input, PlatformCompany, RequestReader};
use crate::respond::{ApiResponse, ApiResult, Success};

data! {
    /// The modules of the company, sorted by name.
    GrantedModulesData { modules: Vec<GrantedModule> }
    /// The module of the company.
    GrantedModuleData { module: GrantedModule }
    /// The modules of the company after the change, sorted by name.
    SetModulesData { modules: Vec<GrantedModule>, message }
    /// All levels of the company, sorted by name.
    ProvisionedData { user_levels: Vec<UserLevel>, message }
}

/// Lists the modules of a company, sorted by name, each with its `enabled` flag.
#[utoipa::path(tag = "Companies", responses((status = 200, body = Success<GrantedModulesData>)))]
#[get("/api/iam/companies/{companyId}/modules")]
pub(crate) async fn get_company_modules(call: Authorized<PlatformCompany>) -> ApiResult {
    let modules = call.application().company_modules(call.company()?).await?;
    ApiResponse::ok().etag(&modules)?.data(GrantedModulesData { modules })
}

/// A request to replace the modules of a company.
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
    responses((status = 200, body = Success<SetModulesData>), (status = 412)),
)]
#[put("/api/iam/companies/{companyId}/modules")]
pub(crate) async fn set_company_modules(call: Authorized<PlatformCompany, SetCompanyModules>) -> ApiResult {
    let done = call.execute().await?;
    let data = SetModulesData { message: "Company modules updated successfully", modules: done.value };
    ApiResponse::ok().commit(done.stamp).etag(&data.modules)?.data(data)
}

/// A request to enable or disable a module of a company.
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
/// `If-Match` is compared with the entity tag of the company's module list, which the response also contains.
#[utoipa::path(
    tag = "Companies",
    request_body = Switch,
    responses((status = 200, body = Success<GrantedModuleData>), (status = 404), (status = 412)),
)]
#[patch("/api/iam/companies/{companyId}/modules/{moduleId}")]
pub(crate) async fn switch_company_module(call: Authorized<PlatformCompany, SwitchCompanyModule>) -> ApiResult {
    let done = call.execute().await?;
    let SwitchedModule { module, modules } = done.value;
    ApiResponse::ok().commit(done.stamp).etag(&modules)?.data(GrantedModuleData { module })
}

/// The options for provisioning a company.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct Provision {
    /// The user to whom the level Admin is assigned. If the company is already provisioned, the level is assigned only
    /// if `restoreAdmin` is `true`.
    #[schema(value_type = String, required = false)]
    admin_user_id: UserId,
    /// Whether the user becomes an administrator of a company that is already provisioned. The request is then rejected
    /// with 409 if another user of the company holds Approve on `iam.assign_permissions`. Only super admins may set it
    /// to `true`, and `adminUserId` is then required.
    #[schema(required = false, default = false)]
    restore_admin: bool,
}

impl Input for ProvisionCompany {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let company = request.company();
        let admin = match request.optional_body()? {
            Some(mut body) => {
                let (user, restores) = (body.user("adminUserId"), body.or("restoreAdmin", false));
                match (user?, restores?) {
                    (Some(user), restores) => Some(ProvisionedAdmin { user, restores }),
                    (None, false) => None,
                    (None, true) => {
                        return body.reject("adminUserId", FieldCode::Required, "is required if restoreAdmin is true");
                    }
                }
            }
            None => None,
        };
        Some(Self { company: company?, admin })
    }
}

/// Provisions a company: adds the module `core`, and creates the levels Admin, Member and Visitor.
///
/// The operation is idempotent. Repeating it does not restore levels, modules or assignments that were changed after
/// the first provisioning. With `restoreAdmin`, it restores the administration of a company in which no user holds
/// Approve on `iam.assign_permissions`: it completes or re-creates the level Admin, and assigns it to `adminUserId`.
#[utoipa::path(
    tag = "Companies",
    request_body = Option<Provision>,
    responses(
        (status = 201, body = Success<ProvisionedData>),
        (status = 200, body = Success<ProvisionedData>, description = "The company is already provisioned"),
        (
            status = 409,
            description = "A user of the company still holds Approve on `iam.assign_permissions`, or the company has \
                reached a quota",
        ),
    ),
)]
#[post("/api/iam/companies/{companyId}/provision")]
pub(crate) async fn provision_company(call: Authorized<PlatformCompany, ProvisionCompany>) -> ApiResult {
    let company = call.company()?;
    let done = call.execute().await?;
    let Provisioned { is_new, levels: user_levels } = done.value;
    let (response, message) = if is_new {
        let location = format!("/api/iam/user-levels?companyId={company}");
        (ApiResponse::created(&location), "Company provisioned successfully")
    } else {
        (ApiResponse::ok(), "Company was already provisioned")
    };
    response.commit(done.stamp).data(ProvisionedData { message, user_levels })
}
