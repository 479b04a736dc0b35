//! Companies as such: their modules, and provisioning. For super admins.

use actix_web::http::StatusCode;
use actix_web::{get, patch, post, put};
use iam_application::{ProvisionCompany, SetCompanyModules, SwitchCompanyModule};
use iam_domain::{GrantedModule, ModuleId, UserId};
use utoipa::ToSchema;

use super::data;
use crate::answer::{Answer, Message, Reply, Success};
use crate::call::{Guarded, Input, PlatformCompany, Reading};

data! {
    GrantedModulesData { modules as "modules": Vec<GrantedModule> }
    GrantedModuleData { module as "module": GrantedModule }
}

/// The modules of a company, switched on or off, by name.
#[utoipa::path(tag = "Companies", responses((status = 200, body = Success<GrantedModulesData>)))]
#[get("/api/iam/companies/{companyId}/modules")]
pub(crate) async fn get_company_modules(call: Guarded<PlatformCompany>) -> Answer {
    let modules = call.application().company_modules(call.company()?).await?;
    Reply::ok().etag(&modules)?.data(GrantedModulesData { modules })
}

/// The modules of a company.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct ModuleIds {
    /// All of them, each once.
    module_ids: Vec<ModuleId>,
}

impl Input for ModuleIds {
    fn read(reading: &mut Reading<'_>) -> Option<Self> {
        let module_ids = reading.body()?.list("moduleIds");
        Some(Self { module_ids: module_ids? })
    }
}

/// Makes these the modules of a company; those that it had keep their switch.
#[utoipa::path(
    tag = "Companies",
    request_body = ModuleIds,
    responses((status = 200, body = Success<Message>), (status = 412)),
)]
#[put("/api/iam/companies/{companyId}/modules")]
pub(crate) async fn set_company_modules(call: Guarded<PlatformCompany, ModuleIds>) -> Answer {
    let change = SetCompanyModules {
        company: call.company()?,
        modules: call.input.module_ids.clone(),
        if_match: call.if_match.clone(),
    };
    let done = call.application().execute(call.by(), change).await?;
    Reply::ok().version(done.versions).message("Company modules updated successfully")
}

/// A switch.
#[derive(ToSchema)]
pub(crate) struct Switch {
    enabled: bool,
}

/// Which module to switch how.
pub(crate) struct SwitchedModule(ModuleId, Switch);

impl Input for SwitchedModule {
    fn read(reading: &mut Reading<'_>) -> Option<Self> {
        let module = reading.path("moduleId");
        let enabled = reading.body()?.required("enabled");
        Some(Self(module?, Switch { enabled: enabled? }))
    }
}

/// Switches a module of a company on or off. `If-Match` takes the entity tag of the list of its modules.
#[utoipa::path(
    tag = "Companies",
    request_body = Switch,
    responses((status = 200, body = Success<GrantedModuleData>), (status = 404), (status = 412)),
)]
#[patch("/api/iam/companies/{companyId}/modules/{moduleId}")]
pub(crate) async fn switch_company_module(call: Guarded<PlatformCompany, SwitchedModule>) -> Answer {
    let SwitchedModule(module, Switch { enabled }) = call.input;
    let company = call.company()?;
    let change = SwitchCompanyModule { company, module, enabled, if_match: call.if_match.clone() };
    let done = call.application().execute(call.by(), change).await?;
    let module = call.application().company_module(company, module).await?;
    Reply::ok().version(done.versions).data(GrantedModuleData { module })
}

/// Who becomes admin.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct Provision {
    /// On a company that is provisioned, it counts only if nobody can administer it.
    admin_user_id: Option<UserId>,
}

impl Input for Provision {
    fn read(reading: &mut Reading<'_>) -> Option<Self> {
        let admin_user_id = match reading.optional_body()? {
            Some(mut body) => body.optional("adminUserId")?,
            None => None,
        };
        Some(Self { admin_user_id })
    }
}

/// Gives a company the module `core` and the levels Admin, Member and Visitor, once.
#[utoipa::path(
    tag = "Companies",
    request_body = Option<Provision>,
    responses(
        (status = 201, body = Success<Message>),
        (status = 200, body = Success<Message>, description = "It was provisioned before"),
    ),
)]
#[post("/api/iam/companies/{companyId}/provision")]
pub(crate) async fn provision_company(call: Guarded<PlatformCompany, Provision>) -> Answer {
    let change = ProvisionCompany { company: call.company()?, admin: call.input.admin_user_id };
    let done = call.application().execute(call.by(), change).await?;
    let (status, message) = if done.value {
        (StatusCode::CREATED, "Company provisioned successfully")
    } else {
        (StatusCode::OK, "Company was already provisioned")
    };
    Reply::with(status).version(done.versions).message(message)
}
