//! Reads the required consistency of a decision from the request headers.

use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderName};
use iam_application::{FieldCode, FieldError, Reads};
use iam_domain::Versions;
use iam_permissions_cache::Consistency;

use crate::respond::ApiError;

/// The request header that contains the minimum version that the response must reflect. Its value is the
/// `X-IAM-Version` of an earlier response. This guarantees read-your-writes and monotonic reads for the client.
pub(crate) const MIN_VERSION: HeaderName = HeaderName::from_static("x-iam-min-version");

/// The request header that contains the version that the company and the catalog must still have for a change to be
/// made. Its value is the `X-IAM-Version` of an earlier response, such as the preview of the change.
pub(crate) const IF_VERSION: HeaderName = HeaderName::from_static("x-iam-if-version");

/// Reads the headers `Cache-Control: no-cache` and `X-IAM-Min-Version`. If `X-IAM-Min-Version` occurs twice or is not a
/// valid version, the response is 400.
pub(crate) fn consistency(headers: &HeaderMap) -> Result<Consistency, ApiError> {
    let bypasses_cache = headers
        .get_all(header::CACHE_CONTROL)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(','))
        .any(|directive| directive.trim().eq_ignore_ascii_case("no-cache"));
    Ok(match (bypasses_cache, version(headers, &MIN_VERSION)?) {
        // `no-cache` also satisfies any minimum version, since it forces a read of the latest committed version.
        (true, _) => Consistency::Fresh,
        (false, Some(least)) => Consistency::AtLeast(least),
        (false, None) => Consistency::Cached,
    })
}

/// Returns how recent the data that the request reads must be. Only a GET request without headers that ask for recent data
/// may miss changes that other processes have just committed.
pub(crate) fn reads(method: &Method, headers: &HeaderMap) -> Reads {
    let asks = headers.contains_key(header::CACHE_CONTROL) || headers.contains_key(&MIN_VERSION);
    if *method == Method::GET && !asks { Reads::Bounded } else { Reads::Latest }
}

/// Reads the version that the target of a change must still have. If the header occurs twice or is not a valid version,
/// the response is 400.
pub(super) fn if_version(headers: &HeaderMap) -> Result<Option<Versions>, ApiError> {
    version(headers, &IF_VERSION)
}

fn version(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Versions>, ApiError> {
    let mut values = headers.get_all(name);
    let version = match (values.next(), values.next()) {
        (None, _) => return Ok(None),
        (Some(value), None) => value.to_str().ok().and_then(Versions::parse),
        (Some(_), Some(_)) => None,
    };
    let what = "must be a single X-IAM-Version value from an earlier response";
    let invalid = || ApiError::invalid(vec![FieldError::new(name.as_str(), FieldCode::Version, what)]);
    version.map(Some).ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn of(lines: &[(HeaderName, &'static str)]) -> Result<Consistency, ApiError> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name.clone(), HeaderValue::from_static(value));
        }
        consistency(&headers)
    }

    #[test]
    fn no_cache_takes_precedence_over_a_minimum_version() {
        let least = (MIN_VERSION, "0000000000000007.2.3");
        for line in ["no-cache", "max-age=0, No-Cache", "private,no-cache"] {
            assert_eq!(of(&[(header::CACHE_CONTROL, line)]).unwrap(), Consistency::Fresh);
            assert_eq!(of(&[least.clone(), (header::CACHE_CONTROL, line)]).unwrap(), Consistency::Fresh);
        }
        assert_eq!(of(&[(header::CACHE_CONTROL, "no-store")]).unwrap(), Consistency::Cached);
        assert_eq!(of(&[]).unwrap(), Consistency::Cached);
    }

    #[test]
    fn a_minimum_version_must_have_the_exact_format_of_the_header() {
        let versions = Versions { epoch: 7, catalog: 2, company: 3, boundary: 0 };
        let line: &'static str = Box::leak(versions.to_string().into_boxed_str());
        assert_eq!(of(&[(MIN_VERSION, line)]).unwrap(), Consistency::AtLeast(versions));
        assert!(of(&[(MIN_VERSION, "3")]).is_err());
        assert!(of(&[(MIN_VERSION, line), (MIN_VERSION, line)]).is_err());
    }
}
