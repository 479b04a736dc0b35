//! The request id, which identifies a request in logs, audit records and responses.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use actix_web::dev::ServiceRequest;
use actix_web::http::header::HeaderName;

/// The header that contains the request id, in requests and responses.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of a request. If the client's `X-Request-Id` is short and consists of visible ASCII characters, it is used as
/// the id. Otherwise, an id is generated.
#[derive(Debug)]
pub(crate) struct RequestId(pub(crate) Arc<str>);

impl RequestId {
    /// Maximum length of an id that is accepted from a client, in bytes.
    const LONGEST: usize = 128;

    /// Returns the id in the request's header if it is valid. Otherwise, generates an id.
    pub(super) fn of(request: &ServiceRequest) -> Self {
        let sent = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok());
        let safe = |id: &&str| !id.is_empty() && id.len() <= Self::LONGEST && id.bytes().all(|b| b.is_ascii_graphic());
        Self(sent.filter(safe).map_or_else(Self::generate, Arc::from))
    }

    /// Generates an id that is unique across all processes.
    fn generate() -> Arc<str> {
        static PROCESS: LazyLock<u64> = LazyLock::new(|| uuid::Uuid::new_v4().as_u64_pair().0);
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let id = uuid::Uuid::from_u64_pair(*PROCESS, COUNT.fetch_add(1, Ordering::Relaxed));
        Arc::from(&*id.hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()))
    }
}
