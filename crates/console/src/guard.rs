//! The middleware of all responses of the console: the security headers, and the rejection of requests from other sites.

use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse, ResponseError};
use iam_application::{Reads, with_reads};

use crate::error::{PageError, RETRY_AFTER};

/// The header in which browsers state how the site of a request is related to its origin.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The content security policy of the console: only its own files, no inline scripts or styles, no frames, and forms only
/// to itself.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
    form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Adds the security headers. Responses are not cached, unless they state that they may be.
pub(crate) fn secure(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// Returns `true` if a request that may have an effect comes from a page of the console. Browsers state it in
/// `Sec-Fetch-Site`; older browsers send only `Origin`.
fn is_same_origin(request: &ServiceRequest) -> bool {
    let text = |name: HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text(SEC_FETCH_SITE) {
        return site == "same-origin";
    }
    let host = text(header::HOST).or_else(|| request.uri().authority().map(|authority| authority.as_str()));
    let origin = text(header::ORIGIN).and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    origin.is_some() && origin == host
}

/// Rejects requests from other sites that may have an effect, and adds the security headers to the response.
pub(crate) async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if !request.method().is_safe() && !is_same_origin(&request) {
        return Ok(secured(request.into_response(PageError::Forged.error_response())));
    }
    // People expect to see what they have just changed, also on another replica.
    match with_reads(Reads::Latest, next.call(request)).await {
        Ok(response) => Ok(secured(response.map_into_boxed_body())),
        // Handlers respond to their own failures. Only the storage of the sessions fails outside of them.
        Err(error) => {
            let response = failed(StatusCode::SERVICE_UNAVAILABLE, None);
            Err(InternalError::from_response(error, response).into())
        }
    }
}

fn secured(mut response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    secure(response.headers_mut());
    response
}

/// Returns the page for a request that failed outside of the console, such as a request that timed out.
#[must_use]
pub fn failed(status: StatusCode, retry_after: Option<Duration>) -> HttpResponse {
    let after = retry_after.unwrap_or(RETRY_AFTER);
    let error = match status {
        StatusCode::TOO_MANY_REQUESTS => PageError::RateLimited(after),
        StatusCode::SERVICE_UNAVAILABLE => PageError::Unavailable(after),
        _ => PageError::Internal,
    };
    let mut response = error.error_response();
    secure(response.headers_mut());
    response
}
