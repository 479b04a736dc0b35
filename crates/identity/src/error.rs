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
    /// Not a token, too long, wrong key, wrong algorithm, not yet valid, or no user id in it.
    #[error("Invalid token")]
    Invalid,
    /// The token was good until `exp`.
    #[error("Token expired")]
    Expired,
}
