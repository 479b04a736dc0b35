//! Verifies the tokens of one issuer: maps the claims, and looks up the keys that signed the tokens.

use std::sync::Arc;
use std::time::Duration;

use iam_domain::Clock;
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::claims::{ClaimMapping, MappedClaims};
use crate::issuer::{SharedSecret, TrustError, TrustedIssuer};
use crate::key_ring::{KeyRing, Renewal};
use crate::keys::{Key, SignatureCheck};
use crate::source::{self, KeySource, SourceReader};
use crate::token::Token;
use crate::{Algorithm, AuthenticationError, KeySet, VerifierOptions};

/// The interval between consecutive reads of a key file.
const FILE_INTERVAL: Duration = Duration::from_secs(60);

/// Maximum number of lookups of a token's key before the key counts as unknown. A lookup is repeated only if the key
/// set has changed since the previous lookup.
const MAX_LOOKUPS: usize = 3;

/// The verifier of the tokens of one trusted issuer.
#[derive(Debug)]
pub(crate) struct IssuerVerifier {
    pub(crate) mapping: ClaimMapping,
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) ring: Arc<KeyRing>,
}

impl IssuerVerifier {
    /// Creates the verifier of tokens that are signed with the shared secret.
    pub(crate) fn of_secret(secret: SharedSecret) -> Self {
        Self {
            mapping: ClaimMapping {
                issuer: secret.issuer,
                user_claims: vec!["userId".to_owned(), "sub".to_owned()],
                super_admin_claim: Some("isSuperAdmin".to_owned()),
                audience_claim: "aud".to_owned(),
                audiences: secret.audiences,
                is_native: true,
                provides_profiles: false,
            },
            algorithms: Vec::new(),
            ring: Arc::new(KeyRing::fixed(KeySet::hs256(&secret.secret))),
        }
    }

    /// Creates the verifier of an issuer with its own keys. If the keys are in a file, they are read now.
    pub(crate) async fn start(issuer: TrustedIssuer, options: &VerifierOptions) -> Result<Self, TrustError> {
        let ring = key_ring(&issuer, options).await?;
        let mapping = ClaimMapping {
            issuer: Some(issuer.issuer),
            user_claims: vec![issuer.user_claim],
            super_admin_claim: Some(issuer.super_admin_claim).filter(|_| issuer.may_grant_super_admin),
            audience_claim: issuer.audience_claim,
            audiences: issuer.audiences,
            is_native: issuer.is_native,
            provides_profiles: issuer.provides_profiles,
        };
        Ok(Self { mapping, algorithms: issuer.algorithms, ring: Arc::new(ring) })
    }

    /// Returns `true` if the issuer may sign with this algorithm.
    pub(crate) fn allows(&self, algorithm: Algorithm) -> bool {
        self.algorithms.is_empty() || self.algorithms.contains(&algorithm)
    }

    /// Returns the key that signed the token. If no current key verifies the signature, and the token's claims are
    /// valid, reads the issuer's keys again, and waits for this read [`LONGEST_WAIT`](crate::key_ring::LONGEST_WAIT) at
    /// most. `claims` is `None` if the claims are invalid.
    pub(crate) async fn key_of(
        &self,
        token: &Token<'_>,
        claims: Option<&MappedClaims>,
        clock: &Clock,
    ) -> Result<Arc<Key>, AuthenticationError> {
        let is_valid = || claims.is_some_and(|claims| claims.at(clock.now()).is_ok());
        let arrived = Instant::now();
        for _ in 0..MAX_LOOKUPS {
            let keys = self.ring.keys();
            match keys.check_signature(token) {
                SignatureCheck::Valid(key) => return Ok(key),
                // The key set has changed. It may contain another key with the same id, so the lookup is repeated.
                SignatureCheck::Forged if is_valid() && self.ring.renew(&keys, arrived).await == Renewal::Others => {}
                SignatureCheck::Forged => return Err(AuthenticationError::Untrusted),
                // Key sources contain only public keys, so another read cannot find a key that verifies an HS256 token.
                SignatureCheck::UnknownKey if token.algorithm == Algorithm::Hs256 || !is_valid() => {
                    return Err(AuthenticationError::Untrusted);
                }
                SignatureCheck::UnknownKey => match self.ring.renew(&keys, arrived).await {
                    Renewal::Others => {}
                    Renewal::Same => break,
                },
            }
        }
        // If the keys cannot be read, the issuer may have a key that verifies the token.
        Err(if self.ring.is_unavailable() { AuthenticationError::Unavailable } else { AuthenticationError::Untrusted })
    }
}

/// Creates the key ring of the issuer. If the keys are in a file, they are read now.
async fn key_ring(issuer: &TrustedIssuer, options: &VerifierOptions) -> Result<KeyRing, TrustError> {
    let (reader, interval) = match &issuer.keys {
        KeySource::Keys(keys) => return Ok(KeyRing::fixed(keys.clone())),
        KeySource::PemFile(path) => (SourceReader::PemFile(path.clone()), FILE_INTERVAL),
        KeySource::JwksFile(path) => (SourceReader::JwksFile(path.clone()), FILE_INTERVAL),
        KeySource::JwksUrl(url) => {
            let client = source::http_client(options.jwks_timeout).map_err(TrustError::Client)?;
            (SourceReader::Url(url.clone(), client), options.jwks_refresh)
        }
    };
    let is_file = !matches!(reader, SourceReader::Url(..));
    let name = issuer.issuer.to_string();
    let ring = KeyRing::read_from(reader, name, interval, options.unknown_key_pause, Handle::current());
    if is_file {
        let failed = |source| TrustError::Keys { issuer: issuer.issuer.clone(), source };
        ring.read().await.map_err(failed)?;
    }
    Ok(ring)
}
