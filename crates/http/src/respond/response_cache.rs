//! Caches response bodies. Each body is serialized once for all callers with the same response.

use std::sync::Arc;

use actix_web::http::header::HeaderValue;
use actix_web::web::Bytes;
use iam_application::Etag;
use iam_permissions_cache::AccessId;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use serde::Serialize;
use utoipa::ToSchema;

use super::envelope::Success;
use super::error::ApiError;

/// The kind of a cached body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ResponseKind {
    Navigation,
    Permissions,
}

/// A serialized body with its entity tag.
#[derive(Debug)]
pub(crate) struct CachedResponse {
    pub(crate) bytes: Bytes,
    pub(crate) etag: Etag,
    pub(crate) etag_header: HeaderValue,
}

impl CachedResponse {
    pub(crate) fn new(data: impl Serialize + ToSchema) -> Result<Self, ApiError> {
        let bytes = serde_json::to_vec(&Success::new(data)).map_err(ApiError::internal)?;
        let etag = Etag::of_bytes(&bytes);
        let etag_header = HeaderValue::from_str(etag.as_str()).map_err(ApiError::internal)?;
        Ok(Self { bytes: bytes.into(), etag, etag_header })
    }
}

/// The weight of a body: its size in bytes, plus about 200 for its cache entry.
#[derive(Clone)]
struct Size;

impl Weighter<(AccessId, ResponseKind), Arc<CachedResponse>> for Size {
    fn weight(&self, _: &(AccessId, ResponseKind), body: &Arc<CachedResponse>) -> u64 {
        u64::try_from(body.bytes.len()).unwrap_or(u64::MAX).saturating_add(200)
    }
}

/// The cache of response bodies. A key identifies one state and is never reused. Outdated bodies are therefore no
/// longer requested, and are evicted.
pub(crate) struct ResponseCache(Cache<(AccessId, ResponseKind), Arc<CachedResponse>, Size>);

impl ResponseCache {
    /// Creates a cache of at most `max_bytes`.
    pub(crate) fn new(max_bytes: u64) -> Self {
        // A body of permissions has a few kilobytes.
        let items = usize::try_from(max_bytes / 4096).unwrap_or(usize::MAX).clamp(16, 1_000_000);
        Self(Cache::with_weighter(items, max_bytes, Size))
    }

    /// Returns the cached body, if there is one.
    pub(crate) fn get(&self, id: AccessId, kind: ResponseKind) -> Option<Arc<CachedResponse>> {
        self.0.get(&(id, kind))
    }

    /// Serializes data, and caches and returns the body.
    pub(crate) fn keep(
        &self,
        id: AccessId,
        kind: ResponseKind,
        data: impl Serialize + ToSchema,
    ) -> Result<Arc<CachedResponse>, ApiError> {
        let body = Arc::new(CachedResponse::new(data)?);
        self.0.insert((id, kind), Arc::clone(&body));
        Ok(body)
    }
}
