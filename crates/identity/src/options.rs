//! The options of token verification.

use std::time::Duration;

/// Default maximum number of verified tokens that are cached.
pub const DEFAULT_REMEMBERED_TOKENS: usize = 10_000;

/// The options of token verification, common to all issuers.
#[derive(Debug, Clone)]
pub struct VerifierOptions {
    /// Maximum number of verified tokens that are cached. 0 disables the cache.
    pub remembered_tokens: usize,
    /// The tolerated difference between the clocks of issuers and of this machine.
    pub clock_skew: Duration,
    /// Maximum age of a token since its `iat`. If set, tokens without an `iat` are rejected.
    pub max_token_age: Option<Duration>,
    /// Maximum age of a token that grants super admin, since its `iat`. If both maximum ages are set, the lower one
    /// applies.
    pub max_super_admin_token_age: Option<Duration>,
    /// The interval between two fetches of a key set from its URL.
    pub jwks_refresh: Duration,
    /// Minimum time between two reads of an issuer's keys that unknown keys cause.
    pub unknown_key_pause: Duration,
    /// Timeout for fetching a key set.
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
            unknown_key_pause: Duration::from_secs(10),
            jwks_timeout: Duration::from_secs(5),
        }
    }
}
