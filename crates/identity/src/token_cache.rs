//! The cache of verified tokens.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};

use crate::claims::MappedClaims;
use crate::keys::Key;

/// The SHA-256 digest of a whole token, including its signature. It identifies the token without revealing it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct TokenDigest([u8; 32]);

impl Hash for TokenDigest {
    /// Hashes only the first eight bytes of the digest, which are evenly distributed like the whole digest. Equality
    /// compares all bytes.
    fn hash<H: Hasher>(&self, state: &mut H) {
        if let Some(bytes) = self.0.first_chunk() {
            state.write_u64(u64::from_ne_bytes(*bytes));
        }
    }
}

impl TokenDigest {
    pub(crate) fn of(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }
}

/// The claims of a verified token, and the key that signed it. Once the key is retired, the token is invalid.
pub(crate) struct VerifiedToken {
    pub(crate) claims: MappedClaims,
    pub(crate) key: Arc<Key>,
}

/// A bounded cache of verified tokens, which evicts rarely used tokens first. Lookups share a read lock, so concurrent
/// lookups do not block each other. A cache hit allocates no memory.
pub(crate) struct TokenCache(Cache<TokenDigest, Arc<VerifiedToken>>);

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl TokenCache {
    /// Creates a cache of at most `capacity` tokens. A capacity of 0 disables the cache.
    pub(crate) fn new(capacity: usize) -> Self {
        Self(Cache::new(capacity))
    }

    /// Returns the cached token. If the key that signed the token is retired, removes the entry and returns `None`.
    pub(crate) fn get(&self, token: &TokenDigest) -> Option<Arc<VerifiedToken>> {
        let cached = self.0.get(token)?;
        if cached.key.is_retired() {
            self.0.remove(token);
            return None;
        }
        Some(cached)
    }

    pub(crate) fn insert(&self, token: TokenDigest, cached: Arc<VerifiedToken>) {
        self.0.insert(token, cached);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
