//! The reasons why authentication fails.

/// Authentication failed. The reason reveals nothing that helps to guess a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthenticationError {
    /// There is no header.
    #[error("No token provided")]
    Missing,
    /// The header is not `Bearer <token>`.
    #[error("Invalid token format. Use: Bearer <token>")]
    Malformed,
    /// Not a token, too long, from an issuer that is not trusted, signed by another key or algorithm, not meant for
    /// this service, not yet valid, or without a user.
    #[error("Invalid token")]
    Invalid,
    /// The token is past its `exp` or its greatest age.
    #[error("Token expired")]
    Expired,
    /// The keys of its issuer are not available, or may not be fetched again so soon, so the token cannot be verified
    /// now. A later attempt can succeed.
    #[error("The token cannot be judged: its issuer's keys are not available")]
    Unavailable,
}
