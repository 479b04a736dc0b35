//! Reads the header `Idempotency-Key`, with which a client marks the repetitions of a request.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header::HeaderName;
use iam_application::{FieldCode, FieldError, IdempotentRequest, request_digest};
use iam_domain::{Caller, CompanyId, IdempotencyKey, InvalidIdempotencyKey};

use crate::respond::ApiError;

/// The name of the header, as error messages contain it.
const NAME: &str = "Idempotency-Key";
const HEADER: HeaderName = HeaderName::from_static("idempotency-key");

/// The paths whose `POST` creates an entity. All other operations ignore idempotency keys.
const CREATING: [&str; 8] = [
    "/api/iam/api-keys",
    "/api/iam/companies",
    "/api/iam/features",
    "/api/iam/menu-items",
    "/api/iam/modules",
    "/api/iam/sub-menu-items",
    "/api/iam/user-levels",
    "/api/iam/views",
];

/// Returns the request of a creation with an idempotency key. `body` is the body as it was sent.
pub(super) fn idempotent_request(
    request: &HttpRequest,
    caller: Caller,
    company: Option<CompanyId>,
    body: &[u8],
) -> Result<Option<Arc<IdempotentRequest>>, ApiError> {
    let mut values = request.headers().get_all(HEADER);
    let Some(value) = values.next() else { return Ok(None) };
    let path = request.match_pattern().unwrap_or_default();
    if request.method() != Method::POST || !CREATING.contains(&path.as_str()) {
        return Ok(None);
    }
    let invalid = |code, what: &str| ApiError::invalid(vec![FieldError::new(NAME, code, what)]);
    if values.next().is_some() {
        return Err(invalid(FieldCode::Duplicate, "is specified more than once"));
    }
    let key = value.to_str().ok().map(IdempotencyKey::parse);
    let key = key.unwrap_or(Err(InvalidIdempotencyKey));
    let key = key.map_err(|error| invalid(FieldCode::Invalid, &error.to_string()))?;
    Ok(Some(Arc::new(IdempotentRequest {
        actor: caller.actor(),
        key,
        method: request.method().to_string(),
        path,
        digest: request_digest(company, body),
    })))
}
