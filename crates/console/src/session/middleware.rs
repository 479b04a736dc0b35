//! The middleware that reads and writes sessions.

use std::cell::OnceCell;
use std::rc::Rc;

use actix_session::SessionMiddleware;
use actix_session::config::CookieContentSecurity;
use actix_web::Error;
use actix_web::body::BoxBody;
use actix_web::cookie::{Key, SameSite};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::middleware::Next;
use actix_web::web::Data;

use super::cookies::{Cookies, SESSION};
use super::store::Store;
use crate::console::Console;
use crate::error::PageError;

/// Reads the session of a request, and writes its changes after the response has been made. The key that encrypts the
/// cookies is in the storage, and the name of the cookie depends on the connection, so each request configures
/// actix-session.
///
/// # Errors
///
/// Returns the [`PageError`] of the storage.
pub(crate) async fn with_sessions(
    console: Data<Console>,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let key = console.application().session_cookie_key().await.map_err(PageError::from)?;
    let cookies = Cookies::insert(request.request(), &console, Key::from(&key));
    let failure = Rc::<OnceCell<PageError>>::default();
    let store = Store { console, failure: Rc::clone(&failure) };
    let sessions = SessionMiddleware::builder(store, cookies.key())
        .cookie_name(cookies.name(SESSION).to_owned())
        .cookie_secure(cookies.is_secure())
        .cookie_same_site(SameSite::Lax)
        .cookie_content_security(CookieContentSecurity::Private)
        .build();
    let sessions = sessions.new_transform(next).await.map_err(|()| PageError::Internal)?;
    // The errors of actix-session hide their causes.
    sessions.call(request).await.map_err(|error| failure.get().cloned().map_or(error, Error::from))
}
