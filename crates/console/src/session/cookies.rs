//! The cookies of the console: their names, their encryption, and the connections on which they need no `Secure`.

use actix_web::cookie::{Cookie, CookieJar, Key, SameSite};
use actix_web::http::header::{self, HeaderName};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};

use crate::console::Console;
use crate::error::PageError;

/// The headers with which a proxy states that it forwards the request of another machine.
const FORWARDING: [HeaderName; 5] =
    [header::FORWARDED, header::X_FORWARDED_FOR, header::X_FORWARDED_HOST, header::X_FORWARDED_PROTO, header::VIA];

/// A cookie of the console. Browsers accept a name with the prefix `__Host-` only from a secure connection, without
/// `Domain`, and for all paths, so no other host can set the cookie. The other name is for connections within this machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name {
    secure: &'static str,
    local: &'static str,
}

/// The key of the session of a signed-in person.
pub(super) const SESSION: Name = Name { secure: "__Host-iam_session", local: "iam_session" };
/// What a browser without a session remembers from the sign-in page to the sign-in.
pub(super) const SIGN_IN: Name = Name { secure: "__Host-iam_sign_in", local: "iam_sign_in" };

/// Reads and writes the cookies of a request. The values are encrypted, and bound to the names of their cookies.
#[derive(Clone)]
pub(super) struct Cookies {
    key: Key,
    is_secure: bool,
}

impl Cookies {
    /// Creates the cookies of a request, and inserts them into its extensions.
    pub(super) fn insert(request: &HttpRequest, console: &Console, key: Key) -> Self {
        let cookies = Self { key, is_secure: !is_local(request, console) };
        request.extensions_mut().insert(cookies.clone());
        cookies
    }

    /// Returns the cookies of a request.
    pub(super) fn of(request: &HttpRequest) -> Result<Self, PageError> {
        request.extensions().get::<Self>().cloned().ok_or(PageError::Internal)
    }

    /// Returns the key that encrypts the values.
    pub(super) fn key(&self) -> Key {
        self.key.clone()
    }

    /// Returns `true` if browsers send the cookies only on secure connections.
    pub(super) const fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// Returns the name of a cookie on this connection.
    pub(super) const fn name(&self, name: Name) -> &'static str {
        if self.is_secure { name.secure } else { name.local }
    }

    /// Returns the value of a cookie of the request, if the console has written it.
    pub(super) fn read(&self, request: &HttpRequest, name: Name) -> Option<String> {
        let name = self.name(name);
        let mut jar = CookieJar::new();
        jar.add_original(request.cookie(name)?);
        jar.private(&self.key).get(name).map(|cookie| cookie.value().to_owned())
    }

    /// Adds a cookie to a response. `None` removes it from the browser.
    pub(super) fn write(
        &self,
        response: &mut HttpResponse,
        name: Name,
        value: Option<String>,
    ) -> Result<(), PageError> {
        let is_removed = value.is_none();
        let mut cookie = Cookie::build(self.name(name), value.unwrap_or_default())
            .path("/")
            .secure(self.is_secure)
            .http_only(true)
            .same_site(SameSite::Lax)
            .finish();
        if is_removed {
            cookie.make_removal();
        } else {
            let mut jar = CookieJar::new();
            jar.private_mut(&self.key).add(cookie);
            cookie = jar.delta().next().cloned().ok_or(PageError::Internal)?;
        }
        response.add_cookie(&cookie).map_err(|_| PageError::Internal)
    }
}

/// Returns `true` if the connection never leaves this machine, and the console has no `https` address: the peer and the host
/// are this machine, and no proxy forwards the request of another machine.
pub(crate) fn is_local(request: &HttpRequest, console: &Console) -> bool {
    let has_https = console.options.public_url.as_ref().is_some_and(|url| url.scheme() == "https");
    let from_here = request.peer_addr().is_some_and(|peer| peer.ip().to_canonical().is_loopback());
    let is_forwarded = FORWARDING.iter().any(|name| request.headers().contains_key(name));
    !has_https && from_here && !is_forwarded && host(request).is_some_and(is_this_machine)
}

/// Returns the host of a request, with the port if there is one.
pub(crate) fn host(request: &HttpRequest) -> Option<&str> {
    let header = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    header.or_else(|| request.uri().authority().map(|authority| authority.as_str()))
}

/// Returns `true` if a host, with or without a port, is this machine.
fn is_this_machine(host: &str) -> bool {
    match url::Url::parse(&format!("http://{host}")).ok().as_ref().and_then(url::Url::host) {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_local() {
        for host in ["localhost", "localhost:3001", "127.0.0.1", "127.0.0.1:80", "[::1]:3001"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in ["", "example.com", "localhost.example.com", "10.0.0.1:3001", "[::2]", "127.0.0.1.example.com"] {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
