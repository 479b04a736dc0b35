//! Sessions: who is signed in, and the token of the forms of a session.

mod csrf;
mod identity;
mod middleware;
mod store;

use actix_session::SessionExt;
use actix_web::HttpRequest;
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::csrf::Secret;
use self::identity::IDENTITY;
pub(crate) use self::identity::Identity;
pub(crate) use self::middleware::Sessions;
use crate::error::PageError;
use crate::provider::Pending;

/// The key of the secret of the forms in a session.
const CSRF: &str = "csrf";
/// The key of a sign-in at an identity provider that is not complete.
const PENDING: &str = "pending";

/// The session of a request.
pub(crate) struct Session(actix_session::Session);

impl Session {
    /// Returns the session of a request.
    pub(crate) fn of(request: &HttpRequest) -> Self {
        Self(request.get_session())
    }

    fn get<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        self.0.get(key).ok().flatten()
    }

    fn insert(&self, key: &str, value: &impl Serialize) -> Result<(), PageError> {
        self.0.insert(key, value).map_err(|error| PageError::internal(&error))
    }

    /// Returns the signed-in person, if there is one.
    pub(crate) fn identity(&self) -> Option<Identity> {
        self.get(IDENTITY)
    }

    /// Signs a person in. The session gets a new key and a new secret, and loses its other content.
    pub(crate) fn sign_in(&self, identity: &Identity) -> Result<(), PageError> {
        self.0.clear();
        self.insert(IDENTITY, identity)?;
        self.insert(CSRF, &Secret::generate())?;
        self.0.renew();
        Ok(())
    }

    /// Returns `true` if the request has no session. What is inserted creates one, which the storage keeps for a while.
    pub(crate) fn is_missing(&self) -> bool {
        self.0.entries().is_empty()
    }

    /// Remembers a sign-in at an identity provider until the person returns. It replaces an earlier one.
    pub(crate) fn begin_sign_in(&self, pending: &Pending) -> Result<(), PageError> {
        self.insert(PENDING, pending)
    }

    /// Returns the sign-in that the session remembers, and forgets it, so that it is completed at most once.
    pub(crate) fn end_pending_sign_in(&self) -> Option<Pending> {
        self.0.remove_as(PENDING).and_then(Result::ok)
    }

    /// Ends the session.
    pub(crate) fn sign_out(&self) {
        self.0.purge();
    }

    /// Returns a token for the forms of a page. The tokens of each page differ, but all are valid for this session.
    pub(crate) fn form_token(&self) -> Result<String, PageError> {
        if let Some(secret) = self.get::<Secret>(CSRF) {
            return Ok(secret.token());
        }
        let secret = Secret::generate();
        self.insert(CSRF, &secret)?;
        Ok(secret.token())
    }

    /// Returns `true` if the token belongs to this session.
    pub(crate) fn accepts(&self, token: &str) -> bool {
        self.get::<Secret>(CSRF).is_some_and(|secret| secret.accepts(token))
    }
}
