//! Handles requests that match no operation: redirects to the documentation, and rejects unknown routes.

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, ResponseError};

use super::openapi::ALLOWED_METHODS;
use crate::respond::{ApiError, Code};

/// Redirects `/docs` to `/docs/`.
pub(crate) async fn docs() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((header::LOCATION, "/docs/")).finish()
}

/// Responds with 405 and `Allow` if the path exists with other methods, and with 404 otherwise.
pub(crate) async fn no_such_route(request: HttpRequest) -> HttpResponse {
    let path = request.path();
    let Some((_, allowed)) = ALLOWED_METHODS.iter().find(|(pattern, _)| matches_pattern(pattern, path)) else {
        return ApiError::no_such_route().error_response();
    };
    let message = format!("Method {} is not allowed here", request.method());
    let mut response = ApiError::new(Code::MethodNotAllowed, message).error_response();
    if let Ok(allowed) = HeaderValue::from_str(allowed) {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response
}

/// Returns `true` if a path matches a pattern, in which `{…}` matches any non-empty segment.
pub(crate) fn matches_pattern(pattern: &str, path: &str) -> bool {
    let (mut pattern, mut path) = (pattern.split('/'), path.split('/'));
    loop {
        match (pattern.next(), path.next()) {
            (None, None) => return true,
            (Some(expected), Some(part)) if expected == part || (expected.starts_with('{') && !part.is_empty()) => {}
            _ => return false,
        }
    }
}
