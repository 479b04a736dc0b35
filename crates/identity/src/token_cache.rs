//! A cache of verified tokens.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};

use crate::claims::MappedClaims;
use crate::keys::Key;

/// The SHA-256 of a whole token, including its signature. No two tokens have the same digest, and no token can be
/// derived from it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct TokenDigest([u8; 32]);

impl Hash for TokenDigest {
    /// Any eight bytes of a digest spread the entries as well as all of them; equality compares all.
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

/// The claims of a token, and the key that signed it: when that key retires, the entry is void.
pub(crate) struct VerifiedToken {
    pub(crate) claims: MappedClaims,
    pub(crate) key: Arc<Key>,
}

/// A bounded cache of verified tokens; rarely used ones are evicted first. Readers share its lock, so they never wait
/// for one another, and a hit allocates nothing.
pub(crate) struct TokenCache(Cache<TokenDigest, Arc<VerifiedToken>>);

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl TokenCache {
    /// A cache of at most `capacity` tokens; 0 disables it.
    pub(crate) fn new(capacity: usize) -> Self {
        Self(Cache::new(capacity))
    }

    /// The cached token. A token that a retired key signed is removed.
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
