//! Verifies the tokens of all trusted issuers, and caches verified tokens.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use iam_domain::{ClaimedProfile, Clock, ExternalId, Issuer, NamedUser, TextError, Timestamp, UserId};
use secrecy::SecretString;
use serde_json::Value;

use crate::claims::{TimeLimits, Verified};
use crate::issuer::{SharedSecret, TrustError, TrustedIssuer};
use crate::issuer_state::IssuerState;
use crate::issuer_verifier::IssuerVerifier;
use crate::system_clock::system_clock;
use crate::token::Token;
use crate::token_cache::{TokenCache, TokenDigest, VerifiedToken};
use crate::{AuthenticationError, VerifierOptions};

/// Maximum length of a token in bytes.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// Maximum length of an unverified claim in the log, in bytes.
const LOGGED_BYTES: usize = 200;

/// The name of the shared secret in error messages about issuers.
const SHARED_SECRET: &str = "the shared secret";

/// The verifier of tokens. It caches a bounded number of verified tokens, identified by their digest.
pub struct TokenVerifier {
    /// The verifiers of the issuers, by the `iss` of their tokens.
    issuers: HashMap<String, IssuerVerifier>,
    /// The verifier of tokens whose `iss` is absent or not in `issuers`.
    fallback: Option<IssuerVerifier>,
    cache: TokenCache,
    limits: TimeLimits,
    clock: Clock,
}

/// A verified token whose validity can be checked again later.
pub struct Admission(Arc<VerifiedToken>);

impl Admission {
    /// Returns the profile that the claims of the token contain. Returns `None` if they contain none, or if the issuer
    /// does not [provide profiles](TrustedIssuer::provides_profiles).
    #[must_use]
    pub fn profile(&self) -> Option<&Arc<ClaimedProfile>> {
        self.0.claims.profile.as_ref()
    }

    /// Returns the issuer of the token. Returns `None` for a shared secret without an issuer.
    #[must_use]
    pub fn issuer(&self) -> Option<&Issuer> {
        self.0.claims.issuer.as_ref()
    }

    /// Returns the time at which the token becomes invalid, or `None` if this is later than any timestamp.
    #[must_use]
    pub fn valid_until(&self) -> Option<Timestamp> {
        self.0.claims.valid_until()
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Admission").finish_non_exhaustive()
    }
}

/// What an ID token must contain.
#[derive(Debug, Clone, Copy)]
pub struct ExpectedIdToken<'a> {
    /// The issuer.
    pub issuer: &'a str,
    /// The id of the client, which must be an audience of the token.
    pub client_id: &'a str,
    /// The nonce of the sign-in.
    pub nonce: &'a str,
}

/// Returns the digest of a token, or an error if the token is too long.
fn digest(token: &str) -> Result<TokenDigest, AuthenticationError> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(AuthenticationError::MalformedToken);
    }
    Ok(TokenDigest::of(token))
}

/// The error for a string that does not identify a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UserNameError {
    /// The string is neither a UUID nor `issuer|subject`.
    #[error("must be a valid UUID, or issuer|subject")]
    Form,
    /// The issuer is not configured.
    #[error("specifies an unknown issuer")]
    UnknownIssuer,
    /// No valid token of the issuer can have this subject.
    #[error("specifies a subject that is invalid for its issuer")]
    Subject,
}

impl fmt::Debug for TokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rings = |issuer: &IssuerVerifier| Arc::clone(&issuer.ring);
        f.debug_struct("TokenVerifier")
            .field(
                "issuers",
                &self.issuers.iter().map(|(name, issuer)| (name, rings(issuer))).collect::<HashMap<_, _>>(),
            )
            .field("fallback", &self.fallback.as_ref().map(rings))
            .field("cached_tokens", &self.cache)
            .finish_non_exhaustive()
    }
}

impl TokenVerifier {
    /// Creates a verifier of HS256 tokens that are signed with the secret. The verifier caches at most
    /// [`DEFAULT_REMEMBERED_TOKENS`](crate::DEFAULT_REMEMBERED_TOKENS) tokens, and tolerates no clock skew.
    #[must_use]
    pub fn hs256(secret: &SecretString) -> Self {
        let mut verifier = Self::empty(&VerifierOptions::default());
        verifier.trust_secret(SharedSecret::new(secret.clone()));
        verifier
    }

    /// Creates a verifier for tokens from these issuers. Key files are read now. Key sets at URLs are fetched later, so
    /// that an unavailable server does not prevent startup.
    ///
    /// Call this function on a runtime that runs as long as the process, because later reads of keys run on this
    /// runtime. Then run [`keep_fresh`](Self::keep_fresh) in the background.
    ///
    /// # Errors
    ///
    /// Returns [`TrustError`] if the issuer configurations conflict with each other, or if a key file cannot be used.
    pub async fn start(
        secret: Option<SharedSecret>,
        issuers: Vec<TrustedIssuer>,
        options: &VerifierOptions,
    ) -> Result<Self, TrustError> {
        check_consistency(secret.as_ref(), &issuers)?;
        let mut verifier = Self::empty(options);
        if let Some(secret) = secret {
            verifier.trust_secret(secret);
        }
        for issuer in issuers {
            let name = issuer.issuer.to_string();
            verifier.issuers.insert(name, IssuerVerifier::start(issuer, options).await?);
        }
        Ok(verifier)
    }

    fn empty(options: &VerifierOptions) -> Self {
        Self {
            issuers: HashMap::new(),
            fallback: None,
            cache: TokenCache::new(options.remembered_tokens),
            limits: TimeLimits {
                clock_skew: options.clock_skew,
                max_age: options.max_token_age,
                max_super_admin_age: options.max_super_admin_token_age,
            },
            clock: system_clock(),
        }
    }

    fn trust_secret(&mut self, secret: SharedSecret) {
        let name = secret.issuer.as_ref().map(ToString::to_string);
        let issuer = IssuerVerifier::of_secret(secret);
        match name {
            None => self.fallback = Some(issuer),
            Some(name) => drop(self.issuers.insert(name, issuer)),
        }
    }

    /// Replaces the system clock with this clock.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Reads the keys of all issuers periodically, each source at its own interval, until the future is dropped.
    /// Returns immediately if no issuer has a source to read.
    pub async fn keep_fresh(&self) {
        join_all(self.issuers.values().map(|issuer| issuer.ring.keep_fresh())).await;
    }

    /// Reads the keys of all issuers now. If a read fails, the failure is logged and the issuer's previous keys remain
    /// in use.
    pub async fn refresh(&self) {
        join_all(self.issuers.values().map(|issuer| issuer.ring.read())).await;
    }

    /// Returns the tolerated clock skew: the `iat` of a token may be at most this far in the future.
    #[must_use]
    pub const fn clock_skew(&self) -> Duration {
        self.limits.clock_skew
    }

    /// Returns the state of all issuers and of their keys in this process, sorted by issuer. A shared secret without an
    /// issuer is first.
    #[must_use]
    pub fn issuer_states(&self) -> Vec<IssuerState> {
        let mut states: Vec<_> = self.fallback.iter().chain(self.issuers.values()).map(IssuerState::of).collect();
        states.sort_by(|a, b| a.issuer.cmp(&b.issuer));
        states
    }

    /// Returns the number of cached tokens, including expired tokens.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.cache.len()
    }

    /// Verifies the token and returns its bearer. Waits only if the issuer's keys must be fetched. The method is
    /// cancel-safe.
    ///
    /// # Errors
    ///
    /// Returns any [`AuthenticationError`] except `Missing`.
    pub async fn verify(&self, token: &str) -> Result<Verified, AuthenticationError> {
        self.admit(token).await.map(|(verified, _)| verified)
    }

    /// Verifies the token and returns its bearer, with an [`Admission`] that allows the caller to check the token again
    /// after a long wait: see [`is_still_valid`](Self::is_still_valid).
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`verify`](Self::verify).
    pub async fn admit(&self, token: &str) -> Result<(Verified, Admission), AuthenticationError> {
        let digest = digest(token)?;
        match self.admit_remembered(&digest) {
            Some(admitted) => admitted,
            None => Box::pin(self.admit_anew(token, digest)).await,
        }
    }

    /// Returns the same result as [`admit`](Self::admit) if the token is cached, or if it is too long to be a token.
    /// Otherwise, returns `None`: the token must be verified, which takes much longer.
    pub fn admit_cached(&self, token: &str) -> Option<Result<(Verified, Admission), AuthenticationError>> {
        match digest(token) {
            Ok(digest) => self.admit_remembered(&digest),
            Err(error) => Some(Err(error)),
        }
    }

    fn admit_remembered(&self, digest: &TokenDigest) -> Option<Result<(Verified, Admission), AuthenticationError>> {
        let cached = self.cache.get(digest)?;
        let verified = cached.claims.at(self.clock.now()).cloned();
        Some(verified.map(|verified| (verified, Admission(cached))))
    }

    /// Returns `true` if tokens of this issuer are accepted and, if the person is a super admin, may still grant super admin
    /// rights. `None` stands for a shared secret without an issuer.
    #[must_use]
    pub fn trusts(&self, issuer: Option<&str>, is_super_admin: bool) -> bool {
        let known = match issuer {
            Some(name) => self.issuers.get(name),
            None => self.fallback.as_ref(),
        };
        known.is_some_and(|known| !is_super_admin || known.mapping.super_admin_claim.is_some())
    }

    /// Returns `true` if a person who proved super admin rights with a token that was issued at this time may still use them:
    /// the token has not reached the maximum age of tokens that grant super admin.
    #[must_use]
    pub fn may_still_be_super_admin(&self, issued_at: Option<Timestamp>) -> bool {
        let Some(max_age) = self.limits.max_super_admin_age else { return true };
        let now = self.clock.now().minus(self.limits.clock_skew);
        issued_at.is_some_and(|issued_at| now < issued_at.plus(max_age))
    }

    /// Returns `true` if the token is still valid: it has not expired, and the key that signed it has not been removed.
    /// Unlike [`verify`](Self::verify), this method does not parse the token again and does not return a reason.
    #[must_use]
    pub fn is_still_valid(&self, Admission(cached): &Admission) -> bool {
        !cached.key.is_retired() && cached.claims.at(self.clock.now()).is_ok()
    }

    /// Verifies an ID token of OpenID Connect, which this issuer returned at the end of a sign-in. The token must be intended
    /// for the client, and contain the nonce of the sign-in. It is not cached, because it is used only once.
    ///
    /// # Errors
    ///
    /// Returns any [`AuthenticationError`] except `Missing`.
    pub async fn verify_id_token(
        &self,
        text: &str,
        expected: &ExpectedIdToken<'_>,
    ) -> Result<(Verified, Admission), AuthenticationError> {
        digest(text)?;
        let token = Token::parse(text)?;
        let is_text = |claim: &str, value: &str| token.claims.get(claim).and_then(Value::as_str) == Some(value);
        let named = self.issuers.get(expected.issuer).filter(|_| is_text("iss", expected.issuer));
        let issuer = named.filter(|issuer| issuer.allows(token.algorithm)).ok_or(AuthenticationError::Untrusted)?;
        let claims = issuer.mapping.apply_for_client(&token.claims, self.limits, expected.client_id);
        let key = issuer.key_of(&token, claims.as_ref().ok(), &self.clock).await?;
        let claims = claims?;
        if !is_text("nonce", expected.nonce) {
            return Err(AuthenticationError::InvalidClaims);
        }
        let verified = claims.at(self.clock.now())?.clone();
        if key.is_retired() {
            return Err(AuthenticationError::Untrusted);
        }
        Ok((verified, Admission(Arc::new(VerifiedToken { claims, key }))))
    }

    async fn admit_anew(&self, text: &str, digest: TokenDigest) -> Result<(Verified, Admission), AuthenticationError> {
        // Cached tokens contain no white space, so only tokens that are not cached are checked.
        if text.contains(char::is_whitespace) {
            return Err(AuthenticationError::Malformed);
        }
        let token = Token::parse(text)?;
        let admitted = self.admit_parsed(&token, digest).await;
        if let Err(error) = &admitted {
            let issuer = token.claims.get("iss").and_then(Value::as_str).map(shortened);
            let key = token.key_id.as_deref().map(shortened);
            let is_trusted = self.issuer_of(&token).is_some();
            tracing::info!(issuer, key, is_trusted, reason = error.reason(), "token rejected");
        }
        admitted
    }

    async fn admit_parsed(
        &self,
        token: &Token<'_>,
        digest: TokenDigest,
    ) -> Result<(Verified, Admission), AuthenticationError> {
        let issuer = self.issuer_of(token).ok_or(AuthenticationError::Untrusted)?;
        let claims = issuer.mapping.apply(&token.claims, self.limits);
        // The signature is checked first, so that an invalid claim is reported only to the bearer of a signed token.
        let key = issuer.key_of(token, claims.as_ref().ok(), &self.clock).await?;
        let claims = claims?;
        let verified = claims.at(self.clock.now())?.clone();
        // The key may have been removed from the issuer's key set during the verification.
        if key.is_retired() {
            return Err(AuthenticationError::Untrusted);
        }
        let cached = Arc::new(VerifiedToken { claims, key });
        self.cache.insert(digest, Arc::clone(&cached));
        Ok((verified, Admission(cached)))
    }

    /// Returns the verifier that the token's `iss` selects. Only the keys of this verifier may verify the token.
    fn issuer_of(&self, token: &Token<'_>) -> Option<&IssuerVerifier> {
        let named = match token.claims.get("iss") {
            None => None,
            Some(Value::String(name)) => self.issuers.get(name),
            Some(_) => return None,
        };
        named.or(self.fallback.as_ref()).filter(|issuer| issuer.allows(token.algorithm))
    }

    /// Returns the user that a string in a path or body identifies. The string is a user id or `issuer|subject`. An
    /// `issuer|subject` results in the same user id as a token of this issuer with this subject.
    ///
    /// # Errors
    ///
    /// Returns [`UserNameError`] if the string does not identify a user.
    pub fn user_named(&self, text: &str) -> Result<NamedUser, UserNameError> {
        if let Ok(id) = UserId::parse(text) {
            let named = NamedUser::native(id);
            return Ok(NamedUser { can_sign_in: named.can_sign_in && self.has_natives(), ..named });
        }
        let external = ExternalId::parse(text).map_err(|error| match error {
            TextError::Character if text.contains('|') => UserNameError::Subject,
            TextError::TooLong { .. } => UserNameError::Subject,
            _ => UserNameError::Form,
        })?;
        let issuer = self.issuers.get(external.issuer.as_str()).ok_or(UserNameError::UnknownIssuer)?;
        let (id, external_id) = issuer.mapping.user_named(external.subject.as_str()).ok_or(UserNameError::Subject)?;
        Ok(NamedUser { id, external_id, can_sign_in: true })
    }

    /// Returns `true` if one of the issuers is native: the subjects of its tokens may be user ids.
    fn has_natives(&self) -> bool {
        self.issuers.values().chain(&self.fallback).any(|issuer| issuer.mapping.is_native)
    }
}

/// Shortens an unverified text for the log.
fn shortened(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LOGGED_BYTES)).unwrap_or_default()
}

/// Returns an error if two issuers have the same `iss`, or if two issuers are native.
fn check_consistency(secret: Option<&SharedSecret>, issuers: &[TrustedIssuer]) -> Result<(), TrustError> {
    let mut names: Vec<_> = secret.and_then(|secret| secret.issuer.as_ref()).into_iter().collect();
    let mut native = secret.map(|_| SHARED_SECRET.to_owned());
    for issuer in issuers {
        if names.contains(&&issuer.issuer) {
            return Err(TrustError::Twice(issuer.issuer.clone()));
        }
        names.push(&issuer.issuer);
        if issuer.is_native
            && let Some(first) = native.replace(format!("issuer {}", issuer.issuer))
        {
            return Err(TrustError::TwoNatives { first, second: issuer.issuer.clone() });
        }
    }
    Ok(())
}
