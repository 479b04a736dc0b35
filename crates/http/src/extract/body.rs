//! Reads the bytes of a request body, up to a limit. Before the caller is authorized, only the `companyId` in the body
//! is parsed. Afterwards, the whole body is parsed.

use actix_web::dev::Payload;
use actix_web::http::{Method, header};
use actix_web::web::{Bytes, BytesMut};
use actix_web::{HttpMessage, HttpRequest};
use futures_util::StreamExt;
use iam_application::{FieldCode, FieldError};
use serde_json::{Map, Value};

use super::json;
use crate::respond::{ApiError, Code};

/// Maximum size of a request body, in bytes.
pub(super) const BODY_LIMIT: usize = 1024 * 1024;

/// A request body that has been read but not parsed.
pub(super) enum Body {
    /// The body is missing or empty, or is ignored because the method is GET or HEAD.
    Absent,
    /// The body is larger than [`BODY_LIMIT`].
    TooLarge,
    /// The body could not be read, because the connection failed or the body does not match its headers.
    Broken,
    /// The `Content-Type` is not JSON, or the body has a `Content-Encoding`.
    OtherType,
    /// The `Content-Type` is JSON. Until the caller is authorized, only the `companyId` in the body is parsed.
    Json(Bytes),
}

impl Body {
    /// Reads the complete body, up to the limit.
    pub(super) async fn read(request: &HttpRequest, payload: &mut Payload) -> Self {
        if matches!(*request.method(), Method::GET | Method::HEAD) {
            return Self::Absent;
        }
        let mut whole = Bytes::new();
        while let Some(chunk) = payload.next().await {
            let Ok(chunk) = chunk else { return Self::Broken };
            if whole.len() + chunk.len() > BODY_LIMIT {
                return Self::TooLarge;
            }
            // A single chunk is not copied. Nearly every body arrives as a single chunk.
            whole = if whole.is_empty() {
                chunk
            } else {
                let mut joined = whole.try_into_mut().unwrap_or_else(|shared| BytesMut::from(shared.as_ref()));
                joined.extend_from_slice(&chunk);
                joined.freeze()
            };
        }
        if whole.is_empty() {
            return Self::Absent;
        }
        let is_json = is_declared_json(request);
        let is_plain = request.headers().get(header::CONTENT_ENCODING).is_none_or(|encoding| encoding == "identity");
        if !is_json || !is_plain {
            return Self::OtherType;
        }
        Self::Json(whole)
    }

    /// Returns the `companyId` in the body. Returns `Some(None)` if the `companyId` is not a string, and `None` if the
    /// body is invalid or has no `companyId`. Errors in the body are reported only after the caller is authorized.
    pub(super) fn company(&self) -> Option<Option<String>> {
        match self {
            Self::Json(bytes) if json::may_have(bytes, "companyId") => json::peek(bytes, "companyId"),
            _ => None,
        }
    }

    /// Returns the bytes of the body if the `Content-Type` is JSON.
    pub(super) fn json(&self) -> Option<&[u8]> {
        match self {
            Self::Json(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Parses the body, which must be a JSON object. Returns `None` if there is no body.
    pub(super) fn object(&self) -> Option<Result<Map<String, Value>, ApiError>> {
        let invalid = |what: &str| ApiError::invalid(vec![FieldError::new("body", FieldCode::Type, what)]);
        Some(match self {
            Self::Json(bytes) => match json::parse(bytes) {
                Ok(Value::Object(fields)) => Ok(fields),
                Ok(_) => Err(invalid("must be a JSON object")),
                Err(finding) => Err(ApiError::invalid(vec![finding])),
            },
            Self::Absent => return None,
            Self::Broken => Err(invalid("could not be read")),
            Self::TooLarge => Err(ApiError::new(Code::TooLarge, format!("body must be at most {BODY_LIMIT} bytes"))),
            Self::OtherType => Err(ApiError::new(
                Code::NotJson,
                "body must be JSON with Content-Type: application/json and without Content-Encoding",
            )),
        })
    }
}

fn is_declared_json(request: &HttpRequest) -> bool {
    let is_plain_json = request.headers().get(header::CONTENT_TYPE).is_some_and(|value| value == "application/json");
    is_plain_json
        || request.mime_type().ok().flatten().is_some_and(|mime| {
            mime.type_() == "application" && (mime.subtype() == "json" || mime.suffix().is_some_and(|s| s == "json"))
        })
}
