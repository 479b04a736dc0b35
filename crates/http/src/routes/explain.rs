//! Explains decisions, and suggests the smallest change that would turn a denial into an allow.

use actix_web::post;
use iam_domain::{Explanation, GatingModule, LevelSays, Scope, Step, UserLevelId};
use serde::Serialize;
use utoipa::ToSchema;

use super::decisions::CheckRequest;
use crate::extract::decision_request::DecisionRequest;
use crate::extract::{Anyone, Authorized};
use crate::respond::{ApiResponse, ApiResult, Success};

/// A decision with its derivation.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExplanationData {
    /// Whether access is allowed.
    allowed: bool,
    /// The scope of the action. `null` for views.
    scope: Option<Scope>,
    /// The human-readable description of the rule that decided.
    reason: &'static str,
    /// The machine-readable code of the rule that decided.
    reason_code: &'static str,
    /// The ids of the levels that decided.
    decided_by: Vec<UserLevelId>,
    /// The modules that gate the view or feature. One module that is both enabled and granted to the company opens the
    /// gate. Empty if the view or feature is open to all companies.
    gate: Vec<GatingModule>,
    /// The permission that each of the user's levels has for the view or action.
    levels: Vec<LevelSays>,
    /// The fewest steps that together would allow access. Empty if access is allowed, or if no step can allow it.
    suggestion: Vec<Step>,
}

impl From<Explanation> for ExplanationData {
    fn from(explanation: Explanation) -> Self {
        let Explanation { decision, gate, levels, suggestion } = explanation;
        Self {
            allowed: decision.allowed,
            scope: decision.scope,
            reason: decision.reason.text(),
            reason_code: decision.reason.code(),
            decided_by: decision.decided_by,
            gate,
            levels,
            suggestion,
        }
    }
}

/// Explains a decision about the caller or, if the caller may ask about others, about another user.
#[utoipa::path(
    tag = "Decisions",
    request_body = CheckRequest,
    responses((status = 200, body = Success<ExplanationData>)),
)]
#[post("/api/iam/explain")]
pub(crate) async fn explain(call: Authorized<Anyone, DecisionRequest>) -> ApiResult {
    let access = call.application().access_of_subject(&call.decision_context()?, &call.input.subject).await?;
    ApiResponse::ok().seen(&access).data(ExplanationData::from(access.explain(&call.input.question)))
}
