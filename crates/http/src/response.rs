//! Answers: the envelope, entity tags, versions.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::web::Bytes;
use actix_web::{HttpResponse, HttpResponseBuilder};
use iam_application::Etag;
use iam_domain::Versions;
use iam_permissions_cache::Access;
use serde::Serialize;
use utoipa::ToSchema;

use crate::conditional::has_already;
use crate::error::ApiError;
use crate::response_cache::CachedResponse;

/// What handlers answer.
pub(crate) type ApiResult = Result<HttpResponse, ApiError>;

/// The state that an answer saw, opaque.
pub(crate) const VERSION: HeaderName = HeaderName::from_static("x-iam-version");

/// The envelope of every answer that is no error.
#[derive(Serialize, ToSchema)]
pub(crate) struct Success<T: ToSchema> {
    /// Always `success`.
    status: &'static str,
    /// What was asked for.
    data: T,
}

impl<T: ToSchema> Success<T> {
    pub(crate) const fn new(data: T) -> Self {
        Self { status: "success", data }
    }
}

/// A sentence for people.
#[derive(Serialize, ToSchema)]
pub(crate) struct Message {
    /// What was done.
    message: &'static str,
}

/// An answer with a body.
pub(crate) struct ApiResponse {
    builder: HttpResponseBuilder,
}

impl ApiResponse {
    /// What was asked for.
    pub(crate) fn ok() -> Self {
        Self::with(StatusCode::OK)
    }

    /// What was made.
    pub(crate) fn created() -> Self {
        Self::with(StatusCode::CREATED)
    }

    pub(crate) fn with(status: StatusCode) -> Self {
        let mut builder = HttpResponse::build(status);
        builder.insert_header((header::CACHE_CONTROL, "no-store"));
        Self { builder }
    }

    /// Says which state the answer saw.
    pub(crate) fn version(mut self, versions: Versions) -> Self {
        self.builder.insert_header((VERSION, versions.to_string()));
        self
    }

    /// Says which state the answer saw, and how old it is when nobody knows whether it is still current.
    pub(crate) fn seen(self, access: &Access) -> Self {
        self.seen_all(std::slice::from_ref(access))
    }

    /// The same of an answer that several have a part in: its oldest part counts.
    pub(crate) fn seen_all(mut self, accesses: &[Access]) -> Self {
        seen(&mut self.builder, accesses);
        self
    }

    /// Gives the content that a later `If-Match` is compared with.
    pub(crate) fn etag(mut self, content: &impl Serialize) -> Result<Self, ApiError> {
        self.builder.insert_header((header::ETAG, Etag::of(content)?.as_str()));
        Ok(self)
    }

    /// Sends it.
    pub(crate) fn data<T: Serialize + ToSchema>(mut self, data: T) -> ApiResult {
        Ok(self.builder.json(Success::new(data)))
    }

    /// Sends what is serialized already.
    pub(crate) fn json(mut self, body: Bytes) -> HttpResponse {
        self.builder.insert_header((header::CONTENT_TYPE, HeaderValue::from_static("application/json")));
        self.builder.body(body)
    }

    /// Sends a sentence.
    pub(crate) fn message(self, message: &'static str) -> ApiResult {
        self.data(Message { message })
    }
}

/// An answer that the client may keep and ask about again: 304 if it has it already.
pub(crate) fn conditional(
    request: &HeaderMap,
    access: &Access,
    body: &CachedResponse,
    cache_control: &'static str,
) -> HttpResponse {
    let is_known = has_already(request, &body.etag);
    let mut response = HttpResponse::build(if is_known { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
    response
        .insert_header((header::ETAG, body.etag_header.clone()))
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static(cache_control)))
        .append_header((header::VARY, HeaderValue::from_static("Authorization, X-Company-Id")));
    seen(&mut response, std::slice::from_ref(access));
    if is_known {
        return response.finish();
    }
    response.insert_header((header::CONTENT_TYPE, HeaderValue::from_static("application/json")));
    response.body(body.bytes.clone())
}

/// Says which state an answer saw, and how old it is when nobody knows whether it is still current.
fn seen(response: &mut HttpResponseBuilder, accesses: &[Access]) {
    if let Some(versions) = accesses.iter().map(Access::versions).reduce(oldest) {
        response.insert_header((VERSION, versions.to_string()));
    }
    if let Some(age) = accesses.iter().filter_map(Access::age).max() {
        response.insert_header((header::AGE, age.as_secs()));
        response.insert_header((header::WARNING, HeaderValue::from_static("110 - \"Response is Stale\"")));
    }
}

/// A state that neither is older than.
fn oldest(a: Versions, b: Versions) -> Versions {
    if a.epoch == b.epoch {
        Versions { epoch: a.epoch, catalog: a.catalog.min(b.catalog), company: a.company.min(b.company) }
    } else {
        // Of two databases: nothing is promised.
        Versions { epoch: b.epoch, catalog: 0, company: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_states_each_part_is_the_older_one() {
        let of = |epoch, catalog, company| Versions { epoch, catalog, company };
        assert_eq!(oldest(of(7, 2, 9), of(7, 3, 4)), of(7, 2, 4));
        assert_eq!(oldest(of(7, 2, 9), of(8, 3, 4)), of(8, 0, 0));
    }
}
