//! The response bodies of decisions, and of questions that were not decided.

use iam_domain::{Scope, UserLevelId};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::{ApiError, Finding};

/// A decision.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DecisionData {
    /// Whether access is allowed.
    pub(crate) allowed: bool,
    /// The scope of an action; `null` for views.
    pub(crate) scope: Option<Scope>,
    /// The reason, for people.
    pub(crate) reason: &'static str,
    /// The reason, for programs.
    pub(crate) reason_code: &'static str,
    /// The levels that decided it.
    pub(crate) decided_by: Vec<UserLevelId>,
}

/// The answers to many questions.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the response; the results are written one by one")]
pub(crate) struct ChecksData {
    /// The answers, in the order of the questions.
    results: Vec<CheckResult>,
}

/// One of many answers.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes the response; the results are written one by one")]
enum CheckResult {
    /// The question was decided.
    Decided(DecisionData),
    /// The question could not be asked, or not by this caller.
    Refused(RefusedCheck),
}

/// A question that could not be asked, or not by this caller.
#[derive(Serialize, ToSchema)]
pub(crate) struct RefusedCheck {
    /// Always `false`.
    allowed: bool,
    /// The error.
    error: Refusal,
}

/// The error of a question.
#[derive(Serialize, ToSchema)]
struct Refusal {
    /// The code, for programs.
    code: &'static str,
    /// The message, for people.
    message: String,
    /// The findings, if there are several.
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
