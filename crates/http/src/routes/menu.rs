//! Manages the menu. If the request specifies a company, that company owns the item. Otherwise, all companies share the
//! item.

use actix_web::{delete, get, patch, post};
use iam_application::{
    CreateMenuItem, CreateSubMenuItem, DeleteMenuItem, DeleteSubMenuItem, UpdateMenuItem, UpdateSubMenuItem,
};
use iam_domain::{
    CompanyId, FeatureId, FeatureKey, Icon, Label, MenuItem, MenuItemId, Priority, SubMenuItem, SubMenuItemId, ViewId,
};
use utoipa::ToSchema;

use super::data;
use crate::extract::{Authorized, Input, Platform, ReadCatalog, RequestReader};
use crate::respond::{ApiResponse, ApiResult, Message, Success};

data! {
    /// The menu items, sorted by sort order, label and id.
    MenuItemsData { menu_items: Vec<MenuItem> }
    /// The menu item.
    MenuItemData { menu_item: MenuItem }
    /// The sub-items, sorted by sort order, label and id.
    SubMenuItemsData { sub_menu_items: Vec<SubMenuItem> }
    /// The sub-item.
    SubMenuItemData { sub_menu_item: SubMenuItem }
}

/// Returns the URL of a menu item or sub-item. If it belongs to a company, the URL contains the company id.
fn located(path: String, company: Option<CompanyId>) -> String {
    company.map_or_else(|| path.clone(), |company| format!("{path}?companyId={company}"))
}

/// The menu item specified in the path.
pub(crate) struct OneMenuItem(MenuItemId);

impl Input for OneMenuItem {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        request.path("id").map(Self)
    }
}

/// The sub-item specified in the path.
pub(crate) struct OneSubMenuItem(SubMenuItemId);

impl Input for OneSubMenuItem {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        request.path("id").map(Self)
    }
}

/// Lists the menu items that all companies share, and those of the specified company.
///
/// The items are sorted by sort order, label and id.
#[utoipa::path(tag = "Menu", responses((status = 200, body = Success<MenuItemsData>)))]
#[get("/api/iam/menu-items")]
pub(crate) async fn list_menu_items(call: Authorized<ReadCatalog>) -> ApiResult {
    let menu_items = call.application().menu_items(call.company_if_any()).await?;
    ApiResponse::ok().data(MenuItemsData { menu_items })
}

/// Returns a menu item that all companies share or that the specified company owns.
#[utoipa::path(tag = "Menu", responses((status = 200, body = Success<MenuItemData>), (status = 404)))]
#[get("/api/iam/menu-items/{id}")]
pub(crate) async fn get_menu_item(call: Authorized<ReadCatalog, OneMenuItem>) -> ApiResult {
    let menu_item = call.application().menu_item(call.company_if_any(), call.input.0).await?;
    ApiResponse::ok().etag(&menu_item)?.data(MenuItemData { menu_item })
}

/// The menu item to create.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct NewMenuItem {
    /// The displayed label.
    label: Label,
    /// The icon name, as defined by the client.
    #[schema(required = false)]
    icon: Icon,
    /// The priority of the menu item. Default: `standard`.
    #[schema(required = false)]
    priority: Priority,
    /// The keys of the required features. To see the item, a user must have `Read` on all these features.
    #[schema(required = false)]
    required_permissions: Vec<FeatureKey>,
    /// The sort key of the item. Items are sorted in ascending order of this number. Default: 0.
    #[schema(required = false)]
    sort_order: i32,
    /// The view that the item links to.
    #[schema(required = false)]
    view_id: ViewId,
    /// The feature that the item requires.
    #[schema(required = false)]
    feature_id: FeatureId,
    /// Whether this item can be the landing page after signing in. Default: `true`.
    #[schema(required = false)]
    is_entrypoint: bool,
}

impl Input for CreateMenuItem {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let owner = request.company();
        let mut body = request.body()?;
        let (label, icon) = (body.required("label"), body.optional("icon"));
        let priority = body.or("priority", Priority::Standard);
        let required_permissions = body.optional_list("requiredPermissions");
        let sort_order = body.or("sortOrder", 0);
        let (view_id, feature_id) = (body.optional("viewId"), body.optional("featureId"));
        let is_entrypoint = body.or("isEntrypoint", true);
        Some(Self {
            owner,
            label: label?,
            icon: icon?,
            priority: priority?,
            required_permissions: required_permissions?,
            sort_order: sort_order?,
            view_id: view_id?,
            feature_id: feature_id?,
            is_entrypoint: is_entrypoint?,
        })
    }
}

/// Creates a menu item.
#[utoipa::path(tag = "Menu", request_body = NewMenuItem, responses(
    (status = 201, body = Success<MenuItemData>),
    (status = 409, description = "The company has reached a quota"),
))]
#[post("/api/iam/menu-items")]
pub(crate) async fn create_menu_item(call: Authorized<Platform, CreateMenuItem>) -> ApiResult {
    let company = call.company_if_any();
    let done = call.execute().await?;
    let location = located(format!("/api/iam/menu-items/{}", done.value.id), company);
    ApiResponse::created_once(done.is_repeated, &location)
        .commit(done.stamp)
        .etag(&done.value)?
        .data(MenuItemData { menu_item: done.value })
}

/// A partial update of a menu item. Omitted fields remain unchanged, and `null` clears an optional field.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct MenuItemPatch {
    /// The new displayed label.
    #[schema(required = false)]
    label: Label,
    /// The new icon name, as defined by the client.
    icon: Option<Icon>,
    /// The new priority of the menu item.
    #[schema(required = false)]
    priority: Priority,
    /// The new keys of the required features.
    required_permissions: Option<Vec<FeatureKey>>,
    /// The new sort key. Items are sorted in ascending order of this number.
    #[schema(required = false)]
    sort_order: i32,
    /// The new view that the item links to.
    view_id: Option<ViewId>,
    /// The new feature that the item requires.
    feature_id: Option<FeatureId>,
    /// Whether this item can be the landing page after signing in.
    #[schema(required = false)]
    is_entrypoint: bool,
}

impl Input for UpdateMenuItem {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let id = request.path("id");
        let if_match = request.if_match();
        let owner = request.company();
        let mut body = request.body()?;
        let (label, icon) = (body.optional("label"), body.patch("icon"));
        let priority = body.optional("priority");
        let required_permissions = body.list_patch("requiredPermissions");
        let sort_order = body.optional("sortOrder");
        let (view_id, feature_id) = (body.patch("viewId"), body.patch("featureId"));
        let is_entrypoint = body.optional("isEntrypoint");
        Some(Self {
            if_match,
            owner,
            id: id?,
            label: label?,
            icon: icon?,
            priority: priority?,
            required_permissions: required_permissions?,
            sort_order: sort_order?,
            view_id: view_id?,
            feature_id: feature_id?,
            is_entrypoint: is_entrypoint?,
        })
    }
}

/// Updates a menu item.
#[utoipa::path(
    tag = "Menu",
    request_body = MenuItemPatch,
    responses(
        (status = 200, body = Success<MenuItemData>),
        (status = 404),
        (status = 409, description = "The company has reached a quota"),
        (status = 412),
    ),
)]
#[patch("/api/iam/menu-items/{id}")]
pub(crate) async fn update_menu_item(call: Authorized<Platform, UpdateMenuItem>) -> ApiResult {
    let done = call.execute().await?;
    ApiResponse::ok().commit(done.stamp).etag(&done.value)?.data(MenuItemData { menu_item: done.value })
}

impl Input for DeleteMenuItem {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let (owner, id) = (request.company(), request.path("id")?);
        Some(Self { owner, id, known_sub_items: None, if_match: request.if_match() })
    }
}

/// Deletes a menu item, including its sub-items.
#[utoipa::path(tag = "Menu", responses((status = 200, body = Success<Message>), (status = 404), (status = 412)))]
#[delete("/api/iam/menu-items/{id}")]
pub(crate) async fn delete_menu_item(call: Authorized<Platform, DeleteMenuItem>) -> ApiResult {
    let done = call.execute().await?;
    ApiResponse::ok().commit(done.stamp).message("Menu item deleted successfully")
}

/// Lists the sub-items that all companies share, and those of the specified company.
///
/// The sub-items are sorted by sort order, label and id.
#[utoipa::path(tag = "Menu", responses((status = 200, body = Success<SubMenuItemsData>)))]
#[get("/api/iam/sub-menu-items")]
pub(crate) async fn list_sub_menu_items(call: Authorized<ReadCatalog>) -> ApiResult {
    let sub_menu_items = call.application().sub_menu_items(call.company_if_any()).await?;
    ApiResponse::ok().data(SubMenuItemsData { sub_menu_items })
}

/// Returns a sub-item that all companies share or that the specified company owns.
#[utoipa::path(tag = "Menu", responses((status = 200, body = Success<SubMenuItemData>), (status = 404)))]
#[get("/api/iam/sub-menu-items/{id}")]
pub(crate) async fn get_sub_menu_item(call: Authorized<ReadCatalog, OneSubMenuItem>) -> ApiResult {
    let sub_menu_item = call.application().sub_menu_item(call.company_if_any(), call.input.0).await?;
    ApiResponse::ok().etag(&sub_menu_item)?.data(SubMenuItemData { sub_menu_item })
}

/// The sub-item to create.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct NewSubMenuItem {
    /// The menu item to which the sub-item belongs.
    menu_item_id: MenuItemId,
    /// The displayed label.
    label: Label,
    /// The view that the item links to.
    #[schema(required = false)]
    view_id: ViewId,
    /// The feature that the item requires.
    #[schema(required = false)]
    feature_id: FeatureId,
    /// The icon name, as defined by the client.
    #[schema(required = false)]
    icon: Icon,
    /// The sort key of the item. Items are sorted in ascending order of this number. Default: 0.
    #[schema(required = false)]
    sort_order: i32,
    /// Whether the sub-item is shown. Default: `true`.
    #[schema(required = false)]
    enabled: bool,
}

impl Input for CreateSubMenuItem {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let owner = request.company();
        let mut body = request.body()?;
        let (menu_item_id, label) = (body.required("menuItemId"), body.required("label"));
        let (view_id, feature_id) = (body.optional("viewId"), body.optional("featureId"));
        let (icon, sort_order) = (body.optional("icon"), body.or("sortOrder", 0));
        let enabled = body.or("enabled", true);
        Some(Self {
            owner,
            menu_item_id: menu_item_id?,
            label: label?,
            view_id: view_id?,
            feature_id: feature_id?,
            icon: icon?,
            sort_order: sort_order?,
            enabled: enabled?,
        })
    }
}

/// Creates a sub-item.
#[utoipa::path(
    tag = "Menu",
    request_body = NewSubMenuItem,
    responses(
        (status = 201, body = Success<SubMenuItemData>),
        (status = 409, description = "The company has reached a quota"),
    ),
)]
#[post("/api/iam/sub-menu-items")]
pub(crate) async fn create_sub_menu_item(call: Authorized<Platform, CreateSubMenuItem>) -> ApiResult {
    let company = call.company_if_any();
    let done = call.execute().await?;
    let location = located(format!("/api/iam/sub-menu-items/{}", done.value.id), company);
    ApiResponse::created_once(done.is_repeated, &location)
        .commit(done.stamp)
        .etag(&done.value)?
        .data(SubMenuItemData { sub_menu_item: done.value })
}

/// A partial update of a sub-item. Omitted fields remain unchanged, and `null` clears an optional field.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct SubMenuItemPatch {
    /// The menu item to which the sub-item is moved.
    #[schema(required = false)]
    menu_item_id: MenuItemId,
    /// The new displayed label.
    #[schema(required = false)]
    label: Label,
    /// The new view that the item links to.
    view_id: Option<ViewId>,
    /// The new feature that the item requires.
    feature_id: Option<FeatureId>,
    /// The new icon name, as defined by the client.
    icon: Option<Icon>,
    /// The new sort key. Items are sorted in ascending order of this number.
    #[schema(required = false)]
    sort_order: i32,
    /// Whether the sub-item is visible.
    #[schema(required = false)]
    enabled: bool,
}

impl Input for UpdateSubMenuItem {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let id = request.path("id");
        let if_match = request.if_match();
        let owner = request.company();
        let mut body = request.body()?;
        let (menu_item_id, label) = (body.optional("menuItemId"), body.optional("label"));
        let (view_id, feature_id) = (body.patch("viewId"), body.patch("featureId"));
        let (icon, sort_order) = (body.patch("icon"), body.optional("sortOrder"));
        let enabled = body.optional("enabled");
        Some(Self {
            if_match,
            owner,
            id: id?,
            menu_item_id: menu_item_id?,
            label: label?,
            view_id: view_id?,
            feature_id: feature_id?,
            icon: icon?,
            sort_order: sort_order?,
            enabled: enabled?,
        })
    }
}

/// Updates a sub-item.
#[utoipa::path(
    tag = "Menu",
    request_body = SubMenuItemPatch,
    responses(
        (status = 200, body = Success<SubMenuItemData>),
        (status = 404),
        (status = 409, description = "The company has reached a quota"),
        (status = 412),
    ),
)]
#[patch("/api/iam/sub-menu-items/{id}")]
pub(crate) async fn update_sub_menu_item(call: Authorized<Platform, UpdateSubMenuItem>) -> ApiResult {
    let done = call.execute().await?;
    ApiResponse::ok().commit(done.stamp).etag(&done.value)?.data(SubMenuItemData { sub_menu_item: done.value })
}

impl Input for DeleteSubMenuItem {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        Some(Self { owner: request.company(), id: request.path("id")?, if_match: request.if_match() })
    }
}

/// Deletes a sub-item.
#[utoipa::path(tag = "Menu", responses((status = 200, body = Success<Message>), (status = 404), (status = 412)))]
#[delete("/api/iam/sub-menu-items/{id}")]
pub(crate) async fn delete_sub_menu_item(call: Authorized<Platform, DeleteSubMenuItem>) -> ApiResult {
    let done = call.execute().await?;
    ApiResponse::ok().commit(done.stamp).message("Sub menu item deleted successfully")
}
