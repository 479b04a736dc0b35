//! What a browser without a session remembers from the sign-in page to the sign-in, in an encrypted cookie. Nothing is
//! stored for a person who is not signed in.

use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};

use super::cookies::{Cookies, SIGN_IN};
use super::csrf::Secret;
use crate::error::PageError;
use crate::form::FormOwner;
use crate::provider::Pending;

/// A sign-in that is not complete.
pub(crate) struct Attempt {
    cookies: Cookies,
    content: Content,
}

#[derive(Serialize, Deserialize)]
struct Content {
    /// The secret of the forms of the sign-in page.
    secret: Secret,
    /// The sign-in at an identity provider that has begun.
    pending: Option<Pending>,
}

impl Attempt {
    /// Returns the sign-in of the browser, or a new one.
    pub(crate) fn of(request: &HttpRequest) -> Result<Self, PageError> {
        let cookies = Cookies::of(request)?;
        let known = cookies.read(request, SIGN_IN).and_then(|text| serde_json::from_str(&text).ok());
        let content = known.unwrap_or_else(|| Content { secret: Secret::generate(), pending: None });
        Ok(Self { cookies, content })
    }

    /// Returns a token for the forms of the sign-in page.
    pub(crate) fn form_token(&self) -> String {
        self.content.secret.token()
    }

    /// Begins a sign-in at an identity provider. It replaces an earlier one.
    pub(crate) fn begin(&mut self, pending: Pending) {
        self.content.pending = Some(pending);
    }

    /// Returns the sign-in at an identity provider that has begun, and forgets it.
    pub(crate) fn end(&mut self) -> Option<Pending> {
        self.content.pending.take()
    }

    /// Returns the response, with which the browser remembers the sign-in.
    pub(crate) fn remembered(&self, mut response: HttpResponse) -> Result<HttpResponse, PageError> {
        let text = serde_json::to_string(&self.content).map_err(|error| PageError::internal(&error))?;
        self.cookies.write(&mut response, SIGN_IN, Some(text))?;
        Ok(response)
    }

    /// Returns the response, with which the browser forgets the sign-in, because it is complete.
    pub(crate) fn completed(&self, mut response: HttpResponse) -> Result<HttpResponse, PageError> {
        self.cookies.write(&mut response, SIGN_IN, None)?;
        Ok(response)
    }
}

impl FormOwner for Attempt {
    fn accepts(&self, token: &str) -> bool {
        self.content.secret.accepts(token)
    }
}
