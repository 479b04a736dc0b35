//! The middleware of all responses of the console: the security headers, and the rejection of requests from other sites.

use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpResponse, ResponseError};
use iam_application::{Reads, with_reads};
use url::Url;

use crate::console::Console;
use crate::error::{PageError, RETRY_AFTER};
use crate::form::is_utf8;
use crate::session::{host, is_local};

/// The header in which browsers state how the site of a request is related to its origin.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The content security policy of the console: only its own files, no inline scripts or styles, no frames, and forms only
/// to itself.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
    form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Adds the security headers. Responses are not cached, unless they state that they may be.
fn secure(mut response: HttpResponse) -> HttpResponse {
    let headers = response.headers_mut();
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
    response
}

/// Returns `true` if a request that may have an effect comes from a page of the console. Browsers state it in
/// `Sec-Fetch-Site`; older browsers send only `Origin`, which must be the host of the request, with `https` unless the
/// connection is within this machine.
fn is_same_origin(request: &ServiceRequest, console: &Console) -> bool {
    let text = |name: HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text(SEC_FETCH_SITE) {
        return site == "same-origin";
    }
    let origin = text(header::ORIGIN).and_then(|origin| Url::parse(origin).ok());
    let (Some(origin), Some(host)) = (origin, host(request.request())) else { return false };
    let is_safe = origin.scheme() == "https" || (origin.scheme() == "http" && is_local(request.request(), console));
    let own = Url::parse(&format!("{}://{host}", origin.scheme()));
    is_safe && own.is_ok_and(|own| own.origin() == origin.origin())
}

/// Rejects requests from other sites that may have an effect and requests that are not UTF-8, and adds the security headers
/// to the response.
pub(crate) async fn guard(
    console: Data<Console>,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if !request.method().is_safe() && !is_same_origin(&request, &console) {
        return Ok(secured(request.into_response(PageError::Forged.error_response())));
    }
    if !is_utf8(request.path()) || !is_utf8(request.query_string()) {
        let error = PageError::Invalid("The address is not valid".to_owned());
        return Ok(secured(request.into_response(error.error_response())));
    }
    // People expect to see what they have just changed, also on another replica.
    match with_reads(Reads::Latest, next.call(request)).await {
        Ok(response) => Ok(secured(response)),
        // Handlers respond to their own failures, but sessions are read and written outside of them.
        Err(error) => {
            let response = match error.as_error::<PageError>() {
                Some(error) => error.error_response(),
                None => PageError::of_status(error.as_response_error().status_code(), RETRY_AFTER).error_response(),
            };
            Err(InternalError::from_response(error, secure(response)).into())
        }
    }
}

fn secured(response: ServiceResponse) -> ServiceResponse {
    let (request, response) = response.into_parts();
    ServiceResponse::new(request, secure(response))
}

/// Returns the page for a request that failed outside of the console, such as a request that timed out.
#[must_use]
pub fn failed(status: StatusCode, retry_after: Option<Duration>) -> HttpResponse {
    secure(PageError::of_status(status, retry_after.unwrap_or(RETRY_AFTER)).error_response())
}
