//! From an `Authorization` header to a caller.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use iam_domain::Caller;
use secrecy::SecretString;

use crate::remembered::{RememberedTokens, TokenDigest};
use crate::{AuthenticationError, KeySet};

/// The longest token that is looked at, in bytes.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// How many verified tokens are remembered unless somebody says otherwise.
pub const DEFAULT_REMEMBERED_TOKENS: usize = 10_000;

/// Verifies tokens, and remembers those that it verified: by their digest, until they expire, in a bounded number.
pub struct TokenVerifier {
    current: ArcSwap<Trusted>,
    remembered_tokens: usize,
    clock: Box<dyn Fn() -> SystemTime + Send + Sync>,
}

/// Keys, and the tokens that *these* keys verified. Both come and go together: a verification takes hold of one such value
/// and leaves its trace in it, so what old keys verified, even while they were replaced, is never in the memory of new ones.
struct Trusted {
    keys: KeySet,
    remembered: RememberedTokens,
}

impl Trusted {
    fn new(keys: KeySet, remembered_tokens: usize) -> Self {
        Self { keys, remembered: RememberedTokens::new(remembered_tokens) }
    }

    fn verify(&self, token: &str, clock: impl Fn() -> SystemTime) -> Result<Caller, AuthenticationError> {
        let digest = TokenDigest::of(token);
        if let Some(verified) = self.remembered.get(&digest) {
            return verified.at(clock());
        }
        // Looked at only here: what is remembered is one word.
        if token.contains(char::is_whitespace) {
            return Err(AuthenticationError::Malformed);
        }
        let verified = self.keys.verify(token).ok_or(AuthenticationError::Invalid)?;
        let caller = verified.at(clock())?;
        self.remembered.insert(digest, verified);
        Ok(caller)
    }
}

impl fmt::Debug for TokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let current = self.current.load();
        f.debug_struct("TokenVerifier")
            .field("keys", &current.keys)
            .field("remembered", &current.remembered)
            .finish_non_exhaustive()
    }
}

impl TokenVerifier {
    /// Accepts tokens that one of the keys signed, and remembers at most so many of them; 0: none.
    ///
    /// Tokens must have an `exp`; there is no leeway.
    #[must_use]
    pub fn new(keys: KeySet, remembered_tokens: usize) -> Self {
        Self {
            current: ArcSwap::from_pointee(Trusted::new(keys, remembered_tokens)),
            remembered_tokens,
            clock: Box::new(SystemTime::now),
        }
    }

    /// Accepts HS256 tokens signed with the secret, and remembers [`DEFAULT_REMEMBERED_TOKENS`].
    #[must_use]
    pub fn hs256(secret: &SecretString) -> Self {
        Self::new(KeySet::hs256(secret), DEFAULT_REMEMBERED_TOKENS)
    }

    /// The same with another clock than the system's. It is asked once for each token that is remembered or whose
    /// signature is good.
    #[must_use]
    pub fn with_clock(self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self { clock: Box::new(clock), ..self }
    }

    /// Replaces all keys, and forgets every token that the old ones verified. Verifications that are under way end with
    /// the keys that they began with, and are not remembered.
    pub fn replace_keys(&self, keys: KeySet) {
        self.current.store(Arc::new(Trusted::new(keys, self.remembered_tokens)));
    }

    /// How many tokens are remembered, expired ones included.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.current.load().remembered.len()
    }

    /// Reads the caller from the value of an `Authorization` header.
    ///
    /// # Errors
    ///
    /// [`AuthenticationError`] says which of four things is wrong.
    pub fn verify(&self, authorization: Option<&str>) -> Result<Caller, AuthenticationError> {
        let header = authorization.ok_or(AuthenticationError::Missing)?;
        let token = match header.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() => token,
            _ => return Err(AuthenticationError::Malformed),
        };
        if token.len() > MAX_TOKEN_BYTES {
            return Err(AuthenticationError::Invalid);
        }
        self.current.load().verify(token, &self.clock)
    }
}
