//! Manages the views of the catalog.

use actix_web::{delete, get, patch, post};
use iam_application::{CreateView, DeleteView, UpdateView};
use iam_domain::{Category, Description, Icon, Name, View, ViewId, ViewUrl};
use utoipa::ToSchema;

use super::data;
use crate::extract::{Authorized, Input, Platform, ReadCatalog, RequestReader};
use crate::respond::{ApiResponse, ApiResult, Message, Success};

data! {
    /// The views, sorted by URL.
    ViewsData { views: Vec<View> }
    /// The view.
    ViewData { view: View }
    /// The views after the change, sorted by URL.
    SetViewsData { views: Vec<View>, message }
}

/// The view specified in the path.
pub(crate) struct OneView(ViewId);

impl Input for OneView {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        request.path("id").map(Self)
    }
}

/// Lists all views, sorted by URL.
#[utoipa::path(tag = "Catalog", responses((status = 200, body = Success<ViewsData>)))]
#[get("/api/iam/views")]
pub(crate) async fn list_views(call: Authorized<ReadCatalog>) -> ApiResult {
    let views = call.application().views().await?;
    ApiResponse::ok().data(ViewsData { views })
}

/// Returns a view.
#[utoipa::path(tag = "Catalog", responses((status = 200, body = Success<ViewData>), (status = 404)))]
#[get("/api/iam/views/{id}")]
pub(crate) async fn get_view(call: Authorized<ReadCatalog, OneView>) -> ApiResult {
    let view = call.application().view(call.input.0).await?;
    ApiResponse::ok().etag(&view)?.data(ViewData { view })
}

/// The view to create.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct NewView {
    /// The display name.
    name: Name,
    /// The unique URL. It must not have the form of a UUID.
    url: ViewUrl,
    /// The category.
    #[schema(required = false)]
    category: Category,
    /// The description.
    #[schema(required = false)]
    description: Description,
    /// The icon name, as defined by the client.
    #[schema(required = false)]
    icon: Icon,
    /// Whether the view requires permission. `false` makes the view public. Default: `true`.
    #[schema(required = false)]
    requires_auth: bool,
}

impl Input for CreateView {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let mut body = request.body()?;
        let (name, url) = (body.required("name"), body.required("url"));
        let (category, description) = (body.optional("category"), body.optional("description"));
        let (icon, requires_auth) = (body.optional("icon"), body.or("requiresAuth", true));
        Some(Self {
            name: name?,
            url: url?,
            category: category?,
            description: description?,
            icon: icon?,
            requires_auth: requires_auth?,
        })
    }
}

/// Creates a view.
#[utoipa::path(
    tag = "Catalog",
    request_body = NewView,
    responses((status = 201, body = Success<ViewData>), (status = 409, description = "The URL is already in use")),
)]
#[post("/api/iam/views")]
pub(crate) async fn create_view(call: Authorized<Platform, CreateView>) -> ApiResult {
    let done = call.execute().await?;
    let location = format!("/api/iam/views/{}", done.value.id);
    ApiResponse::created_once(done.is_repeated, &location)
        .commit(done.stamp)
        .etag(&done.value)?
        .data(ViewData { view: done.value })
}

/// A partial update of a view. Omitted fields remain unchanged, and `null` clears an optional string.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct ViewPatch {
    /// The new display name.
    #[schema(required = false)]
    name: Name,
    /// The new unique URL.
    #[schema(required = false)]
    url: ViewUrl,
    /// The new category.
    category: Option<Category>,
    /// The new description.
    description: Option<Description>,
    /// The new icon name, as defined by the client.
    icon: Option<Icon>,
    /// Whether the view requires permission. `false` makes the view public.
    #[schema(required = false)]
    requires_auth: bool,
}

impl Input for UpdateView {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let id = request.path("id");
        let if_match = request.if_match();
        let mut body = request.body()?;
        let (name, url) = (body.optional("name"), body.optional("url"));
        let (category, description) = (body.patch("category"), body.patch("description"));
        let (icon, requires_auth) = (body.patch("icon"), body.optional("requiresAuth"));
        Some(Self {
            if_match,
            id: id?,
            name: name?,
            url: url?,
            category: category?,
            description: description?,
            icon: icon?,
            requires_auth: requires_auth?,
        })
    }
}

/// Updates a view.
#[utoipa::path(
    tag = "Catalog",
    request_body = ViewPatch,
    responses((status = 200, body = Success<ViewData>), (status = 404), (status = 409), (status = 412)),
)]
#[patch("/api/iam/views/{id}")]
pub(crate) async fn update_view(call: Authorized<Platform, UpdateView>) -> ApiResult {
    let done = call.execute().await?;
    ApiResponse::ok().commit(done.stamp).etag(&done.value)?.data(ViewData { view: done.value })
}

impl Input for DeleteView {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        Some(Self { id: request.path("id")?, if_match: request.if_match() })
    }
}

/// Deletes a view, including its permissions and mappings.
///
/// A view that a menu item uses cannot be deleted (409).
#[utoipa::path(
    tag = "Catalog",
    responses((status = 200, body = Success<Message>), (status = 404), (status = 409), (status = 412)),
)]
#[delete("/api/iam/views/{id}")]
pub(crate) async fn delete_view(call: Authorized<Platform, DeleteView>) -> ApiResult {
    let done = call.execute().await?;
    ApiResponse::ok().commit(done.stamp).message("View deleted successfully")
}
