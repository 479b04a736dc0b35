//! The identity that a session contains: a verified person, without the token that proved it.

use iam_domain::{Caller, ExternalId, Timestamp, UserId};
use iam_identity::{Admission, Verified};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::console::{Console, DemoUser};

/// The key of the identity in a session.
pub(super) const IDENTITY: &str = "identity";

/// A person whose token was verified when the session began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    user: Uuid,
    is_super_admin: bool,
    /// The issuer and the subject of the person, if an external issuer issued the token.
    external_id: Option<String>,
    /// The time at which the token was issued, in microseconds since the Unix epoch.
    issued_at: Option<i64>,
    /// The time at which the session ends because the token does, in microseconds since the Unix epoch.
    ends_at: Option<i64>,
    proof: Proof,
    /// The name of the person, if it is known.
    name: Option<String>,
}

/// What proved the identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Proof {
    /// The button of a demo user.
    Demo,
    /// A token of this issuer. `None` for the shared secret without an issuer.
    Token(Option<String>),
}

impl Identity {
    /// Creates the identity of the bearer of a token. The session ends when the token does.
    pub(crate) fn of_token(verified: &Verified, admission: &Admission) -> Self {
        Self {
            user: verified.user_id.as_uuid(),
            is_super_admin: verified.is_super_admin,
            external_id: verified.external_id.as_ref().map(ToString::to_string),
            issued_at: verified.issued_at.map(|at| at.micros()),
            ends_at: admission.valid_until().map(|at| at.micros()),
            proof: Proof::Token(admission.issuer().map(|issuer| issuer.as_str().to_owned())),
            name: admission.profile().and_then(|profile| profile.display_name.as_ref()).map(ToString::to_string),
        }
    }

    /// Creates the identity of a person who signed in at an identity provider. The session does not end when the ID token
    /// expires, because the token only proves the sign-in.
    pub(crate) fn of_sign_in(verified: &Verified, admission: &Admission) -> Self {
        Self { ends_at: None, ..Self::of_token(verified, admission) }
    }

    /// Returns the issuer of the token that proved the identity, if it has a name.
    pub(crate) fn issuer(&self) -> Option<&str> {
        match &self.proof {
            Proof::Token(issuer) => issuer.as_deref(),
            Proof::Demo => None,
        }
    }

    /// Creates the identity of a demo user.
    pub(crate) fn of_demo(user: &DemoUser, now: Timestamp) -> Self {
        Self {
            user: user.user.as_uuid(),
            is_super_admin: user.is_super_admin,
            external_id: None,
            issued_at: Some(now.micros()),
            ends_at: None,
            proof: Proof::Demo,
            name: Some(user.label.clone()),
        }
    }

    /// Returns `true` if a sign-in with the same proof would still be accepted: the token has not expired, its issuer is still
    /// trusted with the same rights, and a super admin signed in recently enough.
    pub(crate) fn is_still_valid(&self, console: &Console) -> bool {
        let (now, verifier) = (console.services.clock.now().micros(), &console.services.verifier);
        let is_trusted = match &self.proof {
            Proof::Demo => {
                let mut users = console.options.demo_users.iter();
                users.any(|known| known.user == self.user() && known.is_super_admin == self.is_super_admin)
            }
            Proof::Token(issuer) => verifier.trusts(issuer.as_deref(), self.is_super_admin),
        };
        let is_recent = !self.is_super_admin || verifier.may_still_be_super_admin(self.issued_at());
        is_trusted && is_recent && self.ends_at.is_none_or(|end| now < end)
    }

    /// Returns the user.
    pub(crate) const fn user(&self) -> UserId {
        UserId::from_uuid(self.user)
    }

    /// Returns the person as the caller of use cases.
    pub(crate) const fn caller(&self) -> Caller {
        Caller::User { id: self.user(), is_super_admin: self.is_super_admin }
    }

    /// Returns the issuer and the subject of the person, if an external issuer issued the token.
    pub(crate) fn external_id(&self) -> Option<ExternalId> {
        self.external_id.as_deref().and_then(|id| ExternalId::parse(id).ok())
    }

    /// Returns the time at which the token was issued.
    pub(crate) fn issued_at(&self) -> Option<Timestamp> {
        self.issued_at.and_then(Timestamp::from_micros)
    }

    /// Returns the name of the person, or the user id.
    pub(crate) fn label(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.user().to_string())
    }
}
