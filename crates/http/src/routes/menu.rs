//! The menu. The company that a request names owns the item; without one, every company does.

use actix_web::{delete, get, patch, post};
use iam_application::{
    CreateMenuItem, CreateSubMenuItem, DeleteMenuItem, DeleteSubMenuItem, Patch, UpdateMenuItem, UpdateSubMenuItem,
};
use iam_domain::{
    FeatureId, FeatureKey, Icon, Label, MenuItem, MenuItemId, Priority, SubMenuItem, SubMenuItemId, ViewId,
};
use utoipa::ToSchema;

use super::data;
use crate::answer::{Answer, Message, Reply, Success};
use crate::call::{Guarded, Input, Platform, ReadCatalog, Reading};

data! {
    MenuItemsData { menu_items as "menuItems": Vec<MenuItem> }
    MenuItemData { menu_item as "menuItem": MenuItem }
    SubMenuItemsData { sub_menu_items as "subMenuItems": Vec<SubMenuItem> }
    SubMenuItemData { sub_menu_item as "subMenuItem": SubMenuItem }
}

/// An item of the path.
pub(crate) struct OneMenuItem(MenuItemId);

impl Input for OneMenuItem {
    fn read(reading: &mut Reading<'_>) -> Option<Self> {
        reading.path("id").map(Self)
    }
}

/// A sub-item of the path.
pub(crate) struct OneSubMenuItem(SubMenuItemId);

impl Input for OneSubMenuItem {
    fn read(reading: &mut Reading<'_>) -> Option<Self> {
        reading.path("id").map(Self)
    }
}

/// The items of every company and of the one that is named; by sort order, label, id.
#[utoipa::path(tag = "Menu", responses((status = 200, body = Success<MenuItemsData>)))]
#[get("/api/iam/menu-items")]
pub(crate) async fn list_menu_items(call: Guarded<ReadCatalog>) -> Answer {
    let menu_items = call.application().menu_items(call.company_if_any()).await?;
    Reply::ok().data(MenuItemsData { menu_items })
}

/// An item of every company or of the one that is named.
#[utoipa::path(tag = "Menu", responses((status = 200, body = Success<MenuItemData>), (status = 404)))]
#[get("/api/iam/menu-items/{id}")]
pub(crate) async fn get_menu_item(call: Guarded<ReadCatalog, OneMenuItem>) -> Answer {
    let menu_item = call.application().menu_item(call.company_if_any(), call.input.0).await?;
    Reply::ok().etag(&menu_item)?.data(MenuItemData { menu_item })
}

/// A new item.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct NewMenuItem {
    label: Label,
    icon: Option<Icon>,
    /// `standard` if left out.
    #[schema(required = false)]
    priority: Priority,
    /// Keys of features whose `Read` must all be allowed.
    required_permissions: Option<Vec<FeatureKey>>,
    /// 0 if left out.
    #[schema(required = false)]
    sort_order: i32,
    view_id: Option<ViewId>,
    feature_id: Option<FeatureId>,
    /// `true` if left out.
    #[schema(required = false)]
    is_entrypoint: bool,
}

impl Input for NewMenuItem {
    fn read(reading: &mut Reading<'_>) -> Option<Self> {
        let mut body = reading.body()?;
        let (label, icon) = (body.required("label"), body.optional("icon"));
        let priority = body.or("priority", Priority::Standard);
        let required_permissions = body.optional_list("requiredPermissions");
        let sort_order = body.or("sortOrder", 0);
        let (view_id, feature_id) = (body.optional("viewId"), body.optional("featureId"));
        let is_entrypoint = body.or("isEntrypoint", true);
        Some(Self {
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

/// Adds an item.
#[utoipa::path(tag = "Menu", request_body = NewMenuItem, responses((status = 201, body = Success<MenuItemData>)))]
#[post("/api/iam/menu-items")]
pub(crate) async fn create_menu_item(call: Guarded<Platform, NewMenuItem>) -> Answer {
    let input = &call.input;
    let change = CreateMenuItem {
        owner: call.company_if_any(),
        label: input.label.clone(),
        icon: input.icon.clone(),
        priority: input.priority,
        required_permissions: input.required_permissions.clone(),
        sort_order: input.sort_order,
        view_id: input.view_id,
        feature_id: input.feature_id,
        is_entrypoint: input.is_entrypoint,
    };
    let done = call.application().execute(call.by(), change).await?;
    Reply::created().version(done.versions).etag(&done.value)?.data(MenuItemData { menu_item: done.value })
}

/// What to change of an item; what is left out stays, `null` empties what is optional.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body; the change is read from its members")]
pub(crate) struct MenuItemPatch {
    label: Option<Label>,
    icon: Option<Icon>,
    priority: Option<Priority>,
    required_permissions: Option<Vec<FeatureKey>>,
    sort_order: Option<i32>,
    view_id: Option<ViewId>,
    feature_id: Option<FeatureId>,
    is_entrypoint: Option<bool>,
}

/// What to change of which item.
pub(crate) struct PatchedMenuItem {
    id: MenuItemId,
    label: Option<Label>,
    icon: Patch<Icon>,
    priority: Option<Priority>,
    required_permissions: Patch<Vec<FeatureKey>>,
    sort_order: Option<i32>,
    view_id: Patch<ViewId>,
    feature_id: Patch<FeatureId>,
    is_entrypoint: Option<bool>,
}

impl Input for PatchedMenuItem {
    fn read(reading: &mut Reading<'_>) -> Option<Self> {
        let id = reading.path("id");
        let mut body = reading.body()?;
        let (label, icon) = (body.optional("label"), body.patch("icon"));
        let priority = body.optional("priority");
        let required_permissions = body.list_patch("requiredPermissions");
        let sort_order = body.optional("sortOrder");
        let (view_id, feature_id) = (body.patch("viewId"), body.patch("featureId"));
        let is_entrypoint = body.optional("isEntrypoint");
        Some(Self {
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

/// Changes an item.
#[utoipa::path(
    tag = "Menu",
    request_body = MenuItemPatch,
    responses((status = 200, body = Success<MenuItemData>), (status = 404), (status = 412)),
)]
#[patch("/api/iam/menu-items/{id}")]
pub(crate) async fn update_menu_item(call: Guarded<Platform, PatchedMenuItem>) -> Answer {
    let input = &call.input;
    let change = UpdateMenuItem {
        owner: call.company_if_any(),
        id: input.id,
        label: input.label.clone(),
        icon: input.icon.clone(),
        priority: input.priority,
        required_permissions: input.required_permissions.clone(),
        sort_order: input.sort_order,
        view_id: input.view_id.clone(),
        feature_id: input.feature_id.clone(),
        is_entrypoint: input.is_entrypoint,
        if_match: call.if_match.clone(),
    };
    let done = call.application().execute(call.by(), change).await?;
    Reply::ok().version(done.versions).etag(&done.value)?.data(MenuItemData { menu_item: done.value })
}

/// Removes an item with its sub-items.
#[utoipa::path(tag = "Menu", responses((status = 200, body = Success<Message>), (status = 404), (status = 412)))]
#[delete("/api/iam/menu-items/{id}")]
pub(crate) async fn delete_menu_item(call: Guarded<Platform, OneMenuItem>) -> Answer {
    let change = DeleteMenuItem { owner: call.company_if_any(), id: call.input.0, if_match: call.if_match.clone() };
    let done = call.application().execute(call.by(), change).await?;
    Reply::ok().version(done.versions).message("Menu item deleted successfully")
}

/// The sub-items of the menu of every company and of the one that is named; by sort order, label, id.
#[utoipa::path(tag = "Menu", responses((status = 200, body = Success<SubMenuItemsData>)))]
#[get("/api/iam/sub-menu-items")]
pub(crate) async fn list_sub_menu_items(call: Guarded<ReadCatalog>) -> Answer {
    let sub_menu_items = call.application().sub_menu_items(call.company_if_any()).await?;
    Reply::ok().data(SubMenuItemsData { sub_menu_items })
}

/// A sub-item of the menu of every company or of the one that is named.
#[utoipa::path(tag = "Menu", responses((status = 200, body = Success<SubMenuItemData>), (status = 404)))]
#[get("/api/iam/sub-menu-items/{id}")]
pub(crate) async fn get_sub_menu_item(call: Guarded<ReadCatalog, OneSubMenuItem>) -> Answer {
    let sub_menu_item = call.application().sub_menu_item(call.company_if_any(), call.input.0).await?;
    Reply::ok().etag(&sub_menu_item)?.data(SubMenuItemData { sub_menu_item })
}

/// A new sub-item.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct NewSubMenuItem {
    menu_item_id: MenuItemId,
    label: Label,
    view_id: Option<ViewId>,
    feature_id: Option<FeatureId>,
    icon: Option<Icon>,
    /// 0 if left out.
    #[schema(required = false)]
    sort_order: i32,
    /// `true` if left out.
    #[schema(required = false)]
    enabled: bool,
}

impl Input for NewSubMenuItem {
    fn read(reading: &mut Reading<'_>) -> Option<Self> {
        let mut body = reading.body()?;
        let (menu_item_id, label) = (body.required("menuItemId"), body.required("label"));
        let (view_id, feature_id) = (body.optional("viewId"), body.optional("featureId"));
        let (icon, sort_order) = (body.optional("icon"), body.or("sortOrder", 0));
        let enabled = body.or("enabled", true);
        Some(Self {
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

/// Adds a sub-item.
#[utoipa::path(
    tag = "Menu",
    request_body = NewSubMenuItem,
    responses((status = 201, body = Success<SubMenuItemData>)),
)]
#[post("/api/iam/sub-menu-items")]
pub(crate) async fn create_sub_menu_item(call: Guarded<Platform, NewSubMenuItem>) -> Answer {
    let input = &call.input;
    let change = CreateSubMenuItem {
        owner: call.company_if_any(),
        menu_item_id: input.menu_item_id,
        label: input.label.clone(),
        view_id: input.view_id,
        feature_id: input.feature_id,
        icon: input.icon.clone(),
        sort_order: input.sort_order,
        enabled: input.enabled,
    };
    let done = call.application().execute(call.by(), change).await?;
    Reply::created().version(done.versions).etag(&done.value)?.data(SubMenuItemData { sub_menu_item: done.value })
}

/// What to change of a sub-item; what is left out stays, `null` empties what is optional.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body; the change is read from its members")]
pub(crate) struct SubMenuItemPatch {
    menu_item_id: Option<MenuItemId>,
    label: Option<Label>,
    view_id: Option<ViewId>,
    feature_id: Option<FeatureId>,
    icon: Option<Icon>,
    sort_order: Option<i32>,
    enabled: Option<bool>,
}

/// What to change of which sub-item.
pub(crate) struct PatchedSubMenuItem {
    id: SubMenuItemId,
    menu_item_id: Option<MenuItemId>,
    label: Option<Label>,
    view_id: Patch<ViewId>,
    feature_id: Patch<FeatureId>,
    icon: Patch<Icon>,
    sort_order: Option<i32>,
    enabled: Option<bool>,
}

impl Input for PatchedSubMenuItem {
    fn read(reading: &mut Reading<'_>) -> Option<Self> {
        let id = reading.path("id");
        let mut body = reading.body()?;
        let (menu_item_id, label) = (body.optional("menuItemId"), body.optional("label"));
        let (view_id, feature_id) = (body.patch("viewId"), body.patch("featureId"));
        let (icon, sort_order) = (body.patch("icon"), body.optional("sortOrder"));
        let enabled = body.optional("enabled");
        Some(Self {
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

/// Changes a sub-item.
#[utoipa::path(
    tag = "Menu",
    request_body = SubMenuItemPatch,
    responses((status = 200, body = Success<SubMenuItemData>), (status = 404), (status = 412)),
)]
#[patch("/api/iam/sub-menu-items/{id}")]
pub(crate) async fn update_sub_menu_item(call: Guarded<Platform, PatchedSubMenuItem>) -> Answer {
    let input = &call.input;
    let change = UpdateSubMenuItem {
        owner: call.company_if_any(),
        id: input.id,
        menu_item_id: input.menu_item_id,
        label: input.label.clone(),
        view_id: input.view_id.clone(),
        feature_id: input.feature_id.clone(),
        icon: input.icon.clone(),
        sort_order: input.sort_order,
        enabled: input.enabled,
        if_match: call.if_match.clone(),
    };
    let done = call.application().execute(call.by(), change).await?;
    Reply::ok().version(done.versions).etag(&done.value)?.data(SubMenuItemData { sub_menu_item: done.value })
}

/// Removes a sub-item.
#[utoipa::path(tag = "Menu", responses((status = 200, body = Success<Message>), (status = 404), (status = 412)))]
#[delete("/api/iam/sub-menu-items/{id}")]
pub(crate) async fn delete_sub_menu_item(call: Guarded<Platform, OneSubMenuItem>) -> Answer {
    let change = DeleteSubMenuItem { owner: call.company_if_any(), id: call.input.0, if_match: call.if_match.clone() };
    let done = call.application().execute(call.by(), change).await?;
    Reply::ok().version(done.versions).message("Sub menu item deleted successfully")
}
