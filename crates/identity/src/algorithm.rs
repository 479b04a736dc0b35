//! The signature algorithms of tokens.

use std::fmt;

/// The accepted signature algorithms. `none` and all others are rejected.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256, with a secret that the signer and this service share.
    Hs256,
    /// RSA (PKCS #1 v1.5) with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// Parses the `alg` of a token or a key, such as `RS256`. `Ed25519` (RFC 9864) is accepted as another name of
    /// `EdDSA`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let is_named = |algorithm: &Self| algorithm.as_str() == name;
        let algorithms = [Self::Hs256, Self::Rs256, Self::Es256, Self::EdDsa];
        algorithms.into_iter().find(is_named).or_else(|| (name == "Ed25519").then_some(Self::EdDsa))
    }

    /// Returns the `alg` value of the algorithm.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

impl fmt::Debug for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
