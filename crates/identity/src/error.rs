//! Why a caller is not known.

/// Why a caller is not known. Says nothing that helps to guess a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthenticationError {
    /// There is no header.
    #[error("No token provided")]
    Missing,
    /// The header is not `Bearer <token>`.
    #[error("Invalid token format. Use: Bearer <token>")]
    Malformed,
    /// Not a token, too long, of nobody who is trusted, wrong key, wrong algorithm, not meant for this service, not yet
    /// valid, or no user in it.
    #[error("Invalid token")]
    Invalid,
    /// The token was good until `exp`, or until it reached the greatest age.
    #[error("Token expired")]
    Expired,
    /// The keys of its issuer cannot be had, or not so soon again, so that nobody knows whether the token is good. Later somebody
    /// will.
    #[error("The token cannot be judged: its issuer's keys are not available")]
    Unavailable,
}
