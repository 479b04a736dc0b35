//! Determines the company of a request from its path, query, body and header.

use actix_web::HttpRequest;
use iam_application::{FieldCode, FieldError};
use iam_domain::CompanyId;

use super::body::Body;
use crate::respond::{ApiError, Code};

/// Returns the error for a request that must specify a company but does not.
pub(super) fn company_missing() -> ApiError {
    ApiError::new(Code::CompanyMissing, "Company ID is required")
}

/// Returns the company that is specified in the path, query, body or header, if any. If an id is invalid, or if the
/// request specifies different ids, the response is 400.
pub(super) fn find_company(
    request: &HttpRequest,
    query: &[(String, String)],
    body: &Body,
) -> Result<Option<CompanyId>, ApiError> {
    let path = request.match_info().get("companyId").map(Ok);
    let query = query.iter().filter(|(key, _)| key == "companyId").map(|(_, value)| Ok(value.as_str()));
    let body = body.company();
    let body = body.as_ref().map(|named| named.as_deref().ok_or(()));
    let header = request.headers().get_all("x-company-id").map(|value| Ok(value.to_str().unwrap_or_default()));
    agreed(path.into_iter().chain(query).chain(body).chain(header))
}

/// Returns the company that all of these ids specify. `Err` stands for a value that is not a string. If an id is invalid,
/// or if the ids differ, the response is 400.
pub(crate) fn agreed<'a>(ids: impl IntoIterator<Item = Result<&'a str, ()>>) -> Result<Option<CompanyId>, ApiError> {
    let (mut found, mut agree) = (None, true);
    for named in ids {
        let company = match named {
            Ok(text) => CompanyId::parse(text).map_err(|error| (FieldCode::Uuid, error.to_string())),
            Err(()) => Err((FieldCode::Type, "must be a string".to_owned())),
        };
        let company =
            company.map_err(|(code, what)| ApiError::invalid(vec![FieldError::new("companyId", code, what)]))?;
        agree &= *found.get_or_insert(company) == company;
    }
    if !agree {
        let finding =
            FieldError::new("companyId", FieldCode::Disagree, "is specified more than once, with different values");
        return Err(ApiError::invalid(vec![finding]));
    }
    Ok(found)
}
