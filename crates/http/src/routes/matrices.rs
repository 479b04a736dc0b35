//! Returns and replaces the permission matrices of user levels, and changes single cells.

use std::collections::BTreeSet;

use actix_web::http::Method;
use actix_web::{get, patch, put};
use iam_application::{
    ChangeFeaturePermissions, ChangeViewPermissions, Committed, NewFeaturePermission, NewViewPermission,
    ReplacedMatrix, RequestedCells,
};
use iam_domain::{Action, FeatureId, FeaturePermission, Scope, ViewId, ViewPermission, ViewState};
use serde::Serialize;
use utoipa::ToSchema;

use super::assignments::force;
use super::data;
use super::nullified::NullifiedData;
use super::user_levels::OneLevel;
use crate::extract::{Authorized, FieldReader, Input, ManagePermissions, ReadIam, RequestReader};
use crate::respond::{ApiResponse, ApiResult, ErrorBody, Success};

data! {
    /// The cells of the view matrix, sorted by view id.
    ViewPermissionsData { permissions: Vec<ViewPermission> }
    /// The cells of the feature matrix, sorted by feature id and action.
    FeaturePermissionsData { permissions: Vec<FeaturePermission> }
}

/// The result of changing a view matrix.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReplacedViewPermissionsData {
    /// The human-readable result of the operation.
    message: &'static str,
    /// The cells of the view matrix after the change, sorted by view id.
    permissions: Vec<ViewPermission>,
    /// The permissions that a deny overrides as a result of this change.
    nullified: NullifiedData,
}

/// The result of changing a feature matrix.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReplacedFeaturePermissionsData {
    /// The human-readable result of the operation.
    message: &'static str,
    /// The cells of the feature matrix after the change, sorted by feature id and action.
    permissions: Vec<FeaturePermission>,
    /// The permissions that a deny overrides as a result of this change.
    nullified: NullifiedData,
}

/// Returns the view matrix of a level: all its permissions for views.
#[utoipa::path(tag = "Permissions", responses((status = 200, body = Success<ViewPermissionsData>), (status = 404)))]
#[get("/api/iam/user-levels/{id}/permissions/views")]
pub(crate) async fn get_view_permissions(call: Authorized<ReadIam, OneLevel>) -> ApiResult {
    let permissions = call.application().view_permissions(call.company()?, call.input.0).await?;
    ApiResponse::ok().etag(&permissions)?.data(ViewPermissionsData { permissions })
}

/// A requested cell of a view matrix: the permission for one view.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct ViewCellBody {
    /// The view.
    view_id: ViewId,
    /// The state that the level sets for the view. Default: `inherit`.
    #[schema(required = false)]
    state: ViewState,
    /// Whether callers other than super admins may change or remove the cell; `false` pins the cell. If omitted, an
    /// existing cell retains its flag, and a new cell gets `true`.
    #[schema(required = false)]
    modifiable: bool,
}

/// A requested view matrix, which replaces all permissions of a level for views.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct ViewMatrix {
    /// The complete list of cells, at most one per view.
    views: Vec<ViewCellBody>,
}

/// Changes to single cells of a view matrix. The other cells remain unchanged.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct ViewCells {
    /// The cells to add or to overwrite, at most one per view. Default: none.
    #[schema(required = false)]
    set: Vec<ViewCellBody>,
    /// The cells to remove, without those in `set`. Default: none.
    #[schema(required = false)]
    unset: Vec<ViewCellKey>,
}

/// A cell of a view matrix.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct ViewCellKey {
    /// The view.
    view_id: ViewId,
}

fn view_cell(cell: &mut FieldReader<'_>) -> Option<NewViewPermission> {
    let view_id = cell.required("viewId");
    let (state, modifiable) = (cell.or("state", ViewState::Inherit), cell.optional("modifiable"));
    Some(NewViewPermission { view_id: view_id?, state: state?, modifiable: modifiable? })
}

/// Reads some cells of a view matrix.
fn some_view_cells(mut body: FieldReader<'_>) -> Option<RequestedCells<NewViewPermission, ViewId>> {
    let set = body.optional_objects("set", view_cell, |cell| cell.view_id, "viewId");
    let unset = body.optional_objects("unset", |cell| cell.required("viewId"), |view: &ViewId| *view, "viewId");
    let (set, unset) = (set?, unset?);
    let written: BTreeSet<_> = set.iter().map(|cell| cell.view_id).collect();
    body.reject_common(("unset", unset.iter().copied(), "viewId"), ("set", &written));
    Some(RequestedCells::Some { set, unset })
}

impl Input for ChangeViewPermissions {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let (company, if_match) = (request.company(), request.if_match());
        let level = request.path("id");
        let edits = request.method() == Method::PATCH;
        let mut body = request.body()?;
        let permissions = if edits {
            some_view_cells(body)
        } else {
            body.objects("views", view_cell, |cell| cell.view_id, "viewId").map(RequestedCells::All)
        };
        Some(Self { company: company?, level: level?, permissions: permissions?, if_match })
    }
}

/// Replaces the view matrix of a level: all its permissions for views.
#[utoipa::path(
    tag = "Permissions",
    request_body = ViewMatrix,
    responses(
        (status = 200, body = Success<ReplacedViewPermissionsData>),
        (
            status = 403,
            body = ErrorBody,
            description = "The caller lacks the permission, or may not grant the permissions that `errors` lists",
        ),
        (status = 404),
        (status = 409, description = "The company has reached a quota"),
        (status = 412),
    ),
)]
#[put("/api/iam/user-levels/{id}/permissions/views")]
pub(crate) async fn replace_view_permissions(call: Authorized<ManagePermissions, ChangeViewPermissions>) -> ApiResult {
    changed_views(call.execute().await?)
}

/// Adds, overwrites and removes single cells of the view matrix of a level.
#[utoipa::path(
    tag = "Permissions",
    request_body = ViewCells,
    responses(
        (status = 200, body = Success<ReplacedViewPermissionsData>),
        (
            status = 403,
            body = ErrorBody,
            description = "The caller lacks the permission, or may not grant the permissions that `errors` lists",
        ),
        (status = 404),
        (status = 409, description = "The company has reached a quota"),
        (status = 412),
    ),
)]
#[patch("/api/iam/user-levels/{id}/permissions/views")]
pub(crate) async fn edit_view_permissions(call: Authorized<ManagePermissions, ChangeViewPermissions>) -> ApiResult {
    changed_views(call.execute().await?)
}

fn changed_views(done: Committed<ReplacedMatrix<ViewPermission>>) -> ApiResult {
    let ReplacedMatrix { cells: permissions, nullified, .. } = done.value;
    let message = "View permissions updated successfully";
    let data = ReplacedViewPermissionsData { message, permissions, nullified: nullified.into() };
    ApiResponse::ok().commit(done.stamp).etag(&data.permissions)?.data(data)
}

/// Returns the feature matrix of a level: all its permissions for actions on features.
#[utoipa::path(tag = "Permissions", responses((status = 200, body = Success<FeaturePermissionsData>), (status = 404)))]
#[get("/api/iam/user-levels/{id}/permissions/features")]
pub(crate) async fn get_feature_permissions(call: Authorized<ReadIam, OneLevel>) -> ApiResult {
    let permissions = call.application().feature_permissions(call.company()?, call.input.0).await?;
    ApiResponse::ok().etag(&permissions)?.data(FeaturePermissionsData { permissions })
}

/// A requested cell of a feature matrix: the permission for one action on a feature.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct FeatureCellBody {
    /// The feature.
    feature_id: FeatureId,
    /// The action on the feature.
    #[schema(value_type = String, min_length = 1, max_length = 50)]
    action: Action,
    /// `true` allows the action, and `false` denies it. Default: `true`.
    #[schema(required = false)]
    value: bool,
    /// The scope with which the action is allowed. Default: `any`.
    #[schema(required = false)]
    scope: Scope,
    /// Whether callers other than super admins may change or remove the cell; `false` pins the cell. If omitted, an
    /// existing cell retains its flag, and a new cell gets `true`.
    #[schema(required = false)]
    modifiable: bool,
}

/// A requested feature matrix, which replaces all permissions of a level for actions on features.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct FeatureMatrix {
    /// The complete list of cells, at most one per action on a feature.
    features: Vec<FeatureCellBody>,
}

/// Changes to single cells of a feature matrix. The other cells remain unchanged.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct FeatureCells {
    /// The cells to add or to overwrite, at most one per action on a feature. Default: none.
    #[schema(required = false)]
    set: Vec<FeatureCellBody>,
    /// The cells to remove, without those in `set`. Default: none.
    #[schema(required = false)]
    unset: Vec<FeatureCellKey>,
}

/// A cell of a feature matrix.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct FeatureCellKey {
    /// The feature.
    feature_id: FeatureId,
    /// The action on the feature.
    #[schema(value_type = String, min_length = 1, max_length = 50)]
    action: Action,
}

fn feature_cell(cell: &mut FieldReader<'_>) -> Option<NewFeaturePermission> {
    let (feature_id, action) = (cell.required("featureId"), cell.required("action"));
    let (value, scope) = (cell.or("value", true), cell.or("scope", Scope::Any));
    let modifiable = cell.optional("modifiable");
    Some(NewFeaturePermission {
        feature_id: feature_id?,
        action: action?,
        value: value?,
        scope: scope?,
        modifiable: modifiable?,
    })
}

fn feature_cell_key(cell: &mut FieldReader<'_>) -> Option<(FeatureId, Action)> {
    let (feature, action) = (cell.required("featureId"), cell.required("action"));
    Some((feature?, action?))
}

fn key_of(cell: &NewFeaturePermission) -> (FeatureId, Action) {
    (cell.feature_id, cell.action.clone())
}

/// Reads some cells of a feature matrix.
fn some_feature_cells(mut body: FieldReader<'_>) -> Option<RequestedCells<NewFeaturePermission, (FeatureId, Action)>> {
    let set = body.optional_objects("set", feature_cell, key_of, "action");
    let unset = body.optional_objects("unset", feature_cell_key, Clone::clone, "action");
    let (set, unset) = (set?, unset?);
    let written: BTreeSet<_> = set.iter().map(key_of).collect();
    body.reject_common(("unset", unset.iter().cloned(), "action"), ("set", &written));
    Some(RequestedCells::Some { set, unset })
}

impl Input for ChangeFeaturePermissions {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let (company, if_match) = (request.company(), request.if_match());
        let (level, force) = (request.path("id"), force(request));
        let edits = request.method() == Method::PATCH;
        let mut body = request.body()?;
        let permissions = if edits {
            some_feature_cells(body)
        } else {
            body.objects("features", feature_cell, key_of, "action").map(RequestedCells::All)
        };
        Some(Self { company: company?, level: level?, permissions: permissions?, force: force?, if_match })
    }
}

/// Replaces the feature matrix of a level: all its permissions for actions on features.
#[utoipa::path(
    tag = "Permissions",
    params((
        "force" = Option<bool>,
        Query,
        description = "If true, a super admin may make the change even if no administrator of the company remains",
    )),
    request_body = FeatureMatrix,
    responses(
        (status = 200, body = Success<ReplacedFeaturePermissionsData>),
        (
            status = 403,
            body = ErrorBody,
            description = "The caller lacks the permission, or may not grant the permissions that `errors` lists",
        ),
        (status = 404),
        (
            status = 409,
            body = ErrorBody,
            description = "The company would be left without an administrator, or has reached a quota",
        ),
        (status = 412),
    ),
)]
#[put("/api/iam/user-levels/{id}/permissions/features")]
pub(crate) async fn replace_feature_permissions(
    call: Authorized<ManagePermissions, ChangeFeaturePermissions>,
) -> ApiResult {
    changed_features(call.execute().await?)
}

/// Adds, overwrites and removes single cells of the feature matrix of a level.
#[utoipa::path(
    tag = "Permissions",
    params((
        "force" = Option<bool>,
        Query,
        description = "If true, a super admin may make the change even if no administrator of the company remains",
    )),
    request_body = FeatureCells,
    responses(
        (status = 200, body = Success<ReplacedFeaturePermissionsData>),
        (
            status = 403,
            body = ErrorBody,
            description = "The caller lacks the permission, or may not grant the permissions that `errors` lists",
        ),
        (status = 404),
        (
            status = 409,
            body = ErrorBody,
            description = "The company would be left without an administrator, or has reached a quota",
        ),
        (status = 412),
    ),
)]
#[patch("/api/iam/user-levels/{id}/permissions/features")]
pub(crate) async fn edit_feature_permissions(
    call: Authorized<ManagePermissions, ChangeFeaturePermissions>,
) -> ApiResult {
    changed_features(call.execute().await?)
}

fn changed_features(done: Committed<ReplacedMatrix<FeaturePermission>>) -> ApiResult {
    let ReplacedMatrix { cells: permissions, nullified, .. } = done.value;
    let message = "Feature permissions updated successfully";
    let data = ReplacedFeaturePermissionsData { message, permissions, nullified: nullified.into() };
    ApiResponse::ok().commit(done.stamp).etag(&data.permissions)?.data(data)
}
