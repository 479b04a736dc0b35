//! The response bodies of decisions, and of checks that cannot be decided.

use iam_domain::{Scope, UserLevelId};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::{ApiError, Finding};
use super::schema;

/// Returns the scope that the response to a check contains: `None` if the decision is a denial.
pub(crate) const fn granted_scope(allowed: bool, scope: Option<Scope>) -> Option<Scope> {
    if allowed { scope } else { None }
}

/// Maximum number of deciding levels in a response. If more levels determined the decision, the response counts them.
pub(crate) const MAX_DECIDING_LEVELS: usize = 10;

/// The decision that results from a check.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DecisionData {
    /// Whether the view or action is allowed.
    pub(crate) allowed: bool,
    /// The scope with which the action is allowed. `null` for views, and if the action is denied.
    #[schema(required = true)]
    pub(crate) scope: Option<Scope>,
    /// The human-readable reason for the decision.
    pub(crate) reason: &'static str,
    /// The machine-readable code of the reason.
    #[schema(schema_with = schema::reason_code)]
    pub(crate) reason_code: &'static str,
    /// The ids of the user levels that determined the decision, in ascending order: at most the first ten.
    #[schema(max_items = 10)]
    pub(crate) decided_by: Vec<UserLevelId>,
    /// The number of all user levels that determined the decision.
    pub(crate) decided_by_count: usize,
}

/// The results of a batch of checks.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the response")]
pub(crate) struct ChecksData {
    /// The results, in the order of the checks in the request.
    results: Vec<CheckResult>,
}

/// The result of one check in a batch.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the response")]
enum CheckResult {
    /// The decision.
    Decided(DecisionData),
    /// The error in place of a decision: the check is invalid, or the caller may not check its subject.
    Refused(RefusedCheck),
}

/// The result of a check that cannot be decided: the check is invalid, or the caller may not check its subject.
#[derive(Serialize, ToSchema)]
pub(crate) struct RefusedCheck {
    /// Always `false`.
    #[schema(schema_with = schema::never)]
    allowed: bool,
    /// Always `not_decided`.
    #[serde(rename = "reasonCode")]
    #[schema(schema_with = schema::not_decided)]
    reason_code: &'static str,
    /// The error that prevented a decision.
    error: Refusal,
}

/// The error that prevented the decision of a check.
#[derive(Serialize, ToSchema)]
struct Refusal {
    /// The machine-readable error code.
    #[schema(schema_with = schema::error_code)]
    code: &'static str,
    /// The human-readable message.
    message: String,
    /// The field errors, if fields of the check are invalid.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Finding>,
}

impl RefusedCheck {
    /// Writes, as JSON, the result of a check that cannot be decided.
    pub(crate) fn write(error: &ApiError, body: &mut Vec<u8>) -> Result<(), ApiError> {
        serde_json::to_writer(body, &Self::new(error)).map_err(ApiError::internal)
    }

    /// Returns the result of a check that cannot be decided because of this error.
    pub(crate) fn new(error: &ApiError) -> Self {
        let errors = error.errors.iter().map(Finding::from).collect();
        let error = Refusal { code: error.code.as_str(), message: error.message.clone(), errors };
        Self { allowed: false, reason_code: "not_decided", error }
    }
}
