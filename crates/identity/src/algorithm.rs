//! The signature algorithms of tokens.

use std::fmt;

/// The signature algorithms. There are no others, and `none` is not among them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256, with a secret shared by signer and service.
    Hs256,
    /// RSA (PKCS #1 v1.5) with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// Parses its name in tokens: `RS256`. `Ed25519` is the name that RFC 9864 gives to `EdDSA` with a key of that
    /// curve.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let is_named = |algorithm: &Self| algorithm.as_str() == name;
        let algorithms = [Self::Hs256, Self::Rs256, Self::Es256, Self::EdDsa];
        algorithms.into_iter().find(is_named).or_else(|| (name == "Ed25519").then_some(Self::EdDsa))
    }

    /// Its name in tokens.
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
