//! The middleware that reads and writes sessions. The key that signs its cookies is in the storage, so it is created when
//! the first request arrives.

use std::cell::RefCell;
use std::future::{Ready, ready};
use std::rc::Rc;

use actix_session::SessionMiddleware;
use actix_session::config::CookieContentSecurity;
use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::cookie::{Key, SameSite};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::web::Data;
use futures_util::future::LocalBoxFuture;

use super::store::Store;
use crate::console::Console;
use crate::error::PageError;

/// The name of the cookie. Browsers accept a name with this prefix only from a secure connection, without `Domain`, and for
/// all paths, so no other host can set the cookie.
const SECURE_COOKIE: &str = "__Host-iam_session";
/// The name of the cookie on a connection that is not encrypted, which is accepted only within this machine.
const LOCAL_COOKIE: &str = "iam_session";

/// The middleware that reads and writes sessions.
pub(crate) struct Sessions(pub(crate) Data<Console>);

/// The middleware of actix-session around a service.
type Wrapped<S> = <SessionMiddleware<Store> as Transform<Rc<S>, ServiceRequest>>::Transform;

/// The two forms of the middleware, which differ in their cookies.
struct Forms<S, B>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    secure: Wrapped<S>,
    local: Wrapped<S>,
}

/// A service with sessions.
pub(crate) struct WithSessions<S, B>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    service: Rc<S>,
    console: Data<Console>,
    forms: Rc<RefCell<Option<Rc<Forms<S, B>>>>>,
}

impl<S, B> Transform<S, ServiceRequest> for Sessions
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Transform = WithSessions<S, B>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(WithSessions { service: Rc::new(service), console: Data::clone(&self.0), forms: Rc::default() }))
    }
}

/// Creates both forms of the middleware.
async fn create<S, B>(console: &Data<Console>, service: Rc<S>) -> Result<Rc<Forms<S, B>>, Error>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    let key = console.application().session_cookie_key().await.map_err(PageError::from)?;
    let form = async |name: &str, is_secure| {
        SessionMiddleware::builder(Store(Data::clone(console)), Key::from(&key))
            .cookie_name(name.to_owned())
            .cookie_secure(is_secure)
            .cookie_same_site(SameSite::Lax)
            .cookie_content_security(CookieContentSecurity::Signed)
            .build()
            .new_transform(Rc::clone(&service))
            .await
            .map_err(|()| Error::from(PageError::Internal))
    };
    Ok(Rc::new(Forms { secure: form(SECURE_COOKIE, true).await?, local: form(LOCAL_COOKIE, false).await? }))
}

impl<S, B> Service<ServiceRequest> for WithSessions<S, B>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self::Response, Error>>;

    forward_ready!(service);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let (service, console, forms) = (Rc::clone(&self.service), Data::clone(&self.console), Rc::clone(&self.forms));
        Box::pin(async move {
            let known = forms.borrow().clone();
            let current = match known {
                Some(known) => known,
                None => {
                    let created = create(&console, service).await?;
                    Rc::clone(forms.borrow_mut().insert(created))
                }
            };
            let form = if is_local(&console, &request) { &current.local } else { &current.secure };
            form.call(request).await
        })
    }
}

/// Returns `true` if the connection never leaves this machine, and the console has no `https` address. The host in the
/// request must be this machine, too: a proxy on this machine forwards the requests of other machines.
fn is_local(console: &Console, request: &ServiceRequest) -> bool {
    let has_https = console.options.public_url.as_ref().is_some_and(|url| url.scheme() == "https");
    let from_here = request.peer_addr().is_some_and(|peer| peer.ip().to_canonical().is_loopback());
    !has_https && from_here && is_this_machine(request.connection_info().host())
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
