//! Explains decisions, and suggests the smallest set of changes that would turn a denial into an allow.

use actix_web::post;
use iam_application::Names;
use iam_domain::{
    Explanation, ExternalId, FeatureId, GatingModule, LevelContribution, Scope, Step, UserId, UserLevelId, ViewId,
};
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
    /// The subject: the user whose permissions were checked. `null` if a service checked its own permissions.
    #[schema(required = true)]
    user_id: Option<UserId>,
    /// The external id (`issuer|subject`) of the subject, if the subject is the caller, or if the request identifies
    /// the subject by its external id. Otherwise `null`, because the external id is not looked up. Always `null` for
    /// users of the native issuer.
    #[schema(value_type = Option<String>, required = true)]
    external_user_id: Option<ExternalId>,
    /// The view. `null` if the check is for a feature, if the view does not exist, or if the subject is not a member of
    /// the company.
    #[schema(required = true)]
    view_id: Option<ViewId>,
    /// The feature. `null` if the check is for a view, if the feature does not exist, or if the subject is not a member
    /// of the company.
    #[schema(required = true)]
    feature_id: Option<FeatureId>,
    /// The modules that gate the view or feature. The view or feature is available if at least one of them is both
    /// enabled and granted to the company. Empty if no module gates it.
    gate: Vec<GatingModule>,
    /// The user levels of the subject, each with its rule for the view or action.
    levels: Vec<LevelContribution>,
    /// The smallest set of changes that would allow the view or action. Empty if it is already allowed, or if no such
    /// changes exist.
    suggestion: Vec<Step>,
    /// The names of the views, features, modules and levels whose ids the explanation contains, by id. While the
    /// database is unreachable, the names of the levels are omitted.
    #[schema(value_type = BTreeMap<String, String>)]
    names: Names,
}

impl ExplanationData {
    fn new(
        explanation: Explanation,
        names: Names,
        user_id: Option<UserId>,
        external_user_id: Option<ExternalId>,
    ) -> Self {
        let Explanation { decision, view, feature, gate, levels, suggestion } = explanation;
        Self {
            allowed: decision.allowed,
            scope: granted_scope(decision.allowed, decision.scope),
            reason: decision.reason.text(),
            reason_code: decision.reason.code(),
            decided_by: decision.decided_by,
            user_id,
            external_user_id,
            view_id: view,
            feature_id: feature,
            gate,
            levels,
            suggestion,
            names,
        }
    }
}

/// Explains why a view or an action is allowed or denied for the caller or for another user.
///
/// To explain decisions for another user, the caller needs the permission to check other users.
#[utoipa::path(
    tag = "Decisions",
    request_body = CheckRequest,
    responses((status = 200, body = Success<ExplanationData>)),
)]
#[post("/api/iam/explain")]
pub(crate) async fn explain(call: Authorized<Anyone, DecisionRequest>) -> ApiResult {
    let access = call.application().access_of_subject(&call.decision_context()?, &call.input.subject).await?;
    call.spend_decisions(Some(&access), 1)?;
    let explanation = access.explain(&call.input.check);
    let names = call.application().names_in_explanation(call.company()?, &access, &explanation).await;
    let user_id = access.subject().user_id();
    let external_id_of_caller = || call.external_id().filter(|_| user_id == call.caller().user_id()).cloned();
    let external_id = call.input.external_id.clone().or_else(external_id_of_caller);
    ApiResponse::ok().freshness_headers(&access).data(ExplanationData::new(explanation, names, user_id, external_id))
}
