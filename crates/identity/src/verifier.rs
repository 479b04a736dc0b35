//! From a token to the person who bears it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use iam_domain::{ExternalId, NamedUser, TextError, UserId};
use secrecy::SecretString;
use serde_json::Value;
use tokio::runtime::Handle;

use crate::claims::{Ages, Reading, Statement, Verified};
use crate::issuer::{SharedSecret, TrustError, TrustedIssuer};
use crate::key_ring::{KeyRing, Renewal};
use crate::keys::{Judgement, Key};
use crate::source::{self, KeySource, Readable};
use crate::token::Token;
use crate::token_cache::{TokenCache, TokenDigest, VerifiedToken};
use crate::{Algorithm, AuthenticationError, KeySet};

/// The longest token that is looked at, in bytes.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// How many verified tokens are remembered unless somebody says otherwise.
pub const DEFAULT_REMEMBERED_TOKENS: usize = 10_000;

/// How often files of keys are read.
const FILE_PAUSE: Duration = Duration::from_secs(60);

/// How often a key that is not found is looked for before it counts as unknown. More than once only if the keys change
/// meanwhile.
const LOOKS: usize = 3;

/// What the holder of the secret is called where issuers are named.
const SHARED_SECRET: &str = "the shared secret";

/// How tokens are verified, whoever signed them.
#[derive(Debug, Clone)]
pub struct VerifierOptions {
    /// How many verified tokens are remembered; 0: none.
    pub remembered_tokens: usize,
    /// How much the clocks of signers and of this machine may differ.
    pub clock_skew: Duration,
    /// The greatest age since `iat`, which tokens must have then.
    pub max_token_age: Option<Duration>,
    /// The same of tokens that make super admins, if it is less.
    pub max_super_admin_token_age: Option<Duration>,
    /// How often key sets are fetched from their URLs.
    pub jwks_refresh: Duration,
    /// How often, at most, the keys of an issuer are read because a token's key is not among them.
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

type Clock = Box<dyn Fn() -> SystemTime + Send + Sync>;

/// Verifies tokens, and remembers those that it verified: by their digest, until they expire, in a bounded number.
pub struct TokenVerifier {
    /// By the `iss` of their tokens.
    issuers: HashMap<String, Trusted>,
    /// Who is trusted with tokens of which none of them says that they are its own.
    others: Option<Trusted>,
    remembered: TokenCache,
    ages: Ages,
    clock: Clock,
}

/// A token that was verified, to be looked at again.
pub struct Admission(Arc<VerifiedToken>);

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Admission").finish_non_exhaustive()
    }
}

/// Somebody who is trusted.
#[derive(Debug)]
struct Trusted {
    reading: Reading,
    algorithms: Vec<Algorithm>,
    ring: Arc<KeyRing>,
}

/// The text names no user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UserNameError {
    /// It is neither form.
    #[error("must be a valid UUID, or issuer|subject")]
    Form,
    /// No token could come from there.
    #[error("names an issuer that is not known")]
    UnknownIssuer,
    /// No token could say so.
    #[error("names a subject that its issuer cannot have")]
    Subject,
}

impl fmt::Debug for TokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rings = |trusted: &Trusted| Arc::clone(&trusted.ring);
        f.debug_struct("TokenVerifier")
            .field(
                "issuers",
                &self.issuers.iter().map(|(name, trusted)| (name, rings(trusted))).collect::<HashMap<_, _>>(),
            )
            .field("others", &self.others.as_ref().map(rings))
            .field("remembered", &self.remembered)
            .finish_non_exhaustive()
    }
}

impl TokenVerifier {
    /// Accepts HS256 tokens signed with the secret, and remembers [`DEFAULT_REMEMBERED_TOKENS`]. There is no leeway.
    #[must_use]
    pub fn hs256(secret: &SecretString) -> Self {
        let mut verifier = Self::empty(&VerifierOptions::default());
        verifier.trust_secret(SharedSecret::new(secret.clone()));
        verifier
    }

    /// Accepts the tokens of all of these. Files of keys are read now; URLs later, so that a server that is down does not
    /// matter here.
    ///
    /// Call it on the runtime that lives as long as the process: keys are read there, whoever asks for them. Then let
    /// [`keep_fresh`](Self::keep_fresh) run.
    ///
    /// # Errors
    ///
    /// [`TrustError`]: two of them contradict each other, or a file of keys cannot be used.
    pub async fn start(
        secret: Option<SharedSecret>,
        issuers: Vec<TrustedIssuer>,
        options: &VerifierOptions,
    ) -> Result<Self, TrustError> {
        check(secret.as_ref(), &issuers)?;
        let mut verifier = Self::empty(options);
        if let Some(secret) = secret {
            verifier.trust_secret(secret);
        }
        for issuer in issuers {
            verifier.trust(issuer, options).await?;
        }
        Ok(verifier)
    }

    fn empty(options: &VerifierOptions) -> Self {
        Self {
            issuers: HashMap::new(),
            others: None,
            remembered: TokenCache::new(options.remembered_tokens),
            ages: Ages {
                clock_skew: options.clock_skew,
                max: options.max_token_age,
                max_of_super_admins: options.max_super_admin_token_age,
            },
            clock: Box::new(SystemTime::now),
        }
    }

    fn trust_secret(&mut self, secret: SharedSecret) {
        let name = secret.issuer.as_ref().map(ToString::to_string);
        let trusted = Trusted {
            reading: Reading {
                issuer: secret.issuer,
                user_claims: vec!["userId".to_owned(), "sub".to_owned()],
                super_admin_claim: Some("isSuperAdmin".to_owned()),
                audience_claim: "aud".to_owned(),
                audiences: secret.audiences,
                is_native: true,
            },
            algorithms: Vec::new(),
            ring: Arc::new(KeyRing::fixed(KeySet::hs256(&secret.secret))),
        };
        match name {
            None => self.others = Some(trusted),
            Some(name) => drop(self.issuers.insert(name, trusted)),
        }
    }

    async fn trust(&mut self, issuer: TrustedIssuer, options: &VerifierOptions) -> Result<(), TrustError> {
        let ring = ring(&issuer, options).await?;
        let reading = Reading {
            issuer: Some(issuer.issuer.clone()),
            user_claims: vec![issuer.user_claim],
            super_admin_claim: Some(issuer.super_admin_claim).filter(|_| issuer.makes_super_admins),
            audience_claim: issuer.audience_claim,
            audiences: issuer.audiences,
            is_native: issuer.is_native,
        };
        let trusted = Trusted { reading, algorithms: issuer.algorithms, ring: Arc::new(ring) };
        self.issuers.insert(issuer.issuer.to_string(), trusted);
        Ok(())
    }

    /// The same with another clock than the system's.
    #[must_use]
    pub fn with_clock(self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self { clock: Box::new(clock), ..self }
    }

    /// Reads all keys again and again, each source at its own pace, until it is stopped. At once if there is nothing to read.
    pub async fn keep_fresh(&self) {
        join_all(self.issuers.values().map(|trusted| trusted.ring.keep_fresh())).await;
    }

    /// Reads all keys now. What cannot be read is logged, and stays as it was.
    pub async fn refresh(&self) {
        join_all(self.issuers.values().map(|trusted| trusted.ring.read())).await;
    }

    /// How much the clocks of signers may be ahead: a token may say that it was made so much later than now.
    #[must_use]
    pub const fn clock_skew(&self) -> Duration {
        self.ages.clock_skew
    }

    /// How many tokens are remembered, expired ones included.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.remembered.len()
    }

    /// Who bears the token. It waits only if the keys of its issuer must be read first, and it does no harm to give up then.
    ///
    /// # Errors
    ///
    /// [`AuthenticationError`] says which of four things is wrong: never that something is missing.
    pub async fn verify(&self, token: &str) -> Result<Verified, AuthenticationError> {
        self.admit(token).await.map(|(verified, _)| verified)
    }

    /// The same, for whoever takes long to say what he wants: see [`is_still_good`](Self::is_still_good).
    ///
    /// # Errors
    ///
    /// Those of [`verify`](Self::verify).
    pub async fn admit(&self, token: &str) -> Result<(Verified, Admission), AuthenticationError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(AuthenticationError::Invalid);
        }
        let digest = TokenDigest::of(token);
        match self.remembered.get(&digest) {
            Some(remembered) => {
                let verified = remembered.statement.at((self.clock)())?.clone();
                Ok((verified, Admission(remembered)))
            }
            None => Box::pin(self.admit_anew(token, digest)).await,
        }
    }

    /// Whether the token would be admitted again. It does not read the token, and says no reason: that does
    /// [`verify`](Self::verify).
    #[must_use]
    pub fn is_still_good(&self, Admission(remembered): &Admission) -> bool {
        !remembered.key.is_retired() && remembered.statement.at((self.clock)()).is_ok()
    }

    async fn admit_anew(&self, text: &str, digest: TokenDigest) -> Result<(Verified, Admission), AuthenticationError> {
        // Looked at only here: what is remembered is one word.
        if text.contains(char::is_whitespace) {
            return Err(AuthenticationError::Malformed);
        }
        let token = Token::parse(text).ok_or(AuthenticationError::Invalid)?;
        let trusted = self.issuer_of(&token).ok_or(AuthenticationError::Invalid)?;
        let statement = trusted.reading.read(&token.claims, self.ages).ok_or(AuthenticationError::Invalid)?;
        let key = trusted.key_of(&token, &statement, &self.clock, self.ages.clock_skew).await?;
        let verified = statement.at((self.clock)())?.clone();
        // It may have left while this was going on.
        if key.is_retired() {
            return Err(AuthenticationError::Invalid);
        }
        let remembered = Arc::new(VerifiedToken { statement, key });
        self.remembered.insert(digest, Arc::clone(&remembered));
        Ok((verified, Admission(remembered)))
    }

    /// Whose the token says that it is. That alone decides with which keys it is verified.
    fn issuer_of(&self, token: &Token<'_>) -> Option<&Trusted> {
        let named = match token.claims.get("iss") {
            None => None,
            Some(Value::String(name)) => self.issuers.get(name),
            Some(_) => return None,
        };
        let trusted = named.or(self.others.as_ref())?;
        let is_allowed = trusted.algorithms.is_empty() || trusted.algorithms.contains(&token.algorithm);
        is_allowed.then_some(trusted)
    }

    /// Whom the text of a path or a body means: a user id, or `issuer|subject`, which gives the id that a token of that
    /// issuer's would give.
    ///
    /// # Errors
    ///
    /// [`UserNameError`].
    pub fn user_named(&self, text: &str) -> Result<NamedUser, UserNameError> {
        if let Ok(id) = UserId::parse(text) {
            let named = NamedUser::native(id);
            return Ok(NamedUser { can_sign_in: named.can_sign_in && self.has_natives(), ..named });
        }
        let named = ExternalId::parse(text).map_err(|error| match error {
            TextError::Character if text.contains('|') => UserNameError::Subject,
            TextError::TooLong { .. } => UserNameError::Subject,
            _ => UserNameError::Form,
        })?;
        let trusted = self.issuers.get(named.issuer.as_str()).ok_or(UserNameError::UnknownIssuer)?;
        let (id, external_id) = trusted.reading.user_named(named.subject.as_str()).ok_or(UserNameError::Subject)?;
        Ok(NamedUser { id, external_id, can_sign_in: true })
    }

    /// Whether anybody's tokens name user ids themselves.
    fn has_natives(&self) -> bool {
        self.issuers.values().chain(&self.others).any(|trusted| trusted.reading.is_native)
    }
}

impl Trusted {
    /// The key that signed the token. If it is none of those that are there they are read again, but not for a token that
    /// is no good by its own words.
    async fn key_of(
        &self,
        token: &Token<'_>,
        statement: &Statement,
        clock: &Clock,
        clock_skew: Duration,
    ) -> Result<Arc<Key>, AuthenticationError> {
        let is_good = || statement.at(clock()).is_ok();
        for _ in 0..LOOKS {
            let keys = self.ring.keys();
            match keys.judge(token) {
                Judgement::Signed(key) => return Ok(key),
                // Or the issuer has another key of the same name by now.
                Judgement::Forged if is_good() && self.ring.renew(&keys).await == Renewal::Others => {}
                Judgement::Forged => return Err(AuthenticationError::Invalid),
                // Keys that are read are public ones.
                Judgement::UnknownKey if token.algorithm == Algorithm::Hs256 || !is_good() => {
                    return Err(AuthenticationError::Invalid);
                }
                Judgement::UnknownKey => match self.ring.renew(&keys).await {
                    Renewal::Others => {}
                    // A key is published before it signs, so an older token's would have been there.
                    Renewal::TooSoon(since) if statement.is_younger_than(since.saturating_add(clock_skew), clock()) => {
                        return Err(AuthenticationError::Unavailable);
                    }
                    Renewal::Same | Renewal::TooSoon(_) => break,
                },
            }
        }
        // Maybe the keys that are not to be had would judge otherwise.
        Err(if self.ring.is_stale() { AuthenticationError::Unavailable } else { AuthenticationError::Invalid })
    }
}

fn check(secret: Option<&SharedSecret>, issuers: &[TrustedIssuer]) -> Result<(), TrustError> {
    let mut names: Vec<_> = secret.and_then(|secret| secret.issuer.as_ref()).into_iter().collect();
    let mut native = secret.map(|_| SHARED_SECRET.to_owned());
    for issuer in issuers {
        if names.contains(&&issuer.issuer) {
            return Err(TrustError::Twice(issuer.issuer.clone()));
        }
        names.push(&issuer.issuer);
        if issuer.is_native
            && let Some(other) = native.replace(format!("issuer {}", issuer.issuer))
        {
            return Err(TrustError::TwoNatives(other, format!("issuer {}", issuer.issuer)));
        }
    }
    Ok(())
}

async fn ring(issuer: &TrustedIssuer, options: &VerifierOptions) -> Result<KeyRing, TrustError> {
    let (readable, pause) = match &issuer.keys {
        KeySource::Keys(keys) => return Ok(KeyRing::fixed(keys.clone())),
        KeySource::PemFile(path) => (Readable::PemFile(path.clone()), FILE_PAUSE),
        KeySource::JwksFile(path) => (Readable::JwksFile(path.clone()), FILE_PAUSE),
        KeySource::JwksUrl(url) => {
            let client = source::client(options.jwks_timeout).map_err(TrustError::Client)?;
            (Readable::Url(url.clone(), client), options.jwks_refresh)
        }
    };
    let is_file = !matches!(readable, Readable::Url(..));
    let name = issuer.issuer.to_string();
    let ring = KeyRing::read_from(readable, name, pause, options.unknown_key_pause, Handle::current());
    if is_file {
        let failed = |source| TrustError::Keys { issuer: issuer.issuer.clone(), source };
        ring.read().await.map_err(failed)?;
    }
    Ok(ring)
}
