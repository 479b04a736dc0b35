//! Tokens that were verified, so that they need not be verified again.

use std::fmt;
use std::hash::{Hash, Hasher};

use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};

use crate::claims::Verified;

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

/// A bounded number of verified tokens; those that are seldom used go first. Readers share their
/// lock, so that they never wait for one another, and a hit allocates nothing.
pub(crate) struct RememberedTokens(Cache<TokenDigest, Verified>);

impl fmt::Debug for RememberedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RememberedTokens").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl RememberedTokens {
    /// At most so many; 0: none.
    pub(crate) fn new(capacity: usize) -> Self {
        Self(Cache::new(capacity))
    }

    pub(crate) fn get(&self, token: &TokenDigest) -> Option<Verified> {
        self.0.get(token)
    }

    pub(crate) fn insert(&self, token: TokenDigest, verified: Verified) {
        self.0.insert(token, verified);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
