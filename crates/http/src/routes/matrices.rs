//! Returns and replaces the permission matrices of user levels.

use actix_web::{get, put};
use iam_application::{
    NewFeaturePermission, NewViewPermission, ReplaceFeaturePermissions, ReplaceViewPermissions, ReplacedMatrix,
};
use iam_domain::{Action, FeatureId, FeaturePermission, Scope, ViewId, ViewPermission, ViewState};
use serde::Serialize;
use utoipa::ToSchema;

use super::data;
use super::nullified::NullifiedData;
use super::user_levels::{OneLevel, force};
use crate::extract::{Authorized, Input, ManagePermissions, ReadIam, RequestReader};
use crate::respond::{ApiResponse, ApiResult, ErrorBody, Success};

data! {
    /// The cells of the view matrix, sorted by view id.
    ViewPermissionsData { permissions: Vec<ViewPermission> }
    /// The cells of the feature matrix, sorted by feature id and action.
    FeaturePermissionsData { permissions: Vec<FeaturePermission> }
}

/// The result of replacing a view matrix.
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

/// The result of replacing a feature matrix.
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

impl Input for ReplaceViewPermissions {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let (company, if_match) = (request.company(), request.if_match());
        let level = request.path("id");
        let cells = request.body()?.objects(
            "views",
            |cell| {
                let view_id = cell.required("viewId");
                let (state, modifiable) = (cell.or("state", ViewState::Inherit), cell.optional("modifiable"));
                Some(NewViewPermission { view_id: view_id?, state: state?, modifiable: modifiable? })
            },
            |cell| cell.view_id,
            "viewId",
        );
        Some(Self { company: company?, level: level?, permissions: cells?, if_match })
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
pub(crate) async fn replace_view_permissions(call: Authorized<ManagePermissions, ReplaceViewPermissions>) -> ApiResult {
    let done = call.execute().await?;
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

impl Input for ReplaceFeaturePermissions {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let (company, if_match) = (request.company(), request.if_match());
        let (level, force) = (request.path("id"), force(request));
        let cells = request.body()?.objects(
            "features",
            |cell| {
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
            },
            |cell| (cell.feature_id, cell.action.clone()),
            "action",
        );
        Some(Self { company: company?, level: level?, permissions: cells?, force: force?, if_match })
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
    call: Authorized<ManagePermissions, ReplaceFeaturePermissions>,
) -> ApiResult {
    let done = call.execute().await?;
    let ReplacedMatrix { cells: permissions, nullified, .. } = done.value;
    let message = "Feature permissions updated successfully";
    let data = ReplacedFeaturePermissionsData { message, permissions, nullified: nullified.into() };
    ApiResponse::ok().commit(done.stamp).etag(&data.permissions)?.data(data)
}
