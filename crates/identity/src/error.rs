//! The reasons why authentication fails.

/// The reason why authentication failed.
///
/// Until the signature of a token is verified, all failures of a well-formed token are [`Untrusted`](Self::Untrusted).
/// An attacker therefore cannot determine which issuers, keys and API keys exist. The log contains the details.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthenticationError {
    /// The request has no `Authorization` header.
    #[error("No token provided")]
    Missing,
    /// The `Authorization` header does not have the form `Bearer <token>`.
    #[error("Invalid token format. Use: Bearer <token>")]
    Malformed,
    /// The value after `Bearer` is neither a token nor an API key, or it is too long.
    #[error("Invalid token")]
    MalformedToken,
    /// The issuer is not trusted, the key is unknown, or the signature or the algorithm is wrong. For an API key: no
    /// such key is stored, or its secret does not match.
    #[error("Invalid token")]
    Untrusted,
    /// The signature is valid, but the audience is another service.
    #[error("Invalid token")]
    WrongAudience,
    /// The signature is valid, but the token identifies no user, or a required time is missing or invalid.
    #[error("Invalid token")]
    InvalidClaims,
    /// The signature is valid, but `nbf` or `iat` is in the future.
    #[error("Invalid token")]
    NotYetValid,
    /// The token (`exp`) or the API key has expired.
    #[error("Token expired")]
    Expired,
    /// The token has not expired, but is older than the maximum age of tokens.
    #[error("Token expired")]
    TooOld,
    /// The token was issued before the user's cut-off.
    #[error("Token expired")]
    Revoked,
    /// The API key was revoked.
    #[error("Invalid token")]
    RevokedKey,
    /// The token cannot be verified now, because its issuer's keys cannot be read. A later attempt can succeed.
    #[error("The token cannot be verified: its issuer's keys are not available")]
    Unavailable,
}

impl AuthenticationError {
    /// The machine-readable reasons that [`reason`](Self::reason) returns for rejected credentials.
    pub const REASONS: [&str; 9] = [
        "missing",
        "malformed",
        "untrusted",
        "wrong_audience",
        "invalid_claims",
        "not_yet_valid",
        "expired",
        "too_old",
        "revoked",
    ];

    /// Returns the machine-readable reason: one of [`REASONS`](Self::REASONS), or `unavailable`.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed | Self::MalformedToken => "malformed",
            Self::Untrusted => "untrusted",
            Self::WrongAudience => "wrong_audience",
            Self::InvalidClaims => "invalid_claims",
            Self::NotYetValid => "not_yet_valid",
            Self::Expired => "expired",
            Self::TooOld => "too_old",
            Self::Revoked | Self::RevokedKey => "revoked",
            Self::Unavailable => "unavailable",
        }
    }

    /// Returns a description of the reason for developers. It contains no quotation marks and no backslashes.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Missing => "The request has no Authorization header",
            Self::Malformed => "The Authorization header must have the form: Bearer <token>",
            Self::MalformedToken => "The credential is neither a JSON Web Token nor an API key",
            Self::Untrusted => "No trusted issuer signed the token, or the API key is unknown",
            Self::WrongAudience => "The token is intended for another audience",
            Self::InvalidClaims => "A required claim of the token is missing or invalid",
            Self::NotYetValid => "The token is not valid yet",
            Self::Expired => "The credential has expired",
            Self::TooOld => "The token is older than the maximum age of tokens",
            Self::Revoked => "The token was revoked",
            Self::RevokedKey => "The API key was revoked",
            Self::Unavailable => "The keys of the token issuer are not available",
        }
    }
}
