//! The external names of users in requests: what a caller may learn from them about the issuers that are trusted.

use std::time::Duration;

use iam_domain::{Caller, ExternalId, NamedUser};

use crate::{TokenVerifier, UserNameError};

/// The names of users in the requests of one caller.
///
/// Only platform callers (super admins, and services of the whole platform) learn whether an issuer is trusted. For all
/// other callers, a user of an unknown issuer is a user who holds nothing and never signs in, in every operation. So
/// these callers cannot find out which identity providers, and therefore which customers, the platform has.
#[derive(Debug, Clone, Copy)]
pub struct UserNames<'a> {
    verifier: &'a TokenVerifier,
    discloses_issuers: bool,
}

impl<'a> UserNames<'a> {
    /// Returns the names in the requests of this caller.
    #[must_use]
    pub const fn of_caller(verifier: &'a TokenVerifier, caller: Caller) -> Self {
        let discloses_issuers = match caller {
            Caller::User { is_super_admin, .. } => is_super_admin,
            Caller::Service(service) => service.company.is_none(),
        };
        Self { verifier, discloses_issuers }
    }

    /// Returns the user that a string in a path, a query or a body identifies: see [`TokenVerifier::user_named`].
    ///
    /// # Errors
    ///
    /// Returns [`UserNameError`] if the string does not identify a user.
    pub fn user(&self, text: &str) -> Result<NamedUser, UserNameError> {
        let named = self.verifier.user_named(text);
        match (&named, ExternalId::parse(text)) {
            (Err(_), Ok(external_id)) if !self.discloses_issuers => {
                Ok(NamedUser { id: external_id.user_id(), external_id: Some(external_id), can_sign_in: true })
            }
            _ => named,
        }
    }

    /// Returns the tolerated clock skew between this service and token issuers.
    #[must_use]
    pub const fn clock_skew(&self) -> Duration {
        self.verifier.clock_skew()
    }
}
