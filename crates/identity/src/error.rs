//! The reasons why authentication fails.

/// The reason why authentication failed. The error messages reveal nothing that would help an attacker to forge a
/// token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthenticationError {
    /// The request has no `Authorization` header.
    #[error("No token provided")]
    Missing,
    /// The `Authorization` header does not have the form `Bearer <token>`.
    #[error("Invalid token format. Use: Bearer <token>")]
    Malformed,
    /// The token is rejected. It is malformed or too long, its issuer is not trusted, its signature or algorithm is
    /// wrong, its audience is another service, it is not valid yet, or it identifies no user.
    #[error("Invalid token")]
    Invalid,
    /// The token is rejected because the time of its `exp` or its maximum age has passed.
    #[error("Token expired")]
    Expired,
    /// The token cannot be verified now, because its issuer's keys are not available, or because the rate limit does
    /// not allow another fetch of the keys yet. The verification can succeed later.
    #[error("The token cannot be verified: its issuer's keys are not available")]
    Unavailable,
}
