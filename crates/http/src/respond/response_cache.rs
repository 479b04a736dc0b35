//! Caches response bodies, so that a body is serialized once for all callers who receive the same response.

use std::sync::Arc;

use actix_web::http::header::HeaderValue;
use actix_web::web::Bytes;
use iam_application::Etag;
use iam_permissions_cache::AccessId;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use serde::Serialize;

use super::envelope::Success;
use super::error::ApiError;

/// The kind of a cached response body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ResponseKind {
    Navigation,
    Permissions,
    PermissionsByKey,
}

/// A serialized body with its entity tag.
#[derive(Debug)]
pub(crate) struct CachedResponse {
    pub(crate) bytes: Bytes,
    pub(crate) etag: Etag,
    pub(crate) etag_header: HeaderValue,
}

impl CachedResponse {
    pub(crate) fn new(data: impl Serialize) -> Result<Self, ApiError> {
        let bytes = serde_json::to_vec(&Success::new(data)).map_err(ApiError::internal)?;
        let etag = Etag::of_bytes(&bytes);
        let etag_header = HeaderValue::from_str(etag.as_str()).map_err(ApiError::internal)?;
        Ok(Self { bytes: bytes.into(), etag, etag_header })
    }
}

/// The weigher of the cache. The weight of a body is its size in bytes, plus about 200 bytes for its cache entry.
#[derive(Clone)]
struct Size;

impl Weighter<(AccessId, ResponseKind), Arc<CachedResponse>> for Size {
    fn weight(&self, _: &(AccessId, ResponseKind), body: &Arc<CachedResponse>) -> u64 {
        u64::try_from(body.bytes.len()).unwrap_or(u64::MAX).saturating_add(200)
    }
}

/// The cache of response bodies. A cache key identifies immutable permissions and is never reused. Therefore, no
/// invalidation is necessary: an outdated body is no longer looked up, and is evicted eventually.
pub(crate) struct ResponseCache(Cache<(AccessId, ResponseKind), Arc<CachedResponse>, Size>);

impl ResponseCache {
    /// Creates a cache with a total weight of at most `max_bytes`.
    pub(crate) fn new(max_bytes: u64) -> Self {
        // This estimate of the number of entries assumes bodies of about 4 KiB.
        let items = usize::try_from(max_bytes / 4096).unwrap_or(usize::MAX).clamp(16, 1_000_000);
        Self(Cache::with_weighter(items, max_bytes, Size))
    }

    /// Returns the body from the cache, if present.
    pub(crate) fn get(&self, id: AccessId, kind: ResponseKind) -> Option<Arc<CachedResponse>> {
        self.0.get(&(id, kind))
    }

    /// Serializes `data` as a response body, caches the body, and returns it.
    pub(crate) fn keep(
        &self,
        id: AccessId,
        kind: ResponseKind,
        data: impl Serialize,
    ) -> Result<Arc<CachedResponse>, ApiError> {
        let body = Arc::new(CachedResponse::new(data)?);
        self.0.insert((id, kind), Arc::clone(&body));
        Ok(body)
    }
}
