//! Sessions: who is signed in, and the token of the forms of a session.

mod csrf;
mod identity;
mod memory;

use actix_session::config::CookieContentSecurity;
use actix_session::{SessionExt, SessionMiddleware};
use actix_web::HttpRequest;
use actix_web::cookie::{Key, SameSite};
use actix_web::web::Data;
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::csrf::Secret;
pub(crate) use self::identity::Identity;
pub(crate) use self::memory::MemoryStore;
use crate::console::Console;
use crate::error::PageError;

/// The key of the identity in a session.
const IDENTITY: &str = "identity";
/// The key of the secret of the forms in a session.
const CSRF: &str = "csrf";

/// Creates the middleware that reads and writes sessions.
pub(crate) fn middleware(console: &Data<Console>) -> SessionMiddleware<MemoryStore> {
    SessionMiddleware::builder(console.memory.clone(), Key::from(&[7; 64]))
        .cookie_name("iam_session".to_owned())
        .cookie_secure(false)
        .cookie_same_site(SameSite::Lax)
        .cookie_content_security(CookieContentSecurity::Signed)
        .build()
}

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
