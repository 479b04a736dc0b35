//! Previews changes: the outcome that a change would have, and the users who would gain or lose permissions.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::http::Method;
use actix_web::http::header::{HeaderMap, HeaderValue, IF_MATCH};
use actix_web::post;
use actix_web::web::Query;
use iam_application::{FieldCode, IfMatch, PreviewPage};
use iam_domain::escalation::Cell;
use iam_domain::{Action, CellChange, CellCounts, FeatureId, Scope, UserId, ViewId};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::lists::page;
use super::preview_operations::{find, parse_path};
use super::preview_request::{InnerRequest, PreviewCall, Previewed, check_company};
use crate::extract::{FieldReader, Input, RequestReader, if_match};
use crate::respond::{ApiResponse, ApiResult, ErrorBody, Success};

/// The change to preview.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct PreviewBody {
    /// The method of the change.
    #[schema(min_length = 1)]
    method: String,
    /// The path of the change, with an optional query.
    #[schema(min_length = 1)]
    path: String,
    /// The body of the change. Default: no body.
    #[schema(required = false, value_type = Object, additional_properties = true)]
    body: Value,
    /// The value of the header `If-Match` of the change. Default: no precondition.
    #[schema(required = false)]
    if_match: String,
}

impl Input for InnerRequest {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let page = page(request);
        let mut body = request.body()?;
        let (method, path) = (method(&mut body), body.required::<String>("path"));
        let (inner, if_match) = (body.optional_object("body"), precondition(&mut body));
        let (method, path, inner) = (method?, path?, inner?);
        let (if_match, tags) = if_match?;
        let found = parse_path(&path).and_then(|uri| Ok((find(&method, &uri)?, uri)));
        let ((operation, matched), uri) = match found {
            Ok(found) => found,
            Err((field, code, what)) => return body.reject(field, code, what),
        };
        let query = uri.query().map(Query::<Vec<(String, String)>>::from_query).transpose();
        let query = query.ok().flatten().map(Query::into_inner).unwrap_or_default();
        let text = json!([method.as_str(), path, inner, tags]).to_string();
        let body = inner.map(|fields| Ok(fields.clone()));
        Some(Self { operation, path: matched, query, body, if_match, text, page: page? })
    }
}

/// Reads the method of the change.
fn method(body: &mut FieldReader<'_>) -> Option<Method> {
    let text = body.required::<String>("method")?;
    let known = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::GET, Method::HEAD];
    match known.into_iter().find(|method| method.as_str() == text) {
        Some(method) => Some(method),
        None => body.reject("method", FieldCode::Unknown, "must be one of: POST, PUT, PATCH, DELETE"),
    }
}

/// Reads the precondition of the change, with its text.
fn precondition(body: &mut FieldReader<'_>) -> Option<(IfMatch, Option<String>)> {
    let Some(text) = body.optional::<String>("ifMatch")? else { return Some((IfMatch::Absent, None)) };
    let Ok(value) = HeaderValue::from_str(&text) else {
        return body.reject("ifMatch", FieldCode::Character, "must be a value of the header If-Match");
    };
    let mut headers = HeaderMap::new();
    headers.insert(IF_MATCH, value);
    Some((if_match(&headers), Some(text)))
}

/// An action whose scope changes.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChangedAction {
    /// The feature.
    feature_id: FeatureId,
    /// The action.
    #[schema(value_type = String)]
    action: Action,
    /// The scope with which the user may perform the action now. `null` if it is denied.
    #[schema(required = true)]
    scope_before: Option<Scope>,
    /// The scope with which the user may perform the action after the change. `null` if it is denied.
    #[schema(required = true)]
    scope_after: Option<Scope>,
}

/// Permissions that a user gains or loses, in ascending order of id.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChangedPermissions {
    /// The views.
    views: Vec<ViewId>,
    /// The actions of features.
    actions: Vec<ChangedAction>,
}

impl ChangedPermissions {
    fn of<'a>(changes: impl Iterator<Item = &'a CellChange>) -> Self {
        let mut permissions = Self { views: Vec::new(), actions: Vec::new() };
        for CellChange { cell, before, after } in changes {
            match cell {
                Cell::View(view) => permissions.views.push(*view),
                Cell::Action(feature_id, action) => permissions.actions.push(ChangedAction {
                    feature_id: *feature_id,
                    action: action.clone(),
                    scope_before: *before,
                    scope_after: *after,
                }),
            }
        }
        permissions
    }
}

/// A user whose permissions change.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AffectedUser {
    /// The user.
    user_id: UserId,
    /// The permissions that the user gains, or whose scope becomes wider.
    gains: ChangedPermissions,
    /// The permissions that the user loses, or whose scope becomes narrower.
    loses: ChangedPermissions,
}

impl From<(UserId, Arc<[CellChange]>)> for AffectedUser {
    fn from((user_id, changes): (UserId, Arc<[CellChange]>)) -> Self {
        let gains = ChangedPermissions::of(changes.iter().filter(|change| change.is_gain()));
        let loses = ChangedPermissions::of(changes.iter().filter(|change| !change.is_gain()));
        Self { user_id, gains, loses }
    }
}

/// The numbers of users for whom a view changes.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AffectedView {
    /// The view.
    view_id: ViewId,
    /// The number of users who gain the view.
    users_gaining: usize,
    /// The number of users who lose the view.
    users_losing: usize,
}

/// The numbers of users for whom an action changes.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AffectedAction {
    /// The feature.
    feature_id: FeatureId,
    /// The action.
    #[schema(value_type = String)]
    action: Action,
    /// The number of users who gain the action, or for whom its scope becomes wider.
    users_gaining: usize,
    /// The number of users who lose the action, or for whom its scope becomes narrower.
    users_losing: usize,
}

/// The views and actions that change for at least one user, in ascending order of id.
#[derive(Serialize, ToSchema)]
pub(crate) struct AffectedCells {
    /// The views.
    views: Vec<AffectedView>,
    /// The actions of features.
    actions: Vec<AffectedAction>,
}

impl From<&BTreeMap<Cell, CellCounts>> for AffectedCells {
    fn from(counts: &BTreeMap<Cell, CellCounts>) -> Self {
        let mut cells = Self { views: Vec::new(), actions: Vec::new() };
        for (cell, CellCounts { gaining, losing }) in counts {
            let (users_gaining, users_losing) = (*gaining, *losing);
            match cell {
                Cell::View(view) => cells.views.push(AffectedView { view_id: *view, users_gaining, users_losing }),
                Cell::Action(feature, action) => {
                    let (feature_id, action) = (*feature, action.clone());
                    cells.actions.push(AffectedAction { feature_id, action, users_gaining, users_losing });
                }
            }
        }
        cells
    }
}

/// The effect that a change would have on the users of the company.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PreviewedImpact {
    /// The number of all users whose permissions change.
    users_affected: usize,
    /// The users on this page, in ascending order of id. Empty if the caller may not list users.
    users: Vec<AffectedUser>,
    /// The cursor of the next page (keyset pagination). `null` on the last page.
    #[schema(required = true)]
    next_cursor: Option<String>,
    /// The views and actions that change.
    cells: AffectedCells,
}

impl From<PreviewPage> for PreviewedImpact {
    fn from(page: PreviewPage) -> Self {
        Self {
            users_affected: page.impact.users.len(),
            users: page.users.into_iter().map(AffectedUser::from).collect(),
            next_cursor: page.next_cursor,
            cells: AffectedCells::from(&page.impact.cells),
        }
    }
}

/// The preview of a change.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PreviewData {
    /// `true` if the change would succeed.
    would_succeed: bool,
    /// The HTTP status with which the change would be answered.
    status: u16,
    /// The body with which the change would be rejected. Omitted if it would succeed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error: Option<ErrorBody>,
    /// The effect of the change. Omitted if the change would be rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    impact: Option<PreviewedImpact>,
    /// The version of the company from which the preview was computed, for the header `X-IAM-If-Version` of the change.
    /// `null` if the change would be rejected before the company is read.
    #[schema(required = true)]
    version: Option<String>,
}

/// Previews a change: returns the outcome that it would have, and the users who would gain or lose permissions.
///
/// The body contains the request that makes the change. It is authorized, parsed and checked as the change would be, but
/// nothing is changed. A change with the header `X-IAM-If-Version: <version>` is made only if the company and the catalog
/// still have this version. All pages reflect the version of the first page. Super admins, whose permissions do not
/// depend on levels, are listed like other users if they hold levels.
#[utoipa::path(
    tag = "Permissions",
    params(
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 200, description = "The page size. Default: 50"),
        (
            "cursor" = Option<String>,
            Query,
            description = "The nextCursor of the previous page. The body must be the same",
        ),
    ),
    request_body = PreviewBody,
    responses((status = 200, body = Success<PreviewData>), (status = 410)),
)]
#[post("/api/iam/previews")]
pub(crate) async fn preview_change(call: PreviewCall) -> ApiResult {
    check_company(&call)?;
    let operation = call.input.operation;
    let Previewed { versions, outcome } = (operation.preview)(&call).await?;
    let response = ApiResponse::ok();
    let response = match versions {
        Some(versions) => response.versions(versions),
        None => response,
    };
    let version = versions.map(|versions| versions.to_string());
    let status = outcome.as_ref().map_or_else(|error| error.code.status(), |_| operation.status).as_u16();
    response
        .large_data(move || match outcome {
            Ok(page) => PreviewData { would_succeed: true, status, error: None, impact: Some(page.into()), version },
            Err(error) => {
                PreviewData { would_succeed: false, status, error: Some((&error).into()), impact: None, version }
            }
        })
        .await
}
