//! The options of token verification.

use std::time::Duration;

/// The default number of verified tokens that are cached.
pub const DEFAULT_REMEMBERED_TOKENS: usize = 10_000;

/// How tokens of all issuers are verified.
#[derive(Debug, Clone)]
pub struct VerifierOptions {
    /// How many verified tokens are cached; 0: none.
    pub remembered_tokens: usize,
    /// The tolerated difference between the clocks of signers and of this machine.
    pub clock_skew: Duration,
    /// The greatest age since `iat`; if set, tokens need an `iat`.
    pub max_token_age: Option<Duration>,
    /// The same for tokens that make super admins, if it is less.
    pub max_super_admin_token_age: Option<Duration>,
    /// The interval of fetching key sets from their URLs.
    pub jwks_refresh: Duration,
    /// The least time between two reads of an issuer's keys because of an unknown key.
    pub unknown_key_pause: Duration,
    /// How long fetching a key set may take.
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
