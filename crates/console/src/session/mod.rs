//! Sessions: who is signed in, and the token of the forms of a session.

mod attempt;
mod cookies;
mod csrf;
mod identity;
mod middleware;
mod store;

use actix_session::SessionExt;
use actix_web::HttpRequest;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use self::attempt::Attempt;
pub(crate) use self::cookies::{host, is_local};
use self::csrf::Secret;
use self::identity::IDENTITY;
pub(crate) use self::identity::Identity;
pub(crate) use self::middleware::with_sessions;
use crate::error::PageError;
use crate::form::FormOwner;

/// The key of the secret of the forms in a session.
const CSRF: &str = "csrf";

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

    /// Ends the session.
    pub(crate) fn sign_out(&self) {
        self.0.purge();
    }

    /// Returns a token for the forms of a page. The tokens of each page differ, but all are valid for this session.
    pub(crate) fn form_token(&self) -> Result<String, PageError> {
        self.get::<Secret>(CSRF).map(|secret| secret.token()).ok_or(PageError::Internal)
    }
}

impl FormOwner for Session {
    fn accepts(&self, token: &str) -> bool {
        self.get::<Secret>(CSRF).is_some_and(|secret| secret.accepts(token))
    }
}
