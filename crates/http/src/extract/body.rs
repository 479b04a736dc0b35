//! Reads the bytes of a request body, up to a limit, and while the client sends them fast enough. Before the caller is
//! authorized, only the `companyId` in the body is parsed. Afterwards, the whole body is parsed.

use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::{Method, header};
use actix_web::web::{Bytes, BytesMut};
use actix_web::{HttpMessage, HttpRequest};
use futures_util::StreamExt;
use iam_application::{FieldCode, FieldError};
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout_at};

use super::json;
use crate::in_flight::{FREE_BYTES, Held};
use crate::middleware::connection::ConnectionState;
use crate::respond::{ApiError, Code};

/// Maximum size of a request body, in bytes.
pub(super) const BODY_LIMIT: usize = 1024 * 1024;
/// Minimum number of bytes that a client must send in each interval, unless the body is complete.
const MIN_RECEIVED: usize = 16 * 1024;

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
    Json {
        bytes: Bytes,
        /// Counts the bytes as in flight.
        _held: Held,
    },
}

impl Body {
    /// Reads the complete body, up to the limit. `held` counts its bytes as long as the returned body exists. In each
    /// `interval`, the client must send at least [`MIN_RECEIVED`] bytes, or the rest of the body.
    ///
    /// # Errors
    ///
    /// Returns the response 408 if the client is too slow, and the errors of [`Held::grow_to`].
    pub(super) async fn read(
        request: &HttpRequest,
        payload: &mut Payload,
        mut held: Held,
        interval: Duration,
    ) -> Result<Self, ApiError> {
        if !has_body(request, payload) {
            return Ok(Self::Absent);
        }
        let connection = request.conn_data::<ConnectionState>();
        let (mut whole, mut pace) = (Bytes::new(), Pace::new(interval));
        while let Some(chunk) = pace.next(payload).await? {
            let Ok(chunk) = chunk else { return Ok(Self::Broken) };
            if whole.len() + chunk.len() > BODY_LIMIT {
                return Ok(Self::TooLarge);
            }
            if let Some(connection) = connection {
                connection.body_read(false);
            }
            let received = whole.len() + chunk.len();
            if received > FREE_BYTES {
                held.grow_to(received)?;
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
        if let Some(connection) = connection {
            connection.body_read(true);
        }
        if whole.is_empty() {
            return Ok(Self::Absent);
        }
        let is_json = is_declared_json(request);
        let is_plain = request.headers().get(header::CONTENT_ENCODING).is_none_or(|encoding| encoding == "identity");
        if !is_json || !is_plain {
            return Ok(Self::OtherType);
        }
        Ok(Self::Json { bytes: whole, _held: held })
    }

    /// Returns the `companyId` in the body. Returns `Some(None)` if the `companyId` is not a string, and `None` if the
    /// body is invalid or has no `companyId`. Errors in the body are reported only after the caller is authorized.
    pub(super) fn company(&self) -> Option<Option<String>> {
        match self {
            Self::Json { bytes, .. } if json::may_have(bytes, "companyId") => json::peek(bytes, "companyId"),
            _ => None,
        }
    }

    /// Returns the bytes of the body if the `Content-Type` is JSON.
    pub(super) fn json(&self) -> Option<&[u8]> {
        match self {
            Self::Json { bytes, .. } => Some(bytes),
            _ => None,
        }
    }

    /// Parses the body, which must be a JSON object. Returns `None` if there is no body.
    pub(super) fn object(&self) -> Option<Result<Map<String, Value>, ApiError>> {
        let invalid = |what: &str| ApiError::invalid(vec![FieldError::new("body", FieldCode::Type, what)]);
        Some(match self {
            Self::Json { bytes, .. } => match json::parse(bytes) {
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

/// Returns `true` if the request has a body that is read. The bodies of GET and HEAD requests are ignored.
pub(super) fn has_body(request: &HttpRequest, payload: &Payload) -> bool {
    !matches!(*request.method(), Method::GET | Method::HEAD) && !matches!(payload, Payload::None)
}

/// Returns `true` if the body may be so large that its bytes count. The length of a chunked body is unknown.
pub(super) fn may_be_large(request: &HttpRequest) -> bool {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    length.is_none_or(|length: usize| length > FREE_BYTES)
}

/// The pace at which a body arrives. In each interval, the client must send at least [`MIN_RECEIVED`] bytes, or the rest of
/// the body.
pub(crate) struct Pace {
    interval: Duration,
    ends: Option<Instant>,
    received: usize,
}

/// A part of a body, or the error that ended it.
type Chunk = Result<Bytes, actix_web::error::PayloadError>;

impl Pace {
    pub(crate) const fn new(interval: Duration) -> Self {
        Self { interval, ends: None, received: 0 }
    }

    /// Returns the next chunk, or `None` at the end of the body. The first interval begins when the body is first waited
    /// for.
    ///
    /// # Errors
    ///
    /// Returns the response 408 if the client has sent too little in the current interval.
    pub(crate) async fn next(&mut self, payload: &mut Payload) -> Result<Option<Chunk>, ApiError> {
        let ends = *self.ends.get_or_insert_with(|| Instant::now() + self.interval);
        let chunk = match timeout_at(ends, payload.next()).await {
            Ok(chunk) => chunk,
            Err(_) if self.received >= MIN_RECEIVED => {
                self.received = 0;
                let ends = Instant::now() + self.interval;
                self.ends = Some(ends);
                timeout_at(ends, payload.next()).await.map_err(|_| too_slow())?
            }
            Err(_) => return Err(too_slow()),
        };
        if let Some(Ok(chunk)) = &chunk {
            self.received += chunk.len();
        }
        Ok(chunk)
    }
}

fn too_slow() -> ApiError {
    metrics::counter!("iam_http_connections_closed_total", "reason" => "slow_body").increment(1);
    ApiError::new(Code::TooSlow, "The request body was sent too slowly")
}

fn is_declared_json(request: &HttpRequest) -> bool {
    let is_plain_json = request.headers().get(header::CONTENT_TYPE).is_some_and(|value| value == "application/json");
    is_plain_json
        || request.mime_type().ok().flatten().is_some_and(|mime| {
            mime.type_() == "application" && (mime.subtype() == "json" || mime.suffix().is_some_and(|s| s == "json"))
        })
}
