//! Builds successful responses, with status, version, entity tag and body.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::web::{self, Bytes};
use actix_web::{HttpResponse, HttpResponseBuilder};
use iam_application::Etag;
use iam_domain::{CommitStamp, Versions};
use iam_permissions_cache::Access;
use serde::Serialize;
use utoipa::ToSchema;

use super::envelope::{Message, Success};
use super::error::ApiError;
use super::response_cache::CachedResponse;
use crate::extract::matches_if_none_match;

/// The result of a handler.
pub(crate) type ApiResult = Result<HttpResponse, ApiError>;

/// The response header that contains the version of the data that the response reflects. The version is an opaque
/// string, which encodes the epoch, the catalog version and the company version.
pub(crate) const VERSION: HeaderName = HeaderName::from_static("x-iam-version");

/// A builder of a response with a body and `Cache-Control: no-store`.
pub(crate) struct ApiResponse {
    builder: HttpResponseBuilder,
}

impl ApiResponse {
    /// Starts a response with status 200.
    pub(crate) fn ok() -> Self {
        Self::with(StatusCode::OK)
    }

    /// Starts a response with status 201 and the URL of the created resource, relative to the server.
    pub(crate) fn created(location: &str) -> Self {
        let mut response = Self::with(StatusCode::CREATED);
        response.builder.insert_header((header::LOCATION, location));
        response
    }

    /// Starts the response to a creation with the URL of the created resource. The status is 200 if an earlier request
    /// with the same idempotency key created the resource (`is_repeated`), and otherwise 201.
    pub(crate) fn created_once(is_repeated: bool, location: &str) -> Self {
        let mut response = Self::created(location);
        if is_repeated {
            response.builder.status(StatusCode::OK);
        }
        response
    }

    /// Starts a response with this status and `Cache-Control: no-store`.
    fn with(status: StatusCode) -> Self {
        let mut builder = HttpResponse::build(status);
        builder.insert_header((header::CACHE_CONTROL, "no-store"));
        Self { builder }
    }

    /// Adds `X-IAM-Version`, with the versions that the commit created. Clients can require these versions in later
    /// requests. A change to credentials creates no such versions.
    pub(crate) fn commit(mut self, stamp: CommitStamp) -> Self {
        if let Some(versions) = stamp.versions() {
            self = self.versions(versions);
        }
        self
    }

    /// Adds `X-IAM-Version`, with the versions from which the response was computed.
    pub(crate) fn versions(mut self, versions: Versions) -> Self {
        self.builder.insert_header((VERSION, versions.to_string()));
        self
    }

    /// Adds `X-IAM-Version`, with the versions at which the permissions were resolved. If the permissions may be stale
    /// because the storage is unavailable, also adds `Age` and `Warning`.
    pub(crate) fn freshness_headers(self, access: &Access) -> Self {
        self.freshness_headers_of_all(std::slice::from_ref(access))
    }

    /// Adds `X-IAM-Version`, with the lowest versions of several accesses. If an access may be stale because the
    /// storage is unavailable, also adds the highest `Age`, and `Warning`.
    pub(crate) fn freshness_headers_of_all(mut self, accesses: &[Access]) -> Self {
        add_freshness_headers(&mut self.builder, accesses);
        self
    }

    /// Adds the entity tag of the content, which clients can send in `If-Match`.
    pub(crate) fn etag(mut self, content: &impl Serialize) -> Result<Self, ApiError> {
        self.builder.insert_header((header::ETAG, Etag::of(content)?.as_str()));
        Ok(self)
    }

    /// Finishes the response with large data in the envelope. The data is created and serialized on a thread for blocking
    /// work, so that it does not delay other requests of the same worker.
    pub(crate) async fn large_data<T: Serialize + ToSchema>(
        self,
        data: impl FnOnce() -> T + Send + 'static,
    ) -> ApiResult {
        let json = web::block(move || serde_json::to_vec(&Success::new(data()))).await;
        let json = json.map_err(ApiError::internal)?.map_err(ApiError::internal)?;
        Ok(self.json(json.into()))
    }

    /// Finishes the response with data in the envelope.
    pub(crate) fn data<T: Serialize + ToSchema>(mut self, data: T) -> ApiResult {
        Ok(self.builder.json(Success::new(data)))
    }

    /// Finishes the response with data in the envelope and with the entity tag of the data. If `If-None-Match` matches
    /// the entity tag, the response is 304.
    pub(crate) fn data_unless_known<T: Serialize + ToSchema>(mut self, request: &HeaderMap, data: T) -> ApiResult {
        let etag = Etag::of(&data)?;
        self.builder.insert_header((header::ETAG, etag.as_str()));
        if matches_if_none_match(request, &etag) {
            return Ok(self.builder.status(StatusCode::NOT_MODIFIED).finish());
        }
        self.data(data)
    }

    /// Finishes the response with a body that is already serialized as JSON.
    pub(crate) fn json(mut self, body: Bytes) -> HttpResponse {
        self.builder.insert_header((header::CONTENT_TYPE, HeaderValue::from_static("application/json")));
        self.builder.body(body)
    }

    /// Finishes the response with a message in the envelope.
    pub(crate) fn message(self, message: &'static str) -> ApiResult {
        self.data(Message::new(message))
    }
}

/// Builds a response that the client may cache and revalidate. If `If-None-Match` matches the entity tag, the response
/// is 304.
pub(crate) fn conditional(
    request: &HeaderMap,
    access: &Access,
    body: &CachedResponse,
    cache_control: &'static str,
) -> HttpResponse {
    let is_known = matches_if_none_match(request, &body.etag);
    let mut response = HttpResponse::build(if is_known { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
    response
        .insert_header((header::ETAG, body.etag_header.clone()))
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static(cache_control)))
        .append_header((header::VARY, HeaderValue::from_static("Authorization, X-Company-Id")));
    add_freshness_headers(&mut response, std::slice::from_ref(access));
    if is_known {
        return response.finish();
    }
    response.insert_header((header::CONTENT_TYPE, HeaderValue::from_static("application/json")));
    response.body(body.bytes.clone())
}

/// Adds `X-IAM-Version`, with the lowest versions of the accesses that the response reflects. If an access may be
/// stale, also adds the highest `Age`, and `Warning`.
fn add_freshness_headers(response: &mut HttpResponseBuilder, accesses: &[Access]) {
    if let Some(versions) = accesses.iter().map(Access::versions).reduce(oldest) {
        response.insert_header((VERSION, versions.to_string()));
    }
    if let Some(age) = accesses.iter().filter_map(Access::age).max() {
        response.insert_header((header::AGE, age.as_secs()));
        response.insert_header((header::WARNING, HeaderValue::from_static("110 - \"Response is Stale\"")));
    }
}

/// Returns the lower of the two catalog versions and the lower of the two company versions.
fn oldest(a: Versions, b: Versions) -> Versions {
    if a.epoch == b.epoch {
        // The versions of a company and its boundaries have one order.
        let (company, boundary) = (a.company, a.boundary).min((b.company, b.boundary));
        Versions { epoch: a.epoch, catalog: a.catalog.min(b.catalog), company, boundary }
    } else {
        // Versions of different epochs are not comparable. Therefore, the result contains the version 0, a minimum that
        // every response satisfies.
        Versions { epoch: b.epoch, catalog: 0, company: 0, boundary: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headers_contain_the_oldest_of_several_versions() {
        let of = |epoch, catalog, company| Versions { epoch, catalog, company, boundary: 0 };
        assert_eq!(oldest(of(7, 2, 9), of(7, 3, 4)), of(7, 2, 4));
        assert_eq!(oldest(of(7, 2, 9), of(8, 3, 4)), of(8, 0, 0));
    }
}
