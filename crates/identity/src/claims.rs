//! What a token says, once its signature is known to be good.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use iam_domain::{Caller, UserId};
use serde::Deserialize;

use crate::AuthenticationError;

/// The claims that count. Every other claim is ignored; a claim that occurs twice spoils the token.
#[derive(Deserialize)]
pub(crate) struct Claims {
    #[serde(rename = "userId")]
    user_id: Option<String>,
    sub: Option<String>,
    /// Anything but JSON `true` is no super admin.
    #[serde(rename = "isSuperAdmin")]
    is_super_admin: Option<serde_json::Value>,
    exp: f64,
    nbf: Option<f64>,
}

/// A caller, and when the token that names it is good. It owes nothing to the token's text, so it can be remembered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Verified {
    caller: Caller,
    not_before: SystemTime,
    expires: SystemTime,
}

impl Verified {
    /// The caller, if the token is good at this time: from `nbf` on and before `exp`, without leeway.
    pub(crate) fn at(&self, now: SystemTime) -> Result<Caller, AuthenticationError> {
        if now >= self.expires {
            Err(AuthenticationError::Expired)
        } else if now < self.not_before {
            Err(AuthenticationError::Invalid)
        } else {
            Ok(self.caller)
        }
    }
}

impl Claims {
    /// What they come to; `None` if they name no user, or a time that is none.
    pub(crate) fn into_verified(self) -> Option<Verified> {
        Some(Verified {
            caller: Caller {
                user_id: UserId::parse(&self.user_id.or(self.sub)?).ok()?,
                is_super_admin: self.is_super_admin == Some(serde_json::Value::Bool(true)),
            },
            not_before: self.nbf.map_or(Some(UNIX_EPOCH), time)?,
            expires: time(self.exp)?,
        })
    }
}

/// The time so many seconds after 1970.
fn time(seconds: f64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds).ok()?)
}
