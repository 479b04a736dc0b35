//! Explains decisions, and suggests the smallest set of changes that would turn a denial into an allow.

use actix_web::post;
use iam_application::Names;
use iam_domain::{Explanation, GatingModule, LevelContribution, Scope, Step, UserLevelId};
use serde::Serialize;
use utoipa::ToSchema;

use super::decisions::CheckRequest;
use crate::extract::decision_request::DecisionRequest;
use crate::extract::{Anyone, Authorized};
use crate::respond::{ApiResponse, ApiResult, Success, granted_scope, schema};

/// A decision, with the rules and permissions that determined it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExplanationData {
    /// Whether the view or action is allowed.
    allowed: bool,
    /// The scope with which the action is allowed. `null` for views, and if the action is denied.
    #[schema(required = true)]
    scope: Option<Scope>,
    /// The human-readable description of the rule that determined the decision.
    reason: &'static str,
    /// The machine-readable code of the rule that determined the decision.
    #[schema(schema_with = schema::reason_code)]
    reason_code: &'static str,
    /// The ids of the user levels that determined the decision.
    decided_by: Vec<UserLevelId>,
    /// The modules that gate the view or feature. The view or feature is available if at least one of them is both
    /// enabled and granted to the company. Empty if no module gates it.
    gate: Vec<GatingModule>,
    /// The user levels of the subject, each with its rule for the view or action.
    levels: Vec<LevelContribution>,
    /// The smallest set of changes that would allow the view or action. Empty if it is already allowed, or if no such
    /// changes exist.
    suggestion: Vec<Step>,
    /// The names of the levels, modules and features whose ids the explanation contains, by id.
    #[schema(value_type = BTreeMap<String, String>)]
    names: Names,
}

impl ExplanationData {
    fn new(explanation: Explanation, names: Names) -> Self {
        let Explanation { decision, gate, levels, suggestion } = explanation;
        Self {
            allowed: decision.allowed,
            scope: granted_scope(decision.allowed, decision.scope),
            reason: decision.reason.text(),
            reason_code: decision.reason.code(),
            decided_by: decision.decided_by,
            gate,
            levels,
            suggestion,
            names,
        }
    }
}

/// Explains the decision about a view or an action, for the caller or for another user.
///
/// To explain decisions about another user, the caller needs the permission to check other users.
#[utoipa::path(
    tag = "Decisions",
    request_body = CheckRequest,
    responses((status = 200, body = Success<ExplanationData>)),
)]
#[post("/api/iam/explain")]
pub(crate) async fn explain(call: Authorized<Anyone, DecisionRequest>) -> ApiResult {
    let access = call.application().access_of_subject(&call.decision_context()?, &call.input.subject).await?;
    let explanation = access.explain(&call.input.check);
    let names = call.application().names_in_explanation(call.company()?, &access, &explanation).await;
    ApiResponse::ok().freshness_headers(&access).data(ExplanationData::new(explanation, names))
}
