//! The response bodies of decisions, and of questions that could not be decided.

use iam_domain::{Scope, UserLevelId};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::{ApiError, Finding};

/// The decision about a question.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DecisionData {
    /// Whether access is allowed.
    pub(crate) allowed: bool,
    /// The scope of the action. `null` for views.
    pub(crate) scope: Option<Scope>,
    /// The human-readable reason.
    pub(crate) reason: &'static str,
    /// The machine-readable code of the reason.
    pub(crate) reason_code: &'static str,
    /// The ids of the levels that decided.
    pub(crate) decided_by: Vec<UserLevelId>,
}

/// The results of many questions.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the response; the results are written one by one")]
pub(crate) struct ChecksData {
    /// The results, in the order of the questions.
    results: Vec<CheckResult>,
}

/// The result of one of many questions.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes the response; the results are written one by one")]
enum CheckResult {
    /// The question was decided.
    Decided(DecisionData),
    /// The question is invalid, or the caller may not ask it.
    Refused(RefusedCheck),
}

/// The result of a question that is invalid or that the caller may not ask.
#[derive(Serialize, ToSchema)]
pub(crate) struct RefusedCheck {
    /// Always `false`.
    allowed: bool,
    /// The reason why there is no decision.
    error: Refusal,
}

/// The error of a question.
#[derive(Serialize, ToSchema)]
struct Refusal {
    /// The machine-readable error code.
    code: &'static str,
    /// The human-readable message.
    message: String,
    /// The invalid fields, if there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Finding>,
}

impl RefusedCheck {
    /// Writes the error of one question as JSON.
    pub(crate) fn write(error: &ApiError, body: &mut Vec<u8>) -> Result<(), ApiError> {
        let errors = error.errors.iter().map(Finding::from).collect();
        let error = Refusal { code: error.code.as_str(), message: error.message.clone(), errors };
        serde_json::to_writer(body, &Self { allowed: false, error }).map_err(ApiError::internal)
    }
}
