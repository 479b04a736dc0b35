//! All error responses, with their error codes, HTTP statuses and log lines.

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use iam_application::{Budget, Exhausted, Failure, FieldCode, FieldError, Requirement, causes};
use iam_domain::Quota;
use iam_identity::AuthenticationError;
use serde::Serialize;
use utoipa::ToSchema;

use super::rate_limit::{RateLimitState, seconds};
use super::schema;

/// The value of the `Retry-After` header in responses with status 503, in seconds.
const RETRY_AFTER_SECONDS: u64 = 1;

/// The value of the `Retry-After` header for a caller who has used too many idempotency keys, in seconds. The keys
/// expire one by one.
const KEYS_RETRY_AFTER_SECONDS: u64 = 60;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $status:ident;)+) => {
        /// The machine-readable error code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Code {
            $($(#[doc = $doc])+ $name),+
        }

        impl Code {
            /// All codes.
            pub(crate) const ALL: &[Self] = &[$(Self::$name),+];

            /// Returns the code as it is sent to clients.
            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code),+ }
            }

            /// Returns the HTTP status of the code.
            pub(crate) const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status),+ }
            }
        }
    };
}

codes! {
    /// The caller is not authenticated.
    Unauthenticated = "ERR_AUTH_001", UNAUTHORIZED;
    /// The request must specify a company, but does not.
    CompanyMissing = "ERR_AUTH_002", BAD_REQUEST;
    /// The caller lacks the required permission.
    Forbidden = "ERR_AUTH_003", FORBIDDEN;
    /// The operation requires a super admin.
    SuperAdminOnly = "ERR_AUTH_007", FORBIDDEN;
    /// One field is invalid.
    Invalid = "ERR_VALIDATION_001", BAD_REQUEST;
    /// Several fields are invalid.
    InvalidFields = "ERR_VALIDATION_003", BAD_REQUEST;
    /// The body is too large.
    TooLarge = "ERR_VALIDATION_004", PAYLOAD_TOO_LARGE;
    /// The `Content-Type` is not JSON, or the body has a `Content-Encoding`.
    NotJson = "ERR_VALIDATION_005", UNSUPPORTED_MEDIA_TYPE;
    /// The entity does not exist, or is not visible to this caller.
    NotFound = "ERR_RESOURCE_001", NOT_FOUND;
    /// The change would violate a constraint on the data.
    Conflict = "ERR_RESOURCE_002", CONFLICT;
    /// The change would increase a quantity beyond its quota.
    QuotaExceeded = "ERR_QUOTA_001", CONFLICT;
    /// The resource has changed since the client read it: `If-Match` does not match.
    PreconditionFailed = "ERR_RESOURCE_003", PRECONDITION_FAILED;
    /// The data has changed since the first page of the list was read.
    Gone = "ERR_CURSOR_001", GONE;
    /// The caller has used the idempotency key for another request.
    KeyReused = "ERR_IDEMPOTENCY_001", UNPROCESSABLE_ENTITY;
    /// The path does not support this method.
    MethodNotAllowed = "ERR_RESOURCE_004", METHOD_NOT_ALLOWED;
    /// A budget of the caller, of the company or of the client address is exhausted.
    RateLimited = "ERR_RATE_LIMIT_001", TOO_MANY_REQUESTS;
    /// The client sent the request body too slowly.
    TooSlow = "ERR_TIMEOUT_001", REQUEST_TIMEOUT;
    /// The storage or the keys of a token issuer are unavailable, or the request timed out.
    Unavailable = "ERR_UNAVAILABLE_001", SERVICE_UNAVAILABLE;
    /// An unexpected error.
    Internal = "ERR_INTERNAL_001", INTERNAL_SERVER_ERROR;
}

/// An error response.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    pub(crate) code: Code,
    pub(crate) message: String,
    pub(crate) errors: Vec<FieldError>,
    /// The reason why the caller is not authenticated. `None` for all other errors.
    pub(crate) authentication: Option<AuthenticationError>,
    /// The value of the `Retry-After` header, in seconds.
    pub(crate) retry_after: Option<u64>,
    /// The exhausted budget, for the `RateLimit` headers.
    pub(crate) rate_limit: Option<Box<RateLimitState>>,
    /// The cause of a server-side error, for the log.
    pub(crate) cause: Option<Arc<dyn Error + Send + Sync>>,
}

impl ApiError {
    /// Creates an error without field errors.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            errors: Vec::new(),
            authentication: None,
            retry_after: None,
            rate_limit: None,
            cause: None,
        }
    }

    /// Creates the error for an unavailable dependency, or for a request that timed out.
    pub(crate) fn unavailable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let error = Self::new(Code::Unavailable, "The service is temporarily unavailable");
        Self { retry_after: Some(RETRY_AFTER_SECONDS), cause: Some(Arc::from(cause.into())), ..error }
    }

    /// Creates the error for an unexpected failure. The response contains no details.
    pub(crate) fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { cause: Some(Arc::from(cause.into())), ..Self::new(Code::Internal, "Internal server error") }
    }

    /// Logs a server-side error with the chain of its causes. The log level is `warn` if the service is unavailable,
    /// and `error` otherwise. Client errors are not logged.
    pub(crate) fn log(&self) {
        let Some(cause) = &self.cause else { return };
        let error = causes(cause.as_ref());
        if self.code == Code::Unavailable {
            tracing::warn!(error, "service unavailable");
        } else {
            tracing::error!(error, "internal error");
        }
    }

    /// Returns the code of a server-side error, for the span in which it occurred. Client errors, such as denials, are
    /// outcomes and not failures.
    pub(crate) fn failure<T>(outcome: &Result<T, Self>) -> Option<Cow<'static, str>> {
        let error = outcome.as_ref().err().filter(|error| error.code.status().is_server_error())?;
        Some(error.code.as_str().into())
    }

    /// Creates the error for an exhausted budget. The client may retry after the time in `limit`, which is rounded up to
    /// whole seconds, since an earlier retry would be rejected again.
    pub(crate) fn rate_limited(message: &'static str, limit: RateLimitState, retry_after: Duration) -> Self {
        let error = Self::new(Code::RateLimited, message);
        Self { retry_after: Some(seconds(retry_after).max(1)), rate_limit: Some(Box::new(limit)), ..error }
    }

    /// Creates the error for a path that matches no route.
    pub(crate) fn no_such_route() -> Self {
        Self::new(Code::NotFound, "Route not found")
    }

    /// Creates the error for a change that would increase a quantity beyond its quota.
    fn quota_exceeded(quota: Quota, limit: u64) -> Self {
        let key = quota.key();
        let message = match quota {
            Quota::LevelsPerUser => format!("The user has reached the quota {key}: {limit}"),
            _ => format!("The company has reached its quota {key}: {limit}"),
        };
        let error = FieldError::new(key, FieldCode::QuotaExceeded, format_args!("must be at most {limit}"));
        Self { errors: vec![error], ..Self::new(Code::QuotaExceeded, message) }
    }

    /// Creates the error for an invalid request. If there is exactly one field error, the error has the message of this
    /// field error.
    pub(crate) fn invalid(errors: Vec<FieldError>) -> Self {
        let error = match errors.as_slice() {
            [] => Self::new(Code::Invalid, "The request is not valid"),
            [only] => Self::new(Code::Invalid, only.message.clone()),
            _ => Self::new(Code::InvalidFields, "Validation failed"),
        };
        Self { errors, ..error }
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Forbidden(requirement) => {
                let code = match requirement {
                    Requirement::SuperAdmin | Requirement::ManageCredentials => Code::SuperAdminOnly,
                    _ => Code::Forbidden,
                };
                Self::new(code, requirement.denial_message())
            }
            Failure::ForbiddenChange { message, errors } => Self { errors, ..Self::new(Code::Forbidden, message) },
            Failure::InUse { message, errors } => Self { errors, ..Self::new(Code::Invalid, message) },
            Failure::NotFound(what) => Self::new(Code::NotFound, format!("{what} not found")),
            Failure::Conflict(message) => Self::new(Code::Conflict, message),
            Failure::QuotaExceeded { quota, limit } => Self::quota_exceeded(quota, limit),
            Failure::Invalid(findings) => Self::invalid(findings),
            Failure::PreconditionFailed => {
                Self::new(Code::PreconditionFailed, "The resource has changed since it was read")
            }
            Failure::Outdated => Self::new(Code::Gone, "The data has changed since the first page was read"),
            Failure::KeyReused => Self::new(Code::KeyReused, "The idempotency key belongs to another request"),
            Failure::TooManyKeys(limit) => {
                let message = format!("The caller has used {limit} idempotency keys within 24 hours");
                Self { retry_after: Some(KEYS_RETRY_AFTER_SECONDS), ..Self::new(Code::RateLimited, message) }
            }
            Failure::Exhausted(exhausted) => exhausted.into(),
            Failure::Unavailable(source) => Self::unavailable(source),
            Failure::Internal(source) => Self::internal(source),
            other => Self::internal(other),
        }
    }
}

impl From<Exhausted> for ApiError {
    fn from(exhausted: Exhausted) -> Self {
        let message = match exhausted.budget {
            Budget::Caller => "Too many requests",
            Budget::Company => "Too many requests for this company",
            Budget::Loads => "Too many requests that read the storage",
            Budget::AuditBytes => "The company changes too much: its budget of audit records is exhausted",
        };
        Self::rate_limited(message, exhausted.into(), exhausted.retry_after)
    }
}

impl From<AuthenticationError> for ApiError {
    fn from(error: AuthenticationError) -> Self {
        match error {
            AuthenticationError::Unavailable => Self::unavailable(error),
            _ => Self { authentication: Some(error), ..Self::new(Code::Unauthenticated, error.to_string()) },
        }
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}

/// An error that concerns one field of the request.
#[derive(Serialize, ToSchema)]
pub(crate) struct Finding {
    /// The path of the field, such as `views[2].viewId`.
    field: String,
    /// The human-readable message.
    message: String,
    /// The machine-readable error code.
    #[schema(schema_with = schema::field_code)]
    code: &'static str,
}

impl From<&FieldError> for Finding {
    fn from(error: &FieldError) -> Self {
        Self { field: error.field.clone(), message: error.message.clone(), code: error.code.as_str() }
    }
}

/// The body of every error response.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
pub(crate) struct ErrorBody {
    /// Always `error`.
    #[schema(schema_with = schema::error_status)]
    status: &'static str,
    /// The machine-readable error code.
    #[schema(schema_with = schema::error_code)]
    code: &'static str,
    /// The human-readable message.
    message: String,
    /// The reason why the caller is not authenticated. Omitted from all other errors.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::authentication_reason, required = false)]
    reason: Option<&'static str>,
    /// The individual errors that `message` summarizes. Omitted if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Finding>,
}

impl From<&ApiError> for ErrorBody {
    fn from(error: &ApiError) -> Self {
        Self {
            status: "error",
            code: error.code.as_str(),
            message: error.message.clone(),
            reason: error.authentication.map(AuthenticationError::reason),
            errors: error.errors.iter().map(Finding::from).collect(),
        }
    }
}

/// Returns the value of the `WWW-Authenticate` header (RFC 6750). If the request has no credential, the value contains
/// no error code.
fn challenge(error: AuthenticationError) -> HeaderValue {
    let value = match error {
        AuthenticationError::Missing => Ok(HeaderValue::from_static("Bearer")),
        error => format!(r#"Bearer error="invalid_token", error_description="{}""#, error.description()).try_into(),
    };
    value.unwrap_or(HeaderValue::from_static("Bearer"))
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.code.status()
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.code.status()).json(ErrorBody::from(self));
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(limit) = &self.rate_limit {
            limit.add_to(headers);
        }
        if let Some(error) = self.authentication {
            headers.insert(header::WWW_AUTHENTICATE, challenge(error));
        }
        response
    }
}
