//! The identity that a session contains: a verified person, without the token that proved it.

use iam_domain::{Caller, Timestamp, UserId};
use iam_identity::Verified;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A person whose token was verified when the session began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    user: Uuid,
    is_super_admin: bool,
    /// The time at which the token was issued, in microseconds since the Unix epoch.
    issued_at: Option<i64>,
    /// The name of the person, if the token or the demo contains one.
    name: Option<String>,
}

impl Identity {
    /// Creates the identity of the bearer of a token.
    pub(crate) fn of(verified: &Verified, name: Option<String>) -> Self {
        Self {
            user: verified.user_id.as_uuid(),
            is_super_admin: verified.is_super_admin,
            issued_at: verified.issued_at.map(|at| at.micros()),
            name,
        }
    }

    /// Returns the user.
    pub(crate) const fn user(&self) -> UserId {
        UserId::from_uuid(self.user)
    }

    /// Returns the person as the caller of use cases.
    pub(crate) const fn caller(&self) -> Caller {
        Caller::User { id: self.user(), is_super_admin: self.is_super_admin }
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
