//! Answers questions about permissions: single checks, many checks, all permissions of a user, and navigation.

use std::collections::BTreeSet;
use std::sync::Arc;

use actix_web::{HttpRequest, get, post};
use iam_application::{Failure, Requirement};
use iam_domain::{Scope, UserId};
use iam_permissions_cache::{Access, EffectivePermissions, Navigation, Subject};
use utoipa::ToSchema;

use super::users::OneUser;
use crate::Api;
use crate::extract::decision_request::{Checks, DecisionRequest, Item};
use crate::extract::{Anyone, Authorized, Policy, ReadIam};
use crate::fast_path;
use crate::respond::{
    ApiError, ApiResponse, ApiResult, CachedResponse, ChecksData, DecisionData, RefusedCheck, ResponseKind, Success,
    conditional,
};

/// Returns the caller's menu. Clients may cache it for five minutes: it is for display only.
#[utoipa::path(tag = "Decisions", responses((status = 200, body = Success<Navigation>), (status = 304)))]
#[get("/api/iam/navigation")]
pub(crate) async fn navigation(request: HttpRequest, call: Authorized<Anyone>) -> ApiResult {
    let access = call.access(call.caller.into()).await?;
    let cache = call.api().response_cache();
    let (access, body) = match cache.get(access.id(), ResponseKind::Navigation) {
        Some(body) => (access, body),
        None => {
            let navigation = call.permissions().navigation(call.company()?, access).await;
            let (access, navigation) = navigation.map_err(Failure::from)?;
            let body = cache.keep(access.id(), ResponseKind::Navigation, navigation)?;
            (access, body)
        }
    };
    Ok(conditional(request.headers(), &access, &body, "private, max-age=300"))
}

/// Returns all permissions of the caller.
#[utoipa::path(tag = "Decisions", responses((status = 200, body = Success<EffectivePermissions>), (status = 304)))]
#[get("/api/iam/permissions/current")]
pub(crate) async fn current_permissions(request: HttpRequest, call: Authorized<Anyone>) -> ApiResult {
    let access = call.access(call.caller.into()).await?;
    let body = permissions_body(call.api(), &access)?;
    Ok(conditional(request.headers(), &access, &body, "private, no-cache"))
}

/// Returns all permissions of a user.
#[utoipa::path(tag = "Decisions", responses((status = 200, body = Success<EffectivePermissions>)))]
#[get("/api/iam/users/{userId}/permissions")]
pub(crate) async fn permissions_of_user(call: Authorized<ReadIam, OneUser>) -> ApiResult {
    let access = call.access(Subject::User(call.input.0.id)).await?;
    let body = permissions_body(call.api(), &access)?;
    Ok(ApiResponse::ok().seen(&access).json(body.bytes.clone()))
}

fn permissions_body(api: &Api, access: &Access) -> Result<Arc<CachedResponse>, ApiError> {
    let cache = api.response_cache();
    cache
        .get(access.id(), ResponseKind::Permissions)
        .map_or_else(|| cache.keep(access.id(), ResponseKind::Permissions, access.effective()), Ok)
}

/// A question: a view, or a feature with an action.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body; the question is read from its fields")]
pub(crate) struct CheckRequest {
    /// A view's url or id.
    view: Option<String>,
    /// A feature's key or id.
    feature: Option<String>,
    /// The action, with a feature.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 50)]
    action: Option<iam_domain::Action>,
    /// The required scope, with a feature.
    scope: Option<Scope>,
    /// The subject; the caller if omitted.
    user_id: Option<UserId>,
}

/// Returns the subject of a question: the caller, or another user if the caller may ask about others.
pub(super) async fn subject<P: Policy>(call: &Authorized<P, DecisionRequest>) -> Result<Subject, ApiError> {
    match call.input.about_other_than(call.caller.id()) {
        Some(other) => {
            may_ask_about_others(call).await?;
            other.map(Subject::User).map_err(|finding| ApiError::invalid(vec![finding.clone()]))
        }
        None => Ok(Subject::from(call.caller)),
    }
}

async fn may_ask_about_others<P: Policy, T>(call: &Authorized<P, T>) -> Result<(), Failure> {
    let company = call.company_if_any();
    call.application().authorize(call.caller, company, Requirement::CheckOthers, call.consistency()).await
}

/// Decides one question, about the caller or, for administrators, about another user.
#[utoipa::path(tag = "Decisions", request_body = CheckRequest, responses((status = 200, body = Success<DecisionData>)))]
#[post("/api/iam/check")]
pub(crate) async fn check(call: Authorized<Anyone, DecisionRequest>) -> ApiResult {
    let access = call.access(subject(&call).await?).await?;
    let mut body = Vec::with_capacity(RESULT_BYTES);
    body.extend_from_slice(br#"{"status":"success","data":"#);
    fast_path::write(&access.decide(&call.input.question), &mut body);
    body.push(b'}');
    Ok(ApiResponse::ok().seen(&access).json(body.into()))
}

/// Questions, each with the same fields as a single check.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; the questions are read from its fields")]
pub(crate) struct ChecksRequest {
    /// The questions, all about the company of the request.
    #[schema(min_items = 1, max_items = 1000)]
    checks: Vec<CheckRequest>,
}

/// The results of many questions, each decided while it is written.
struct Results<'a> {
    items: &'a [Item],
    caller: UserId,
    own: Option<Access>,
    /// The accesses of other users in ascending order, or the error of all questions about others.
    others: Result<Vec<Access>, ApiError>,
}

impl Results<'_> {
    fn write(&self, body: &mut Vec<u8>) -> Result<(), ApiError> {
        for (nth, item) in self.items.iter().enumerate() {
            if nth > 0 {
                body.push(b',');
            }
            self.write_one(item, body)?;
        }
        Ok(())
    }

    fn write_one(&self, item: &Item, body: &mut Vec<u8>) -> Result<(), ApiError> {
        let asked = match item {
            Ok(asked) => asked,
            Err(findings) => return RefusedCheck::write(&ApiError::invalid(findings.clone()), body),
        };
        let access = match (asked.about_other_than(self.caller), &self.others) {
            (None, _) => self.own.as_ref(),
            (Some(Err(finding)), Ok(_)) => {
                return RefusedCheck::write(&ApiError::invalid(vec![finding.clone()]), body);
            }
            (Some(Ok(user)), Ok(others)) => {
                let place = others.binary_search_by_key(&user, |access| access.subject().user_id());
                place.ok().and_then(|place| others.get(place))
            }
            (Some(_), Err(refusal)) => return RefusedCheck::write(refusal, body),
        };
        // An internal error, rather than an answer that looks like a denial.
        let access = access.ok_or_else(ApiError::internal)?;
        fast_path::write(&access.decide(&asked.question), body);
        Ok(())
    }
}

/// The approximate size of one decision, in bytes.
const RESULT_BYTES: usize = 256;

/// Decides up to 1,000 questions in their order. An invalid question gets an error in its place and does not affect the
/// others.
#[utoipa::path(tag = "Decisions", request_body = ChecksRequest, responses((status = 200, body = Success<ChecksData>)))]
#[post("/api/iam/checks")]
pub(crate) async fn checks(call: Authorized<Anyone, Checks>) -> ApiResult {
    let (caller, Checks(items)) = (call.caller.id(), &call.input);
    let fitting = || items.iter().flatten();
    let about_others = || fitting().filter_map(|asked| asked.about_other_than(caller));
    let may_ask = if about_others().next().is_none() { Ok(()) } else { may_ask_about_others(&call).await };
    let refusal = match may_ask {
        Ok(()) => None,
        Err(refusal @ Failure::Forbidden(_)) => Some(refusal.into()),
        Err(failure) => return Err(failure.into()),
    };
    let others: BTreeSet<_> = about_others().flatten().filter(|_| refusal.is_none()).collect();
    let mut subjects: Vec<_> = others.into_iter().map(Subject::User).collect();
    let is_about_caller = fitting().any(|asked| asked.about_other_than(caller).is_none());
    subjects.extend(is_about_caller.then(|| Subject::from(call.caller)));

    let accesses = call.permissions().accesses(call.company()?, &subjects, call.consistency()).await;
    let mut accesses = accesses.map_err(Failure::from)?;
    let reply = ApiResponse::ok().seen_all(&accesses);
    let own = if is_about_caller { accesses.pop() } else { None };
    let results = Results { items, caller, own, others: refusal.map_or(Ok(accesses), Err) };
    let mut body = Vec::with_capacity(items.len() * RESULT_BYTES);
    body.extend_from_slice(br#"{"status":"success","data":{"results":["#);
    results.write(&mut body)?;
    body.extend_from_slice(b"]}}");
    Ok(reply.json(body.into()))
}
