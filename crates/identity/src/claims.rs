//! Maps the claims of a token to a user, as configured for its issuer.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use iam_domain::{ClaimedProfile, Email, ExternalId, ExternalSubject, Issuer, Name, Timestamp, UserId};
use serde_json::Value;

use crate::AuthenticationError;
use crate::token::JsonFields;

/// The bearer of a verified token: the user id, and the claims that apply to the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The user id.
    pub user_id: UserId,
    /// `true` if the token has the super admin claim and its issuer may grant super admin rights.
    pub is_super_admin: bool,
    /// The time of issue (`iat`), if the token has one.
    pub issued_at: Option<Timestamp>,
    /// The issuer and subject of the user. `None` if the subject is itself the user id.
    pub external_id: Option<Arc<ExternalId>>,
}

/// The configuration that maps the claims of an issuer's tokens to a user and a period of validity.
#[derive(Debug)]
pub(crate) struct ClaimMapping {
    pub(crate) issuer: Option<Issuer>,
    /// The claims that may identify the user, in order of precedence: the first claim that is present is used.
    pub(crate) user_claims: Vec<String>,
    /// The claim that grants super admin rights. `None` if the issuer may not grant them.
    pub(crate) super_admin_claim: Option<String>,
    pub(crate) audience_claim: String,
    /// The accepted audiences. If empty, the audience is not checked.
    pub(crate) audiences: Vec<String>,
    /// If `true`, subjects that are UUIDs are used as user ids unchanged.
    pub(crate) is_native: bool,
    /// If `true`, the claims contain the profile of the user.
    pub(crate) provides_profiles: bool,
}

/// The tolerated clock skew, and the maximum ages of tokens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimeLimits {
    pub(crate) clock_skew: Duration,
    pub(crate) max_age: Option<Duration>,
    pub(crate) max_super_admin_age: Option<Duration>,
}

/// The principal that a token identifies, and the token's period of validity. The value owns all its data and borrows
/// nothing from the token, so it can be cached.
#[derive(Debug)]
pub(crate) struct MappedClaims {
    verified: Verified,
    /// The profile that the claims contain, if the issuer provides profiles.
    pub(crate) profile: Option<Arc<ClaimedProfile>>,
    /// The issuer of the token, or `None` for a shared secret without an issuer.
    pub(crate) issuer: Option<Issuer>,
    valid_from: SystemTime,
    /// The time when the token becomes invalid: at `expires_at`, or when it reaches the maximum age, whichever is
    /// earlier.
    valid_until: SystemTime,
    expires_at: SystemTime,
}

impl MappedClaims {
    /// Returns the time at which the token becomes invalid, or `None` if this is later than any timestamp.
    pub(crate) fn valid_until(&self) -> Option<Timestamp> {
        timestamp(self.valid_until.min(self.expires_at))
    }

    /// Returns the verified bearer if the token is valid at the time `now`.
    pub(crate) fn at(&self, now: Timestamp) -> Result<&Verified, AuthenticationError> {
        let now = system_time(now);
        if now >= self.expires_at {
            Err(AuthenticationError::Expired)
        } else if now >= self.valid_until {
            Err(AuthenticationError::TooOld)
        } else if now < self.valid_from {
            Err(AuthenticationError::NotYetValid)
        } else {
            Ok(&self.verified)
        }
    }
}

impl ClaimMapping {
    /// Maps the claims of a token. The error is [`AuthenticationError::WrongAudience`], or
    /// [`AuthenticationError::InvalidClaims`] if the claims identify no user or contain an invalid time.
    pub(crate) fn apply(&self, claims: &JsonFields, limits: TimeLimits) -> Result<MappedClaims, AuthenticationError> {
        if !self.accepts_audience(claims.get(&self.audience_claim)) {
            return Err(AuthenticationError::WrongAudience);
        }
        self.map(claims, limits).ok_or(AuthenticationError::InvalidClaims)
    }

    /// Maps the claims of an ID token, whose audience is the client that requested it. If the token has further audiences,
    /// it must have been issued to this client (`azp`).
    pub(crate) fn apply_for_client(
        &self,
        claims: &JsonFields,
        limits: TimeLimits,
        client: &str,
    ) -> Result<MappedClaims, AuthenticationError> {
        let is_client = |value: &Value| value.as_str() == Some(client);
        let is_only_audience = match claims.get("aud") {
            Some(Value::Array(audiences)) if audiences.len() > 1 => false,
            Some(Value::Array(audiences)) => audiences.iter().all(is_client) && !audiences.is_empty(),
            Some(audience) => is_client(audience),
            None => false,
        };
        let is_audience = matches!(claims.get("aud"), Some(Value::Array(all)) if all.iter().any(is_client));
        let is_party = claims.get("azp").map(is_client);
        if is_party == Some(false) || !(is_only_audience || (is_audience && is_party == Some(true))) {
            return Err(AuthenticationError::WrongAudience);
        }
        self.map(claims, limits).ok_or(AuthenticationError::InvalidClaims)
    }

    fn map(&self, claims: &JsonFields, limits: TimeLimits) -> Option<MappedClaims> {
        let (user_id, external_id) = self.user(claims)?;
        let claim = self.super_admin_claim.as_ref().and_then(|claim| claims.get(claim));
        let is_super_admin = claim == Some(&Value::Bool(true));

        let issued = optional_time(claims.get("iat"))?;
        let mut valid_from = optional_time(claims.get("nbf"))?.unwrap_or(UNIX_EPOCH);
        let expires_at = time(claims.get("exp")?)?;
        let mut valid_until = expires_at;
        if let Some(issued) = issued {
            valid_from = valid_from.max(issued);
        }
        let max_ages = [limits.max_age, limits.max_super_admin_age.filter(|_| is_super_admin)];
        if let Some(max_age) = max_ages.into_iter().flatten().min() {
            // If there is a maximum age, a token without an `iat` is invalid. If `iat` plus the maximum age overflows,
            // the maximum age has no effect.
            valid_until = issued?.checked_add(max_age).map_or(valid_until, |limit| limit.min(valid_until));
        }
        Some(MappedClaims {
            profile: self.profile(claims).map(Arc::new),
            issuer: self.issuer.clone(),
            verified: Verified { user_id, is_super_admin, issued_at: optional(issued, timestamp)?, external_id },
            valid_from: valid_from.checked_sub(limits.clock_skew).unwrap_or(UNIX_EPOCH),
            valid_until: valid_until.checked_add(limits.clock_skew).unwrap_or(valid_until),
            expires_at: expires_at.checked_add(limits.clock_skew).unwrap_or(expires_at),
        })
    }

    /// Returns the valid parts of the profile in the claims. Values that the API would reject are ignored: they never make
    /// a token invalid.
    fn profile(&self, claims: &JsonFields) -> Option<ClaimedProfile> {
        if !self.provides_profiles {
            return None;
        }
        let text = |claim| claims.get(claim).and_then(Value::as_str);
        let is_verified = claims.get("email_verified") == Some(&Value::Bool(true));
        let email = text("email").filter(|_| is_verified).and_then(|email| Email::parse(email).ok());
        let display_name = text("name").and_then(|name| Name::parse(name).ok());
        (display_name.is_some() || email.is_some()).then_some(ClaimedProfile { display_name, email })
    }

    fn accepts_audience(&self, audience: Option<&Value>) -> bool {
        let is_ours = |text: &str| self.audiences.iter().any(|ours| ours == text);
        self.audiences.is_empty()
            || match audience {
                Some(Value::String(text)) => is_ours(text),
                Some(Value::Array(texts)) => texts.iter().any(|text| text.as_str().is_some_and(is_ours)),
                _ => false,
            }
    }

    fn user(&self, claims: &JsonFields) -> Option<(UserId, Option<Arc<ExternalId>>)> {
        let subject = self.user_claims.iter().find_map(|claim| claims.get(claim))?.as_str()?;
        self.user_named(subject).map(|(id, external_id)| (id, external_id.map(Arc::new)))
    }

    /// Returns the user whom the issuer identifies by this subject, or `None` if the subject is invalid.
    pub(crate) fn user_named(&self, subject: &str) -> Option<(UserId, Option<ExternalId>)> {
        if self.is_native
            && let Ok(id) = UserId::parse(subject)
        {
            // A version 8 UUID is the id of another issuer's user or of an API key. The native issuer must not use such
            // an id as a subject.
            return (!id.is_service_generated()).then_some((id, None));
        }
        let external_id = ExternalId { issuer: self.issuer.clone()?, subject: ExternalSubject::parse(subject).ok()? };
        Some((external_id.user_id(), Some(external_id)))
    }
}

/// Applies `read` to the value if it is present. Returns `None` if `read` rejects the value, and `Some(None)` if there
/// is no value.
fn optional<T, U>(value: Option<T>, read: impl FnOnce(T) -> Option<U>) -> Option<Option<U>> {
    match value {
        None => Some(None),
        Some(value) => read(value).map(Some),
    }
}

fn optional_time(claim: Option<&Value>) -> Option<Option<SystemTime>> {
    optional(claim, time)
}

/// Parses a time in seconds since the Unix epoch (`NumericDate`).
fn time(claim: &Value) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(claim.as_f64()?).ok()?)
}

/// Converts the timestamp. Times before the Unix epoch are clamped to the epoch.
fn system_time(timestamp: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(u64::try_from(timestamp.micros()).unwrap_or_default())
}

fn timestamp(time: SystemTime) -> Option<Timestamp> {
    let micros = time.duration_since(UNIX_EPOCH).ok()?.as_micros();
    Timestamp::from_micros(i64::try_from(micros).ok()?)
}
