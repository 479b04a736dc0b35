//! Manages the modules of the catalog, and the views and features that they gate.

use actix_web::{delete, get, patch, post, put};
use iam_application::{CreateModule, DeleteModule, SetModuleFeatures, SetModuleViews, UpdateModule};
use iam_domain::{Description, FeatureId, Icon, Module, ModuleCode, ModuleId, Name, Priority, ViewId};
use utoipa::ToSchema;

use super::features::{FeaturesData, SetFeaturesData};
use super::views::{SetViewsData, ViewsData};
use super::{data, flag};
use crate::extract::{Authorized, Input, Platform, ReadCatalog, RequestReader};
use crate::respond::{ApiResponse, ApiResult, Message, Success};

data! {
    /// The modules, sorted by name.
    ModulesData { modules: Vec<Module> }
    /// The module.
    ModuleData { module: Module }
}

/// The module specified in the path.
pub(crate) struct OneModule(ModuleId);

impl Input for OneModule {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        request.path("id").map(Self)
    }
}

/// Lists all modules, sorted by name.
#[utoipa::path(tag = "Catalog", responses((status = 200, body = Success<ModulesData>)))]
#[get("/api/iam/modules")]
pub(crate) async fn list_modules(call: Authorized<ReadCatalog>) -> ApiResult {
    let modules = call.application().modules().await?;
    ApiResponse::ok().data(ModulesData { modules })
}

/// Returns a module.
#[utoipa::path(tag = "Catalog", responses((status = 200, body = Success<ModuleData>), (status = 404)))]
#[get("/api/iam/modules/{id}")]
pub(crate) async fn get_module(call: Authorized<ReadCatalog, OneModule>) -> ApiResult {
    let module = call.application().module(call.input.0).await?;
    ApiResponse::ok().etag(&module)?.data(ModuleData { module })
}

/// The module to create.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct NewModule {
    /// The unique code of the module.
    code: ModuleCode,
    /// The display name.
    name: Name,
    /// The description.
    #[schema(required = false)]
    description: Description,
    /// The icon name, as defined by the client.
    #[schema(required = false)]
    icon: Icon,
    /// Whether the module is enabled. `false` disables it for every company. Default: `true`.
    #[schema(required = false)]
    enabled: bool,
    /// The priority of the module. Default: `standard`.
    #[schema(required = false)]
    priority: Priority,
}

impl Input for CreateModule {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let mut body = request.body()?;
        let (code, name) = (body.required("code"), body.required("name"));
        let (description, icon) = (body.optional("description"), body.optional("icon"));
        let (enabled, priority) = (body.or("enabled", true), body.or("priority", Priority::Standard));
        Some(Self {
            code: code?,
            name: name?,
            description: description?,
            icon: icon?,
            enabled: enabled?,
            priority: priority?,
        })
    }
}

/// Creates a module.
#[utoipa::path(
    tag = "Catalog",
    request_body = NewModule,
    responses((status = 201, body = Success<ModuleData>), (status = 409, description = "The code is already in use")),
)]
#[post("/api/iam/modules")]
pub(crate) async fn create_module(call: Authorized<Platform, CreateModule>) -> ApiResult {
    let done = call.execute().await?;
    let location = format!("/api/iam/modules/{}", done.value.id);
    ApiResponse::created_once(done.is_repeated, &location)
        .commit(done.stamp)
        .etag(&done.value)?
        .data(ModuleData { module: done.value })
}

/// A partial update of a module. Omitted fields remain unchanged, and `null` clears an optional string.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct ModulePatch {
    /// The new unique code.
    #[schema(required = false)]
    code: ModuleCode,
    /// The new display name.
    #[schema(required = false)]
    name: Name,
    /// The new description.
    description: Option<Description>,
    /// The new icon name, as defined by the client.
    icon: Option<Icon>,
    /// Whether the module is enabled for all companies.
    #[schema(required = false)]
    enabled: bool,
    /// The new priority of the module.
    #[schema(required = false)]
    priority: Priority,
}

impl Input for UpdateModule {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let id = request.path("id");
        let if_match = request.if_match();
        let mut body = request.body()?;
        let (code, name) = (body.optional("code"), body.optional("name"));
        let (description, icon) = (body.patch("description"), body.patch("icon"));
        let (enabled, priority) = (body.optional("enabled"), body.optional("priority"));
        Some(Self {
            if_match,
            id: id?,
            code: code?,
            name: name?,
            description: description?,
            icon: icon?,
            enabled: enabled?,
            priority: priority?,
        })
    }
}

/// Updates a module.
#[utoipa::path(
    tag = "Catalog",
    request_body = ModulePatch,
    responses((status = 200, body = Success<ModuleData>), (status = 404), (status = 409), (status = 412)),
)]
#[patch("/api/iam/modules/{id}")]
pub(crate) async fn update_module(call: Authorized<Platform, UpdateModule>) -> ApiResult {
    let done = call.execute().await?;
    ApiResponse::ok().commit(done.stamp).etag(&done.value)?.data(ModuleData { module: done.value })
}

/// The confirmation that is required if the deletion makes views or features available to all companies.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct Ungate {
    /// Confirms that views and features may become available to all companies if no other module gates them. Default:
    /// `false`.
    #[schema(required = false)]
    ungate: bool,
}

impl Input for DeleteModule {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let id = request.path("id");
        let in_query = flag(request, "ungate")?;
        let in_body = match request.optional_body()? {
            Some(mut body) => body.or("ungate", false)?,
            None => false,
        };
        Some(Self { id: id?, ungate: in_query || in_body, if_match: request.if_match() })
    }
}

/// Deletes a module, including its mappings to views, features and companies.
///
/// If the deletion makes views or features available to all companies, `ungate` must be `true`. Otherwise, the response
/// is 409.
#[utoipa::path(
    tag = "Catalog",
    params(("ungate" = Option<bool>, Query, description = "Equivalent to ungate in the body")),
    request_body = Option<Ungate>,
    responses((status = 200, body = Success<Message>), (status = 404), (status = 409), (status = 412)),
)]
#[delete("/api/iam/modules/{id}")]
pub(crate) async fn delete_module(call: Authorized<Platform, DeleteModule>) -> ApiResult {
    let done = call.execute().await?;
    ApiResponse::ok().commit(done.stamp).message("Module deleted successfully")
}

/// Lists the views that a module gates, sorted by URL.
#[utoipa::path(tag = "Catalog", responses((status = 200, body = Success<ViewsData>), (status = 404)))]
#[get("/api/iam/modules/{id}/views")]
pub(crate) async fn get_module_views(call: Authorized<ReadCatalog, OneModule>) -> ApiResult {
    let views = call.application().module_views(call.input.0).await?;
    ApiResponse::ok().etag(&views)?.data(ViewsData { views })
}

/// A request to replace the views that a module gates.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct ModuleViewIds {
    /// The ids of all views that the module gates after the change, without duplicates.
    view_ids: Vec<ViewId>,
    /// Confirms that the removed views may become available to all companies if no other module gates them. Default:
    /// `false`.
    #[schema(required = false)]
    ungate: bool,
}

impl Input for SetModuleViews {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let (module, if_match) = (request.path("id"), request.if_match());
        let mut body = request.body()?;
        let (views, ungate) = (body.list("viewIds"), body.or("ungate", false));
        Some(Self { module: module?, views: views?, ungate: ungate?, if_match })
    }
}

/// Replaces the views that a module gates.
#[utoipa::path(
    tag = "Catalog",
    request_body = ModuleViewIds,
    responses((status = 200, body = Success<SetViewsData>), (status = 404), (status = 409), (status = 412)),
)]
#[put("/api/iam/modules/{id}/views")]
pub(crate) async fn set_module_views(call: Authorized<Platform, SetModuleViews>) -> ApiResult {
    let done = call.execute().await?;
    let data = SetViewsData { message: "Module views updated successfully", views: done.value };
    ApiResponse::ok().commit(done.stamp).etag(&data.views)?.data(data)
}

/// Lists the features that a module gates, sorted by key. Features without a key are last.
#[utoipa::path(tag = "Catalog", responses((status = 200, body = Success<FeaturesData>), (status = 404)))]
#[get("/api/iam/modules/{id}/features")]
pub(crate) async fn get_module_features(call: Authorized<ReadCatalog, OneModule>) -> ApiResult {
    let features = call.application().module_features(call.input.0).await?;
    ApiResponse::ok().etag(&features)?.data(FeaturesData { features })
}

/// A request to replace the features that a module gates.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct ModuleFeatureIds {
    /// The ids of all features that the module gates after the change, without duplicates.
    feature_ids: Vec<FeatureId>,
    /// Confirms that the removed features may become available to all companies if no other module gates them. Default:
    /// `false`.
    #[schema(required = false)]
    ungate: bool,
}

impl Input for SetModuleFeatures {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let (module, if_match) = (request.path("id"), request.if_match());
        let mut body = request.body()?;
        let (features, ungate) = (body.list("featureIds"), body.or("ungate", false));
        Some(Self { module: module?, features: features?, ungate: ungate?, if_match })
    }
}

/// Replaces the features that a module gates.
#[utoipa::path(
    tag = "Catalog",
    request_body = ModuleFeatureIds,
    responses((status = 200, body = Success<SetFeaturesData>), (status = 404), (status = 409), (status = 412)),
)]
#[put("/api/iam/modules/{id}/features")]
pub(crate) async fn set_module_features(call: Authorized<Platform, SetModuleFeatures>) -> ApiResult {
    let done = call.execute().await?;
    let data = SetFeaturesData { message: "Module features updated successfully", features: done.value };
    ApiResponse::ok().commit(done.stamp).etag(&data.features)?.data(data)
}
