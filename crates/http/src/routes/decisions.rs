//! Returns decisions for single checks and for batches of checks, all permissions of a user, and the user's menu.

use std::sync::Arc;

use actix_web::{HttpRequest, get, post};
use iam_application::{Failure, FieldCode, SubjectAccesses};
use iam_domain::{Scope, UserId};
use iam_permissions_cache::{Access, EffectivePermissions, Navigation};
use utoipa::ToSchema;

use super::flag;
use super::users::OneUser;
use crate::Api;
use crate::extract::decision_request::{Checks, DecisionRequest, Item};
use crate::extract::{Anyone, Authorized, Input, ReadIam, RequestReader};
use crate::fast_path;
use crate::in_flight::FREE_BYTES;
use crate::respond::{
    ApiError, ApiResponse, ApiResult, CachedResponse, ChecksData, DecisionData, RefusedCheck, ResponseKind, Success,
    conditional,
};

/// Returns the caller's menu.
///
/// Clients may cache the menu for five minutes: it is meant for display, and does not enforce permissions.
#[utoipa::path(tag = "Decisions", responses((status = 200, body = Success<Navigation>), (status = 304)))]
#[get("/api/iam/navigation")]
pub(crate) async fn navigation(request: HttpRequest, call: Authorized<Anyone>) -> ApiResult {
    let access = call.application().own_access(&call.decision_context()?).await?;
    call.spend_decisions(Some(&access), 1)?;
    let cache = call.api().response_cache();
    let (access, body) = match cache.get(access.id(), ResponseKind::Navigation) {
        Some(body) => (access, body),
        None => {
            let (access, navigation) = call.application().navigation(call.company()?, access).await?;
            let body = cache.keep(access.id(), ResponseKind::Navigation, navigation)?;
            (access, body)
        }
    };
    Ok(conditional(request.headers(), &access, &body, "private, max-age=300"))
}

/// Whether the response identifies views by URL and features by key, instead of by id.
pub(crate) struct ByKeys(bool);

impl Input for ByKeys {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        flag(request, "keys").map(Self)
    }
}

/// Returns the effective permissions of the caller.
#[utoipa::path(
    tag = "Decisions",
    params(("keys" = Option<bool>, Query, description = "If true, views are listed by URL and features by key")),
    responses((status = 200, body = Success<EffectivePermissions>), (status = 304)),
)]
#[get("/api/iam/permissions/current")]
pub(crate) async fn current_permissions(request: HttpRequest, call: Authorized<Anyone, ByKeys>) -> ApiResult {
    let access = call.application().own_access(&call.decision_context()?).await?;
    call.spend_decisions(Some(&access), 1)?;
    let body = permissions_body(call.api(), &access, &call.input)?;
    Ok(conditional(request.headers(), &access, &body, "private, no-cache"))
}

/// A user, and whether the response identifies views by URL and features by key.
pub(crate) struct PermissionsOf(OneUser, ByKeys);

impl Input for PermissionsOf {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let (user, by_keys) = (OneUser::read(request), ByKeys::read(request));
        Some(Self(user?, by_keys?))
    }
}

/// Returns the effective permissions of a user.
#[utoipa::path(
    tag = "Decisions",
    params(("keys" = Option<bool>, Query, description = "If true, views are listed by URL and features by key")),
    responses((status = 200, body = Success<EffectivePermissions>), (status = 304)),
)]
#[get("/api/iam/users/{userId}/permissions")]
pub(crate) async fn permissions_of_user(request: HttpRequest, call: Authorized<ReadIam, PermissionsOf>) -> ApiResult {
    let PermissionsOf(OneUser(user), by_keys) = &call.input;
    let access = call.application().access_of_user(&call.decision_context()?, user.id).await?;
    let body = permissions_body(call.api(), &access, by_keys)?;
    Ok(conditional(request.headers(), &access, &body, "private, no-cache"))
}

/// A user in the query.
pub(crate) struct WhatCan(UserId);

impl Input for WhatCan {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        match request.query_user("userId")? {
            Some(user) => Some(Self(user.id)),
            None => request.reject("userId", FieldCode::Required, "is required"),
        }
    }
}

/// Returns what a user may see and do, with the URLs of views and the keys of features.
///
/// This is the counterpart of `GET /api/iam/who-can`, and returns the same response as
/// `GET /api/iam/users/{userId}/permissions?keys=true`.
#[utoipa::path(
    tag = "Decisions",
    params(("userId" = String, Query, description = "The user, identified by user id or external id")),
    responses((status = 200, body = Success<EffectivePermissions>), (status = 304)),
)]
#[get("/api/iam/what-can")]
pub(crate) async fn what_can(request: HttpRequest, call: Authorized<ReadIam, WhatCan>) -> ApiResult {
    let WhatCan(user) = call.input;
    let access = call.application().access_of_user(&call.decision_context()?, user).await?;
    let body = permissions_body(call.api(), &access, &ByKeys(true))?;
    Ok(conditional(request.headers(), &access, &body, "private, no-cache"))
}

fn permissions_body(api: &Api, access: &Access, ByKeys(by_keys): &ByKeys) -> Result<Arc<CachedResponse>, ApiError> {
    let cache = api.response_cache();
    let kind = if *by_keys { ResponseKind::PermissionsByKey } else { ResponseKind::Permissions };
    match cache.get(access.id(), kind) {
        Some(body) => Ok(body),
        None if *by_keys => cache.keep(access.id(), kind, access.effective_by_key()),
        None => cache.keep(access.id(), kind, access.effective()),
    }
}

/// A check of a view, or of an action on a feature.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct CheckRequest {
    /// The URL or id of a view.
    #[schema(required = false)]
    view: String,
    /// The key or id of a feature.
    #[schema(required = false)]
    feature: String,
    /// The action on the feature.
    #[schema(value_type = String, required = false, min_length = 1, max_length = 50)]
    action: iam_domain::Action,
    /// The minimum scope with which the action must be allowed.
    #[schema(required = false)]
    scope: Scope,
    /// The subject: the user whose permissions are checked. Default: the caller.
    #[schema(value_type = String, required = false)]
    user_id: UserId,
}

/// Checks whether a view or an action is allowed for the caller or for another user.
///
/// Users need `Update` on `iam.manage_levels` or `iam.assign_permissions` to check other users. Super admins and
/// services can check any user.
#[utoipa::path(tag = "Decisions", request_body = CheckRequest, responses((status = 200, body = Success<DecisionData>)))]
#[post("/api/iam/check")]
pub(crate) async fn check(call: Authorized<Anyone, DecisionRequest>) -> ApiResult {
    let access = call.application().access_of_subject(&call.decision_context()?, &call.input.subject).await?;
    call.spend_decisions(Some(&access), 1)?;
    let mut body = Vec::with_capacity(RESULT_BYTES);
    body.extend_from_slice(br#"{"status":"success","data":"#);
    fast_path::write(&access.decide(&call.input.check), &mut body);
    body.push(b'}');
    Ok(ApiResponse::ok().freshness_headers(&access).json(body.into()))
}

/// A batch of checks.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct ChecksRequest {
    /// The checks, which are all decided in the company of the request.
    #[schema(min_items = 1, max_items = 1000)]
    checks: Vec<CheckRequest>,
}

/// Writes the result of one check in a batch.
fn write_result(item: &Item, accesses: &SubjectAccesses, body: &mut Vec<u8>) -> Result<(), ApiError> {
    let asked = match item {
        Ok(asked) => asked,
        Err(findings) => return RefusedCheck::write(&ApiError::invalid(findings.clone()), body),
    };
    match accesses.of(&asked.subject) {
        Ok(access) => fast_path::write(&access.decide(&asked.check), body),
        Err(failure @ (Failure::Forbidden(_) | Failure::Invalid(_))) => RefusedCheck::write(&failure.into(), body)?,
        // Any other failure fails the whole request. If it were the result of this check, clients could mistake its
        // `"allowed":false` for a denial.
        Err(failure) => return Err(failure.into()),
    }
    Ok(())
}

/// Number of checks of a batch after which the handler yields to the other tasks of its worker.
const CHECKS_PER_TURN: usize = 64;

/// The approximate size of a decision as JSON, in bytes.
const RESULT_BYTES: usize = 256;

/// Decides a batch of up to 1,000 checks, and returns the results in the same order.
///
/// If a check is invalid or not permitted, its result is an error. The other checks are still decided.
#[utoipa::path(tag = "Decisions", request_body = ChecksRequest, responses((status = 200, body = Success<ChecksData>)))]
#[post("/api/iam/checks")]
pub(crate) async fn checks(call: Authorized<Anyone, Checks>) -> ApiResult {
    let Checks(items) = &call.input;
    let subjects = items.iter().flatten().map(|asked| &asked.subject);
    let accesses = call.application().accesses_of_subjects(call.decision_context()?, subjects).await?;
    call.spend_decisions(accesses.all().first(), items.len())?;
    // Many batches may be decided at the same time, so the responses count while they are being written.
    let mut held = call.hold_response();
    let mut body = Vec::with_capacity(items.len() * RESULT_BYTES);
    body.extend_from_slice(br#"{"status":"success","data":{"results":["#);
    for (nth, item) in items.iter().enumerate() {
        if nth > 0 {
            body.push(b',');
        }
        write_result(item, &accesses, &mut body)?;
        if nth % CHECKS_PER_TURN == CHECKS_PER_TURN - 1 {
            if body.len() > FREE_BYTES {
                held.grow_to(body.len())?;
            }
            tokio::task::yield_now().await;
        }
    }
    body.extend_from_slice(b"]}}");
    Ok(ApiResponse::ok().freshness_headers_of_all(accesses.all()).json(body.into()))
}
