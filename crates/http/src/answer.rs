//! Answers: the envelope, entity tags, versions.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpResponse, HttpResponseBuilder};
use iam_application::{Etag, Stamped};
use iam_domain::Versions;
use serde::Serialize;
use utoipa::ToSchema;

use crate::conditional::has_already;
use crate::error::ApiError;

/// What handlers answer.
pub(crate) type Answer = Result<HttpResponse, ApiError>;

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
    const fn new(data: T) -> Self {
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
pub(crate) struct Reply {
    builder: HttpResponseBuilder,
}

impl Reply {
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

    /// Gives the content that a later `If-Match` is compared with.
    pub(crate) fn etag(mut self, content: &impl Serialize) -> Result<Self, ApiError> {
        self.builder.insert_header((header::ETAG, Etag::of(content)?.as_str()));
        Ok(self)
    }

    /// Sends it.
    pub(crate) fn data<T: Serialize + ToSchema>(mut self, data: T) -> Answer {
        Ok(self.builder.json(Success::new(data)))
    }

    /// Sends a sentence.
    pub(crate) fn message(self, message: &'static str) -> Answer {
        self.data(Message { message })
    }
}

/// An answer that the client may keep and ask about again: 304 if it has it already.
pub(crate) fn conditional<T: Serialize + ToSchema>(
    request: &HeaderMap,
    stamped: Stamped<T>,
    cache_control: &'static str,
) -> Answer {
    let body = serde_json::to_vec(&Success::new(stamped.value)).map_err(|_| ApiError::internal())?;
    let etag = Etag::of_bytes(&body);
    let is_known = has_already(request, &etag);
    let mut response = HttpResponse::build(if is_known { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
    response
        .insert_header((header::ETAG, etag.as_str()))
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static(cache_control)))
        .append_header((header::VARY, "Authorization, X-Company-Id"))
        .insert_header((VERSION, stamped.versions.to_string()));
    if is_known {
        return Ok(response.finish());
    }
    Ok(response.content_type("application/json").body(body))
}
