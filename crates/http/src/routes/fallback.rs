//! Handles requests that match no operation: redirects to the documentation, and rejects unknown routes.

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use utoipa::openapi::path::PathItem;

use super::openapi::DOCUMENT;
use crate::respond::{ApiError, Code};

/// Redirects `/docs` to `/docs/`.
pub(crate) async fn docs() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((header::LOCATION, "/docs/")).finish()
}

/// Responds with 405 and `Allow` if the path exists with other methods, and with 404 otherwise.
pub(crate) async fn no_such_route(request: HttpRequest) -> HttpResponse {
    let path = request.path();
    let item = DOCUMENT.paths.paths.iter().find(|(pattern, _)| matches_pattern(pattern, path));
    let Some((_, item)) = item else {
        return ApiError::no_such_route().error_response();
    };
    let message = format!("Method {} is not allowed here", request.method());
    let mut response = ApiError::new(Code::MethodNotAllowed, message).error_response();
    if let Ok(allowed) = HeaderValue::from_str(&allowed_methods(item)) {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response
}

/// Returns `true` if a path matches a pattern, in which `{…}` matches any non-empty segment.
fn matches_pattern(pattern: &str, path: &str) -> bool {
    let (mut pattern, mut path) = (pattern.split('/'), path.split('/'));
    loop {
        match (pattern.next(), path.next()) {
            (None, None) => return true,
            (Some(expected), Some(part)) if expected == part || (expected.starts_with('{') && !part.is_empty()) => {}
            _ => return false,
        }
    }
}

/// Returns the methods of a path as the value of the `Allow` header. A path that supports GET also supports HEAD.
fn allowed_methods(item: &PathItem) -> String {
    let methods = [
        ("GET", &item.get),
        ("HEAD", &item.get),
        ("POST", &item.post),
        ("PUT", &item.put),
        ("PATCH", &item.patch),
        ("DELETE", &item.delete),
    ];
    let allowed = methods.into_iter().filter(|(_, operation)| operation.is_some());
    allowed.map(|(name, _)| name).collect::<Vec<_>>().join(", ")
}
