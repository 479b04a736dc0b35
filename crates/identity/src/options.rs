//! The options of token verification.

use std::time::Duration;

/// Default maximum number of verified tokens that are cached.
pub const DEFAULT_REMEMBERED_TOKENS: usize = 10_000;

/// The options of token verification, common to all issuers.
#[derive(Debug, Clone)]
pub struct VerifierOptions {
    /// Maximum number of verified tokens that are cached. 0 disables the cache.
    pub remembered_tokens: usize,
    /// The tolerated clock skew (leeway) between issuers and this machine.
    pub clock_skew: Duration,
    /// Maximum age of a token, measured from its `iat`. If a maximum age is set, tokens without an `iat` are rejected.
    pub max_token_age: Option<Duration>,
    /// Maximum age of a token that grants super admin rights, measured from its `iat`. If both maximum ages are set,
    /// the lower maximum applies to such tokens.
    pub max_super_admin_token_age: Option<Duration>,
    /// The interval between consecutive fetches of a key set from its URL.
    pub jwks_refresh: Duration,
    /// Minimum time between consecutive reads of an issuer's keys, if tokens with an unknown key trigger the reads
    /// (rate limit).
    pub unknown_key_pause: Duration,
    /// Timeout for fetching a key set, including the time to connect.
    pub jwks_timeout: Duration,
}

impl Default for VerifierOptions {
    fn default() -> Self {
        Self {
            remembered_tokens: DEFAULT_REMEMBERED_TOKENS,
            clock_skew: Duration::ZERO,
            max_token_age: None,
            max_super_admin_token_age: None,
            jwks_refresh: Duration::from_secs(5 * 60),
            unknown_key_pause: Duration::from_millis(500),
            jwks_timeout: Duration::from_secs(5),
        }
    }
}
