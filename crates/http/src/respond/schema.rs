//! The OpenAPI schemas of string and boolean fields with a fixed set of values.

use iam_application::{FieldCode, ReadinessReason};
use iam_domain::Reason;
use iam_identity::AuthenticationError;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

use super::error::Code;

/// Returns the schema of a string with these values.
fn one_of<'a>(description: &str, values: impl IntoIterator<Item = &'a str>) -> Object {
    ObjectBuilder::new().schema_type(Type::String).description(Some(description)).enum_values(Some(values)).build()
}

/// Returns the schema of the field `status` of a successful response.
pub(crate) fn success_status() -> Object {
    one_of("Always `success`.", ["success"])
}

/// Returns the schema of the field `status` of an error response.
pub(crate) fn error_status() -> Object {
    one_of("Always `error`.", ["error"])
}

/// Returns the schema of the field `status` of the health check.
pub(crate) fn ok_status() -> Object {
    one_of("Always `ok`.", ["ok"])
}

/// Returns the schema of the field `status` of a liveness or readiness check.
pub(crate) fn probe_status() -> Object {
    let meaning = "`ok`, `degraded` while only cached decisions are served, or `unavailable`.";
    one_of(meaning, ["ok", "degraded", "unavailable"])
}

/// Returns the schema of the field `reason` of a condition of readiness.
pub(crate) fn readiness_reason() -> Object {
    one_of("The stable code of the problem with the condition.", ReadinessReason::ALL.map(ReadinessReason::code))
}

/// Returns the schema of the field `code` of an error response.
pub(crate) fn error_code() -> Object {
    one_of("The machine-readable error code.", Code::ALL.iter().map(|code| code.as_str()))
}

/// Returns the schema of the field `reason` of a response with status 401.
pub(crate) fn authentication_reason() -> Object {
    one_of("The machine-readable reason of a response with status 401.", AuthenticationError::REASONS)
}

/// Returns the schema of the field `code` of a validation error.
pub(crate) fn field_code() -> Object {
    one_of("The machine-readable code of the validation error.", FieldCode::ALL.iter().map(|code| code.as_str()))
}

/// Returns the schema of the field `reasonCode` of a decision.
pub(crate) fn reason_code() -> Object {
    one_of("The machine-readable code of the reason.", Reason::ALL.iter().map(|reason| reason.code()))
}

/// Returns the schema of the field `reasonCode` of a check that cannot be decided.
pub(crate) fn not_decided() -> Object {
    one_of("Always `not_decided`.", ["not_decided"])
}

/// Returns the schema of a boolean that is always `false`.
pub(crate) fn never() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Boolean)
        .description(Some("Always `false`."))
        .enum_values(Some([false]))
        .build()
}
