//! Explains decisions, and suggests the smallest set of changes that would turn a denial into an allow.

use actix_web::post;
use iam_application::Names;
use iam_domain::{
    AppliedCeiling, Explanation, ExternalId, FeatureId, GatingModule, LevelContribution, Scope, Step, UserId,
    UserLevelId, ViewId,
};
use iam_permissions_cache::Access;
use serde::Serialize;
use utoipa::ToSchema;

use super::decisions::CheckRequest;
use crate::decision_metrics;
use crate::extract::decision_request::{DecisionRequest, Explanations};
use crate::extract::{Anyone, Authorized};
use crate::respond::{
    ApiError, ApiResponse, ApiResult, MAX_DECIDING_LEVELS, RefusedCheck, Success, granted_scope, schema,
};

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
    /// The ids of the user levels that determined the decision, in ascending order: at most the first ten.
    #[schema(max_items = 10)]
    decided_by: Vec<UserLevelId>,
    /// The number of all user levels that determined the decision.
    decided_by_count: usize,
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
    /// The ceiling of the company on the view or action. `null` if it has none. A super admin sets ceilings.
    #[schema(required = true)]
    ceiling: Option<AppliedCeiling>,
    /// The user levels of the subject, each with its rule for the view or action: at most 100 levels. The levels that
    /// determined the decision come first.
    #[schema(max_items = 100)]
    levels: Vec<LevelContribution>,
    /// The number of all user levels of the subject.
    levels_count: usize,
    /// The smallest set of changes that would allow the view or action: at most the first 100 changes. Empty if it is
    /// already allowed, or if no such changes exist.
    #[schema(max_items = 100)]
    suggestion: Vec<Step>,
    /// The number of all changes of the suggestion.
    suggestion_count: usize,
    /// The names of the views, features, modules and levels whose ids the explanation contains, by id. While the
    /// database is unreachable, the names of the levels are omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = BTreeMap<String, String>, required = true)]
    names: Option<Names>,
}

/// A batch of checks to explain.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct ExplanationsRequest {
    /// The checks, which are all explained in the company of the request.
    #[schema(min_items = 1, max_items = 100)]
    checks: Vec<CheckRequest>,
}

/// The result of one check in a batch of explanations.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum ExplanationResult {
    /// The explanation, without names.
    Explained(Box<ExplanationData>),
    /// The error in place of an explanation: the check is invalid, or the caller may not check its subject.
    Refused(RefusedCheck),
}

/// The explanations of a batch of checks.
#[derive(Serialize, ToSchema)]
pub(crate) struct ExplanationsData {
    /// The results, in the order of the checks in the request.
    results: Vec<ExplanationResult>,
    /// The names of the views, features, modules and levels whose ids the results contain, by id. While the database is
    /// unreachable, the names of the levels are omitted.
    #[schema(value_type = BTreeMap<String, String>)]
    names: Names,
}

/// Maximum number of levels, and of steps of the suggestion, in an explanation.
const MAX_PARTS: usize = 100;

/// The sizes of the lists of an explanation before [`shorten`] shortened them.
struct Counts {
    decided_by: usize,
    levels: usize,
    suggestion: usize,
}

/// Shortens the lists of an explanation to their maximum sizes. Moves the levels that determined the decision to the
/// front of the list of levels, so that these levels are kept.
fn shorten(explanation: &mut Explanation) -> Counts {
    let Explanation { decision, levels, suggestion, .. } = explanation;
    let counts = Counts { decided_by: decision.decided_by.len(), levels: levels.len(), suggestion: suggestion.len() };
    levels.sort_by_key(|level| decision.decided_by.binary_search(&level.user_level_id).is_err());
    levels.truncate(MAX_PARTS);
    suggestion.truncate(MAX_PARTS);
    decision.decided_by.truncate(MAX_DECIDING_LEVELS);
    counts
}

impl ExplanationData {
    /// Counts the decision of an explanation, and returns the explanation as data of a response.
    fn new(
        (explanation, counts): (Explanation, Counts),
        names: Option<Names>,
        user_id: Option<UserId>,
        external_user_id: Option<ExternalId>,
    ) -> Self {
        let Explanation { decision, view, feature, gate, ceiling, levels, suggestion } = explanation;
        decision_metrics::count(decision.reason);
        Self {
            allowed: decision.allowed,
            scope: granted_scope(decision.allowed, decision.scope),
            reason: decision.reason.text(),
            reason_code: decision.reason.code(),
            decided_by: decision.decided_by,
            decided_by_count: counts.decided_by,
            user_id,
            external_user_id,
            view_id: view,
            feature_id: feature,
            gate,
            ceiling,
            levels,
            levels_count: counts.levels,
            suggestion,
            suggestion_count: counts.suggestion,
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
    let mut explanation = access.explain(&call.input.check);
    let counts = shorten(&mut explanation);
    let names = call.application().names_in_explanations(call.company()?, &access, [&explanation]).await;
    let (user_id, external_id) = subject(&call, &access, &call.input);
    let data = ExplanationData::new((explanation, counts), Some(names), user_id, external_id);
    ApiResponse::ok().freshness_headers(&access).data(data)
}

/// Returns the subject of a check: the user id, and the external id if the caller's token or the check contains it.
fn subject<T>(
    call: &Authorized<Anyone, T>,
    access: &Access,
    asked: &DecisionRequest,
) -> (Option<UserId>, Option<ExternalId>) {
    let user_id = access.subject().user_id();
    let external_id_of_caller = || call.external_id().filter(|_| user_id == call.caller().user_id()).cloned();
    (user_id, asked.external_id.clone().or_else(external_id_of_caller))
}

/// Number of explanations after which the handler yields to the other tasks of its worker.
const EXPLANATIONS_PER_TURN: usize = 8;

/// Explains a batch of up to 100 checks, and returns the results in the same order.
///
/// If a check is invalid or not permitted, its result is an error. The other checks are still explained. All
/// explanations of a batch are at the same versions.
#[utoipa::path(
    tag = "Decisions",
    request_body = ExplanationsRequest,
    responses((status = 200, body = Success<ExplanationsData>)),
)]
#[post("/api/iam/explanations")]
pub(crate) async fn explain_many(call: Authorized<Anyone, Explanations>) -> ApiResult {
    let Explanations(items) = &call.input;
    let subjects = items.iter().flatten().map(|asked| &asked.subject);
    let accesses = call.application().accesses_of_subjects(call.decision_context()?, subjects).await?;
    call.spend_decisions(accesses.all().first(), items.len())?;
    let (mut results, mut explained) = (Vec::with_capacity(items.len()), Vec::with_capacity(items.len()));
    for (nth, item) in items.iter().enumerate() {
        let access = match item {
            Ok(asked) => accesses.of(&asked.subject).map(|access| (asked, access)).map_err(ApiError::from),
            Err(findings) => Err(ApiError::invalid(findings.clone())),
        };
        results.push(match access {
            Ok((asked, access)) => {
                let mut explanation = access.explain(&asked.check);
                let counts = shorten(&mut explanation);
                explained.push(explanation.clone());
                let (user_id, external_id) = subject(&call, access, asked);
                let data = ExplanationData::new((explanation, counts), None, user_id, external_id);
                ExplanationResult::Explained(Box::new(data))
            }
            Err(error) if error.code.status().is_client_error() => {
                ExplanationResult::Refused(RefusedCheck::new(&error))
            }
            // Any other failure fails the whole request. If it were the result of this check, clients could mistake its
            // `"allowed":false` for a denial.
            Err(error) => return Err(error),
        });
        if nth % EXPLANATIONS_PER_TURN == EXPLANATIONS_PER_TURN - 1 {
            tokio::task::yield_now().await;
        }
    }
    let names = match accesses.all().first() {
        Some(access) => call.application().names_in_explanations(call.company()?, access, &explained).await,
        None => Names::new(),
    };
    ApiResponse::ok().freshness_headers_of_all(accesses.all()).data(ExplanationsData { results, names })
}
