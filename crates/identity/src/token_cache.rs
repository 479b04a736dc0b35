//! Tokens that were verified, so that they need not be verified again.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};

use crate::claims::Statement;
use crate::keys::Key;

/// The SHA-256 of a whole token, its signature included. Two tokens never have the same one, and no token can be made
/// from it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct TokenDigest([u8; 32]);

impl Hash for TokenDigest {
    /// Any eight bytes of a digest are as good as all of them to spread the entries; all of them are compared.
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

/// What a token says, and the key that signed it: once that is retired, nothing is known of the token.
pub(crate) struct VerifiedToken {
    pub(crate) statement: Statement,
    pub(crate) key: Arc<Key>,
}

/// A bounded number of verified tokens; those that are seldom used go first. Readers share their
/// lock, so that they never wait for one another, and a hit allocates nothing.
pub(crate) struct TokenCache(Cache<TokenDigest, Arc<VerifiedToken>>);

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl TokenCache {
    /// At most so many; 0: none.
    pub(crate) fn new(capacity: usize) -> Self {
        Self(Cache::new(capacity))
    }

    /// What is remembered of the token. What a retired key signed is forgotten.
    pub(crate) fn get(&self, token: &TokenDigest) -> Option<Arc<VerifiedToken>> {
        let remembered = self.0.get(token)?;
        if remembered.key.is_retired() {
            self.0.remove(token);
            return None;
        }
        Some(remembered)
    }

    pub(crate) fn insert(&self, token: TokenDigest, remembered: Arc<VerifiedToken>) {
        self.0.insert(token, remembered);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
